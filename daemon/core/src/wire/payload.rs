//! The records that payloads are made of.
//!
//! Owns: their fields and the order of these. Must not: know headers, checksums or compression.
//!
//! Lists are flat, and read one entry at a time: a hostile list costs no more than its frame. A new field goes to the
//! end of a record, behind its list; what an entry lacks needs a kind of its own.

use std::collections::BTreeMap;

use metaopt_schema::{
    DocId,
    docs::{RawChange, Vector},
};
use serde::{Deserialize, Serialize};

use super::{Frame, Hello, Kind, WireError};

/// Most entries of one list.
pub(super) const ENTRIES: usize = 1 << 16;

/// A frame's kind and payload.
pub(super) fn write(frame: &Frame) -> Result<(Kind, Vec<u8>), WireError> {
    match frame {
        Frame::Hello(hello) => spell(Kind::Hello, &(hello.oldest, hello.newest)),
        Frame::Changes(changes) => {
            let one = |(doc, change): &(DocId, RawChange)| {
                Ok((name(doc)?, change.actor.clone(), change.seq, change.bytes.clone()))
            };
            spell_list(Kind::Changes, &changes.iter().map(one).collect::<Result<Vec<_>, WireError>>()?)
        }
        Frame::Greeting(greeting) => spell(Kind::Greeting, greeting),
        Frame::Verdict(refusal) => spell(Kind::Verdict, refusal),
        Frame::Ping(number) => spell(Kind::Ping, number),
        Frame::Pong(number) => spell(Kind::Pong, number),
        Frame::Proof(step, bytes) => spell(Kind::Proof, &(step, bytes)),
        Frame::Heartbeat(beat) => spell(Kind::Heartbeat, beat),
        Frame::Compare(buckets) => spell_list(Kind::Compare, buckets),
        Frame::Have { vectors, more } => {
            let (kind, mut bytes) = spell_vectors(Kind::Have, vectors)?;
            bytes.push(u8::from(*more));
            Ok((kind, bytes))
        }
        Frame::Want(vectors) => spell_vectors(Kind::Want, vectors),
        Frame::Sent => Ok((Kind::Sent, Vec::new())),
        Frame::Whole(doc, bytes, digest) => spell(Kind::Whole, &(name(doc)?, &**bytes, &**digest)),
    }
}

/// Documents with their vectors; those of which nothing is there are named with an actor of no bytes.
fn spell_vectors(kind: Kind, vectors: &BTreeMap<DocId, Vector>) -> Result<(Kind, Vec<u8>), WireError> {
    let mut list = Vec::new();
    for (doc, vector) in vectors {
        let name = name(doc)?;
        if vector.is_empty() {
            list.push((name.clone(), &[][..], 0));
        }
        list.extend(vector.iter().map(|(actor, count)| (name.clone(), &**actor, *count)));
    }
    spell_list(kind, &list)
}

fn spell<T: Serialize>(kind: Kind, record: &T) -> Result<(Kind, Vec<u8>), WireError> {
    let bytes = postcard::to_allocvec(record).map_err(|error| malformed(kind, error))?;
    Ok((kind, bytes))
}

fn spell_list<T: Serialize>(kind: Kind, list: &Vec<T>) -> Result<(Kind, Vec<u8>), WireError> {
    if list.len() > ENTRIES { Err(too_many(kind, list.len() as u64)) } else { spell(kind, list) }
}

/// A document's name, if it is read back as the same document.
fn name(doc: &DocId) -> Result<String, WireError> {
    let name = doc.to_string();
    match name.parse::<DocId>() {
        Ok(read) if read == *doc => Ok(name),
        _ => Err(WireError::BadName(doc.clone())),
    }
}

/// The frame of a payload (none: all of it is about a document of an unknown kind), and how many entries about such
/// documents were passed over.
pub(super) fn read(kind: Kind, payload: &[u8]) -> Result<(Option<Frame>, u64), WireError> {
    let mut unknown = 0;
    let mut known = |name: &str| name.parse::<DocId>().map_err(|_| unknown += 1).ok();
    let frame = match kind {
        Kind::Hello => {
            let (oldest, newest) = take(kind, payload)?.0;
            Frame::Hello(Hello { oldest, newest })
        }
        Kind::Changes => {
            let mut changes = Vec::new();
            list(kind, payload, |(name, actor, seq, bytes): (&str, &[u8], u64, &[u8])| {
                if let Some(doc) = known(name) {
                    changes.push((doc, RawChange { actor: actor.into(), seq, bytes: bytes.into() }));
                }
            })?;
            Frame::Changes(changes)
        }
        Kind::Greeting => Frame::Greeting(take(kind, payload)?.0),
        Kind::Verdict => Frame::Verdict(take(kind, payload)?.0),
        Kind::Ping => Frame::Ping(take(kind, payload)?.0),
        Kind::Pong => Frame::Pong(take(kind, payload)?.0),
        Kind::Proof => {
            let (step, bytes) = take(kind, payload)?.0;
            Frame::Proof(step, bytes)
        }
        Kind::Heartbeat => Frame::Heartbeat(take(kind, payload)?.0),
        Kind::Compare => {
            let mut buckets = Vec::new();
            list(kind, payload, |entry| buckets.push(entry))?;
            Frame::Compare(buckets)
        }
        Kind::Have | Kind::Want => {
            let mut vectors: BTreeMap<DocId, BTreeMap<_, u64>> = BTreeMap::new();
            let rest = list(kind, payload, |(name, actor, count): (&str, &[u8], u64)| {
                if let Some(doc) = known(name) {
                    let vector = vectors.entry(doc).or_default();
                    if !actor.is_empty() {
                        vector.insert(actor.into(), count);
                    }
                }
            })?;
            match kind {
                Kind::Want => Frame::Want(vectors),
                _ => Frame::Have { vectors, more: rest.first() == Some(&1) },
            }
        }
        Kind::Sent => Frame::Sent,
        Kind::Whole => {
            let (name, bytes, digest): (&str, &[u8], &[u8]) = take(kind, payload)?.0;
            match known(name) {
                Some(doc) => Frame::Whole(doc, bytes.into(), digest.into()),
                None => return Ok((None, 1)),
            }
        }
    };
    Ok((Some(frame), unknown))
}

/// A value and what stands behind it.
fn take<'a, T: Deserialize<'a>>(kind: Kind, bytes: &'a [u8]) -> Result<(T, &'a [u8]), WireError> {
    postcard::take_from_bytes(bytes).map_err(|error| malformed(kind, error))
}

/// Gives each entry of a list to `each`; answers what stands behind the list.
fn list<'a, T: Deserialize<'a>>(kind: Kind, bytes: &'a [u8], mut each: impl FnMut(T)) -> Result<&'a [u8], WireError> {
    let (count, mut rest) = take::<u64>(kind, bytes)?;
    if count > ENTRIES as u64 {
        return Err(too_many(kind, count));
    }
    for _ in 0..count {
        let (entry, behind) = take(kind, rest)?;
        each(entry);
        rest = behind;
    }
    Ok(rest)
}

fn malformed(kind: Kind, error: postcard::Error) -> WireError {
    WireError::Malformed { kind: kind as u8, detail: error.to_string() }
}

fn too_many(kind: Kind, count: u64) -> WireError {
    WireError::Malformed { kind: kind as u8, detail: format!("it lists {count} entries, and may list {ENTRIES}") }
}
