//! Dialling, for ever: whoever should be linked and isn't.
//!
//! Owns: whom to dial and when. Must not: trust what mDNS or a peer says about addresses further than to try them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metaopt_schema::NodeId;
use tokio::{
    sync::{Notify, Semaphore},
    time::{Instant, sleep, timeout},
};

use super::{
    Limits, Standing,
    greet::{Next, Role, Unmet},
    inner::Inner,
    link, pairing,
    reach::{Failed, Reached, reach},
    with_port,
};
use crate::data_dir::random;

/// Most addresses that are tried in turn.
const CANDIDATES: usize = 256;
/// Most of one member.
const PER_MEMBER: usize = 8;
/// Connections that are being made at once.
const AT_ONCE: usize = 32;
/// Between two addresses of one member, so that the second is dialled only if the first doesn't answer.
const STAGGER: Duration = Duration::from_millis(200);
/// Until an address is dialled again at which this node itself answers.
const MYSELF: Duration = Duration::from_secs(600);
/// Shortest time between two looks at whom to dial.
const PACE: Duration = Duration::from_millis(50);
/// Addresses that are remembered.
const REMEMBERED: usize = 1024;

struct Dial {
    busy: bool,
    next: Instant,
    failures: u32,
    /// A member answered there in this run.
    answered: bool,
    /// Who answered last.
    node: Option<NodeId>,
}

#[derive(Default)]
struct Book {
    by: HashMap<String, Dial>,
    /// Addresses that were learned in pairing: the node's document comes later.
    hints: BTreeMap<NodeId, Vec<String>>,
}

pub(super) struct Dials {
    book: Mutex<Book>,
    wake: Notify,
    at_once: Semaphore,
}

impl Default for Dials {
    fn default() -> Self {
        Self { book: Mutex::default(), wake: Notify::new(), at_once: Semaphore::new(AT_ONCE) }
    }
}

impl Dials {
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// A node that will be a member is reached there.
    pub(super) fn hint(&self, node: &NodeId, addresses: &[String]) {
        let mut book = self.book();
        if book.hints.len() < CANDIDATES {
            book.hints.insert(node.clone(), addresses.to_vec());
        }
        for address in addresses {
            if let Some(dial) = book.by.get_mut(address) {
                dial.next = Instant::now();
            }
        }
        drop(book);
        self.wake();
    }

    /// All that were learned so, of those who still are members.
    pub(super) fn hints(&self, is_member: impl Fn(&NodeId) -> bool) -> BTreeMap<NodeId, Vec<String>> {
        let mut book = self.book();
        book.hints.retain(|node, _| is_member(node));
        book.hints.clone()
    }

    /// A link is gone.
    pub(super) fn lost(&self, node: &NodeId, limits: &Limits) {
        for dial in self.book().by.values_mut().filter(|dial| dial.node.as_ref() == Some(node)) {
            dial.next = Instant::now() + soon(limits);
            dial.failures = 0;
        }
        self.wake();
    }

