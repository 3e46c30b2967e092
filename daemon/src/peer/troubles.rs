//! Why nodes and addresses aren't linked.
//!
//! Owns: these sentences, and since when they hold. Must not: grow with what strangers do.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use metaopt_schema::NodeId;
use tokio::time::Instant;

use super::Trouble;

/// Most at once.
const MOST: usize = 256;
/// Most of these about nodes that aren't members and dialled in: they can have as many identities as they like.
const STRANGERS: usize = 32;
/// After this time without a repetition it is over: addresses are dialled more often.
const STALE: Duration = Duration::from_secs(90);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    Address(String),
    Node(NodeId),
}

/// What is wrong, when it was said last, and the stranger that it is about.
type Said = (Trouble, Instant, Option<NodeId>);

#[derive(Default)]
pub(super) struct Troubles(Mutex<BTreeMap<About, Said>>);

impl Troubles {
    /// One sentence an address, or a node where there is no address.
    pub(super) fn set(&self, node: Option<&NodeId>, address: Option<&str>, text: String) {
        self.set_at((node, None), address, text, Instant::now());
    }

    fn set_at(
        &self,
        (node, stranger): (Option<&NodeId>, Option<&NodeId>),
        address: Option<&str>,
        text: String,
        now: Instant,
    ) {
        let about = match (address, node) {
            (Some(address), _) => About::Address(address.to_owned()),
            (None, Some(node)) => About::Node(node.clone()),
            (None, None) => return,
        };
        let mut all = self.all(now);
        if let Some((trouble, seen, _)) = all.get_mut(&about).filter(|(trouble, ..)| trouble.text == text) {
            *seen = now;
            trouble.node = node.cloned().or(trouble.node.take());
            return;
        }
        if all.len() >= MOST && !all.contains_key(&about) {
            return;
        }
        // Later words about the same are to be had here, and would fill logs.
        if !all.contains_key(&about) {
            tracing::info!(node = node.map(ToString::to_string), address, "not linked: {text}");
        }
        let (node, address) = (node.cloned(), address.map(ToOwned::to_owned));
        all.insert(about, (Trouble { node, address, text, since: SystemTime::now() }, now, stranger.cloned()));
    }

    /// A stranger dialled in from there.
    pub(super) fn stranger(&self, from: &str, node: &NodeId, text: String) {
        let now = Instant::now();
        let strangers = self.all(now).values().filter(|(trouble, ..)| trouble.node.is_none()).count();
        if strangers < STRANGERS {
            self.set_at((None, Some(node)), Some(from), text, now);
        }
    }

    /// The node is linked; also one that was a stranger.
    pub(super) fn settled(&self, node: &NodeId) {
        let about_it = |(trouble, _, stranger): &Said| trouble.node.as_ref().or(stranger.as_ref()) == Some(node);
        self.all(Instant::now()).retain(|_, said| !about_it(said));
    }

    /// The address is fine.
    pub(super) fn fine(&self, address: &str) {
        self.all(Instant::now()).remove(&About::Address(address.to_owned()));
    }

    pub(super) fn list(&self) -> Vec<Trouble> {
        self.list_at(Instant::now())
    }

    fn list_at(&self, now: Instant) -> Vec<Trouble> {
        self.all(now).values().map(|(trouble, ..)| trouble.clone()).collect()
    }

    fn all(&self, now: Instant) -> MutexGuard<'_, BTreeMap<About, Said>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (_, seen, _)| now.saturating_duration_since(*seen) < STALE);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_lasts_from_its_first_word_until_it_is_settled_or_stale() {
        let (troubles, node, start) = (Troubles::default(), NodeId::new("n"), Instant::now());
        let later = |times: f64| start + STALE.mul_f64(times);
        troubles.set_at((Some(&node), None), Some("a:1"), "no route".into(), start);
        let first = troubles.list_at(start);
        troubles.set_at((Some(&node), None), Some("a:1"), "no route".into(), later(0.6));
        assert_eq!((troubles.list_at(later(1.5)), first.len()), (first, 1));
        assert!(troubles.list_at(later(1.7)).is_empty());
        troubles.set(Some(&node), Some("a:1"), "no route".into());
        troubles.stranger("10.0.0.1", &node, "it dialled from there before it joined".into());
        troubles.settled(&node);
        assert!(troubles.list().is_empty());
        for n in 0..1000 {
            troubles.stranger(&format!("10.0.0.{n}"), &NodeId::new("stranger"), "a stranger".into());
        }
        assert_eq!(troubles.list().len(), STRANGERS);
        for n in 0..1000 {
            troubles.set(Some(&node), Some(&format!("a:{n}")), "refused".into());
        }
        assert_eq!(troubles.list().len(), MOST);
    }
}
