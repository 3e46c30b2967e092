//! The members of the cluster as their facts make them.

use std::collections::BTreeMap;

use crate::{
    Lamport, NodeId, Stamp, StudyId,
    facts::{ClusterFact, Hardware, NodeEdit, NodeRecord},
};

/// One member.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    /// Its identity.
    pub id: NodeId,
    /// How it joined; none when only its hardware is known yet.
    pub record: Option<NodeRecord>,
    /// What it last said of itself.
    pub hardware: Hardware,
    /// Removed for ever (remove wins).
    pub removed: bool,
    /// Starts nothing new.
    pub draining: bool,
    /// Starts nothing new, since what it fails succeeds elsewhere.
    pub quarantined: bool,
    /// Given up by a person, until it says something again.
    pub lost: bool,
    said: Lamport,
    edits: BTreeMap<(Lamport, NodeId), NodeEdit>,
}

/// The cluster document's view.
#[derive(Clone, Debug, Default)]
pub struct ClusterView {
    /// By ID, removed ones too.
    pub nodes: BTreeMap<NodeId, NodeView>,
    /// Studies listed, with their creation.
    pub studies: BTreeMap<StudyId, (NodeId, Stamp)>,
}

impl ClusterView {
    fn node(&mut self, id: &NodeId) -> &mut NodeView {
        self.nodes.entry(id.clone()).or_insert_with(|| NodeView {
            id: id.clone(),
            record: None,
            hardware: Hardware::default(),
            removed: false,
            draining: false,
            quarantined: false,
            lost: false,
            said: 0,
            edits: BTreeMap::new(),
        })
    }

    pub(super) fn fold(&mut self, fact: &ClusterFact) {
        match fact {
            // Each of both sides wrote it down, and the node itself: the first counts.
            ClusterFact::Joined(record) => {
                let known = &mut self.node(&record.node).record;
                let key = |record: &NodeRecord| (record.at.clone(), record.public_key.clone());
                if known.as_ref().is_none_or(|known| key(record) < key(known)) {
                    *known = Some(record.clone());
                }
            }
            ClusterFact::Hardware { node, lamport, hardware } => {
                let view = self.node(node);
                if *lamport >= view.said {
                    view.said = *lamport;
                    view.hardware = hardware.clone();
                }
                view.derive();
            }
            ClusterFact::Listed { study, node, at } => {
                self.studies.insert(study.clone(), (node.clone(), at.clone()));
            }
            ClusterFact::NodeEdit { node, lamport, by, edit } => {
                let view = self.node(node);
                view.edits.insert((*lamport, by.clone()), *edit);
                view.derive();
            }
        }
    }
}

impl NodeView {
    fn derive(&mut self) {
        self.removed = self.edits.values().any(|e| *e == NodeEdit::Removed);
        let last = |a: NodeEdit, b: NodeEdit| self.edits.iter().rev().find(|(_, e)| **e == a || **e == b);
        self.draining = last(NodeEdit::Drain, NodeEdit::Resume).is_some_and(|(_, e)| *e == NodeEdit::Drain);
        self.quarantined =
            last(NodeEdit::Quarantine, NodeEdit::Resume).is_some_and(|(_, e)| *e == NodeEdit::Quarantine);
        self.lost =
            last(NodeEdit::Lost, NodeEdit::Resume).is_some_and(|((at, _), e)| *e == NodeEdit::Lost && *at > self.said);
    }
}
