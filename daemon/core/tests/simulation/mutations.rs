//! Whether the simulation would notice a broken rule: each is broken, and must be found within a number of seeds.
//!
//! Run alone, since a rule is broken for the whole process: `just simulate-mutations`.

use metaopt_schema::mutations::{Mutation, set};

use crate::{one, scenario, too_often};

/// Where a broken rule shows.
fn shows_in(mutation: Mutation) -> &'static [&'static str] {
    match mutation {
        Mutation::OrphanAtOnce => &["links", "partitions"],
        Mutation::NoYielding | Mutation::IgnoreKept => &["long-jobs"],
        Mutation::CountTheLater => &["partitions", "crashes"],
        Mutation::NoSettling => &["contended"],
        Mutation::AnswerEarly => &["crashes", "disks"],
        Mutation::MinorityGivesUp => &["partitions", "one-way"],
        Mutation::WallClock => &["clocks"],
        Mutation::SkipOwnership | Mutation::NoTurns => &["calm-16"],
        Mutation::IgnoreShares => &["partitions", "links"],
        Mutation::ReuseNumbers => &["crashes"],
        Mutation::NoRelaying => &["one-way"],
        Mutation::SendEarly => &["disks", "crashes"],
        Mutation::HearStrangers => &["rogues"],
    }
}

/// The first seed that fails, or until which what may happen happened too often.
fn notice(name: &str, most: u64) -> Option<String> {
    let scenario = scenario::named(name).unwrap();
    let mut runs = Vec::new();
    for seed in 0..most {
        match one(&scenario, seed) {
            Ok(run) => runs.push(run),
            Err(what) => {
                let what: String = what.lines().next().unwrap_or_default().chars().take(110).collect();
                return Some(format!("seed {seed}: {what}"));
            }
        }
        if let Some(what) = too_often(&runs) {
            return Some(what);
        }
    }
    None
}

#[test]
fn broken_rules_are_noticed() {
    let most = crate::number("METAOPT_SIM_SEEDS").unwrap_or(200);
    let mut unnoticed = Vec::new();
    let only = std::env::var("METAOPT_SIM_MUTATION").ok();
    for mutation in Mutation::ALL.into_iter().filter(|m| only.as_ref().is_none_or(|o| format!("{m:?}") == *o)) {
        set(Some(mutation));
        let found = shows_in(mutation).iter().find_map(|name| Some((name, notice(name, most)?)));
        set(None);
        match found {
            Some((name, what)) => println!("{mutation:?}: `{name}`, {what}"),
            None => unnoticed.push(mutation),
        }
    }
    assert!(unnoticed.is_empty(), "within {most} seeds nothing was noticed of {unnoticed:?}");
}
