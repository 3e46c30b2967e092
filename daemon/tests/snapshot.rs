//! Snapshots: what goes in, that it comes out the same, and that hostile archives do nothing.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use metaopt_daemon::snapshot::{Limits, PackOptions, SnapshotError, SnapshotStore, list, pack, unpack, verify};

fn put(root: &Path, path: &str, text: &str) {
    let full = root.join(path);
    fs::create_dir_all(full.parent().unwrap()).unwrap();
    fs::write(full, text).unwrap();
}

fn files(root: &Path) -> Vec<String> {
    let listing = list(root, &PackOptions::default()).unwrap();
    listing.files().map(|(path, _)| path.to_str().unwrap().to_owned()).collect()
}

#[test]
fn a_directory_comes_out_as_it_went_in() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "src/train.py", "print(1)");
    put(dir.path(), "run.sh", "#!/bin/sh");
    put(dir.path(), &format!("{}/{}.txt", "long".repeat(20), "name".repeat(30)), "long");
    put(dir.path(), "Ünï cödé.txt", "u");
    fs::create_dir(dir.path().join("empty")).unwrap();
    fs::set_permissions(dir.path().join("run.sh"), fs::Permissions::from_mode(0o750)).unwrap();
    symlink("src/train.py", dir.path().join("link")).unwrap();
    let packed = pack(dir.path(), &PackOptions::default()).unwrap();
    let out = tempfile::tempdir().unwrap();
    let dest = out.path().join("tree");
    unpack(packed.body.reopen().unwrap(), &packed.hash, &dest, Limits::default()).unwrap();
    let again = pack(&dest, &PackOptions::default()).unwrap();
    assert_eq!(again.listing, packed.listing);
    assert_eq!(again.hash, packed.hash);
    assert_eq!(fs::read_to_string(dest.join("Ünï cödé.txt")).unwrap(), "u");
    assert_eq!(fs::read_link(dest.join("link")).unwrap(), Path::new("src/train.py"));
    assert!(dest.join("empty").is_dir());
    let mode = |path: &str| fs::metadata(dest.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("run.sh"), mode("src/train.py")), (0o755, 0o644));
}

#[test]
fn the_name_depends_on_content_alone() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for name in ["z", "a/x", "m"] {
        put(a.path(), name, name);
    }
    for name in ["m", "a/x", "z"] {
        put(b.path(), name, name);
    }
    let old = fs::File::options().write(true).open(b.path().join("m")).unwrap();
    old.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let hash = |dir: &Path, level| pack(dir, &PackOptions { level, ..PackOptions::default() }).unwrap().hash;
    assert_eq!(hash(a.path(), 1), hash(b.path(), 9));
    assert!(hash(a.path(), 1).starts_with("b3:") && hash(a.path(), 1).len() == 67);
    put(b.path(), "m", "other");
    assert_ne!(hash(a.path(), 1), hash(b.path(), 1));
}

#[test]
fn the_canonical_form_is_what_it_always_was() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "a/b.txt", "hello\n");
    symlink("a/b.txt", dir.path().join("l")).unwrap();
    let golden = include_str!("golden/snapshot-hash.txt").trim();
    assert_eq!(pack(dir.path(), &PackOptions::default()).unwrap().hash, golden);
}

#[test]
fn ignore_files_hold_and_secrets_never_go_in() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    put(root, ".gitignore", "*.ckpt\n/data\n");
    put(root, ".metaoptignore", "notes/\n");
    for path in ["train.py", "keep/.hidden", "id_map.py"] {
        put(root, path, "x");
    }
    for path in [
        "a.ckpt",
        "data/big",
        "notes/n.md",
        ".git/config",
        ".env",
        "keep/.env.local",
        "id_rsa",
        "certs/server.pem",
        "venv/bin/python",
        "env3/pyvenv.cfg",
        "src/__pycache__/a.pyc",
        "node_modules/x/y.js",
        "api.key",
    ] {
        put(root, path, "x");
    }
    symlink("/etc/passwd", root.join("absolute")).unwrap();
    symlink("../outside", root.join("outside")).unwrap();
    symlink("keep/../../outside", root.join("winding")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    assert_eq!(files(root), [".gitignore", ".metaoptignore", "id_map.py", "keep/.hidden", "train.py"]);
    let listing = list(root, &PackOptions::default()).unwrap();
    let why = |path: &str| {
        let found = listing.left_out.iter().find(|one| one.path == Path::new(path));
        found.unwrap_or_else(|| panic!("{path} is not told: {:?}", listing.left_out)).why.clone()
    };
    assert!(
        why("a.ckpt").contains("ignore file")
            && why("data").contains("ignore file")
            && why("notes").contains("ignore file")
    );
    assert!(
        why(".env").contains("secrets") && why("id_rsa").contains("key") && why("certs/server.pem").contains("key")
    );
    assert!(
        why("venv").contains("--setup") && why("env3").contains("--setup") && why("node_modules").contains("--setup")
    );
    assert!(
        why("absolute").contains("absolute") && why("outside").contains("out of") && why("winding").contains("again")
    );
    assert!(why("socket").contains("neither"));
}

