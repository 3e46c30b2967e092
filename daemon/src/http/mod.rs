//! The REST API: what CONTRACT's table of paths promises, for one node.
//!
//! Owns: routes, limits, tokens, and the translation between bodies and the node's commands; one file per resource.
//! Must not: decide anything about studies or trials; the node does.

mod ask;
pub mod auth;
mod blobs;
pub(crate) mod body;
pub mod cluster;
mod columns;
mod elsewhere;
mod events;
mod export;
mod files;
mod gc;
mod guard;
mod health;
pub(crate) mod import;
mod importances;
pub mod listen;
mod logs;
mod marginals;
mod metrics;
mod nodes;
mod page;
mod peer_api;
mod places;
mod plots;
mod predict;
pub mod problem;
pub(crate) mod query;
mod ranged;
mod render;
mod results;
mod snapshots;
mod studies;
#[cfg(test)]
mod tests;
mod thin;
mod timeline;
mod tokens;
mod trials;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Instant};

use axum::{
    Router, middleware,
    routing::{delete, get, head, post},
};
use metaopt_schema::NodeId;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

pub use peer_api::peer_router;

use crate::{
    blobs::Fetcher,
    dashboards::Dashboards,
    data_dir::Identity,
    driver::Shell,
    exec::{Executor, outputs::Outputs},
    gc::{Collector, Policy},
};

/// Everything that handlers need.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    shell: Shell,
    executor: Arc<Executor>,
    outputs: Outputs,
    dashboards: Dashboards,
    gc: Arc<Collector>,
    links: Option<Box<dyn cluster::Links>>,
    mdns: bool,
    fetcher: Option<Arc<Fetcher>>,
    node: NodeId,
    token: String,
    secret: [u8; 32],
    hosts: Vec<String>,
    address: Option<SocketAddr>,
    stopping: CancellationToken,
    dir: PathBuf,
    gates: guard::Gates,
    counters: metrics::Counters,
    foreseen: predict::Foreseen,
    started: Instant,
}

impl App {
    /// For the daemon of `identity`, whose files lie in `dir`.
    pub fn new(shell: Shell, executor: Arc<Executor>, dir: PathBuf, identity: &Identity) -> Self {
        let gc = Arc::new(Collector::new(shell.clone(), executor.clone(), &dir, Policy::default()));
        Self(Arc::new(Inner {
            shell,
            executor,
            outputs: Outputs::new(&dir),
            dashboards: Dashboards::open(&dir),
            dir,
            gc,
            links: None,
            mdns: false,
            fetcher: None,
            node: identity.node.clone(),
            token: identity.token.clone(),
            secret: identity.secret,
            hosts: Vec::new(),
            address: None,
            stopping: CancellationToken::new(),
            gates: guard::Gates::default(),
            counters: metrics::Counters::default(),
            foreseen: predict::Foreseen::default(),
            started: Instant::now(),
        }))
    }

    /// What collects, where its limits aren't the defaults.
    #[must_use]
    pub fn with_gc(mut self, gc: Arc<Collector>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.gc = gc;
        }
        self
    }

    /// The links to other nodes; `mdns`: they look for some on the local network.
    #[must_use]
    pub fn with_peers(mut self, links: impl cluster::Links, mdns: bool) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.links = Some(Box::new(links));
            inner.mdns = mdns;
        }
        self
    }

    /// What moves files between nodes, and calls them.
    #[must_use]
    pub fn with_fetcher(mut self, fetcher: Arc<Fetcher>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.fetcher = Some(fetcher);
        }
        self
    }

    /// Further names by which this daemon may be called (`Host`), besides those of the loopback interface.
    #[must_use]
    pub fn with_hosts(mut self, hosts: Vec<String>) -> Self {
        // Called before the router has a copy; later there is nothing to change.
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.hosts = hosts;
        }
        self
    }

    /// Where this daemon listens, for proofs that a stranger elsewhere can't use.
    #[must_use]
    pub fn at(mut self, address: SocketAddr) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            inner.address = Some(address);
        }
        self
    }

    /// Cancel it to end event streams and refuse what is new.
    pub fn stopping(&self) -> CancellationToken {
        self.0.stopping.clone()
    }

    fn data_dir(&self) -> &std::path::Path {
        &self.0.dir
    }

    fn foreseen(&self) -> &predict::Foreseen {
        &self.0.foreseen
    }

    fn dashboards(&self) -> &Dashboards {
        &self.0.dashboards
    }

    fn shell(&self) -> &Shell {
        &self.0.shell
    }

    fn fetcher(&self) -> Option<&Arc<Fetcher>> {
        self.0.fetcher.as_ref()
    }

    fn links(&self) -> Option<&dyn cluster::Links> {
        self.0.links.as_deref()
    }

    /// Takes this node out of its cluster for ever. Its database is moved aside, and it begins anew with a fresh key.
    /// Refused while no member can be told, unless `force`.
    async fn leave(&self, force: bool) -> problem::Answer<()> {
        Ok(self.shell().leave(force).await?)
    }

    /// Uploads wait for room: what is left of the disk is for results.
    fn room(&self) -> problem::Answer<()> {
        match self.shell().read(|node, _| node.held().map(str::to_owned)) {
            Some(why) => Err(metaopt_core::Refusal::no_room(format!("no upload is taken: {why}")).into()),
            None => Ok(()),
        }
    }
}

