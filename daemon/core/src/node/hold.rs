//! Troubles of the machine that the node has to know of: no room, a failing disk, time in which nobody could be heard.
//!
//! Owns: why the node starts nothing new, what it says of itself, and how long. Must not: look at disks or clocks.

use metaopt_schema::{AttemptKey, DocId, NodeId};

use super::{META_COUNTER, Node};
use crate::{Now, effects::Effect};

/// That a node came in without a code is said for a day (milliseconds).
const NEWCOMER_MS: u64 = 24 * 3_600_000;
/// A node linked for so long is one machine: a second one dials within half a minute, and both are cut (milliseconds).
const ALONE_MS: u64 = 60_000;
/// That a second machine runs as this node is said for so long after it was last seen (milliseconds).
const TWIN_MS: u64 = 300_000;

/// What a notice is about. It goes when that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// This machine, until the next start.
    Here,
    /// Two machines run as this node.
    Twins(NodeId),
    /// This node came in without a code.
    Newcomer(NodeId),
}

/// Something that people should know.
pub(super) struct Notice {
    about: About,
    text: String,
    /// When it was said last, monotonic.
    said: u64,
}

impl Node {
    /// From now on nothing new starts here, for this reason; none: it may again. What runs goes on, and reports and
    /// results are taken.
    pub fn hold(&mut self, now: Now, why: Option<String>) {
        self.held = why;
        self.dispatch(now);
    }

    /// Fills slots where something that was learnt may have freed one or brought a trial. Call it before a drain.
    pub fn go_on(&mut self, now: Now) {
        if std::mem::take(&mut self.wants_dispatch) {
            self.dispatch(now);
        }
    }

    /// Why nothing new starts here, if so.
    pub fn held(&self) -> Option<&str> {
        self.held.as_deref()
    }

    /// Something that people should know of this node until its next start.
    pub fn notice(&mut self, text: String) {
        self.notice_about(Now::default(), About::Here, text);
    }

    /// Something that people should know until it is over; of a node there is one notice of each kind.
    pub fn notice_about(&mut self, now: Now, about: About, text: String) {
        let same = |one: &&mut Notice| one.about == about && (about != About::Here || one.text == text);
        match self.notices.iter_mut().find(same) {
            Some(known) => (known.text, known.said) = (text, now.mono_ms),
            None => self.notices.push(Notice { about, text, said: now.mono_ms }),
        }
    }

    /// Drops what is over.
    pub(super) fn forget_notices(&mut self, now: Now) {
        let mut notices = std::mem::take(&mut self.notices);
        notices.retain(|Notice { about, said, .. }| match about {
            About::Here => true,
            About::Newcomer(node) => !self.is_removed(node) && now.mono_ms < said + NEWCOMER_MS,
            About::Twins(node) if *node == self.config.id => now.mono_ms < said + TWIN_MS,
            About::Twins(node) => !self.is_removed(node) && self.linked_for(now, node) < ALONE_MS,
        });
        self.notices = notices;
    }

    /// Notices of these kinds.
    pub(super) fn notices(&self, of: impl Fn(&About) -> bool) -> impl Iterator<Item = &str> {
        self.notices.iter().filter(move |one| of(&one.about)).map(|one| one.text.as_str())
    }

    /// Why the node is as it is, in words, as it shows it.
    pub(super) fn remarks(&self) -> Option<String> {
        self.remarks_with(|about| match about {
            About::Here => true,
            About::Twins(node) => *node == self.config.id,
            About::Newcomer(_) => false, // stands at the newcomer
        })
    }

    /// The same, as it tells others: who came in without a code is for all to know. Twins are seen by all who meet them.
    pub(super) fn remarks_for_others(&self) -> Option<String> {
        self.remarks_with(|about| !matches!(about, About::Twins(_)))
    }

