//! The private copy of a snapshot that one attempt runs in: files copied, links made, templates filled.
//!
//! Owns: how the copy is made. Must not: write to what it copies from.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Component, Path, PathBuf},
};

use metaopt_schema::study::RunSpec;

use crate::platform::files;

/// Copies the entries of `from` named in `own` to `to`; the others (what setup has made: environments, downloads,
/// builds) are shared by a link, since they may be large. On Btrfs, XFS and APFS the system's copy shares the blocks.
pub(super) fn copy(from: &Path, own: &BTreeSet<String>, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if own.contains(&*name.to_string_lossy()) {
            copy_entry(&entry.path(), &to.join(name))?;
        } else {
            files::symlink(&entry.path(), &to.join(name))?;
        }
    }
    Ok(())
}

fn copy_entry(from: &Path, to: &Path) -> io::Result<()> {
    let kind = fs::symlink_metadata(from)?.file_type();
    if kind.is_symlink() {
        files::symlink(&fs::read_link(from)?, to)
    } else if kind.is_dir() {
        fs::create_dir(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            copy_entry(&entry.path(), &to.join(entry.file_name()))?;
        }
        Ok(())
    } else if kind.is_file() {
        fs::copy(from, to).map(drop)
    } else {
        // a socket or pipe that setup has left: nothing to copy
        Ok(())
    }
}

/// Where a link leads, and its place in the working directory.
pub(super) fn link_target(run: &RunSpec, link: &str) -> Result<(PathBuf, PathBuf), String> {
    let given = Path::new(link);
    let base = run.path.as_deref().map(Path::new);
    let target = match (given.is_absolute(), base) {
        (true, _) => given.to_owned(),
        (false, Some(base)) => base.join(given),
        (false, None) => {
            return Err(format!("the link `{link}` is relative, and to what is not known; give an absolute path"));
        }
    };
    // `data/mnist` keeps its place; what lies elsewhere is found by its own name
    let inside = match base {
        Some(base) if given.is_absolute() => given.strip_prefix(base).unwrap_or(given),
        _ => given,
    };
    let parts: Vec<_> = inside.components().filter(|part| *part != Component::CurDir).collect();
    let place: PathBuf = if parts.iter().all(|part| matches!(part, Component::Normal(_))) {
        parts.iter().collect()
    } else {
        PathBuf::from(target.file_name().ok_or_else(|| format!("the link `{link}` has no name of its own"))?)
    };
    if place.as_os_str().is_empty() {
        return Err(format!("the link `{link}` is the working directory itself"));
    }
    Ok((target, place))
}

/// Makes the run's links in the working directory.
pub(super) fn link(work: &Path, run: &RunSpec) -> Result<(), String> {
    for link in &run.links {
        let (target, place) = link_target(run, link)?;
        if !target.exists() {
            return Err(format!("{} does not exist on this node", target.display()));
        }
        let full = work.join(&place);
        let fail = |error: io::Error| format!("{}: {error}", full.display());
        make_parents(work, &place)?;
        // what the snapshot has in its place is in our copy only
        match fs::symlink_metadata(&full) {
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(&full).map_err(fail)?,
            Ok(_) => fs::remove_file(&full).map_err(fail)?,
            Err(_) => (),
        }
        files::symlink(&target, &full).map_err(fail)?;
    }
    Ok(())
}

/// Makes the directories above `place`, none of which may be a link: it could lead out of the copy.
fn make_parents(work: &Path, place: &Path) -> Result<(), String> {
    let mut at = work.to_owned();
    for part in place.parent().unwrap_or_else(|| Path::new("")).components() {
        at.push(part);
        match fs::symlink_metadata(&at) {
            Ok(meta) if meta.is_dir() => (),
            Ok(_) => return Err(format!("{} is not a directory, so nothing can be linked into it", at.display())),
            Err(_) => fs::create_dir(&at).map_err(|error| format!("{}: {error}", at.display()))?,
        }
    }
    Ok(())
}

