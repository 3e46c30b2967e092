//! Nodes and their slots.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A node's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Heard of lately.
    Alive,
    /// Silent for a while.
    Suspect,
    /// Given up.
    Lost,
    /// Starts nothing new.
    Draining,
    /// Kept from running.
    Quarantined,
    /// For good.
    Removed,
}

/// One machine's daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Node {
    /// Its identity.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: NodeState,
    /// Where peers reach it.
    pub addresses: Vec<String>,
    /// Of its daemon.
    pub version: String,
    /// Places where trials run.
    pub slots: Vec<Slot>,
    /// Labels that studies may require.
    pub labels: IndexMap<String, String>,
    /// When it was last heard.
    #[schema(format = DateTime)]
    pub last_seen: Option<String>,
    /// Why it is in its state, where that isn't plain.
    pub why: Option<String>,
}

/// A slot's kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SlotKind {
    /// One GPU.
    Gpu,
    /// A share of the CPUs.
    Cpu,
}

/// A slot's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SlotState {
    /// Nothing runs there.
    Free,
    /// A trial runs there.
    Busy,
    /// Others than metaopt use it.
    BusyForeign,
}

/// One place where trials run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Slot {
    /// A GPU's UUID, or `cpu-0`, ….
    pub id: String,
    /// Which.
    pub kind: SlotKind,
    /// Whether it is free.
    pub state: SlotState,
    /// Who is on it.
    pub trials: Vec<SlotShare>,
}

/// A trial's share of a slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SlotShare {
    /// The trial.
    pub id: String,
    /// Above 0, at most 1.
    pub share: f64,
}

/// `GET /healthz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`, or `stopping`.
    pub status: String,
    /// The node's ID.
    pub node: String,
    /// Of the daemon.
    pub version: String,
    /// Answers `?challenge=HEX`: hex HMAC-SHA256 with the token as key over `metaopt-challenge:HEX`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
    /// The same over `metaopt-challenge:HEX@ADDRESS`, where ADDRESS is the one this daemon listens at, such as
    /// `127.0.0.1:7878`: what a stranger elsewhere passes on doesn't hold for its own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof_here: Option<String>,
}
