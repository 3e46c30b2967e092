//! A strict budget over several nodes: each spends only what it holds, so that no partition can exceed it.
//!
//! Owns: who holds how much, and giving some away. Must not: be asked where the budget isn't strict.
//!
//! Escrow (O'Neil 1986): the study's creator holds all of it at first. A node that has none says so in its heartbeats,
//! and the one that holds most gives it a part, by a fact that it alone may write.

use std::collections::BTreeMap;

use metaopt_schema::{
    NodeId, StudyId,
    facts::{Fact, StudyFact},
    mutations::{Mutation, breaks},
    view::StudyView,
};

use super::Node;
use crate::Now;

/// Trials for each slot that a giver keeps, and that a taker gets at most.
const PER_SLOT: i64 = 2;

impl Node {
    /// What each node may still propose of a strict budget; none: the budget isn't strict, or has no end.
    fn balances(&self, study: &StudyView) -> Option<BTreeMap<NodeId, i64>> {
        let max = study.budget.max_trials.filter(|_| study.budget.strict)?;
        let mut balances: BTreeMap<NodeId, i64> = BTreeMap::new();
        *balances.entry(study.record.node.clone()).or_default() += max as i64;
        for (from, to, trials) in study.shares() {
            let trials = i64::try_from(trials).unwrap_or(i64::MAX);
            for (node, more) in [(from, -trials), (to, trials)] {
                let balance = balances.entry(node.clone()).or_default();
                *balance = balance.saturating_add(more);
            }
        }
        for (node, proposed) in study.proposed() {
            *balances.entry(node.clone()).or_default() -= proposed as i64;
        }
        // What a removed node held goes to who made the study, or to the first member.
        let lives = |node: &NodeId| !self.is_removed(node);
        let creator = Some(&study.record.node).filter(|node| lives(node));
        // Not by its ID: who joins later is to inherit nothing that the heir before it has spent.
        let oldest = || self.members().min_by_key(|n| (n.record.as_ref().map(|r| &r.at), &n.id)).map(|n| &n.id);
        if let Some(heir) = creator.or_else(oldest).cloned() {
            // Also what such a one had spent of another's: it is not to be spent twice.
            let left: i64 = balances.iter().filter(|(node, _)| !lives(node)).map(|(_, left)| left).sum();
            balances.retain(|node, _| lives(node));
            let balance = balances.entry(heir).or_default();
            *balance = balance.saturating_add(left);
        }
        // Who has spent more than it held (the budget was lowered, or made strict, meanwhile) spent what others hold.
        let mut over: i64 = balances.values().filter(|left| **left < 0).sum();
        for left in balances.values_mut() {
            if *left < 0 {
                *left = 0;
            } else {
                let taken = (*left).min(-over);
                *left -= taken;
                over += taken;
            }
        }
        Some(balances)
    }

    /// Trials that this node may still propose by itself: of a strict budget what it holds, else what is left of it.
    pub(super) fn may_propose(&self, study: &StudyView) -> Option<u64> {
        let left = super::propose::budget_left(study)?;
        let mine = self.balances(study).map(|b| b.get(&self.config.id).copied().unwrap_or(0).max(0) as u64);
        if breaks(Mutation::IgnoreShares) {
            return Some(left);
        }
        Some(mine.map_or(left, |mine| mine.min(left)))
    }

    /// Nothing of a study's strict budget is here, and something would run.
    pub(super) fn want_share(&mut self, now: Now, id: &StudyId) {
        self.peers.wants.insert(id.clone(), now.mono_ms);
    }

    /// A peer says that it would like a part of a study's budget.
    pub(super) fn give_share(&mut self, now: Now, to: &NodeId, id: &StudyId) {
        // Who doesn't know yet what it gave and spent gives nothing.
        if self.is_catching_up(now) {
            return;
        }
        let Some(study) = self.world.study(id).filter(|s| !s.deleted) else { return };
        let Some(balances) = self.balances(study) else { return };
        let has = |node: &NodeId| balances.get(node).copied().unwrap_or(0);
        let me = &self.config.id;
        let slots =
            |node: &NodeId| self.world.cluster.nodes.get(node).map_or(1, |n| n.hardware.slots.len().max(1)) as i64;
        // The one that holds most gives, so that one want isn't met many times.
        let richest = self.alive(now).map(|n| &n.id).max_by_key(|node| (has(node), std::cmp::Reverse((*node).clone())));
        if has(to) > 0 || richest != Some(me) || to == me {
            return;
        }
        let spare = has(me) - if has(me) > 2 * slots(me) * PER_SLOT { slots(me) * PER_SLOT } else { has(me) / 2 };
        let trials = spare.min(slots(to) * PER_SLOT);
        if trials <= 0 {
            return;
        }
        let nth = study.shares().filter(|(from, receiver, _)| *from == me && *receiver == to).count() as u32;
        let fact = StudyFact::Share { from: me.clone(), to: to.clone(), nth, trials: trials as u64 };
        self.write(Fact::Study(id.clone(), fact));
    }
}
