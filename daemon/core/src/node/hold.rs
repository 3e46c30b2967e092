//! Troubles of the machine that the node has to know of: no room, a failing disk, time in which nobody could be heard.
//!
//! Owns: why the node starts nothing new, and what it says of itself. Must not: look at disks or clocks.

use metaopt_schema::{AttemptKey, DocId};

use super::{META_COUNTER, Node};
use crate::{Now, effects::Effect};

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
        if !self.notices.contains(&text) {
            self.notices.push(text);
        }
    }

    /// Why the node is as it is, in words.
    pub(super) fn remarks(&self) -> Option<String> {
        let blamed = self.world.cluster.nodes.get(&self.config.id).is_some_and(|n| n.quarantined);
        let blame = self.blame.iter().filter(|_| blamed);
        let all: Vec<&str> = self.held.iter().chain(blame).chain(&self.notices).map(String::as_str).collect();
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
