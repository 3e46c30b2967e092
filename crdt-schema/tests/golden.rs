//! Documents that earlier metaopts stored must be read for ever: committed files of each kind and version, as a snapshot,
//! as changes and as a digest.
//!
//! `METAOPT_WRITE_GOLDEN=1 cargo test -p metaopt-schema --test golden` writes files that don't exist yet; existing ones
//! are never replaced.
#![allow(clippy::disallowed_methods, reason = "measuring and reading golden files is not the crate's own work")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::{fs, path::PathBuf};

use common::{actor, all, bag, later_samples, node, samples, sights};
use metaopt_schema::{
    DocId,
    docs::{Doc, RawChange, digest},
    facts::{Fact, TrialFact},
    seen::Ledger,
    trial::Proposer,
};

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
    let first = |(id, facts): (DocId, Vec<Fact>)| {
        let name = id.to_string();
        (format!("{}-v1", name.split('/').next().unwrap()), id, facts)
    };
    let later = later_samples().into_iter().map(|(name, id, facts)| (name.to_owned(), id, facts));
    for (name, id, facts) in samples().into_iter().map(first).chain(later) {
        let mut doc = Doc::new(id.clone(), &actor(&node()));
        let log: Vec<RawChange> =
            facts.iter().map(|fact| doc.write(std::slice::from_ref(fact)).unwrap().unwrap()).collect();
        let (snapshot, changes) = (path(&format!("{name}.automerge")), path(&format!("{name}.changes")));
        let digested = path(&format!("{name}.digest"));
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

#[test]
fn what_draws_saw_is_read_from_their_file() {
    let (_, id, _) = later_samples().remove(0);
    let saved = fs::read(path("trials-v1-seen.automerge")).unwrap();
    let mut drawn = Vec::new();
    for fact in Doc::load(id, &actor(&node()), Some(&saved), &[]).unwrap().facts().facts {
        if let Fact::Trial(_, place, TrialFact::Proposed(spec)) = fact
            && let Proposer::Sampler { seen, fit, .. } = spec.by
        {
            drawn.push((place.seq, seen, fit));
        }
    }
    drawn.sort_by_key(|(seq, ..)| *seq);
    let mut ledger = Ledger::default();
    let mut sum = Vec::new();
    for (_, seen, _) in &drawn {
        ledger.read(seen).unwrap();
        sum.push((ledger.sight.clone(), ledger.runs().map(|(_, changes)| changes).collect::<Vec<_>>()));
    }
    let (first, second) = sights();
    assert_eq!(sum, [(first, vec![300]), (second.clone(), vec![301]), (second, vec![301])]);
    assert_eq!((ledger.version.as_str(), drawn[1].2.values()), ("0.1.0", &[0.25, -0.0, 1e-30][..]));
}

/// As metaopts before `seen` and `fit` had it.
#[derive(serde::Deserialize)]
struct OldSpec {
    counter: u64,
    by: OldProposer,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "snake_case", tag = "from")]
enum OldProposer {
    Sampler { name: String, draw: u64, saw: u64 },
}

#[test]
fn older_metaopts_read_what_this_one_writes_of_a_draw() {
    for (_, _, facts) in later_samples() {
        for fact in facts {
            let Fact::Trial(_, _, TrialFact::Proposed(spec)) = fact else { panic!("a proposal") };
            let old: OldSpec = serde_json::from_str(&serde_json::to_string(&spec).unwrap()).unwrap();
            let OldProposer::Sampler { name, draw, saw } = old.by;
            assert_eq!((old.counter, name.as_str(), saw), (spec.counter, "gp", draw + 3));
        }
    }
}
