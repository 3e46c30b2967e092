//! The cluster: who is in it, how nodes come in, and what keeps them apart.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::node::Node;

/// The cluster as this node sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Cluster {
    /// The node that answers.
    pub node: String,
    /// Its name.
    pub name: String,
    /// Of its daemon.
    pub version: String,
    /// All members.
    pub nodes: Vec<Node>,
    /// Where it listens for peers; null where it doesn't.
    pub peers_address: Option<String>,
    /// Where peers reach it, best first (`HOST:PORT`).
    pub addresses: Vec<String>,
    /// It looks for peers on the local network.
    pub mdns: bool,
    /// Until then any node of the local network may join through this one; null: none may without a code.
    #[schema(format = DateTime)]
    pub open_until: Option<String>,
    /// What keeps it from others now.
    pub troubles: Vec<Trouble>,
}

/// A node or address that can't be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Trouble {
    /// The node, where it is known which.
    pub node: Option<String>,
    /// The address tried, where it is one.
    pub address: Option<String>,
    /// What is wrong, in words.
    pub why: String,
    /// Since when.
    #[schema(format = DateTime)]
    pub since: String,
}

/// `POST /cluster/invites`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewInvitation {
    /// Let any node of the local network join without a code.
    pub open: bool,
    /// For how long, in seconds: 10 to 86400, an open one up to 3600; 600 when absent.
    pub ttl_s: Option<f64>,
}

/// Lets a node join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Invitation {
    /// Good for one node, as `XXXX-XXXX-XXXX`; null of an open one, and in lists.
    pub code: Option<String>,
    /// No code is needed.
    pub open: bool,
    /// When it ends.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// Where a node that joins reaches this one (`HOST:PORT`), best first.
    pub addresses: Vec<String>,
}

/// `POST /cluster/join`
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Join {
    /// As `metaopt invite` printed it; null where the other side lets everybody in.
    pub code: Option<String>,
    /// The member to join through (`HOST:PORT`); null: whichever answers on the local network.
    pub peer: Option<String>,
}

/// `POST /cluster/leave`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Leave {
    /// Leave also while no member can be told: they then take this node for one that is away, until it is removed there.
    pub force: bool,
}

/// This node is a member now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Joined {
    /// The member through which it came in.
    pub node: String,
    /// Its name.
    pub name: String,
    /// All members that are known so far; the rest comes with the history.
    pub cluster: Vec<Node>,
}

impl std::fmt::Debug for Join {
    /// A code isn't for logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Join").field("code", &self.code.as_ref().map(|_| "…")).field("peer", &self.peer).finish()
    }
}
