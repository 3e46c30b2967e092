//! Links between nodes: who is out there, who may come in, and what flows.
//!
//! Owns: TLS, the peer listener, dialling and redialling, discovery, pairing, and HTTP between members. Must not: know
//! documents, decide what is sent, or trust anybody who isn't a member: that is asked of the [`Host`].

mod accept;
mod addresses;
mod code;
mod config;
mod dial;
mod found;
mod greet;
mod http;
mod inner;
mod invites;
mod join;
mod link;
mod links;
mod mdns;
mod pairing;
mod peers;
mod proof;
mod reach;
#[cfg(test)]
mod tests;
mod tls;
mod troubles;
mod words;

use std::{future::Future, pin::Pin, sync::Arc};

use metaopt_core::{About, wire::Frame};
use metaopt_schema::NodeId;

pub use code::{Code, NoCode};
pub use config::{Limits, PORT, PeerConfig, read_cluster_key, with_port};
pub use peers::Peers;
pub use words::{CallError, Caller, Invite, InviteKind, JoinError, Joined, LinkInfo, Trouble};

/// What is known of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may link, and ask for anything.
    Member,
    /// Nobody knows it: it may pair.
    Stranger,
    /// It was a member, and never will be again.
    Removed,
}

/// A member to be linked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its identity.
    pub node: NodeId,
    /// What it calls itself.
    pub name: String,
    /// Where it says it is reached (`HOST:PORT`).
    pub addresses: Vec<String>,
}

/// A link that came up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Up {
    /// Who is at its other end.
    pub node: NodeId,
    /// Its run.
    pub boot: u64,
    /// Of its daemon.
    pub version: String,
}

/// Who is to become a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newcomer {
    /// Its identity: the hash of the key.
    pub node: NodeId,
    /// Its Ed25519 public key, hexadecimal.
    pub public_key: String,
    /// What it calls itself.
    pub name: String,
}

/// An answer that comes later.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What links ask of the node, and tell it. The node's shell is one; tests have their own.
pub trait Host: Send + Sync + 'static {
    /// What is known of a node.
    fn standing(&self, node: &NodeId) -> Standing;
    /// All other members that weren't removed.
    fn members(&self) -> Vec<Known>;
    /// This node's run.
    fn boot(&self) -> u64;
    /// A link is up; there is one at most to each node. `down` comes before another `up`. Neither may wait: while one
    /// is being told, no other link comes up or goes down.
    fn up(&self, up: Up);
    /// It is gone.
    fn down(&self, node: &NodeId);
    /// Something came on it. It waits while the node is busy, so that the peer waits too.
    fn frame(&self, node: &NodeId, frame: Frame) -> Later<()>;
    /// Makes `newcomer` a member; on disk when it answers. The error is for people.
    fn admit(&self, newcomer: Newcomer) -> Later<Result<(), String>>;
    /// Why this node can't join another cluster now (it is in one with others), in words.
    fn bound(&self) -> Option<String>;
    /// Tells where this node is reached, whenever that changes.
    fn addresses(&self, addresses: Vec<String>);
    /// Something that people should know; shown until what it is about is over.
    fn notice(&self, about: About, text: String);
}

/// The way out for frames of the node: never waits. What a full queue refuses, anti-entropy brings.
pub trait Outbox: Send + Sync + 'static {
    /// Queues an encoded frame for each of these peers.
    fn send(&self, to: &[NodeId], frame: &Arc<[u8]>);
    /// Ends the link to a node that is no member any more.
    fn cut(&self, node: &NodeId);
}
