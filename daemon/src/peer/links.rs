//! All links: one at most to each node.
//!
//! Owns: that, the order of `up` and `down`, and who is refused because two were seen at once. Must not: do I/O.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use metaopt_schema::NodeId;
use tokio::time::Instant;

use super::{
    Host,
    link::{Link, Seat},
};

#[derive(Default)]
struct Table {
    up: BTreeMap<NodeId, Arc<Link>>,
    /// Links about to be up, by their numbers.
    reserved: BTreeMap<NodeId, u64>,
    quarantine: BTreeMap<NodeId, (Instant, String)>,
}

#[derive(Default)]
pub(super) struct Links {
    table: Mutex<Table>,
    /// Held while a host is told, so that it hears of ups and downs in their order.
    telling: Mutex<()>,
    numbers: AtomicU64,
}

impl Links {
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Relaxed)
    }

    pub(super) fn get(&self, node: &NodeId) -> Option<Arc<Link>> {
        self.table().up.get(node).cloned()
    }

    pub(super) fn has(&self, node: &NodeId) -> bool {
        self.table().up.contains_key(node)
    }

    pub(super) fn all(&self) -> Vec<Arc<Link>> {
        self.table().up.values().cloned().collect()
    }

    /// A place for the link that this node decided on: none where another has it.
    pub(super) fn reserve(self: &Arc<Self>, link: Arc<Link>) -> Option<Seat> {
        let mut table = self.table();
        if table.up.contains_key(&link.node) || table.reserved.contains_key(&link.node) {
            return None;
        }
        table.reserved.insert(link.node.clone(), link.number);
        drop(table);
        Some(self.seat(link))
    }

    /// A place for the link that the other side decided on.
    pub(super) fn seat(self: &Arc<Self>, link: Arc<Link>) -> Seat {
        Seat { links: Arc::clone(self), link }
    }

    pub(super) fn unreserve(&self, link: &Link) {
        let mut table = self.table();
        if table.reserved.get(&link.node) == Some(&link.number) {
            table.reserved.remove(&link.node);
        }
    }

    /// The link is up, in place of an older one.
    pub(super) fn install(&self, link: &Arc<Link>, host: &Arc<dyn Host>) {
        let _telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.table().up.insert(link.node.clone(), Arc::clone(link));
        self.unreserve(link);
        if let Some(old) = old {
            old.end.cancel();
            host.down(&old.node);
        }
        host.up(link.up());
    }

    /// The link is gone, if it wasn't before.
    pub(super) fn end(&self, link: &Link, host: &Arc<dyn Host>) {
        let _telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        link.end.cancel();
        let mut table = self.table();
        if table.up.get(&link.node).is_some_and(|now| now.number == link.number) {
            table.up.remove(&link.node);
            drop(table);
            host.down(&link.node);
        }
    }

    pub(super) fn cut(&self, node: &NodeId) {
        if let Some(link) = self.get(node) {
            link.close();
        }
    }

    /// Two of this node were seen at once: neither is let in for a while.
    pub(super) fn quarantine(&self, node: &NodeId, words: String, time: Duration) {
        let mut table = self.table();
        table.quarantine.insert(node.clone(), (Instant::now() + time, words));
        if let Some(link) = table.up.get(node) {
            link.end.cancel();
        }
    }

    /// Why it is refused for now.
    pub(super) fn quarantined(&self, node: &NodeId) -> Option<String> {
        let mut table = self.table();
        table.quarantine.retain(|_, (until, _)| *until > Instant::now());
        table.quarantine.get(node).map(|(_, words)| words.clone())
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
