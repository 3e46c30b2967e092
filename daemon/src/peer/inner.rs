//! What all parts of this module share.
//!
//! Owns: the start, and the few small things that are kept in the data directory. Must not: run a protocol.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use axum::Router;
use metaopt_core::About;
use metaopt_schema::NodeId;
use tokio::{
    net::TcpListener,
    sync::{Notify, Semaphore},
    time::{MissedTickBehavior, interval},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Host, Limits, PeerConfig, Standing, accept,
    addresses::{interfaces, told},
    config::{PORT, check_cluster_key},
    dial::{self, Dials},
    found::Found,
    greet::Unmet,
    http,
    invites::Invites,
    links::Links,
    mdns,
    proof::fleet,
    tls::Tls,
    troubles::Troubles,
};
use crate::{
    data_dir::{hex, random},
    platform::files,
};

/// The file of the cluster's tag.
const TAG: &str = "cluster";
/// The file of the address that was listened on last.
const ADDRESS: &str = "peer-address";
/// The file of addresses that were learned in pairing, so that a crash right after it costs nothing.
const HINTS: &str = "peer-hints";
/// Largest such file.
const HINTS_LIMIT: u64 = 1 << 20;
/// Most notices of one run.
const NOTICES: usize = 64;
/// Before the ID of a node that is there twice.
const TWINS: &str = "two machines run as node ";

pub(super) struct Inner {
    pub config: PeerConfig,
    pub host: Arc<dyn Host>,
    pub tls: Tls,
    /// What the cluster key gives: what is proved, and what is announced.
    pub fleet: Option<([u8; 32], [u8; 16])>,
    pub links: Arc<Links>,
    pub dials: Dials,
    pub troubles: Troubles,
    pub listening: SocketAddr,
    pub router: OnceLock<Router>,
    /// Places for HTTP connections of members.
    pub http: Arc<Semaphore>,
    /// What ends them.
    pub ends: http::Ends,
    /// Whose turn it is to connect to a member for HTTP.
    pub turns: Mutex<BTreeMap<NodeId, Arc<Semaphore>>>,
    /// Held by a join that a person asked for: one at a time.
    pub joining: tokio::sync::Mutex<()>,
    /// Held while it is asked whether somebody may become a member, until that is written down.
    pub admitting: tokio::sync::Mutex<()>,
    /// What is announced may have changed.
    pub announce: Notify,
    pub stopping: CancellationToken,
    pub tasks: TaskTracker,
    invites: Mutex<Invites>,
    found: Mutex<Found>,
    tag: Mutex<[u8; 16]>,
    addresses: Mutex<Vec<String>>,
    said: Mutex<BTreeSet<String>>,
}

impl Inner {
    pub(super) async fn start(
        config: PeerConfig,
        host: Arc<dyn Host>,
        stopping: CancellationToken,
    ) -> Result<Arc<Self>> {
        let tls = Tls::new(&config.pkcs8)?;
        let fleet = match &config.cluster_key {
            Some(key) => {
                check_cluster_key(key).context("the cluster key is no secret")?;
                Some(fleet(key))
            }
            None => None,
        };
        let tag = stored_tag(&config.dir)?;
        let listener = listen(&config).await?;
        let listening = listener.local_addr().context("the peer listener has no address")?;
        let inner = Arc::new(Self {
            tls,
            fleet,
            links: Arc::default(),
            dials: Dials::default(),
            troubles: Troubles::default(),
            listening,
            router: OnceLock::new(),
            http: Arc::new(Semaphore::new(http::CONNECTIONS)),
            ends: http::Ends::default(),
            turns: Mutex::default(),
            joining: tokio::sync::Mutex::default(),
            admitting: tokio::sync::Mutex::default(),
            announce: Notify::new(),
            stopping,
            tasks: TaskTracker::new(),
            invites: Mutex::default(),
            found: Mutex::default(),
            tag: Mutex::new(tag),
            addresses: Mutex::default(),
            said: Mutex::default(),
            config,
            host,
        });
        inner.look_at_interfaces();
        let hints = files::read_plain(&inner.config.dir.join(HINTS), HINTS_LIMIT).unwrap_or_default();
        for line in String::from_utf8_lossy(&hints).lines() {
            let mut words = line.split(' ').map(ToOwned::to_owned);
            if let Some(node) = words.next() {
                inner.dials.hint(&NodeId::new(node), &words.collect::<Vec<_>>());
            }
        }
        inner.tasks.spawn(accept::accept(Arc::clone(&inner), listener));
        inner.tasks.spawn(watch_interfaces(Arc::clone(&inner)));
        inner.tasks.spawn(dial::dialler(Arc::clone(&inner)));
        if inner.config.mdns {
            inner.tasks.spawn(mdns::run(Arc::clone(&inner)));
        }
        Ok(inner)
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.config.limits
    }

