//! What a document says, without the replica: the entries of a saved document, from which a start folds its view.
//!
//! Owns: the binary list of entries. Must not: stand in for the document: a digest knows no history, so that nothing can
//! be written with it or merged into it.
//!
//! Loading an Automerge document of a thousand trials takes five times as long as reading its entries, and the replica
//! several times their memory; but most documents of a long history are never written again.
//!
//! Layout, version 1: a byte `1`; how many actors, and for each its length, bytes and number of changes; then for each
//! entry the bucket plus one (0: the root map), the key's length and bytes, the value's length and bytes. Numbers are
//! LEB128. A reader that doesn't know the version loads the document instead.

use super::{DocError, Facts, Vector, codec};
use crate::DocId;

/// The version that is written; the first byte.
const VERSION: u8 = 1;

/// Stands for a value that isn't bytes, as no metaopt up to this one writes: a version byte above all others, so that it
/// reads as unknown.
pub(super) const NOT_BYTES: &[u8] = &[u8::MAX];

/// Collects entries.
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new(vector: &Vector) -> Self {
        let mut writer = Self(vec![VERSION]);
        writer.number(vector.len() as u64);
        for (actor, changes) in vector {
            writer.bytes(actor);
            writer.number(*changes);
        }
        writer
    }

    pub(super) fn entry(&mut self, bucket: Option<u64>, key: &str, value: &[u8]) {
        // Buckets are sequence numbers over 64, far from the end of their range.
        self.number(bucket.map_or(0, |bucket| bucket.saturating_add(1)));
        self.bytes(key.as_bytes());
        self.bytes(value);
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn number(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.0.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.0.push(n as u8);
    }
}

/// The facts of the document whose digest `bytes` are, and its vector.
///
/// # Errors
/// Damage, or a version that this metaopt doesn't know: then the document itself is to be loaded.
pub fn read(doc: &DocId, bytes: &[u8]) -> Result<(Facts, Vector), DocError> {
    let damaged = |detail: &str| DocError::Damaged { doc: doc.clone(), detail: format!("its digest {detail}") };
    let mut rest = match bytes.split_first() {
        Some((&VERSION, rest)) => rest,
        _ => return Err(damaged("is of an unknown version")),
    };
    let vector = vector(&mut rest).ok_or_else(|| damaged("is cut short"))?;
    let mut facts = Facts::default();
    while !rest.is_empty() {
        let entry = (|| {
            let bucket = number(&mut rest)?.checked_sub(1);
            let key = std::str::from_utf8(text(&mut rest)?).ok()?;
            Some((bucket, key, text(&mut rest)?))
        })();
        let (bucket, key, value) = entry.ok_or_else(|| damaged("is cut short"))?;
        match codec::decode(doc, bucket, key, value) {
            Ok(Some(fact)) => facts.facts.push(fact),
            Ok(None) => facts.unknown += 1,
            Err(problem) => facts.problems.push(problem),
        }
    }
    Ok((facts, vector))
}

fn vector(rest: &mut &[u8]) -> Option<Vector> {
    (0..number(rest)?).map(|_| Some((text(rest)?.into(), number(rest)?))).collect()
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        n |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(n);
        }
    }
    None
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(rest)?).ok()?;
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(text)
}
