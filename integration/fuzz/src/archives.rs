//! Archives of snapshots and names of artifacts: nothing is written outside the root, links stay inside, limits hold,
//! and what fails leaves nothing behind.
//!
//! Input: a byte that says how, then compressed bytes (0), an uncompressed archive (1), entries to make an archive of
//! (2), or an artifact's name (3).

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use metaopt_daemon::{
    exec::outputs::Outputs,
    snapshot::{Limits, unpack, verify},
};
use metaopt_schema::{StudyId, TrialId};

use crate::head;

const LIMITS: Limits = Limits { bytes: 1 << 20, entries: 50, ratio: 10 };

pub fn run(data: &[u8]) -> bool {
    let (how, data) = head(data);
    match how % 4 {
        0 => archive(data, None),
        1 => archive(&packed(data), Some(data)),
        2 => entries(&mut Unstructured::new(data)).is_ok_and(|tar| archive(&packed(&tar), Some(&tar))),
        _ => std::str::from_utf8(data).is_ok_and(artifact),
    }
}

/// A directory in memory where there is one.
fn temp() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let builder = tempfile::Builder::new();
    if memory.is_dir() { builder.tempdir_in(memory) } else { builder.tempdir() }.expect("a temporary directory")
}

fn packed(tar: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(tar, 1).unwrap_or_default()
}

fn archive(bytes: &[u8], tar: Option<&[u8]>) -> bool {
    let plain = tar.map(<[u8]>::to_vec).or_else(|| zstd::bulk::decompress(bytes, 2 << 20).ok()).unwrap_or_default();
    let hash = format!("b3:{}", blake3::hash(&plain).to_hex());
    let outside = temp();
    let inside = outside.path().join("inside");
    fs::create_dir(&inside).expect("a directory");
    fs::write(outside.path().join("canary"), "sings").expect("a file");
    let dest = inside.join("dest");
    let unpacked = unpack(bytes, &hash, &dest, LIMITS);
    let checked = verify(bytes, &hash, LIMITS);
    assert_eq!(names(outside.path()), ["canary", "inside"]);
    assert_eq!(fs::read(outside.path().join("canary")).ok().as_deref(), Some(&b"sings"[..]));
    match unpacked {
        Ok(()) => {
            let mut files = Vec::new();
            assert!(look(&dest, &dest, &mut files) <= LIMITS.bytes);
            files.sort();
            let checked = checked.expect("what unpacks is good");
            assert_eq!(files, checked.into_iter().collect::<Vec<_>>());
            !files.is_empty()
        }
        Err(_) => {
            assert_eq!(names(&inside), [""; 0], "a failure left something behind");
            false
        }
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory");
    let mut names: Vec<String> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into()).collect();
    names.sort();
    names
}

/// Sizes of all files below; every file's path; no link leads out, no mode is odd.
fn look(root: &Path, dir: &Path, files: &mut Vec<PathBuf>) -> u64 {
    use std::os::unix::fs::PermissionsExt;
    let mut bytes = 0;
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let (path, meta) = (entry.path(), entry.metadata().expect("an entry"));
        if meta.is_dir() {
            bytes += look(root, &path, files);
            continue;
        }
        if meta.is_symlink() {
            if let Ok(target) = fs::canonicalize(&path) {
                assert!(target.starts_with(fs::canonicalize(root).expect("a root")), "{path:?} leads to {target:?}");
            }
        } else {
            assert!(meta.is_file() && meta.permissions().mode() & 0o7022 == 0, "{path:?}");
            bytes += meta.len();
        }
        files.push(path.strip_prefix(root).expect("below").to_owned());
    }
    bytes
}

fn entries(choose: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    const PARTS: [&str; 8] = ["a", "b", "c", "..", ".", "", "canary", "inside"];
    let path = |choose: &mut Unstructured<'_>| -> Result<String> {
        let parts: Vec<&str> =
            (0..choose.int_in_range(1..=5)?).map(|_| choose.choose(&PARTS).copied()).collect::<Result<_>>()?;
        Ok(parts.join("/"))
    };
    let mut tar = Vec::new();
    while !choose.is_empty() && tar.len() < 100_000 {
        let mut header = tar::Header::new_ustar();
        let kind = *choose.choose(b"0022513Lx7")?;
        let name = path(choose)?;
        let size = if kind == b'0' { choose.int_in_range(0..=600u16)? } else { 0 };
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        if kind == b'2' || kind == b'1' {
            let target = path(choose)?;
            old.linkname[..target.len()].copy_from_slice(target.as_bytes());
        }
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(*choose.choose(&[0o644, 0o755, 0o644, 0o755, 0o4755, 0o777])?);
        header.set_size(u64::from(size));
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
        tar.resize(tar.len() + usize::from(size).next_multiple_of(512), b'x');
    }
    tar.resize(tar.len() + 1024, 0);
    Ok(tar)
}

/// A name that is kept is one file in the trial's directory, and is read by that name.
fn artifact(name: &str) -> bool {
    let outside = temp();
    let data = outside.path().join("inside");
    fs::create_dir(&data).expect("a directory");
    fs::write(data.join("token"), "secret").expect("a file");
    let (outputs, trial) = (Outputs::new(&data), TrialId::new("n.1"));
    let temp = outputs.temp(&StudyId::new("s"), &trial, name).ok().map(|mut temp| {
        temp.write_all(b"artifact").expect("written");
        temp
    });
    if let Ok((mut file, _)) = outputs.open(&trial, name) {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut file, &mut text).expect("read");
        assert_ne!(text, "secret", "{name:?} reaches outside");
    }
    let kept = temp.is_some_and(|temp| outputs.keep(&trial, name, temp).is_ok());
    let listed: Vec<String> = outputs.list(&trial).expect("a list").into_iter().map(|one| one.name).collect();
    assert_eq!(listed, if kept { vec![name.to_owned()] } else { vec![] });
    assert_eq!(outputs.open(&trial, name).is_ok(), kept, "{name:?}");
    assert_eq!(names(outside.path()), ["inside"]);
    assert_eq!(names(&data), if kept { vec!["token", "trials"] } else { vec!["token"] });
    kept
}