    /// Where a member was reached in this run.
    pub(super) fn known(&self, node: &NodeId) -> Vec<String> {
        let book = self.book();
        let answered = book.by.iter().filter(|(_, dial)| dial.answered && dial.node.as_ref() == Some(node));
        let hints = book.hints.get(node).into_iter().flatten();
        answered.map(|(address, _)| address).chain(hints).cloned().collect()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts with a dial that is due; otherwise how long it is until then.
    fn due(
        &self,
        address: &str,
        expected: Option<&NodeId>,
        linked: &dyn Fn(&NodeId) -> bool,
    ) -> Result<(), Option<Duration>> {
        let now = Instant::now();
        let mut book = self.book();
        let dial = book.by.entry(address.to_owned()).or_insert_with(|| Dial {
            busy: false,
            next: now,
            failures: 0,
            answered: false,
            node: None,
        });
        let there = dial.node.as_ref().filter(|node| expected.is_none_or(|expected| expected == *node));
        if dial.busy || there.is_some_and(linked) {
            return Err(None);
        }
        if dial.next > now {
            return Err(Some(dial.next - now));
        }
        dial.busy = true;
        Ok(())
    }
}

/// A time until the next attempt that differs from node to node, and from attempt to attempt.
fn soon(limits: &Limits) -> Duration {
    // A quarter is left for the connection itself.
    let longest = limits.round.mul_f64(0.75).max(limits.soonest);
    limits.soonest + (longest - limits.soonest).mul_f64(chance())
}

fn later(limits: &Limits, failures: u32) -> Duration {
    let grown = limits.soonest.saturating_mul(1 << failures.min(10));
    grown.min(limits.latest).mul_f64(0.75 + chance() / 4.0)
}

/// From 0 to 1.
fn chance() -> f64 {
    random::<4>().map_or(0.5, |bytes| f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
}

/// Dials until the node stops.
pub(super) async fn dialler(inner: Arc<Inner>) {
    loop {
        let wait = round(&inner).min(inner.limits().round);
        // However often it is woken, the node is asked for its members so often and no more.
        sleep(PACE).await;
        tokio::select! {
            () = inner.stopping.cancelled() => return,
            () = inner.dials.wake.notified() => {}
            () = sleep(wait) => {}
        }
    }
}

/// Cuts links and HTTP connections of nodes that are no members, and dials what is due. The time until more is.
fn round(inner: &Arc<Inner>) -> Duration {
    for link in inner.links.all() {
        if inner.host.standing(&link.node) != Standing::Member {
            link.end.cancel();
        }
    }
    inner.ends.keep(|node| inner.host.standing(node) == Standing::Member);
    let candidates = candidates(inner);
    let mut wait = Duration::MAX;
    let mut of_it: BTreeMap<NodeId, u32> = BTreeMap::new();
    for (address, node) in &candidates {
        match inner.dials.due(address, node.as_ref(), &|node| inner.links.has(node)) {
            Ok(()) => {
                let before = node.as_ref().map_or(0, |node| {
                    let count = of_it.entry(node.clone()).or_default();
                    *count += 1;
                    *count - 1
                });
                inner.tasks.spawn(dial(Arc::clone(inner), address.clone(), node.clone(), STAGGER * before));
            }
            Err(Some(left)) => wait = wait.min(left),
            Err(None) => {}
        }
    }
    let mut book = inner.dials.book();
    if book.by.len() > REMEMBERED {
        let wanted: std::collections::HashSet<&str> = candidates.iter().map(|(address, _)| &**address).collect();
        book.by.retain(|address, dial| dial.busy || wanted.contains(&**address));
    }
    wait
}

/// Addresses to dial, each once, with who should be there: those that a person named first.
fn candidates(inner: &Inner) -> Vec<(String, Option<NodeId>)> {
    let mut out: Vec<(String, Option<NodeId>)> = Vec::new();
    let mut add = |address: String, node: Option<&NodeId>| {
        if out.len() < CANDIDATES && !out.iter().any(|(known, _)| *known == address) {
            out.push((address, node.cloned()));
        }
    };
    for address in &inner.config.peers {
        add(with_port(address), None);
    }
    let members: Vec<_> = inner.host.members().into_iter().filter(|member| !inner.links.has(&member.node)).collect();
    for member in &members {
        // Where it answered last, then where pairing found it, then where it says it is.
        let known = inner.dials.known(&member.node);
        for address in known.iter().chain(&member.addresses).take(PER_MEMBER) {
            add(address.clone(), Some(&member.node));
        }
    }
    let wanted: Vec<&NodeId> = members.iter().map(|member| &member.node).collect();
    let links = inner.links.all();
    let linked = |prefix: &str| links.iter().any(|link| link.node.as_str().starts_with(prefix));
    let tag = inner.announced_tag();
    let found = inner.found().candidates(&inner.config.node, &tag, &wanted, &linked, Instant::now());
    for address in found {
        add(address, None);
    }
    out
}

async fn dial(inner: Arc<Inner>, address: String, expected: Option<NodeId>, stagger: Duration) {
    let stopping = inner.stopping.clone();
    tokio::select! {
        () = stopping.cancelled() => {}
        () = attempt(&inner, &address, expected.as_ref(), stagger) => {}
    }
}

async fn attempt(inner: &Arc<Inner>, address: &str, expected: Option<&NodeId>, stagger: Duration) {
    sleep(stagger).await;
    let linked = || expected.is_some_and(|node| inner.links.has(node));
    let reached = match inner.dials.at_once.acquire().await {
        Ok(_place) if !linked() => Some(reach(inner, address, Role::Dials).await),
        _ => None,
    };
    let limits = inner.limits();
    let (node, wait) = match reached {
        None => (None, Some(soon(limits))),
        Some(Ok(reached)) => met(inner, address, expected, reached).await,
        Some(Err(failed)) => unmet(inner, address, expected, failed),
    };
    {
        let mut book = inner.dials.book();
        let Some(dial) = book.by.get_mut(address) else { return };
        dial.busy = false;
        if let Some(node) = node {
            dial.answered |= inner.host.standing(&node) == Standing::Member;
            dial.node = Some(node);
        }
        let wait = match wait {
            Some(wait) => {
                dial.failures = 0;
                wait
            }
            None if dial.answered && expected.is_none_or(|node| dial.node.as_ref() == Some(node)) => soon(limits),
            None => {
                dial.failures = dial.failures.saturating_add(1);
                later(limits, dial.failures)
            }
        };
        dial.next = Instant::now() + wait;
    }
    inner.dials.wake();
}

/// Who is there, and when to dial again if the link ends or never was; none: as it went before.
async fn met(
    inner: &Arc<Inner>,
    address: &str,
    expected: Option<&NodeId>,
    Reached { peer, mut wire, next }: Reached,
) -> (Option<NodeId>, Option<Duration>) {
    let node = Some(peer.node.clone());
    match next {
        Next::Up(seat) => {
            if let Some(expected) = expected.filter(|expected| **expected != peer.node) {
                let text = format!("another node ({}) answers where {expected} says it is reached", peer.node);
                inner.troubles.set(Some(expected), Some(address), text);
            } else {
                inner.troubles.fine(address);
            }
            inner.tasks.spawn(link::run(Arc::clone(inner), wire.stream, seat));
            (node, Some(soon(inner.limits())))
        }
        Next::Join(key) => {
            let pairing = pairing::join(inner, &mut wire, &peer, &key, address);
            let joined = timeout(inner.limits().pairing, pairing).await;
            match joined.unwrap_or_else(|_| Err(Unmet::Broken("pairing took too long".into()))) {
                Ok(name) => {
                    tracing::info!(node = %peer.node, name, address, "paired by the cluster key");
                    (node, Some(Duration::ZERO))
                }
                Err(error) => unmet(inner, address, expected, Failed::Unmet(peer, error)),
            }
        }
        Next::Invited(_) => (node, None),
    }
}

fn unmet(
    inner: &Inner,
    address: &str,
    expected: Option<&NodeId>,
    failed: Failed,
) -> (Option<NodeId>, Option<Duration>) {
    let (peer, text) = match failed {
        Failed::Unmet(peer, Unmet::Myself) => return (Some(peer.node), Some(MYSELF)),
        Failed::Unmet(peer, Unmet::Already) => {
            inner.troubles.fine(address);
            return (Some(peer.node), Some(soon(inner.limits())));
        }
        Failed::Unmet(peer, unmet) => (Some(peer), unmet.to_string()),
        Failed::Unreachable(error) => {
            (None, format!("it can't be reached: {error}; is metaoptd running there, and its port open?"))
        }
        Failed::Strange(error) => (None, error),
    };
    let node = peer.map(|peer| peer.node);
    inner.troubles.set(node.as_ref().or(expected), Some(address), text);
    (node, None)
}