    fn remarks_with(&self, of: impl Fn(&About) -> bool) -> Option<String> {
        let blamed = self.world.cluster.nodes.get(&self.config.id).is_some_and(|n| n.quarantined);
        let blame = self.blame.iter().filter(|_| blamed);
        let all: Vec<&str> = self.held.iter().chain(blame).map(String::as_str).chain(self.notices(of)).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// For so many milliseconds nobody could renew a lease: the daemon was stopped or waited for its disk. Leases are
    /// that much longer.
    pub fn away(&mut self, ms: u64) {
        for lease in self.leases.values_mut() {
            lease.expires = lease.expires.saturating_add(ms);
        }
    }

    /// All that has to be stored to lose nothing when the database is lost: documents whole, and the small values.
    #[allow(clippy::type_complexity, reason = "what `Store::fill` takes")]
    ///
    /// Curves that were on the disk alone are gone with it: their documents are forgotten, and people are told.
    pub fn everything(&mut self) -> (Vec<(DocId, Vec<u8>)>, Vec<(String, Vec<u8>)>) {
        let (docs, shelved) = self.all_docs();
        if !shelved.is_empty() {
            self.notice(format!("curves of finished trials are gone with the database ({} documents)", shelved.len()));
        }
        for id in &shelved {
            self.forget_doc(id);
        }
        (docs, vec![(META_COUNTER.to_owned(), self.counter.to_le_bytes().to_vec())])
    }

    /// An attempt is over whose end nothing more hangs on. Of one that no document knows (the database was lost) the
    /// files are all that is left of it, and are kept.
    pub(super) fn let_go(&mut self, key: &AttemptKey) {
        let known = self.world.trial(&key.trial).is_some();
        self.effect(if known { Effect::Finish(key.clone()) } else { Effect::SetAside(key.clone()) });
    }
}

#[cfg(test)]
mod tests {
    use metaopt_schema::{
        NodeId, StudyId,
        docs::{Actor, Doc},
        facts::{ClusterFact, Fact, Hardware, StudyFact},
        study::StudyEdit,
    };

    use super::*;
    use crate::NodeConfig;

    #[test]
    fn a_fact_that_its_document_refuses_takes_no_other_along() {
        let config = NodeConfig {
            id: NodeId::new("n"),
            public_key: String::new(),
            hardware: Hardware::default(),
            boot: 1,
            entropy: [1; 32],
            grace_s: 1.0,
            pause_grace_s: 1.0,
            timing: crate::Timing::default(),
            curve_bytes: 0,
        };
        let mut node =
            Node::load(config, Now::default(), Vec::new(), std::sync::Arc::new(crate::NoShelf), None).unwrap();
        node.drain();
        let study = StudyId::new("s");
        let edit = |text: &str, lamport| {
            let edit = StudyEdit::Note(text.into());
            Fact::Study(study.clone(), StudyFact::Edited { lamport, by: NodeId::new("n"), edit })
        };
        let hardware = Fact::Cluster(ClusterFact::Hardware {
            node: NodeId::new("n"),
            lamport: 9,
            hardware: Hardware { name: "kept".into(), ..Hardware::default() },
        });
        for fact in [edit("first", 1), edit("another under the same key", 1), edit("second", 2), hardware] {
            node.write(fact);
        }
        let output = node.drain();
        assert_eq!(output.refused.len(), 1, "{:?}", output.refused);
        // What was stored is whole: the next start reads it without a gap.
        let read = |id: DocId| {
            let changes: Vec<_> = output.changes.iter().filter(|(of, _)| *of == id).map(|(_, c)| c.clone()).collect();
            let doc = Doc::load(id, &Actor::new(&NodeId::new("m"), 1), None, &changes).unwrap();
            assert_eq!(doc.changes(), changes.len());
            doc.facts().facts
        };
        assert_eq!(read(DocId::Study(study.clone())), [edit("first", 1), edit("second", 2)]);
        assert_eq!(output.changes.iter().filter(|(id, _)| *id == DocId::Cluster).count(), 1, "the others went on");
    }
}
