//! Links as the rest of the daemon sees them.
//!
//! Owns: nothing: what is asked here is done in the modules beside. Must not: hold state of its own.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Result;
use axum::{
    Router,
    body::Body,
    http::{Request, Response},
};
use hyper::body::Incoming;
use metaopt_schema::NodeId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    CallError, Code, Host, Invite, JoinError, Joined, LinkInfo, Outbox, PeerConfig, Trouble, http, inner::Inner, join,
};

/// All links of this node, and who may come in. Clones are the same.
#[derive(Clone)]
pub struct Peers {
    pub(super) inner: Arc<Inner>,
}

impl Peers {
    /// Listens, announces this node, and dials, until `stopping`.
    ///
    /// # Errors
    /// The address can't be listened on, or the data directory not be written.
    pub async fn start(config: PeerConfig, host: Arc<dyn Host>, stopping: CancellationToken) -> Result<Self> {
        Ok(Self { inner: Inner::start(config, host, stopping).await? })
    }

    /// Waits until all of it has stopped.
    pub async fn stopped(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.inner.listening
    }

    /// Where others are told that it is reached (`HOST:PORT`).
    pub fn addresses(&self) -> Vec<String> {
        self.inner.addresses()
    }

    /// What members may call over HTTP; set once, at the start. Requests carry a [`super::Caller`].
    pub fn serve(&self, router: Router) {
        let _ = self.inner.router.set(router);
    }

    /// A code with which one node becomes a member within `ttl` (a day at most).
    ///
    /// # Errors
    /// In words: too many invitations are open, or no random numbers.
    pub fn invite(&self, ttl: Duration) -> Result<Invite, String> {
        let now = Instant::now();
        self.inner.invites().room(now)?;
        let code = Code::draw().map_err(|error| error.to_string())?;
        let invite = self.inner.invites().add(Some(&code), ttl, now, SystemTime::now());
        self.inner.announce.notify_one();
        Ok(invite)
    }

    /// Lets every node of this network in for `ttl` (a day at most).
    pub fn open(&self, ttl: Duration) -> Invite {
        let invite = self.inner.invites().add(None, ttl, Instant::now(), SystemTime::now());
        tracing::warn!(seconds = ttl.as_secs(), "every node of this network is let in without a code");
        self.inner.announce.notify_one();
        invite
    }

    /// Ends all invitations.
    pub fn close_invites(&self) {
        self.inner.invites().close();
        self.inner.announce.notify_one();
    }

    /// Those that are open, without their codes.
    pub fn invites(&self) -> Vec<Invite> {
        self.inner.invites().list(Instant::now())
    }

    /// Makes this node a member of the cluster of who knows the code, or without a code, of who lets everybody in.
    /// Without `peer` all nodes are asked that mDNS found.
    ///
    /// # Errors
    /// In words, with the way out.
    pub async fn join(&self, code: Option<Code>, peer: Option<String>) -> Result<Joined, JoinError> {
        join::join(&self.inner, code, peer).await
    }

    /// Those that are up.
    pub fn links(&self) -> Vec<LinkInfo> {
        self.inner.links.all().iter().map(|link| link.info()).collect()
    }

    /// Who isn't linked, and why.
    pub fn troubles(&self) -> Vec<Trouble> {
        self.inner.troubles.list()
    }

    /// Sends a request (a path is enough of its address) to a member. Bodies stream both ways.
    ///
    /// # Errors
    /// It isn't a member, or can't be reached.
    pub async fn call(&self, node: &NodeId, request: Request<Body>) -> Result<Response<Incoming>, CallError> {
        http::call(&self.inner, node, request).await
    }
}

impl Outbox for Peers {
    fn send(&self, to: &[NodeId], frame: &Arc<[u8]>) {
        for link in to.iter().filter_map(|node| self.inner.links.get(node)) {
            link.send(frame);
        }
    }

    fn cut(&self, node: &NodeId) {
        self.inner.links.cut(node);
        self.inner.ends.cut(node);
    }
}