#[test]
fn ignore_files_above_count_only_within_a_repository() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), ".gitignore", "*\n");
    put(dir.path(), "home/project/train.py", "x");
    assert_eq!(files(&dir.path().join("home/project")), ["train.py"]);
    put(dir.path(), "home/.gitignore", "*.log\n");
    put(dir.path(), "home/project/a.log", "x");
    fs::create_dir(dir.path().join("home/.git")).unwrap();
    assert_eq!(files(&dir.path().join("home/project")), ["train.py"]);
}

#[test]
fn too_large_a_directory_names_its_largest_files() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "small", "x");
    put(dir.path(), "big.bin", &"x".repeat(3000));
    let error = pack(dir.path(), &PackOptions { max_bytes: 2000, ..PackOptions::default() }).unwrap_err().to_string();
    assert!(error.contains("big.bin (2.9 KiB)") && error.contains("--link") && error.contains("2.0 KiB"), "{error}");
}

#[test]
fn a_template_s_content_can_be_replaced() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "conf.yaml", "lr: lr~'uniform(0, 1)'");
    let overlay = |name: &str| PackOptions {
        overlay: [(PathBuf::from(name), b"lr: {lr}".to_vec())].into(),
        ..PackOptions::default()
    };
    let packed = pack(dir.path(), &overlay("conf.yaml")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let dest = out.path().join("t");
    unpack(packed.body.reopen().unwrap(), &packed.hash, &dest, Limits::default()).unwrap();
    assert_eq!(fs::read_to_string(dest.join("conf.yaml")).unwrap(), "lr: {lr}");
    assert!(pack(dir.path(), &overlay("other.yaml")).unwrap_err().to_string().contains("other.yaml"));
}

