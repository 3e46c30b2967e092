//! Rules that the simulation breaks on purpose, to show that it would notice (docs/simulation.md). Without the feature
//! `mutations`, which nothing shipped turns on, every question here is the constant `false`.

/// A broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mutation {
    /// Silent holders are given up as soon as they are suspected.
    OrphanAtOnce = 1,
    /// Of two attempts that run, neither gives way.
    NoYielding,
    /// The latest complete attempt counts.
    CountTheLater,
    /// Contended claims start at once.
    NoSettling,
    /// What a holder says after it was given up is ignored.
    IgnoreKept,
    /// Calls are answered before what they wrote is stored.
    AnswerEarly,
    /// A minority gives up like a majority.
    MinorityGivesUp,
    /// Silence is measured by the wall clock.
    WallClock,
    /// Nodes propose as if they were alone.
    SkipOwnership,
    /// A strict budget is spent like a soft one.
    IgnoreShares,
    /// A retry takes the number of the attempt before it.
    ReuseNumbers,
    /// Nobody tells of nodes that others can't hear.
    NoRelaying,
    /// What is not stored yet is sent to peers.
    SendEarly,
    /// Frames of who is no member are taken like a member's.
    HearStrangers,
    /// Everybody proposes the last trials of a budget at once.
    NoTurns,
}

impl Mutation {
    /// All.
    pub const ALL: [Self; 15] = [
        Self::OrphanAtOnce,
        Self::NoYielding,
        Self::CountTheLater,
        Self::NoSettling,
        Self::IgnoreKept,
        Self::AnswerEarly,
        Self::MinorityGivesUp,
        Self::WallClock,
        Self::SkipOwnership,
        Self::IgnoreShares,
        Self::ReuseNumbers,
        Self::NoRelaying,
        Self::SendEarly,
        Self::HearStrangers,
        Self::NoTurns,
    ];
}

#[cfg(feature = "mutations")]
mod active {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::Mutation;

    static ACTIVE: AtomicU8 = AtomicU8::new(0);

    /// From now on this rule is broken, in the whole process; none: all hold.
    pub fn set(mutation: Option<Mutation>) {
        ACTIVE.store(mutation.map_or(0, |m| m as u8), Ordering::SeqCst);
    }

    /// Whether this rule is broken.
    pub fn breaks(mutation: Mutation) -> bool {
        ACTIVE.load(Ordering::Relaxed) == mutation as u8
    }
}

#[cfg(feature = "mutations")]
pub use active::{breaks, set};

/// Whether this rule is broken.
#[cfg(not(feature = "mutations"))]
#[inline(always)]
pub const fn breaks(_mutation: Mutation) -> bool {
    false
}