    pub(super) fn invites(&self) -> MutexGuard<'_, Invites> {
        locked(&self.invites)
    }

    pub(super) fn found(&self) -> MutexGuard<'_, Found> {
        locked(&self.found)
    }

    pub(super) fn tag(&self) -> [u8; 16] {
        *locked(&self.tag)
    }

    pub(super) fn addresses(&self) -> Vec<String> {
        locked(&self.addresses).clone()
    }

    /// This node is of that cluster now.
    pub(super) fn take_tag(&self, tag: [u8; 16]) {
        *locked(&self.tag) = tag;
        // The tag finds members sooner and decides nothing.
        if let Err(error) = files::write_private(&self.config.dir.join(TAG), hex(&tag).as_bytes()) {
            tracing::warn!(%error, "the cluster's tag can't be kept");
        }
    }

    /// A new member is reached there.
    pub(super) fn hint(&self, node: &NodeId, addresses: &[String]) {
        self.dials.hint(node, addresses);
        let hints = self.dials.hints(|node| self.host.standing(node) == Standing::Member);
        let lines = hints.into_iter().map(|(node, addresses)| format!("{node} {}\n", addresses.join(" ")));
        let written = files::write_private(&self.config.dir.join(HINTS), lines.collect::<String>().as_bytes());
        if let Err(error) = written {
            tracing::warn!(%error, "a new member's address can't be kept");
        }
    }

    /// Tells people, however much they were told.
    pub(super) fn tell(&self, about: About, text: String) {
        tracing::warn!("{text}");
        self.host.notice(about, text);
    }

    /// Tells people, once, and not without end.
    pub(super) fn say(&self, text: String) {
        let mut said = locked(&self.said);
        if said.len() < NOTICES && said.insert(text.clone()) {
            drop(said);
            self.tell(About::Here, text);
        }
    }

    /// Two machines are this node, seen at these addresses. The words, which people are told as well.
    pub(super) fn cloned(&self, node: &NodeId, ips: &[IpAddr]) -> String {
        let own = (*node == self.config.node).then(|| "this machine".to_owned());
        let ips: BTreeSet<String> = ips.iter().map(|ip| ip.to_canonical().to_string()).collect();
        let at: Vec<String> = own.into_iter().chain(ips).collect();
        let words = format!(
            "{TWINS}{node} (addresses {}), as after a disk was copied: stop metaoptd on the copy, move its whole data \
             directory away, start it and `metaopt join` again",
            at.join(", ")
        );
        self.tell_twins(node, words.clone());
        words
    }

    /// Two machines are this node: people are told as long as it is so, and logs once.
    fn tell_twins(&self, node: &NodeId, words: String) {
        let mut said = locked(&self.said);
        if said.len() < NOTICES && said.insert(words.clone()) {
            tracing::warn!("{words}");
        }
        drop(said);
        self.host.notice(About::Twins(node.clone()), words);
    }

    /// Whether a member refuses this node because it is there twice. That is said of this node, and no trouble of the
    /// member.
    pub(super) fn is_twin(&self, peer: &NodeId, unmet: &Unmet) -> bool {
        let Unmet::Refused(words) = unmet else { return false };
        let own = words.strip_prefix(TWINS).is_some_and(|rest| rest.starts_with(self.config.node.as_str()));
        let twin = own && self.host.standing(peer) == Standing::Member;
        if twin {
            self.tell_twins(&self.config.node, words.clone());
        }
        twin
    }

    /// This node is out of its cluster for ever.
    pub(super) fn is_removed(&self) -> bool {
        self.host.standing(&self.config.node) == Standing::Removed
    }

    fn look_at_interfaces(&self) {
        let now = if self.config.dials_only {
            Vec::new()
        } else {
            told(self.listening, self.config.advertise.as_deref(), &interfaces())
        };
        let changed = {
            let mut addresses = locked(&self.addresses);
            let changed = *addresses != now;
            addresses.clone_from(&now);
            changed
        };
        if changed {
            self.host.addresses(now);
            self.announce.notify_one();
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn watch_interfaces(inner: Arc<Inner>) {
    let mut ticks = interval(inner.limits().interfaces.max(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = inner.stopping.cancelled() => return,
            _ = ticks.tick() => inner.look_at_interfaces(),
        }
    }
}

async fn listen(config: &PeerConfig) -> Result<TcpListener> {
    if let Some(address) = config.listen {
        return TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen for peers on {address}; give another --peer-listen"));
    }
    let path = config.dir.join(ADDRESS);
    let all = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let kept = files::read_plain(&path, 64).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let kept: Option<SocketAddr> = kept.and_then(|text| text.trim().parse().ok());
    let mut last = None;
    for address in kept.into_iter().chain([all(PORT), all(0)]) {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                let now = listener.local_addr().context("the peer listener has no address")?;
                if kept.map_or(now.port() != PORT, |kept| kept != now) {
                    files::write_private(&path, now.to_string().as_bytes())
                        .with_context(|| format!("cannot write {}", path.display()))?;
                }
                return Ok(listener);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::other("no address")))
        .context("cannot listen for peers on any port; give another --peer-listen")
}

/// The cluster's tag; a node that has none is the first of its own cluster.
fn stored_tag(dir: &Path) -> Result<[u8; 16]> {
    let path = dir.join(TAG);
    if let Some(tag) = files::read_plain(&path, 64).ok().and_then(|bytes| unhex(&bytes)) {
        return Ok(tag);
    }
    let tag = random::<16>()?;
    files::write_private(&path, hex(&tag).as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(tag)
}

fn unhex(bytes: &[u8]) -> Option<[u8; 16]> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32)?;
    Some(number.to_be_bytes())
}