/// Rewrites a template file of the working directory.
pub(super) fn fill(work: &Path, file: &str, expand: impl FnOnce(&str) -> String) -> Result<(), String> {
    let place = Path::new(file);
    if !place.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(format!("the template `{file}` must be a path within the snapshot"));
    }
    let mut full = work.to_owned();
    let fail = |error: io::Error| format!("the template `{file}`: {error}");
    for part in place.components() {
        full.push(part);
        if fs::symlink_metadata(&full).map_err(fail)?.file_type().is_symlink() {
            return Err(format!("the template `{file}` leads through a link; name the file itself"));
        }
    }
    let text = String::from_utf8(fs::read(&full).map_err(fail)?)
        .map_err(|_| format!("the template `{file}` is not a text file in UTF-8"))?;
    fs::write(&full, expand(&text)).map_err(fail)
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn what_setup_made_is_shared_and_the_rest_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("tree"), dir.path().join("work"));
        fs::create_dir_all(from.join("src")).unwrap();
        fs::create_dir_all(from.join(".venv")).unwrap();
        fs::write(from.join("src/a.py"), "a").unwrap();
        fs::write(from.join(".venv/x"), "x").unwrap();
        std::os::unix::fs::symlink("src/a.py", from.join("link")).unwrap();
        let own = ["src", "link"].map(str::to_owned).into();
        copy(&from, &own, &to).unwrap();
        fs::write(to.join("link"), "changed").unwrap();
        assert_eq!(fs::read_to_string(to.join("src/a.py")).unwrap(), "changed");
        assert_eq!(fs::read_to_string(from.join("src/a.py")).unwrap(), "a");
        assert_eq!(fs::read_link(to.join(".venv")).unwrap(), from.join(".venv"));
    }

    #[test]
    fn links_keep_their_place_or_their_name() {
        let run = |path: Option<&str>| RunSpec { path: path.map(str::to_owned), ..RunSpec::default() };
        let at = |link: &str, path| {
            link_target(&run(path), link).map(|(a, b)| (a.to_str().unwrap().to_owned(), b.to_str().unwrap().to_owned()))
        };
        let pair = |a: &str, b: &str| Ok((a.to_owned(), b.to_owned()));
        assert_eq!(at("data/mnist", Some("/home/p")), pair("/home/p/data/mnist", "data/mnist"));
        assert_eq!(at("../big", Some("/home/p")), pair("/home/p/../big", "big"));
        assert_eq!(at("/home/p/data", Some("/home/p")), pair("/home/p/data", "data"));
        assert_eq!(at("/srv/data", Some("/home/p")), pair("/srv/data", "data"));
        assert_eq!(at("/srv/data", None), pair("/srv/data", "data"));
        assert!(at("data", None).unwrap_err().contains("absolute"));
        assert!(at(".", Some("/home/p")).is_err());
    }

    #[test]
    fn nothing_is_linked_or_filled_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (work, outside) = (dir.path().join("work"), dir.path().join("outside"));
        fs::create_dir(&work).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("t"), "{lr}").unwrap();
        std::os::unix::fs::symlink(&outside, work.join("out")).unwrap();
        let run = RunSpec {
            links: vec!["out/data".into()],
            path: Some(dir.path().join("outside").to_str().unwrap().into()),
            ..RunSpec::default()
        };
        fs::create_dir(outside.join("out")).unwrap();
        fs::write(outside.join("out/data"), "").unwrap();
        assert!(link(&work, &run).unwrap_err().contains("not a directory"));
        assert!(fill(&work, "out/t", str::to_owned).unwrap_err().contains("link"));
        assert!(fill(&work, "../outside/t", str::to_owned).unwrap_err().contains("within"));
        assert_eq!(fs::read_to_string(outside.join("t")).unwrap(), "{lr}");
    }
}
