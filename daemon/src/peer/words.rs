//! What callers of [`super::Peers`] get: invitations, links, and why something is not so, in words with the way out.
//!
//! Owns: these types and their words. Must not: hold a secret beside an invitation's code.

use std::time::{Duration, SystemTime};

use metaopt_schema::NodeId;

use super::Code;

/// What an invitation asks of who comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InviteKind {
    /// A code.
    Code,
    /// Nothing: everybody on this network comes in.
    Open,
}

/// Who holds it, or comes while it lasts, becomes a member.
#[derive(Clone)]
pub struct Invite {
    /// What it asks for.
    pub kind: InviteKind,
    /// Told once, when it is made.
    pub code: Option<Code>,
    /// When it ends.
    pub expires: SystemTime,
}

/// This node joined a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Who let it in.
    pub node: NodeId,
    /// What that one calls itself.
    pub name: String,
    /// Where it was reached.
    pub address: String,
}

/// Why this node didn't join.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// mDNS brought nobody.
    #[error(
        "no node was found on this network that lets others in; name one with --peer HOST:PORT (multicast may be \
         blocked), or run `metaopt invite` there first"
    )]
    NobodyFound,
    /// More than one cluster lets everybody in.
    #[error("more than one cluster lets everybody in now: name one of {} with --peer", .0.join(", "))]
    Several(Vec<String>),
    /// Nobody who was asked knows the code: it is wrong, used or expired.
    #[error("wrong, used or expired code; check it, or get another from `metaopt invite`")]
    WrongCode,
    /// The other side lets nobody in without a code.
    #[error(
        "{address} lets nobody in without a code now: get one there with `metaopt invite`, or run `metaopt invite --open 10m` there"
    )]
    NotOpen {
        /// Who was asked.
        address: String,
    },
    /// Too many wrong codes were tried.
    #[error("too many wrong codes came from this machine; try again in {} seconds", retry_after.as_secs().max(1))]
    TooMany {
        /// When it makes sense again.
        retry_after: Duration,
    },
    /// It can't be connected to.
    #[error("cannot reach {address}: {error}; is metaoptd running there, and is its port open?")]
    Unreachable {
        /// Who was asked.
        address: String,
        /// What the operating system says.
        error: String,
    },
    /// No common version of the protocol.
    #[error("{0}")]
    Incompatible(String),
    /// This node is in a cluster with others, or is joining one just now.
    #[error("{0}")]
    Bound(String),
    /// The other side refused, and said why.
    #[error("{address} refused: {words}")]
    Refused {
        /// Who was asked.
        address: String,
        /// Its words.
        words: String,
    },
    /// It claimed to know the code, and doesn't.
    #[error(
        "{address} could not prove that it knows the code: it is not the node that made it, or somebody is in between; \
         nothing was joined. Name the right one with --peer"
    )]
    NotProven {
        /// Who was asked.
        address: String,
    },
    /// The connection ended, or what came made no sense.
    #[error("joining {address} broke off: {error}; try again")]
    BrokeOff {
        /// Who was asked.
        address: String,
        /// Why.
        error: String,
    },
    /// It was refused here: the node can't write it down.
    #[error("{address} let this node in, but it can't be written down here: {error}; try again")]
    Here {
        /// Who was asked.
        address: String,
        /// Why.
        error: String,
    },
    /// What was given makes no sense.
    #[error("{0}")]
    BadPeer(String),
}

/// A link that is up.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkInfo {
    /// Who is at its other end.
    pub node: NodeId,
    /// What it calls itself.
    pub name: String,
    /// Of its daemon.
    pub version: String,
    /// Where it is (`HOST:PORT`); of a link that it dialled, the port is a passing one.
    pub address: String,
    /// When it came up.
    pub since: SystemTime,
    /// This node dialled it.
    pub outbound: bool,
    /// The last ping's round trip (milliseconds).
    pub round_trip_ms: Option<f64>,
}

/// Why somebody isn't linked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The node, where it is known.
    pub node: Option<NodeId>,
    /// The address, where there is one.
    pub address: Option<String>,
    /// Why, and the way out.
    pub text: String,
    /// How long it has been so.
    pub since: SystemTime,
}

/// Why a member could not be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Members alone are called.
    #[error("node {0} is no member of this cluster")]
    NotAMember(NodeId),
    /// It tells nobody where it listens.
    #[error("node {0} says nowhere where it is reached: it only dials out, or was not heard of yet")]
    NoAddress(NodeId),
    /// It can't be connected to.
    #[error("node {node} can't be reached: {error}")]
    Unreachable {
        /// Who.
        node: NodeId,
        /// What the last address that was tried said.
        error: String,
    },
    /// It broke off before there was an answer.
    #[error("node {node} broke off: {error}")]
    BrokeOff {
        /// Who.
        node: NodeId,
        /// Why.
        error: String,
    },
}

/// The member that calls, as an extension of its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller(pub NodeId);
