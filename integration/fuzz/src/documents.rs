//! Stored documents and changes from elsewhere: hostile bytes are refused or read, never a panic, and memory is bounded
//! (the runner's limits). What was read is the same after saving and loading, and whatever the order of its changes.
//!
//! Input: a byte for the kind of document (and, above 3, for raw changes instead of a snapshot; above 127, for a digest),
//! then a snapshot, a digest, or changes each behind two bytes of length. Checksums are repaired, so that the decoders behind them are reached.

use std::sync::Arc;

use metaopt_schema::{
    DocId, NodeId, StudyId,
    docs::{Actor, Doc, RawChange, digest},
    view::World,
};
use sha2::{Digest, Sha256};

use crate::head;

/// The documents of the golden files.
pub fn document(kind: u8) -> DocId {
    let (study, node) = (StudyId::new("s-1"), NodeId::new("aaaabbbbccccdddd"));
    match kind % 4 {
        0 => DocId::Cluster,
        1 => DocId::Study(study),
        2 => DocId::Trials { study, node, segment: 0 },
        _ => DocId::Metrics { study, node, segment: 0 },
    }
}

fn actor() -> Actor {
    Actor::new(&NodeId::new("reader"), 7)
}

pub fn run(data: &[u8]) -> bool {
    let (kind, data) = head(data);
    let id = document(kind);
    if kind > 127 {
        return digest::read(&id, data).is_ok_and(|(facts, vector)| !facts.facts.is_empty() && !vector.is_empty());
    }
    if kind / 4 % 2 == 0 { snapshot(&id, data) } else { changes(&id, data) }
}

fn snapshot(id: &DocId, data: &[u8]) -> bool {
    let bytes = repaired(data);
    let Ok(doc) = Doc::load(id.clone(), &actor(), Some(&bytes), &[]) else { return false };
    // A snapshot is not checked as changes are: what can't be saved again must at least be noticed.
    if doc.save_verified().is_ok() {
        same_after_saving(&doc);
    }
    !bag(&doc).is_empty()
}

fn changes(id: &DocId, mut data: &[u8]) -> bool {
    let mut list = Vec::new();
    while let Some(([low, high], rest)) = data.split_first_chunk() {
        let (bytes, rest) = rest.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(rest.len()));
        data = rest;
        let bytes = repaired(bytes);
        let (actor, seq) = who(&bytes).unwrap_or(([1][..].into(), 1));
        list.push(RawChange { actor, seq, bytes: bytes.into() });
    }
    let apply = |list: &[RawChange]| {
        let mut doc = Doc::new(id.clone(), &actor());
        let applied = doc.apply(list);
        (doc, applied)
    };
    let (mut doc, applied) = apply(&list);
    assert!(applied.accepted.len() <= list.len());
    assert_eq!(doc.apply(&list).accepted, [], "what is here is not accepted again");
    same_after_saving(&doc);
    // One at a time and backwards. Two changes under one (actor, number) are a fault that either order may settle.
    let mut numbers: Vec<_> = list.iter().map(|change| (change.actor.clone(), change.seq)).collect();
    numbers.sort();
    numbers.dedup();
    if numbers.len() == list.len() {
        let mut other = Doc::new(id.clone(), &actor());
        for change in list.iter().rev() {
            other.apply(std::slice::from_ref(change));
        }
        // What had to be refused then, since what it builds on was not here, comes again with anti-entropy.
        other.apply(&list);
        assert_eq!(doc.vector(), other.vector());
        assert_eq!(doc.heads(), other.heads());
        assert_eq!(bag(&doc), bag(&other));
    }
    !applied.facts.is_empty() || !bag(&doc).is_empty()
}

fn same_after_saving(doc: &Doc) {
    let saved = doc.save_verified().expect("what was taken can be saved");
    let again = Doc::load(doc.id().clone(), &actor(), Some(&saved), &[]).expect("what was saved is loaded");
    assert_eq!(bag(&again), bag(doc));
    let (said, vector) = digest::read(doc.id(), &doc.digest()).expect("a digest that was just made");
    let mut said: Vec<String> = said.facts.iter().map(|fact| format!("{fact:?}")).collect();
    said.sort();
    assert_eq!((said, vector), (bag(doc), doc.vector()), "the digest says what the document says");
    let mut world = World::new();
    for fact in doc.facts().facts {
        world.fold(&fact);
    }
}

fn bag(doc: &Doc) -> Vec<String> {
    let mut bag: Vec<String> = doc.facts().facts.iter().map(|fact| format!("{fact:?}")).collect();
    bag.sort();
    bag
}

/// The actor and number that a change's bytes say, read without Automerge, whose decoder `Doc` does not let loose on all.
fn who(bytes: &[u8]) -> Option<(Arc<[u8]>, u64)> {
    let (_, rest) = number(bytes.get(9..)?)?;
    let (deps, rest) = number(rest)?;
    let (length, rest) = number(rest.get(usize::try_from(deps).ok()?.checked_mul(32)?..)?)?;
    let (actor, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((actor.into(), number(rest)?.0))
}

/// A LEB128 number, and what follows it.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (mut value, mut shift) = (0u64, 0);
    for (at, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

/// The bytes with the right checksum on every chunk of Automerge's format that can be told from its length.
fn repaired(data: &[u8]) -> Vec<u8> {
    const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
    let mut out = data.to_vec();
    let mut at = 0;
    while out.len() >= at + 10 {
        out[at..at + 4].copy_from_slice(&MAGIC);
        let Some((length, rest)) = number(&out[at + 9..]) else { break };
        let end = usize::try_from(length).ok().and_then(|length| (out.len() - rest.len()).checked_add(length));
        let Some(end) = end.filter(|end| *end <= out.len()) else { break };
        let hash = Sha256::digest(&out[at + 8..end]);
        out[at + 4..at + 8].copy_from_slice(&hash[..4]);
        at = end;
    }
    out
}