/// All routes.
pub fn router(app: App) -> Router {
    let v1 = Router::new()
        .route("/studies", get(studies::list).post(studies::create))
        .route("/studies/{study}", get(studies::get).patch(studies::patch).delete(studies::delete))
        .route("/studies/{study}/pause", post(studies::pause))
        .route("/studies/{study}/resume", post(studies::resume))
        .route("/studies/{study}/cancel", post(studies::cancel))
        .route("/studies/{study}/archive", post(studies::archive))
        .route("/studies/{study}/fork", post(studies::fork))
        .route("/studies/{study}/best", get(results::best))
        .route("/studies/{study}/pareto", get(results::pareto))
        .route("/studies/{study}/importances", get(importances::get))
        .route("/studies/{study}/plots/{kind}", get(plots::get))
        .route("/studies/{study}/export", get(export::get))
        .route("/studies/{study}/import", post(import::post))
        .route("/studies/{study}/places", get(places::get))
        .route("/studies/{study}/columns", get(columns::get))
        .route("/studies/{study}/trials", get(trials::list).post(trials::enqueue))
        .route("/studies/{study}/trials/suggest", post(ask::suggest))
        .route("/trials/{trial}", get(trials::get).patch(trials::patch))
        .route("/trials/{trial}/reports", get(trials::reports).post(ask::report))
        .route("/trials/{trial}/complete", post(ask::complete))
        .route("/trials/{trial}/heartbeat", post(ask::heartbeat))
        .route("/trials/{trial}/cancel", post(trials::cancel))
        .route("/trials/{trial}/stop", post(trials::cancel))
        .route("/trials/{trial}/retry", post(trials::retry))
        .route("/trials/{trial}/pause", post(trials::pause))
        .route("/trials/{trial}/resume", post(trials::resume))
        .route("/trials/{trial}/explain", get(trials::explain))
        .route("/trials/{trial}/logs", get(logs::get))
        .route("/trials/{trial}/artifacts", get(files::list))
        .route("/trials/{trial}/artifacts/{name}", get(files::get).put(files::put))
        .route("/snapshots/{hash}", head(snapshots::head).get(snapshots::get).put(snapshots::put))
        .route("/nodes", get(nodes::list))
        .route("/nodes/{node}", get(nodes::get).merge(delete(nodes::remove)))
        .route("/nodes/{node}/drain", post(nodes::drain))
        .route("/nodes/{node}/resume", post(nodes::resume))
        .route("/nodes/{node}/lost", post(nodes::lost))
        .route("/cluster", get(cluster::get))
        .route("/cluster/invites", get(cluster::invites).post(cluster::invite).delete(cluster::close))
        .route("/cluster/join", post(cluster::join))
        .route("/cluster/leave", post(cluster::leave))
        .route("/tokens", post(tokens::issue).delete(tokens::revoke))
        .route("/gc", post(gc::post))
        .route("/events", get(events::follow));
    Router::new()
        .nest("/api/v1", v1)
        .route("/api/openapi.json", get(health::openapi))
        .route("/healthz", get(health::health))
        .route("/metrics", get(metrics::metrics))
        .fallback(page::get)
        .method_not_allowed_fallback(problem::no_such_verb)
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(middleware::from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}
