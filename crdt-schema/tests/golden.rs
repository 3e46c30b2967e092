//! Documents that earlier metaopts stored must be read for ever: committed files of each kind and version, as a snapshot,
//! as changes and as a digest.
//!
//! `METAOPT_WRITE_GOLDEN=1 cargo test -p metaopt-schema --test golden` writes files that don't exist yet; existing ones
//! are never replaced.
#![allow(clippy::disallowed_methods, reason = "measuring and reading golden files is not the crate's own work")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::{fs, path::PathBuf};

use common::{actor, all, bag, node, samples};
use metaopt_schema::docs::{Doc, RawChange, digest};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// A log of changes as one file: actor, number, bytes, each behind its length or in 8 bytes.
fn pack(changes: &[RawChange]) -> Vec<u8> {
    let mut packed = Vec::new();
    for change in changes {
        packed.push(change.actor.len() as u8);
        packed.extend_from_slice(&change.actor);
        packed.extend_from_slice(&change.seq.to_le_bytes());
        packed.extend_from_slice(&(change.bytes.len() as u64).to_le_bytes());
        packed.extend_from_slice(&change.bytes);
    }
    packed
}

fn unpack(mut packed: &[u8]) -> Vec<RawChange> {
    let mut take = |count: usize| {
        let (head, tail) = packed.split_at_checked(count)?;
        packed = tail;
        Some(head)
    };
    let mut changes = Vec::new();
    while let Some([length]) = take(1) {
        let actor = take(usize::from(*length)).unwrap().into();
        let seq = u64::from_le_bytes(take(8).unwrap().try_into().unwrap());
        let length = u64::from_le_bytes(take(8).unwrap().try_into().unwrap());
        changes.push(RawChange { actor, seq, bytes: take(length as usize).unwrap().into() });
    }
    changes
}

#[test]
fn documents_of_every_version_are_read() {
    for (id, facts) in samples() {
        let kind = id.to_string();
        let kind = kind.split('/').next().unwrap();
        let mut doc = Doc::new(id.clone(), &actor(&node()));
        let log: Vec<RawChange> =
            facts.iter().map(|fact| doc.write(std::slice::from_ref(fact)).unwrap().unwrap()).collect();
        let (snapshot, changes) = (path(&format!("{kind}-v1.automerge")), path(&format!("{kind}-v1.changes")));
        let digested = path(&format!("{kind}-v1.digest"));
        if std::env::var_os("METAOPT_WRITE_GOLDEN").is_some() {
            for (path, bytes) in [(&snapshot, doc.save()), (&changes, pack(&log)), (&digested, doc.digest())] {
                if !path.exists() {
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(path, bytes).unwrap();
                }
            }
        }
        let expected = bag(facts);
        let saved = fs::read(&snapshot).unwrap();
        let loaded = Doc::load(id.clone(), &actor(&node()), Some(&saved), &[]).unwrap();
        assert_eq!(all(&loaded), expected, "{}", snapshot.display());
        assert_eq!(loaded.layout(), 1);
        let logged = unpack(&fs::read(&changes).unwrap());
        let loaded = Doc::load(id.clone(), &actor(&node()), None, &logged).unwrap();
        assert_eq!(all(&loaded), expected, "{}", changes.display());
        let (said, vector) = digest::read(&id, &fs::read(&digested).unwrap()).unwrap();
        assert_eq!((said.unknown, said.problems), (0, vec![]), "{}", digested.display());
        assert_eq!((bag(said.facts), vector), (expected, loaded.vector()), "{}", digested.display());
    }
}
