//! The files that go along: a snapshot of the current directory, with template markers rewritten.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use metaopt_daemon::snapshot::{self, Listing, PackOptions};
use metaopt_schema::space::Param;

use crate::{
    client::{Client, segment},
    failure::{Doing, Failure, NOT_FOUND},
    markers,
};

/// Template files: what they are called in the snapshot, and what their markers declare.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    /// Relative to the snapshot.
    pub paths: Vec<String>,
    /// Rewritten contents.
    pub overlay: BTreeMap<PathBuf, Vec<u8>>,
    /// Their parameters.
    pub params: Vec<Param>,
    /// Things understood that change nothing.
    pub notes: Vec<String>,
}

/// Reads the template files.
pub fn templates(paths: &[String], cwd: &Path) -> Result<Templates, Failure> {
    let mut out = Templates::default();
    for given in paths {
        let path = inside(Path::new(given), cwd).ok_or_else(|| {
            Failure::usage(format!("the template {given} is outside the current directory"))
                .hint("only files that are submitted along can be filled in")
        })?;
        let text = std::fs::read_to_string(cwd.join(&path))
            .map_err(|error| Failure::usage(format!("cannot read the template {given}")).cause(error))?;
        if let Some(template) = markers::template::rewrite(given, &text)? {
            out.overlay.insert(path.clone(), template.text.into_bytes());
            out.params.extend(template.params);
            out.notes.extend(template.notes);
        }
        out.paths.push(path.to_string_lossy().into_owned());
    }
    Ok(out)
}

/// `path` relative to `cwd`, when it is inside; `./a/../b` is `b`.
pub fn inside(path: &Path, cwd: &Path) -> Option<PathBuf> {
    let relative = if path.is_absolute() { path.strip_prefix(cwd).ok()? } else { path };
    let mut out = PathBuf::new();
    for component in relative.components() {
        match component {
            Component::Normal(part) => out.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                if !out.pop() {
                    return None;
                }
            }
            _ => return None,
        }
    }
    (!out.as_os_str().is_empty()).then_some(out)
}

/// Refuses to take a whole home or root directory along by accident.
pub fn check_directory(cwd: &Path) -> Result<(), Failure> {
    let home = std::env::var_os("HOME").map(PathBuf::from).and_then(|home| home.canonicalize().ok());
    let here = cwd.canonicalize().unwrap_or_else(|_| cwd.to_owned());
    let what = if here.parent().is_none() {
        "the whole file system"
    } else if home.as_deref() == Some(&here) {
        "your whole home directory"
    } else {
        return Ok(());
    };
    Err(Failure::usage(format!("this would submit {what}"))
        .hint("cd into the project first, or run where it is with --in-place"))
}

/// What the snapshot would hold; refuses when the script or a template isn't in it.
pub fn list(cwd: &Path, script: Option<&Path>, templates: &Templates) -> Result<Listing, Failure> {
    let listing = snapshot::list(cwd, &options(templates)).doing(|| format!("cannot read {}", cwd.display()))?;
    let named = script.and_then(|script| inside(script, cwd));
    for path in named.into_iter().chain(templates.paths.iter().map(PathBuf::from)) {
        if listing.entries.iter().any(|entry| entry.path == path) {
            continue;
        }
        let why = listing.left_out.iter().find(|left| path.starts_with(&left.path)).map(|left| left.why.clone());
        return Err(Failure::usage(format!("{} would not be submitted", path.display()))
            .cause(why.unwrap_or_else(|| "it is left out".into()))
            .hint("change .gitignore or .metaoptignore (a line `!FILE` brings a file back), or use --in-place"));
    }
    Ok(listing)
}

/// Packs the directory and sends it where it isn't known yet; answers its name.
pub fn send(client: &Client, cwd: &Path, templates: &Templates) -> Result<String, Failure> {
    let packed = snapshot::pack(cwd, &options(templates)).doing(|| "cannot submit this directory".into())?;
    let path = format!("/snapshots/{}", segment(&packed.hash));
    match client.call("HEAD", &path, None) {
        Ok(_) => return Ok(packed.hash),
        Err(failure) if failure.code == NOT_FOUND => {}
        Err(failure) => return Err(failure),
    }
    let body = packed.body.reopen().doing(|| "cannot read the packed directory".into())?;
    client.send("PUT", &path, "application/zstd", body)?;
    Ok(packed.hash)
}

fn options(templates: &Templates) -> PackOptions {
    PackOptions { overlay: templates.overlay.clone(), ..PackOptions::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_inside_goes_along() {
        let cwd = Path::new("/p/q");
        assert_eq!(inside(Path::new("./a/../b.yaml"), cwd), Some("b.yaml".into()));
        assert_eq!(inside(Path::new("/p/q/c"), cwd), Some("c".into()));
        for outside in ["../x", "/etc/passwd", "a/../../x", "."] {
            assert_eq!(inside(Path::new(outside), cwd), None, "{outside}");
        }
    }

    #[test]
    fn templates_become_overlays_and_plain_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.yaml"), "lr: lr~loguniform(1e-5, 1)\n").unwrap();
        std::fs::write(dir.path().join("b.yaml"), "lr: {lr}\n").unwrap();
        let read = templates(&["a.yaml".into(), "./b.yaml".into()], dir.path()).unwrap();
        assert_eq!(read.paths, ["a.yaml", "b.yaml"]);
        assert_eq!(read.overlay.len(), 1);
        assert_eq!(read.overlay[Path::new("a.yaml")], b"lr: {lr}\n");
        assert_eq!(templates(&["gone".into()], dir.path()).unwrap_err().code, crate::failure::USAGE);
        assert!(templates(&["../x".into()], dir.path()).is_err());
    }

    #[test]
    fn a_script_that_git_ignores_is_told_before_anything_is_created() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".metaoptignore"), "train.py\n").unwrap();
        std::fs::write(dir.path().join("train.py"), "").unwrap();
        let failure = list(dir.path(), Some(Path::new("train.py")), &Templates::default()).unwrap_err();
        assert!(failure.message.contains("train.py would not be submitted"), "{failure:?}");
    }
}
