//! What to remove, and why: a pure function of what there is, what it belongs to, and the limits.
//!
//! Owns: the order in which things go. Must not: look at the disk, the node or a clock.
//!
//! Laws (tested): nothing that is needed, best or corrupt goes; the answer doesn't depend on the order of the items; a
//! second plan over what stays removes nothing; a quota takes the oldest first and no more than it must.

use std::time::Duration;

use super::policy::{Kind, Policy};

/// What is as young as this goes for its age or its study's deletion, not for lack of room: somebody may be looking at it.
pub const REST: Duration = Duration::from_secs(3600);

/// What is given up when the disk is low, and in which order: only what can be made again or was of use to an end that came.
const UNDER_PRESSURE: [Kind; 3] = [Kind::Environments, Kind::Snapshots, Kind::Checkpoints];

/// What an item belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// A running, waiting or paused trial, or a study that can't go on without it.
    Needed,
    /// The best trial of its study, or one of its Pareto front.
    Best,
    /// An ended trial, or nothing that is going on.
    Ended,
    /// A study that was deleted.
    Deleted,
    /// Nobody knows it: a trial of a database that was lost, perhaps.
    Unknown,
}

/// One thing that can be removed as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Beneath the data directory; no two are the same.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Its size, with all that is in it.
    pub bytes: u64,
    /// Its last change or use, in milliseconds since 1970.
    pub modified_ms: u64,
    /// What it belongs to.
    pub standing: Standing,
}

/// Why something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Its study was deleted.
    Deleted,
    /// It is older than its kind is kept.
    Age,
    /// Its kind has more than its quota.
    Quota,
    /// The disk is low.
    Disk,
}

/// How things are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Situation {
    /// Milliseconds since 1970.
    pub now_ms: u64,
    /// Trials may exist that the node doesn't know (a database was lost, or can't be read in full): what nobody knows stays.
    pub uncertain: bool,
    /// Bytes that the disk lacks.
    pub short_of: u64,
}

/// Why each item goes; none: it stays.
pub fn plan(items: &[Item], policy: &Policy, now: &Situation) -> Vec<Option<Why>> {
    let mut out: Vec<Option<Why>> = items.iter().map(|item| at_once(item, policy, now)).collect();
    for kind in Kind::ALL {
        let Some(quota) = policy.limit(kind).quota else { continue };
        let of_kind = items.iter().enumerate().filter(|(i, item)| item.kind == kind && out[*i].is_none());
        let mut left: u64 = of_kind.map(|(_, item)| item.bytes).sum();
        for i in oldest(items, kind, now) {
            if left <= quota {
                break;
            }
            if out[i].is_none() {
                out[i] = Some(Why::Quota);
                left -= items[i].bytes;
            }
        }
    }
    let freed: u64 = items.iter().zip(&out).filter(|(_, why)| why.is_some()).map(|(item, _)| item.bytes).sum();
    let mut lacking = now.short_of.saturating_sub(freed);
    for i in UNDER_PRESSURE.into_iter().flat_map(|kind| oldest(items, kind, now)) {
        if lacking == 0 {
            break;
        }
        if out[i].is_none() && items[i].bytes > 0 {
            out[i] = Some(Why::Disk);
            lacking = lacking.saturating_sub(items[i].bytes);
        }
    }
    out
}

/// Whether an item may be removed at all.
pub fn may(item: &Item, now: &Situation) -> bool {
    match (item.kind, item.standing) {
        (Kind::Corrupt, _) | (_, Standing::Needed | Standing::Best) => false,
        // A crash's leftovers belong to nobody.
        (Kind::Leftovers, _) => true,
        (_, Standing::Unknown) => !now.uncertain,
        (_, Standing::Ended | Standing::Deleted) => true,
    }
}

fn age(item: &Item, now: &Situation) -> Duration {
    // A clock that was set back makes nothing old.
    Duration::from_millis(now.now_ms.saturating_sub(item.modified_ms))
}

