//! Whether the simulation would notice a broken rule: each is broken, and must be found within a number of seeds.
//!
//! Run alone, since a rule is broken for the whole process: `just simulate-mutations`.

use metaopt_schema::mutations::{Mutation, set};

use crate::{one, scenario};

/// Where a broken rule shows.
fn shows_in(mutation: Mutation) -> &'static [&'static str] {
    match mutation {
        Mutation::OrphanAtOnce => &["links", "partitions"],
        Mutation::NoYielding | Mutation::IgnoreKept => &["partitions", "one-way"],
        Mutation::CountTheLater => &["partitions", "crashes"],
        Mutation::NoSettling => &["contended"],
        Mutation::AnswerEarly => &["crashes", "disks"],
        Mutation::MinorityGivesUp => &["partitions", "one-way"],
        Mutation::WallClock => &["clocks"],
        Mutation::SkipOwnership => &["calm"],
        Mutation::IgnoreShares => &["partitions", "links"],
        Mutation::ReuseNumbers => &["crashes"],
        Mutation::NoRelaying => &["one-way"],
        Mutation::SendEarly => &["disks", "crashes"],
    }
}

#[test]
fn broken_rules_are_noticed() {
    let most = crate::number("METAOPT_SIM_SEEDS").unwrap_or(60);
    let mut unnoticed = Vec::new();
    for mutation in Mutation::ALL {
        set(Some(mutation));
        let tries = shows_in(mutation).iter().flat_map(|name| (0..most).map(move |seed| (*name, seed)));
        let found =
            tries.map(|(name, seed)| (name, seed, one(&scenario::named(name).unwrap(), seed))).find(|t| t.2.is_err());
        set(None);
        match found {
            Some((name, seed, Err(what))) => {
                let what: String = what.lines().next().unwrap_or_default().chars().take(110).collect();
                println!("{mutation:?}: `{name}`, seed {seed}: {what}");
            }
            _ => unnoticed.push(mutation),
        }
    }
    assert!(unnoticed.is_empty(), "within {most} seeds nothing was noticed of {unnoticed:?}");
}
