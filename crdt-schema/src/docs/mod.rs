//! The Automerge layout: how facts are spelt in documents, written, merged and read back.
//!
//! Owns: keys, buckets, versions, raw changes. Must not: fold facts into views, decide anything, do I/O.
//! No other module of metaopt spells a key or names Automerge.
//!
//! # Laws
//! 1. **Create-only.** A key is put once, by the writer it names, and never put again or deleted. So the facts of a
//!    document are the union of those in its changes, and two replicas with the same heads have the same facts,
//!    whatever the order, repetition or grouping in which the changes came.
//! 2. **Nobody creates a map twice.** Two concurrent `put_object` on one key hide one map and all in it. Cluster and
//!    study documents, which have several writers, therefore use the root map alone (it needs no creation); metric
//!    segments have one writer and do likewise; in trial segments only the proposing node creates buckets, each with
//!    its first trial.
//! 3. **The marker comes first.** The first change that a replica writes into a document it knows to be empty also puts
//!    `v` (the layout's version) and `kind`. Replicas that do so concurrently put equal scalars, which is harmless.
//! 4. **A conflict has one reading.** Should one key nevertheless get two values (a data directory restored from a
//!    backup), the value with the smallest bytes is the fact, on every replica.
//! 5. **Causal prefix.** A replica's [`Vector`] names, per actor, the last of a gapless run of changes, all of whose
//!    dependencies it has too; so the vector determines the heads.
//! 6. **Nothing unknown is lost.** Keys and value versions of later metaopts are counted, kept and passed on.

mod codec;
mod columns;
pub mod digest;
mod doc;
mod incoming;
mod key;

use std::{collections::BTreeMap, sync::Arc};

use crate::{DocId, NodeId, facts::Fact};

pub use doc::Doc;

/// The layout that this metaopt writes; the value of `v` in every document.
pub const LAYOUT: u64 = 1;

/// How many changes may wait for others they depend on; more are dropped, and anti-entropy brings them again.
pub const MAX_WAITING: usize = 4096;

/// Per actor, the number of its changes that a replica has (they are numbered from 1 without gaps).
pub type Vector = BTreeMap<Arc<[u8]>, u64>;

/// One Automerge change as it is stored and sent: opaque, immutable, cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct RawChange {
    /// Who wrote it; see [`Actor`].
    pub actor: Arc<[u8]>,
    /// Its position among that actor's changes of this document, from 1 up.
    pub seq: u64,
    /// Automerge's encoding of it, uncompressed.
    pub bytes: Arc<[u8]>,
}

impl std::fmt::Debug for RawChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "change {} of {} ({} bytes)", self.seq, self.actor.escape_ascii(), self.bytes.len())
    }
}

/// A writer of changes: one run of one node's daemon. Never the same twice, since a reused (actor, seq) with other
/// content would be refused by everyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor(Arc<[u8]>);

impl Actor {
    /// The actor of `node` in the run that `boot` names: 64 random bits, drawn at each start.
    pub fn new(node: &NodeId, boot: u64) -> Self {
        let mut bytes = node.as_str().as_bytes().to_vec();
        bytes.extend_from_slice(&boot.to_be_bytes());
        Self(bytes.into())
    }

    /// As in [`RawChange::actor`].
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.0
    }

    /// Whose actor `bytes` is; `None` when no node's.
    pub fn node_of(bytes: &[u8]) -> Option<NodeId> {
        let (node, _) = bytes.split_last_chunk::<8>()?;
        std::str::from_utf8(node).ok().filter(|node| !node.is_empty()).map(NodeId::new)
    }
}

/// What reading a document, or part of it, gave.
#[derive(Debug, Default)]
pub struct Facts {
    /// Everything understood, in no meaningful order.
    pub facts: Vec<Fact>,
    /// Entries of later metaopts: kept, not understood.
    pub unknown: usize,
    /// Entries that cannot be read.
    pub problems: Vec<DocError>,
}

impl Facts {
    /// One entry more; without bytes: of a later metaopt.
    fn take(&mut self, doc: &DocId, bucket: Option<u64>, key: &str, value: Option<&[u8]>) {
        match value.map(|bytes| codec::decode(doc, bucket, key, bytes)) {
            Some(Ok(Some(fact))) => self.facts.push(fact),
            Some(Ok(None)) | None => self.unknown += 1,
            Some(Err(problem)) => self.problems.push(problem),
        }
    }
}

/// What applying changes gave.
#[derive(Debug, Default)]
pub struct Applied {
    /// The newly visible facts.
    pub facts: Vec<Fact>,
    /// The changes that are now part of the document and weren't before: exactly these are to be stored. Among them
    /// may be changes of earlier calls that had waited for others.
    pub accepted: Vec<RawChange>,
    /// New entries of later metaopts: kept, not understood.
    pub unknown: usize,
    /// Changes that were refused and entries that cannot be read; the rest was applied nevertheless.
    pub problems: Vec<DocError>,
    /// A key got a second value (law 4): the view must be folded anew from [`Doc::facts`].
    pub refold: bool,
}

/// What can go wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocError {
    /// An entry that no version of metaopt writes.
    #[error("document {doc}, key `{key}`: {detail}")]
    Corrupt {
        /// Where.
        doc: DocId,
        /// The bucket, if any, and key.
        key: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The stored bytes of the whole document are unreadable.
    #[error("document {doc} cannot be read: {detail}; it has to come again from a peer or a backup")]
    Damaged {
        /// Which.
        doc: DocId,
        /// What is wrong with it.
        detail: String,
    },
    /// A change that is refused.
    #[error("document {doc}: change {seq} of actor {actor} is refused: {detail}")]
    BadChange {
        /// Where.
        doc: DocId,
        /// Its actor, hexadecimal.
        actor: String,
        /// Its number.
        seq: u64,
        /// Why.
        detail: String,
    },
    /// Law 1: the key has another value already.
    #[error("document {doc}, key `{key}` is written already, with another value; facts are never changed")]
    AlreadyWritten {
        /// Where.
        doc: DocId,
        /// The key.
        key: String,
    },
    /// The fact stands in another document.
    #[error("a fact of document {fact} was to be written into document {doc}")]
    WrongDocument {
        /// Where it was to be written.
        doc: DocId,
        /// Where it belongs.
        fact: DocId,
    },
    /// Law 2: about a trial whose bucket isn't known here yet.
    #[error("document {doc}, key `{key}`: the trial's proposal is not known here, so nothing can be said of it yet")]
    UnknownTrial {
        /// Where.
        doc: DocId,
        /// The key.
        key: String,
    },
    /// Law 2: only the node named by the document writes this.
    #[error("document {doc}, key `{key}`: only node {owner} writes this, not {writer}")]
    NotOurs {
        /// Where.
        doc: DocId,
        /// The key.
        key: String,
        /// Who may.
        owner: NodeId,
        /// Who tried.
        writer: String,
    },
    /// The fact would not be read back as it is.
    #[error("document {doc}: {detail}")]
    Unwritable {
        /// Where.
        doc: DocId,
        /// Which part of it, and why.
        detail: String,
    },
    /// Automerge refused.
    #[error("document {doc}: {detail}")]
    Automerge {
        /// Where.
        doc: DocId,
        /// Automerge's words.
        detail: String,
    },
}
