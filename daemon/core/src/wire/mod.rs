//! Frames: what the links between nodes are made of.
//!
//! Owns: the bytes of a frame, its limits, which version two nodes speak, and what goes first. Must not: touch sockets,
//! know Automerge or its keys, or decide what to send.
//!
//! | bytes | a frame, version 1 |
//! | --- | --- |
//! | 0–3 | length of the payload, little endian |
//! | 4 | version of the frame, from 1 up |
//! | 5 | kind; below 64 control, from 64 up bulk |
//! | 6 | flags; bit 0: the payload is compressed (zstd, bulk only); others are 0 in version 1 |
//! | 7 | 0 |
//! | 8–15 | the first 8 bytes of BLAKE3 over bytes 0–7 and the payload as sent |
//! | 16– | the payload: one record in postcard's encoding (varints, no names), new fields at its end only |
//!
//! These 16 bytes keep their meaning in every version, and a `Hello` is sent as version 1 by all. What a later metaopt adds does no
//! harm here: unknown kinds, documents of unknown kinds and fields behind the known ones are passed over. What is damaged
//! or breaks a limit is an error, and ends the link: after it there is no telling where the next frame begins.

mod decode;
mod encode;
mod payload;
mod queue;

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

use metaopt_schema::{
    DocId, NodeId, StudyId,
    docs::{RawChange, Vector},
};
use serde::{Deserialize, Serialize};

pub use decode::Decoder;
pub use encode::{changes, encode};
pub use queue::Queue;

/// Bytes before the payload.
pub const HEADER: usize = 16;
/// The frame versions that this metaopt speaks.
pub const VERSIONS: RangeInclusive<u8> = 1..=1;
/// Largest payload of a control frame, as sent: small enough that bulk never waits long for it.
pub const CONTROL_LIMIT: usize = 1 << 20;
/// Largest payload of a bulk frame, as sent. The largest document measured saves to less than 2 MiB.
pub const BULK_LIMIT: usize = 8 << 20;
/// Largest payload once inflated: a receiver never holds more of one frame.
pub const INFLATED_LIMIT: usize = 32 << 20;
/// How many bytes one compressed byte may become, past the first [`DENSE`]; changes shrink three to tenfold.
pub const RATIO_LIMIT: usize = 100;
/// Inflated payloads up to this size may be as dense as they like.
pub const DENSE: usize = 256 << 10;

/// The flag of a compressed payload.
const COMPRESSED: u8 = 1;
/// The first kind that is bulk.
const FIRST_BULK: u8 = 64;

/// One message between nodes.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// The first on every link, in both directions.
    Hello(Hello),
    /// Changes of any documents, in an order in which they can be applied.
    Changes(Vec<(DocId, RawChange)>),
    /// Who the sender is; the second on every link, in both directions.
    Greeting(Greeting),
    /// Whether the sender takes the receiver in as a peer, and if not, why, in words for people. The third on every link.
    Verdict(Option<String>),
    /// To be answered by a pong of the same number at once: tells a live link from a silent one.
    Ping(u64),
    /// The answer.
    Pong(u64),
    /// One step of pairing: its number and what it proves.
    Proof(u8, Vec<u8>),
    /// The sender lives.
    Heartbeat(Heartbeat),
    /// Asks for the vectors of all documents in the buckets (see [`bucket`]) whose hashes differ from these; a bucket
    /// that isn't listed is empty.
    Compare(Vec<(u8, u64)>),
    /// The answer: whole vectors of some documents, and whether more of them follow.
    Have {
        /// Per document and actor, how many changes.
        vectors: BTreeMap<DocId, Vector>,
        /// Another frame of the same answer follows.
        more: bool,
    },
    /// Asks for what the sender lacks: documents with what it has of each.
    Want(BTreeMap<DocId, Vector>),
    /// All that a `Want` asked for was sent before this.
    Sent,
    /// A whole document as its holder saved it, and its digest: for who has nothing of it. Automerge's decoder of these
    /// trusts them (docs/testing.md): whoever takes one from a peer must bound what it may do first.
    Whole(DocId, Arc<[u8]>, Arc<[u8]>),
}

/// Who a node says it is. Its identity is known from its certificate. Whoever isn't a member for the sender is told
/// `intent` and `fleet` alone: the rest is empty, and `boot` 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// Drawn at each start: two at once of one node are a cloned disk.
    pub boot: u64,
    /// The name people see.
    pub name: String,
    /// Of its daemon.
    pub version: String,
    /// What the link is for.
    pub intent: Intent,
    /// The sender knows a cluster key and would prove it.
    pub fleet: bool,
}

/// What a link is opened for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Intent {
    /// To be peers: both are members.
    #[default]
    Link,
    /// To become members with a code that a person typed.
    Join,
    /// To become members while the other side lets everybody in.
    JoinOpen,
}

