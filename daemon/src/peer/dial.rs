//! Dialling, for ever: whoever should be linked and isn't.
//!
//! Owns: whom to dial and when. Must not: trust what mDNS or a peer says about addresses further than to try them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metaopt_schema::NodeId;
use tokio::{
    sync::{Notify, Semaphore},
    time::{Instant, sleep, timeout},
};

use super::{
    Known, Limits, Standing,
    greet::{Next, Role, Unmet},
    inner::Inner,
    link, pairing,
    reach::{Failed, Reached, reach},
    with_port,
};
use crate::data_dir::random;

/// Most addresses that are tried in turn.
const CANDIDATES: usize = 256;
/// Places among them for what mDNS found, whatever the number of members.
const FOUND: usize = 64;
/// Most of one member.
const PER_MEMBER: usize = 8;
/// Connections to one member that are being made at once.
const AT_A_TIME: usize = 2;
/// Connections that are being made at once to addresses where a member was a moment ago; as many again to all others,
/// so that those that nobody answers at hold up no redial.
const AT_ONCE: usize = 32;
/// How long an address where a member was is dialled as often as at first.
const HOPE: Duration = Duration::from_secs(60);
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
    /// Whom it is dialled for.
    expected: Option<NodeId>,
    next: Instant,
    failures: u32,
    /// A member answered there in this run.
    answered: bool,
    /// No member answers there any more, since then.
    failing: Option<Instant>,
    /// Who answered last.
    node: Option<NodeId>,
}

impl Dial {
    /// A member was there a moment ago.
    fn hopeful(&self, now: Instant) -> bool {
        self.answered && self.failing.is_none_or(|since| now - since < HOPE)
    }
}

#[derive(Default)]
struct Book {
    by: HashMap<String, Dial>,
    /// Addresses that were learned in pairing: the node's document comes later.
    hints: BTreeMap<NodeId, Vec<String>>,
    /// When each member was there last, in this run.
    there: BTreeMap<NodeId, Instant>,
}

impl Book {
    /// Where a member was reached in this run.
    fn known<'a>(&'a self, node: &'a NodeId) -> impl Iterator<Item = &'a String> {
        let answered = self.by.iter().filter(|(_, dial)| dial.answered && dial.node.as_ref() == Some(node));
        answered.map(|(address, _)| address).chain(self.hints.get(node).into_iter().flatten())
    }

    /// How many connections are being made to it.
    fn busy(&self, node: &NodeId) -> usize {
        self.by.values().filter(|dial| dial.busy && dial.expected.as_ref() == Some(node)).count()
    }
}

pub(super) struct Dials {
    book: Mutex<Book>,
    wake: Notify,
    hopeful: Semaphore,
    others: Semaphore,
}

impl Default for Dials {
    fn default() -> Self {
        let places = || Semaphore::new(AT_ONCE);
        Self { book: Mutex::default(), wake: Notify::new(), hopeful: places(), others: places() }
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
        let (now, mut book) = (Instant::now(), self.book());
        for dial in book.by.values_mut().filter(|dial| dial.node.as_ref() == Some(node)) {
            dial.next = now + soon(limits);
            dial.failures = 0;
            dial.failing = None;
        }
        book.there.insert(node.clone(), now);
        drop(book);
        self.wake();
    }

    /// Where a member was reached in this run.
    pub(super) fn known(&self, node: &NodeId) -> Vec<String> {
        self.book().known(node).cloned().collect()
    }