#[test]
fn the_store_keeps_only_what_is_what_it_says() {
    let (dir, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    put(dir.path(), "run.sh", "x");
    let packed = pack(dir.path(), &PackOptions::default()).unwrap();
    let store = SnapshotStore::open(&data.path().join("snapshots")).unwrap();
    let wrong = format!("b3:{}", "ab".repeat(32));
    let body = || packed.body.reopen().unwrap();
    assert!(matches!(store.put(&wrong, body()), Err(SnapshotError::WrongHash { .. })));
    assert!(matches!(store.put("b3:../../x", body()), Err(SnapshotError::BadHash(_))));
    let mut cut = Vec::new();
    body().read_to_end(&mut cut).unwrap();
    cut.truncate(cut.len() / 2);
    assert!(store.put(&packed.hash, cut.as_slice()).is_err());
    assert!(!store.has(&packed.hash));
    assert_eq!(fs::read_dir(data.path().join("snapshots")).unwrap().count(), 0, "nothing is left behind");
    assert!(store.put(&packed.hash, body()).unwrap());
    assert!(!store.put(&packed.hash, body()).unwrap(), "it is here already");
    assert!(store.has(&packed.hash) && store.path(&packed.hash).unwrap().is_file());
    let fresh = SnapshotStore::open(&data.path().join("snapshots")).unwrap();
    assert!(fresh.contains(&packed.hash, Path::new("./run.sh")).unwrap());
    assert!(!fresh.contains(&packed.hash, Path::new("other")).unwrap());
    assert!(matches!(fresh.contains(&wrong, Path::new("x")), Err(SnapshotError::Missing(_))));
}

/// A hostile archive and its true hash.
fn archive(build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> (Vec<u8>, String) {
    let mut builder = tar::Builder::new(Vec::new());
    build(&mut builder);
    let bytes = builder.into_inner().unwrap();
    let hash = format!("b3:{}", blake3::hash(&bytes).to_hex());
    (zstd::encode_all(bytes.as_slice(), 3).unwrap(), hash)
}

fn raw_header(name: &str, kind: tar::EntryType, size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    // past the builder's own checks
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_cksum();
    header
}

fn link_header(name: &str, target: &str, kind: tar::EntryType) -> tar::Header {
    let mut header = raw_header(name, kind, 0, 0o777);
    header.as_mut_bytes()[157..157 + target.len()].copy_from_slice(target.as_bytes());
    header.set_cksum();
    header
}

/// Unpacking must fail, saying `part`, and leave nothing anywhere.
fn refused(part: &str, build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) {
    let (bytes, hash) = archive(build);
    let out = tempfile::tempdir().unwrap();
    let inside = out.path().join("inside");
    fs::create_dir(&inside).unwrap();
    let error = unpack(bytes.as_slice(), &hash, &inside.join("tree"), Limits::default()).unwrap_err().to_string();
    assert!(error.contains(part), "{error}");
    assert_eq!(fs::read_dir(&inside).unwrap().count(), 0, "something was left behind");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1, "something was written outside");
    assert!(verify(bytes.as_slice(), &hash, Limits::default()).unwrap_err().to_string().contains(part));
}

#[test]
fn hostile_archives_are_refused_and_leave_nothing() {
    use tar::EntryType::{Block, Char, Directory, Fifo, Link, Regular, Symlink};
    let file = |name: &'static str| {
        move |tar: &mut tar::Builder<Vec<u8>>| {
            tar.append(&raw_header(name, Regular, 1, 0o644), &b"x"[..]).unwrap();
        }
    };
    refused("goes up", file("../evil"));
    refused("goes up", file("a/../../evil"));
    refused("absolute", file("/evil"));
    refused("setuid", |tar| tar.append(&raw_header("su", Regular, 1, 0o4755), &b"x"[..]).unwrap());
    for kind in [Block, Char, Fifo] {
        refused("kind", move |tar| tar.append(&raw_header("dev", kind, 0, 0o644), &b""[..]).unwrap());
    }
    refused("kind", |tar| tar.append(&link_header("hard", "/etc/passwd", Link), &b""[..]).unwrap());
    refused("absolute target", |tar| tar.append(&link_header("l", "/etc", Symlink), &b""[..]).unwrap());
    refused("leads out", |tar| tar.append(&link_header("a/l", "../../etc", Symlink), &b""[..]).unwrap());
    // each link alone stays inside by its letters, together they climb out
    refused("again", |tar| {
        tar.append(&link_header("p/q/d", "../..", Symlink), &b""[..]).unwrap();
        tar.append(&link_header("l", "p/q/d/../x", Symlink), &b""[..]).unwrap();
    });
    refused("behind a link", |tar| {
        tar.append(&raw_header("real/", Directory, 0, 0o755), &b""[..]).unwrap();
        tar.append(&link_header("l", "real", Symlink), &b""[..]).unwrap();
        tar.append(&raw_header("l/x", Regular, 1, 0o644), &b"x"[..]).unwrap();
    });
    refused("twice", |tar| {
        tar.append(&raw_header("x", Regular, 1, 0o644), &b"x"[..]).unwrap();
        tar.append(&raw_header("x", Regular, 1, 0o644), &b"y"[..]).unwrap();
    });
}

