//! Links as the rest of the daemon sees them.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use axum::{Router, body::Body};
use hyper::body::Incoming;
use metaopt_schema::NodeId;
use tokio_util::sync::CancellationToken;

use super::{CallError, Code, Host, Invite, InviteKind, JoinError, Joined, LinkInfo, Outbox, PeerConfig, Trouble};

/// All links of this node, and who may come in. Clones are the same.
#[derive(Clone)]
pub struct Peers {
    inner: Arc<Inner>,
}

struct Inner {
    config: PeerConfig,
    host: Arc<dyn Host>,
    address: SocketAddr,
}

impl Peers {
    /// Listens, announces this node, and dials, until `stopping`.
    ///
    /// # Errors
    /// The address can't be listened on, or the data directory not be written.
    pub async fn start(config: PeerConfig, host: Arc<dyn Host>, stopping: CancellationToken) -> Result<Self> {
        let _ = stopping;
        let address = config.listen.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], super::PORT)));
        Ok(Self { inner: Arc::new(Inner { config, host, address }) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    /// Where others are told that it is reached (`HOST:PORT`).
    pub fn addresses(&self) -> Vec<String> {
        Vec::new()
    }

    /// What members may call over HTTP; set once, at the start. Requests carry a [`super::Caller`].
    pub fn serve(&self, router: Router) {
        drop(router);
    }

    /// A code with which one node becomes a member within `ttl` (a day at most).
    ///
    /// # Errors
    /// In words: too many invitations are open, or no random numbers.
    pub fn invite(&self, ttl: Duration) -> Result<Invite, String> {
        let _ = ttl;
        Err("not yet".into())
    }

    /// Lets every node of this network in for `ttl` (a day at most).
    pub fn open(&self, ttl: Duration) -> Invite {
        Invite { kind: InviteKind::Open, code: None, expires: std::time::SystemTime::now() + ttl }
    }

    /// Ends all invitations.
    pub fn close_invites(&self) {}

    /// Those that are open, without their codes.
    pub fn invites(&self) -> Vec<Invite> {
        Vec::new()
    }

    /// Makes this node a member of the cluster of who knows the code, or without a code, of who lets everybody in.
    /// Without `peer` all nodes are asked that mDNS found.
    ///
    /// # Errors
    /// In words, with the way out.
    pub async fn join(&self, code: Option<Code>, peer: Option<String>) -> Result<Joined, JoinError> {
        let _ = (code, peer);
        if let Some(why) = self.inner.host.bound() {
            return Err(JoinError::Bound(why));
        }
        Err(JoinError::NobodyFound)
    }

    /// Those that are up.
    pub fn links(&self) -> Vec<LinkInfo> {
        Vec::new()
    }

    /// Who isn't linked, and why.
    pub fn troubles(&self) -> Vec<Trouble> {
        Vec::new()
    }

    /// Sends a request (a path is enough of its address) to a member. Bodies stream both ways.
    ///
    /// # Errors
    /// It isn't a member, or can't be reached.
    pub async fn call(
        &self,
        node: &NodeId,
        request: axum::http::Request<Body>,
    ) -> Result<axum::http::Response<Incoming>, CallError> {
        let _ = (request, &self.inner.config);
        Err(CallError::NotAMember(node.clone()))
    }
}

impl Outbox for Peers {
    fn send(&self, _to: &[NodeId], _frame: &Arc<[u8]>) {}

    fn cut(&self, _node: &NodeId) {}
}
