//! What this node has of every document, and sums of it that tell in a few bytes whether two nodes have the same.
//!
//! Owns: vectors, bucket sums, the root. Must not: hold documents.
//!
//! Each (document, actor, count) has a hash; a bucket's sum is the exclusive or of those in it, and so is kept current
//! at every change at no cost that grows with the history.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use metaopt_schema::{
    DocId, NodeId, StudyId,
    docs::{RawChange, Vector},
};

use crate::wire::bucket;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Index {
    docs: BTreeMap<DocId, (u8, Vector)>,
    buckets: [u64; 256],
}

impl Default for Index {
    fn default() -> Self {
        Self { docs: BTreeMap::new(), buckets: [0; 256] }
    }
}

impl Index {
    /// What is here of a document.
    pub(super) fn vector(&self, doc: &DocId) -> Option<&Vector> {
        self.docs.get(doc).map(|(_, vector)| vector)
    }

    /// What is here of the trials of a study, document by document.
    pub(super) fn trials_of(&self, study: &StudyId) -> impl Iterator<Item = (&DocId, &Vector)> {
        let first = DocId::Trials { study: study.clone(), node: NodeId::new(""), segment: 0 };
        let of_it = move |doc: &DocId| matches!(doc, DocId::Trials { study: of, .. } if of == study);
        self.docs.range(first..).take_while(move |(doc, _)| of_it(doc)).map(|(doc, (_, vector))| (doc, vector))
    }

    /// Whether a change is here.
    pub(super) fn has(&self, doc: &DocId, change: &RawChange) -> bool {
        self.vector(doc).and_then(|v| v.get(&change.actor)).is_some_and(|count| *count >= change.seq)
    }

    /// A change was taken in: number `seq` of `actor`.
    pub(super) fn add(&mut self, doc: &DocId, actor: &Arc<[u8]>, seq: u64) {
        let (bucket, vector) = self.docs.entry(doc.clone()).or_insert_with(|| (bucket(doc), Vector::new()));
        let sum = &mut self.buckets[usize::from(*bucket)];
        let count = vector.entry(actor.clone()).or_insert(0);
        if *count > 0 {
            *sum ^= entry(doc, actor, *count);
        }
        *count = (*count).max(seq);
        *sum ^= entry(doc, actor, *count);
    }

    /// A whole document was taken in.
    pub(super) fn put(&mut self, doc: &DocId, vector: &Vector) {
        for (actor, count) in vector {
            self.add(doc, actor, *count);
        }
    }

    /// A document is gone.
    pub(super) fn forget(&mut self, doc: &DocId) {
        if let Some((bucket, vector)) = self.docs.remove(doc) {
            for (actor, count) in vector {
                self.buckets[usize::from(bucket)] ^= entry(doc, &actor, count);
            }
        }
    }

    /// Equal roots, equal documents.
    pub(super) fn root(&self) -> u64 {
        let mut hash = blake3::Hasher::new();
        for sum in &self.buckets {
            hash.update(&sum.to_le_bytes());
        }
        first(&hash)
    }

    /// The sums of buckets that aren't empty.
    pub(super) fn sums(&self) -> Vec<(u8, u64)> {
        (0..=255u8).map(|i| (i, self.buckets[usize::from(i)])).filter(|(_, sum)| *sum != 0).collect()
    }

    /// All documents in the buckets whose sums differ from `theirs`.
    pub(super) fn differing(&self, theirs: &[(u8, u64)]) -> BTreeMap<DocId, Vector> {
        let theirs: BTreeMap<u8, u64> = theirs.iter().copied().collect();
        let differing: BTreeSet<u8> =
            (0..=255u8).filter(|i| theirs.get(i).copied().unwrap_or(0) != self.buckets[usize::from(*i)]).collect();
        let docs = self.docs.iter().filter(|(_, (bucket, _))| differing.contains(bucket));
        docs.map(|(doc, (_, vector))| (doc.clone(), vector.clone())).collect()
    }

    /// Whether a replica with `theirs` has a change that isn't here.
    pub(super) fn lacks(&self, doc: &DocId, theirs: &Vector) -> bool {
        let mine = self.vector(doc);
        theirs.iter().any(|(actor, count)| mine.and_then(|m| m.get(actor)).copied().unwrap_or(0) < *count)
    }
}

fn entry(doc: &DocId, actor: &[u8], count: u64) -> u64 {
    let mut hash = blake3::Hasher::new();
    hash.update(doc.to_string().as_bytes()).update(&[0]).update(actor).update(&count.to_le_bytes());
    first(&hash)
}

fn first(hash: &blake3::Hasher) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.finalize().as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_depend_on_what_is_there_and_not_on_how_it_came() {
        let docs: Vec<DocId> = (0..40).map(|i| DocId::Study(StudyId::new(format!("s{i}")))).collect();
        let actors: [Arc<[u8]>; 2] = [b"a".as_slice().into(), b"b".as_slice().into()];
        let (mut steps, mut whole) = (Index::default(), Index::default());
        for (i, doc) in docs.iter().enumerate() {
            for seq in 1..=(i as u64 % 5 + 1) {
                actors.iter().for_each(|actor| steps.add(doc, actor, seq));
            }
        }
        for (i, doc) in docs.iter().enumerate().rev() {
            let count = i as u64 % 5 + 1;
            whole.put(doc, &actors.iter().map(|actor| (actor.clone(), count)).collect());
        }
        assert_eq!((steps.root(), steps.sums()), (whole.root(), whole.sums()));
        assert!(steps.differing(&whole.sums()).is_empty());

        steps.add(&docs[7], &actors[1], 9);
        assert_ne!(steps.root(), whole.root());
        let differing = steps.differing(&whole.sums());
        assert!(differing.contains_key(&docs[7]) && differing.len() < 5, "one bucket, few documents");
        assert!(whole.lacks(&docs[7], &differing[&docs[7]]) && !steps.lacks(&docs[7], whole.vector(&docs[7]).unwrap()));
        docs.iter().for_each(|doc| steps.forget(doc));
        assert_eq!((steps.root(), steps.sums()), (Index::default().root(), Vec::new()));
    }
}