    /// Addresses of these members, with which each of them is, the first of each before the second of any. Of a member
    /// what failed least comes first, and so do members: those that are gone take turns, and are in nobody's way. Of
    /// equals, who was there last is the first.
    fn in_turn(&self, members: &[Known]) -> Vec<(String, NodeId)> {
        let mut book = self.book();
        book.there.retain(|node, _| members.iter().any(|member| member.node == *node));
        let failures = |address: &String| book.by.get(address).map_or(0, |dial| dial.failures);
        let mut all = Vec::new();
        for Known { node, addresses: told, .. } in members {
            // Where it answered last, then where pairing found it, then where it says it is.
            let mut addresses = Vec::new();
            for address in book.known(node).chain(told) {
                if !addresses.contains(address) {
                    addresses.push(address.clone());
                }
            }
            addresses.sort_by_key(failures);
            addresses.truncate(PER_MEMBER);
            let least = addresses.first().map_or(0, failures);
            all.push(((least, Reverse(book.there.get(node).copied())), node, addresses));
        }
        all.sort_by_key(|(rank, ..)| *rank);
        let of_each = all.into_iter().map(|(_, node, addresses)| addresses.into_iter().map(|a| (a, node.clone())));
        turns(of_each.map(Iterator::collect).collect())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts with a dial that is due: how many are being made to the same member already. Otherwise how long it is until
    /// then.
    fn due(
        &self,
        address: &str,
        expected: Option<&NodeId>,
        linked: &dyn Fn(&NodeId) -> bool,
    ) -> Result<usize, Option<Duration>> {
        let now = Instant::now();
        let mut book = self.book();
        let busy = expected.map_or(0, |node| book.busy(node));
        let dial = book.by.entry(address.to_owned()).or_insert_with(|| Dial {
            busy: false,
            expected: None,
            next: now,
            failures: 0,
            answered: false,
            failing: None,
            node: None,
        });
        let there = dial.node.as_ref().filter(|node| expected.is_none_or(|expected| expected == *node));
        // Whichever ends first wakes the dialler.
        if dial.busy || busy >= AT_A_TIME || there.is_some_and(linked) {
            return Err(None);
        }
        if dial.next > now {
            return Err(Some(dial.next - now));
        }
        dial.busy = true;
        dial.expected = expected.cloned();
        Ok(busy)
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
    if inner.is_removed() && !inner.invites().list(Instant::now()).is_empty() {
        inner.invites().close();
        inner.announce.notify_one();
    }
    inner.ends.keep(|node| inner.host.standing(node) == Standing::Member);
    let candidates = candidates(inner);
    let mut wait = Duration::MAX;
    for (address, node) in &candidates {
        match inner.dials.due(address, node.as_ref(), &|node| inner.links.has(node)) {
            Ok(before) => {
                let stagger = if before > 0 { STAGGER } else { Duration::ZERO };
                inner.tasks.spawn(dial(Arc::clone(inner), address.clone(), node.clone(), stagger));
            }
            Err(Some(left)) => wait = wait.min(left),
            Err(None) => {}
        }
    }
    let mut book = inner.dials.book();
    if book.by.len() > REMEMBERED {
        let wanted: HashSet<&str> = candidates.iter().map(|(address, _)| &**address).collect();
        book.by.retain(|address, dial| dial.busy || wanted.contains(&**address));
    }
    wait
}

/// The first of each, then the second of each, and so on.
pub(super) fn turns<T>(lists: Vec<Vec<T>>) -> Vec<T> {
    let mut lists: Vec<_> = lists.into_iter().map(Vec::into_iter).collect();
    let mut out = Vec::new();
    while !lists.is_empty() {
        lists.retain_mut(|list| list.next().map(|next| out.push(next)).is_some());
    }
    out
}

/// Addresses to dial, each once, with who should be there: those that a person named first.
fn candidates(inner: &Inner) -> Vec<(String, Option<NodeId>)> {
    let members: Vec<_> = inner.host.members().into_iter().filter(|member| !inner.links.has(&member.node)).collect();
    let wanted: Vec<&NodeId> = members.iter().map(|member| &member.node).collect();
    let links = inner.links.all();
    let linked = |prefix: &str| links.iter().any(|link| link.node.as_str().starts_with(prefix));
    let tag = inner.announced_tag();
    let found = inner.found().candidates(&inner.config.node, &tag, &wanted, &linked, Instant::now());
    let named = inner.config.peers.iter().map(|address| with_port(address)).collect();
    choose(named, inner.dials.in_turn(&members), found)
}

/// Some of these, each once.
fn choose(named: Vec<String>, members: Vec<(String, NodeId)>, found: Vec<String>) -> Vec<(String, Option<NodeId>)> {
    let mut seen = HashSet::new();
    let anybody = |address: String| (address, None);
    let mut named: Vec<_> =
        named.into_iter().map(anybody).filter(|(address, _)| seen.insert(address.clone())).collect();
    let mut members: Vec<_> = members.into_iter().map(|(address, node)| (address, Some(node))).collect();
    members.retain(|(address, _)| seen.insert(address.clone()));
    let mut found: Vec<_> =
        found.into_iter().map(anybody).filter(|(address, _)| seen.insert(address.clone())).collect();
    let rest = found.split_off(FOUND.min(found.len()));
    members.truncate(CANDIDATES.saturating_sub(named.len() + found.len()));
    named.extend(members);
    named.extend(found);
    named.extend(rest);
    named.truncate(CANDIDATES);
    named
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
    let hopeful = inner.dials.book().by.get(address).is_some_and(|dial| dial.hopeful(Instant::now()));
    let places = if hopeful { &inner.dials.hopeful } else { &inner.dials.others };
    let reached = match places.acquire().await {
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
        let now = Instant::now();
        let member = node.as_ref().filter(|node| inner.host.standing(node) == Standing::Member);
        let mut book = inner.dials.book();
        if let Some(node) = member {
            book.there.insert(node.clone(), now);
        }
        let Some(dial) = book.by.get_mut(address) else { return };
        dial.busy = false;
        dial.answered |= member.is_some();
        if let Some(node) = node {
            dial.node = Some(node);
        }
        let wait = match wait {
            Some(wait) => {
                dial.failures = 0;
                dial.failing = None;
                wait
            }
            None => {
                dial.failing.get_or_insert(now);
                if dial.hopeful(now) && expected.is_none_or(|node| dial.node.as_ref() == Some(node)) {
                    soon(limits)
                } else {
                    dial.failures = dial.failures.saturating_add(1);
                    later(limits, dial.failures)
                }
            }
        };
        dial.next = now + wait;
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
            let pairing = pairing::join(inner, &mut wire, &peer, &key, address, true);
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
        Failed::Unmet(peer, unmet) if matches!(unmet, Unmet::Twins(_)) || inner.is_twin(&peer.node, &unmet) => {
            inner.troubles.fine(address);
            return (Some(peer.node), None);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, addresses: usize) -> Known {
        let addresses = (0..addresses).map(|n| format!("{name}{n}:1")).collect();
        Known { node: NodeId::new(name), name: name.into(), addresses }
    }

    /// As if it had been dialled, in vain.
    fn fails(dials: &Dials, address: &str, node: &NodeId) {
        dials.due(address, Some(node), &|_| false).unwrap();
        let mut book = dials.book();
        let dial = book.by.get_mut(address).unwrap();
        (dial.busy, dial.failures) = (false, dial.failures + 1);
    }

    #[test]
    fn members_that_are_gone_crowd_nobody_out() {
        let dials = Dials::default();
        let mut members: Vec<Known> = (0..300).map(|n| member(&format!("dead{n:03}-"), 8)).collect();
        members.push(member("z", 2));
        for gone in &members[..300] {
            gone.addresses.iter().for_each(|address| fails(&dials, address, &gone.node));
        }
        let found: Vec<String> = (0..300).map(|n| format!("found{n}:1")).collect();
        let chosen = || choose(vec!["named:1".into()], dials.in_turn(&members), found.clone());
        let first = |chosen: &[(String, _)]| [chosen[0].0.clone(), chosen[1].0.clone()];
        assert_eq!((chosen().len(), first(&chosen())), (CANDIDATES, ["named:1".to_owned(), "z0:1".to_owned()]));
        assert_eq!(chosen().iter().filter(|(address, _)| address.starts_with("found")).count(), FOUND);
        fails(&dials, "z0:1", &members[300].node);
        assert_eq!(first(&chosen())[1], "z1:1", "its other address");
        // All of them get their turn, those first that were tried least.
        let mut tried = HashSet::new();
        for _ in 0..30 {
            for (address, node) in dials.in_turn(&members).into_iter().take(150) {
                fails(&dials, &address, &node);
                tried.insert(address);
            }
        }
        assert!(tried.len() > 2000, "{}", tried.len());
    }

    #[test]
    fn who_was_there_last_is_dialled_first_and_two_connections_are_made_at_once() {
        let (dials, limits) = (Dials::default(), Limits::default());
        let members = [member("a", 3), member("b", 1), member("c", 1)];
        dials.lost(&members[1].node, &limits);
        dials.lost(&members[2].node, &limits);
        let order: Vec<String> = dials.in_turn(&members).into_iter().map(|(address, _)| address).collect();
        assert_eq!(order, ["c0:1", "b0:1", "a0:1", "a1:1", "a2:1"]);
        let due = |address| dials.due(address, Some(&members[0].node), &|_| false);
        assert_eq!((due("a0:1"), due("a1:1"), due("a2:1")), (Ok(0), Ok(1), Err(None)));
    }

    #[test]
    fn there_is_hope_for_a_minute() {
        let start = Instant::now();
        let mut dial =
            Dial { busy: false, expected: None, next: start, failures: 0, answered: true, failing: None, node: None };
        assert!(dial.hopeful(start));
        dial.failing = Some(start);
        assert!(dial.hopeful(start + HOPE / 2) && !dial.hopeful(start + HOPE));
    }
}