fn at_once(item: &Item, policy: &Policy, now: &Situation) -> Option<Why> {
    if !may(item, now) {
        return None;
    }
    if item.standing == Standing::Deleted {
        return Some(Why::Deleted);
    }
    let limit = policy.limit(item.kind).age?;
    (age(item, now) > limit).then_some(Why::Age)
}

/// Items of a kind that may go for want of room, oldest first.
fn oldest(items: &[Item], kind: Kind, now: &Situation) -> Vec<usize> {
    let fits = |item: &Item| item.kind == kind && may(item, now) && age(item, now) >= REST;
    let mut found: Vec<usize> = (0..items.len()).filter(|i| fits(&items[*i])).collect();
    found.sort_by(|a, b| (items[*a].modified_ms, &items[*a].path).cmp(&(items[*b].modified_ms, &items[*b].path)));
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::{super::policy::Limit, *};

    const NOW: u64 = 1_800_000_000_000;
    const HOUR: u64 = 3_600_000;

    fn standing() -> impl Strategy<Value = Standing> {
        use Standing::{Best, Deleted, Ended, Needed, Unknown};
        proptest::sample::select(vec![Needed, Best, Ended, Ended, Ended, Deleted, Unknown])
    }

    fn items() -> impl Strategy<Value = Vec<Item>> {
        let kind = proptest::sample::select(Kind::ALL.to_vec());
        // Some lie in the future, many are young, and ties are common.
        let one = (kind, 0u64..40, -3i64..200, standing());
        proptest::collection::vec(one, 0..40).prop_map(|all| {
            let made = |(i, (kind, bytes, hours, standing)): (usize, (Kind, u64, i64, Standing))| {
                let modified_ms = NOW.saturating_add_signed(-hours * HOUR as i64);
                Item { path: format!("{i}"), kind, bytes, modified_ms, standing }
            };
            all.into_iter().enumerate().map(made).collect()
        })
    }

    fn policy() -> impl Strategy<Value = Policy> {
        let limit = (proptest::option::of(0u64..150), proptest::option::of(0u64..200));
        proptest::collection::vec(limit, Kind::ALL.len()).prop_map(|limits| {
            let limit = |(hours, quota): (Option<u64>, Option<u64>)| Limit {
                age: hours.map(|h| Duration::from_secs(h * 3600)),
                quota,
            };
            Kind::ALL.into_iter().zip(limits).fold(Policy::default(), |p, (kind, given)| p.with(kind, limit(given)))
        })
    }

    fn situation() -> impl Strategy<Value = Situation> {
        let short = prop_oneof![3 => Just(0), 1 => 0u64..500];
        (any::<bool>(), short).prop_map(|(uncertain, short_of)| Situation { now_ms: NOW, uncertain, short_of })
    }

    proptest! {
        #[test]
        fn what_is_needed_best_or_corrupt_stays_whatever_the_limits(
            items in items(), policy in policy(), now in situation(),
        ) {
            for (item, why) in items.iter().zip(plan(&items, &policy, &now)) {
                if matches!(item.standing, Standing::Needed | Standing::Best) || item.kind == Kind::Corrupt {
                    prop_assert_eq!(why, None, "{:?}", item);
                }
                if now.uncertain && item.standing == Standing::Unknown && item.kind != Kind::Leftovers {
                    prop_assert_eq!(why, None, "{:?}", item);
                }
            }
        }

        #[test]
        fn what_was_deleted_or_is_too_old_goes_and_says_so(items in items(), policy in policy(), now in situation()) {
            for (item, why) in items.iter().zip(plan(&items, &policy, &now)) {
                let old = policy.limit(item.kind).age.is_some_and(|limit| age(item, &now) > limit);
                if may(item, &now) && item.standing == Standing::Deleted {
                    prop_assert_eq!(why, Some(Why::Deleted));
                } else if may(item, &now) && old {
                    prop_assert_eq!(why, Some(Why::Age));
                } else {
                    prop_assert!(!matches!(why, Some(Why::Deleted | Why::Age)));
                }
            }
        }

        #[test]
        fn a_quota_is_kept_by_the_oldest_and_by_no_more_than_it_takes(
            items in items(), policy in policy(), uncertain in any::<bool>(),
        ) {
            let now = Situation { now_ms: NOW, uncertain, short_of: 0 };
            let plan = plan(&items, &policy, &now);
            for kind in Kind::ALL {
                let of_kind: Vec<_> = items.iter().zip(&plan).filter(|(item, _)| item.kind == kind).collect();
                let kept: u64 = of_kind.iter().filter(|(_, why)| why.is_none()).map(|(item, _)| item.bytes).sum();
                let could: Vec<_> = of_kind
                    .iter()
                    .filter(|(item, why)| why.is_none() && may(item, &now) && age(item, &now) >= REST)
                    .collect();
                let gone: Vec<_> = of_kind.iter().filter(|(_, why)| **why == Some(Why::Quota)).collect();
                match policy.limit(kind).quota {
                    None => prop_assert!(gone.is_empty()),
                    Some(quota) => prop_assert!(kept <= quota || could.is_empty(), "{kind}: {kept} of {quota}"),
                }
                let Some(last) = gone.iter().max_by_key(|(item, _)| (item.modified_ms, &item.path)) else { continue };
                prop_assert!(kept + last.0.bytes > policy.limit(kind).quota.unwrap(), "one too many went");
                for (item, _) in could {
                    prop_assert!((item.modified_ms, &item.path) > (last.0.modified_ms, &last.0.path), "not the oldest");
                }
            }
        }

        #[test]
        fn a_low_disk_takes_what_can_be_made_again_until_it_is_enough(items in items(), short_of in 1u64..300) {
            let never = Limit { age: None, quota: None };
            let policy = Kind::ALL.into_iter().fold(Policy::default(), |p, kind| p.with(kind, never));
            let now = Situation { now_ms: NOW, uncertain: false, short_of };
            let plan = plan(&items, &policy, &now);
            let sum = |wanted: &dyn Fn(&Item, Option<Why>) -> bool| -> u64 {
                items.iter().zip(&plan).filter(|(item, why)| wanted(item, **why)).map(|(item, _)| item.bytes).sum()
            };
            let freed = sum(&|_, why| why.is_some());
            let left = sum(&|item, why| {
                why.is_none() && may(item, &now) && age(item, &now) >= REST && UNDER_PRESSURE.contains(&item.kind)
            });
            prop_assert!(freed >= short_of || left == 0, "{freed} of {short_of} freed, {left} left");
            for (item, why) in items.iter().zip(&plan) {
                prop_assert!(*why != Some(Why::Disk) || UNDER_PRESSURE.contains(&item.kind), "{item:?}");
            }
        }

        #[test]
        fn the_order_of_items_does_not_matter_and_a_second_plan_removes_nothing(
            items in items().prop_shuffle(), policy in policy(), now in situation(),
        ) {
            let gone = |items: &[Item]| -> BTreeSet<(String, Why)> {
                let plan = plan(items, &policy, &now);
                items.iter().zip(plan).filter_map(|(item, why)| Some((item.path.clone(), why?))).collect()
            };
            let first = gone(&items);
            let mut sorted = items.clone();
            sorted.sort_by(|a, b| a.path.cmp(&b.path));
            prop_assert_eq!(&gone(&sorted), &first);
            let paths: BTreeSet<_> = first.iter().map(|(path, _)| path.clone()).collect();
            let rest: Vec<_> = items.iter().filter(|item| !paths.contains(&item.path)).cloned().collect();
            let freed: u64 = items.iter().filter(|item| paths.contains(&item.path)).map(|item| item.bytes).sum();
            let later = Situation { short_of: now.short_of.saturating_sub(freed), ..now };
            prop_assert!(plan(&rest, &policy, &later).iter().all(Option::is_none));
        }
    }
}