#[test]
fn names_are_bounded_plain_and_their_own() {
    use tar::EntryType::{GNULongLink, GNULongName, Regular, Symlink, XHeader};
    let long = |kind, text: &[u8]| {
        let (header, text) = (raw_header("././@LongLink", kind, text.len() as u64, 0o644), text.to_vec());
        move |tar: &mut tar::Builder<Vec<u8>>| tar.append(&header, text.as_slice()).unwrap()
    };
    let file = |tar: &mut tar::Builder<Vec<u8>>| tar.append(&raw_header("x", Regular, 1, 0o644), &b"x"[..]).unwrap();
    let named = |text: &'static [u8]| {
        move |tar: &mut tar::Builder<Vec<u8>>| {
            long(GNULongName, text)(tar);
            file(tar);
        }
    };
    // the long form passes the same checks as the short one
    refused("goes up", named(b"a/../../evil\0"));
    refused("absolute", named(b"/evil\0"));
    refused("NUL", named(b"a\0b\0"));
    refused("Unicode", named(b"\xff\0"));
    refused("no name", named(b"\0"));
    refused("absolute target", |tar| {
        long(GNULongLink, b"/etc/passwd\0")(tar);
        tar.append(&link_header("l", "x", Symlink), &b""[..]).unwrap();
    });
    // read whole, 4 GiB of a name would be 4 GiB of memory
    refused("more than 2048 bytes", |tar| {
        tar.append(&raw_header("././@LongLink", GNULongName, 2049, 0o644), &[b'a'; 2049][..]).unwrap();
        file(tar);
    });
    refused("two names", |tar| {
        long(GNULongName, b"a\0")(tar);
        named(b"b\0")(tar);
    });
    refused("belongs to no entry", |tar| long(GNULongName, b"a\0")(tar));
    refused("kind", |tar| tar.append(&raw_header("pax", XHeader, 0, 0o644), &b""[..]).unwrap());
    // a name that no file system takes, and a path that lies too deep
    let component: &'static str = "n".repeat(300).leak();
    refused("too long", named(component.as_bytes()));
    let deep: &'static str = "d/".repeat(2040).leak();
    refused("more than 2048 bytes", named(deep.as_bytes()));
}

#[test]
fn names_that_differ_by_case_are_two_files_or_none() {
    let (bytes, hash) = archive(|tar| {
        for (name, text) in [("A", "1"), ("a", "2")] {
            tar.append(&raw_header(name, tar::EntryType::Regular, 1, 0o644), text.as_bytes()).unwrap();
        }
    });
    let out = tempfile::tempdir().unwrap();
    let dest = out.path().join("tree");
    // Where a file system takes them for one, the second is refused: nothing is ever written over.
    match unpack(bytes.as_slice(), &hash, &dest, Limits::default()) {
        Ok(()) => {
            assert_eq!(fs::read_to_string(dest.join("A")).unwrap() + &fs::read_to_string(dest.join("a")).unwrap(), "12")
        }
        Err(_) => assert!(!dest.exists()),
    }
}

#[test]
fn bombs_are_stopped_early() {
    let limits = Limits { bytes: 1 << 20, ..Limits::default() };
    let zeros = |size: u64| {
        move |tar: &mut tar::Builder<Vec<u8>>| {
            tar.append(&raw_header("zeros", tar::EntryType::Regular, size, 0o644), std::io::repeat(0).take(size))
                .unwrap();
        }
    };
    let out = tempfile::tempdir().unwrap();
    let dest = out.path().join("tree");
    let (bytes, hash) = archive(zeros(2 << 20));
    let error = unpack(bytes.as_slice(), &hash, &dest, limits).unwrap_err().to_string();
    assert!(error.contains("more than 1.0 MiB"), "{error}");
    let (bytes, hash) = archive(zeros(80 << 20));
    let error = unpack(bytes.as_slice(), &hash, &dest, Limits::default()).unwrap_err().to_string();
    assert!(error.contains("1000 times its size"), "{error}");
    let (bytes, hash) = archive(|tar| {
        for number in 0..50 {
            tar.append(&raw_header(&format!("{number}"), tar::EntryType::Regular, 0, 0o644), &b""[..]).unwrap();
        }
    });
    let error = unpack(bytes.as_slice(), &hash, &dest, Limits { entries: 49, ..Limits::default() }).unwrap_err();
    assert!(error.to_string().contains("49 entries"), "{error}");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    unpack(bytes.as_slice(), &hash, &dest, Limits { entries: 50, ..Limits::default() }).unwrap();
}

#[test]
fn what_hides_behind_the_archive_s_end_changes_its_name() {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append(&raw_header("x", tar::EntryType::Regular, 1, 0o644), &b"x"[..]).unwrap();
    let plain = builder.into_inner().unwrap();
    let hash = format!("b3:{}", blake3::hash(&plain).to_hex());
    let mut longer = plain.clone();
    longer.write_all(&[7; 4096]).unwrap();
    let bytes = zstd::encode_all(longer.as_slice(), 3).unwrap();
    assert!(matches!(verify(bytes.as_slice(), &hash, Limits::default()), Err(SnapshotError::WrongHash { .. })));
    assert!(verify(&b"not zstd"[..], &hash, Limits::default()).is_err());
}