/// What every node tells its peers every second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The sender's run.
    pub boot: u64,
    /// Counts its heartbeats in this run; a new one is a sign of life.
    pub seq: u64,
    /// Its wall clock, to notice clocks that are wrong; nothing else hangs on it.
    pub wall_ms: u64,
    /// Sums up all its documents: equal roots, equal documents.
    pub root: u64,
    /// Slots on which it could start something now.
    pub free: u32,
    /// It starts nothing new for now, whatever is free: no room, about to end, or catching up.
    pub rests: bool,
    /// Whom it is linked with.
    pub links: Vec<NodeId>,
    /// The latest heartbeats that it knows of others: node, run, number.
    pub heard: Vec<(NodeId, u64, u64)>,
    /// Running studies whose trials it can't run now, and why.
    pub unable: Vec<(StudyId, String)>,
    /// Studies that it proposed for lately.
    pub active: Vec<StudyId>,
    /// Studies of whose strict budget it would like a part.
    pub wants: Vec<StudyId>,
    /// Why people should look at it, if so.
    pub why: Option<String>,
}

/// The bucket that a document is compared in.
pub fn bucket(doc: &DocId) -> u8 {
    blake3::hash(doc.to_string().as_bytes()).as_bytes()[0]
}

/// What nodes say before all else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The oldest frame version that the sender speaks.
    pub oldest: u8,
    /// The newest.
    pub newest: u8,
}

impl Hello {
    /// This metaopt's.
    pub fn ours() -> Self {
        Self { oldest: *VERSIONS.start(), newest: *VERSIONS.end() }
    }

    /// The version that both speak: the newest one; both sides reckon alike.
    ///
    /// # Errors
    /// There is none.
    pub fn agree(self, other: Self) -> Result<u8, WireError> {
        let newest = self.newest.min(other.newest);
        let common = newest >= self.oldest.max(other.oldest) && newest > 0;
        if common { Ok(newest) } else { Err(WireError::NoCommonVersion { ours: self, theirs: other }) }
    }
}

/// What goes first where both wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Small, and somebody waits for it.
    Control,
    /// Large, and can wait.
    Bulk,
}

impl Class {
    fn of(kind: u8) -> Self {
        if kind < FIRST_BULK { Self::Control } else { Self::Bulk }
    }

    fn limit(self) -> usize {
        match self {
            Self::Control => CONTROL_LIMIT,
            Self::Bulk => BULK_LIMIT,
        }
    }
}

/// What a frame is about, as its byte 5 says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Hello = 1,
    Greeting = 4,
    Verdict = 5,
    Ping = 6,
    Pong = 7,
    Proof = 8,
    Heartbeat = 9,
    Compare = 10,
    Want = 12,
    Sent = 67,
    Changes = FIRST_BULK,
    Whole = FIRST_BULK + 2,
    Have = FIRST_BULK + 4,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        const ALL: [Kind; 13] = [
            Kind::Hello,
            Kind::Greeting,
            Kind::Verdict,
            Kind::Ping,
            Kind::Pong,
            Kind::Proof,
            Kind::Heartbeat,
            Kind::Compare,
            Kind::Want,
            Kind::Sent,
            Kind::Changes,
            Kind::Whole,
            Kind::Have,
        ];
        ALL.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// Why a frame could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Larger than its kind may be.
    #[error("a frame of kind {kind} has a payload of {length} bytes, and may have {limit}")]
    TooLarge {
        /// The kind's number.
        kind: u8,
        /// As announced, or as encoded.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// It becomes too much, in itself or for its size.
    #[error("a compressed payload of {length} bytes inflates to more than {limit} bytes")]
    Inflates {
        /// As sent.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The checksum does not fit the bytes.
    #[error("a frame of kind {kind} was damaged on its way: its checksum is wrong")]
    Damaged {
        /// As the frame says.
        kind: u8,
    },
    /// Of a version that was not agreed on.
    #[error("a frame of version {found} came, and this metaopt speaks {} to {}", VERSIONS.start(), VERSIONS.end())]
    Version {
        /// The frame's.
        found: u8,
    },
    /// Whole, but not what its kind should be.
    #[error("a frame of kind {kind} can't be read: {detail}")]
    Malformed {
        /// The kind's number.
        kind: u8,
        /// Why.
        detail: String,
    },
    /// The stream ended within a frame.
    #[error("the stream ended within a frame")]
    CutOff,
    /// A document whose name would not be read back.
    #[error("document `{0}` has a name that can't be sent: IDs must not contain `/`")]
    BadName(DocId),
    /// Nothing in common.
    #[error("no common version: here {} to {} are spoken, there {} to {}; update the older node", ours.oldest, ours.newest, theirs.oldest, theirs.newest)]
    NoCommonVersion {
        /// Ours.
        ours: Hello,
        /// Theirs.
        theirs: Hello,
    },
}

/// What `packed` compressed bytes may become.
fn allowance(packed: usize) -> usize {
    packed.saturating_mul(RATIO_LIMIT).clamp(DENSE, INFLATED_LIMIT)
}

/// The checksum of a frame: over what stands before it, and the payload as sent.
fn checksum(start: &[u8], payload: &[u8]) -> [u8; 8] {
    let hash = blake3::Hasher::new().update(start).update(payload).finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    first
}
