//! One collection: look, plan, remove.
//!
//! Owns: the order of looks and locks that keeps a removal from meeting a launch. Must not: decide what goes; the plan does.
//!
//! The plan is made from a look at the disk and one at the node, and both grow old. So each thing is looked at again and
//! moved out of the way while the node's lock is held: what is retried, reported on or submitted afterwards finds it gone.

use std::{collections::BTreeSet, fs, io};

use metaopt_schema::TrialId;

use super::{
    Freed, Sweep, Tools,
    aside::{self, set_aside},
    inventory::{Found, Inventory, Of},
    plan::{self, Item, Situation, Standing, Why},
    policy::Kind,
    record::{self, Collected},
    standing::Known,
};
use crate::{
    exec::record as layout,
    platform::{files::free_space, now_ms},
};

/// Collects, or with `dry_run` only says what would be collected. Blocking.
pub fn sweep(tools: &Tools, dry_run: bool) -> Sweep {
    let disk = free_space(&tools.data);
    let mut inventory = Inventory::take(&tools.data);
    let (known, items, damaged) = tools.shell.read(|node, now| {
        let known = Known::look(node, now, &inventory);
        let items: Vec<Item> =
            inventory.found.iter().map(|found| item(found, known.standing(node, &inventory, found))).collect();
        (known, items, !node.damaged().is_empty() || node.skipped_facts() > 0)
    });
    let mut notes = std::mem::take(&mut inventory.notes);
    let lost = inventory.found.iter().any(|found| found.kind == Kind::Corrupt);
    if lost || damaged {
        notes.push(
            "trials that this node doesn't know are left alone: part of its database could not be read".to_owned(),
        );
    }
    if lost {
        notes.push(
            "a database that could not be read lies in the data directory; remove it by hand when nobody needs it"
                .to_owned(),
        );
    }
    let situation = Situation {
        now_ms: now_ms(),
        uncertain: lost || damaged,
        short_of: disk.map_or(0, |(free, total)| short_of(free, total, tools.policy.low_disk)),
    };
    let plan = plan::plan(&items, &tools.policy, &situation);
    let mut out = Sweep { at_ms: situation.now_ms, dry_run, disk, notes, freed: Vec::new(), failed: Vec::new(), items };
    let mut tidy = BTreeSet::new();
    for (i, why) in plan.into_iter().enumerate() {
        let Some(why) = why else { continue };
        let found = &inventory.found[i];
        let removed = dry_run
            || match remove(tools, &inventory, &known, found, situation.now_ms, i) {
                Ok(removed) => removed,
                Err(error) => {
                    out.failed.push((found.path.clone(), error.to_string()));
                    false
                }
            };
        if removed {
            out.freed.push(Freed { item: i, why });
            if let (Of::Trial(trial), Kind::Checkpoints | Kind::Outputs) = (&found.of, found.kind) {
                tidy.insert(trial.clone());
            }
        }
    }
    if !dry_run {
        for (n, trial) in tidy.into_iter().enumerate() {
            if let Err(error) = tidy_up(tools, &inventory, &known, &trial, situation.now_ms, plan_end(&out, n)) {
                out.failed.push((format!("trials of {trial}"), error.to_string()));
            }
        }
        if let Err(error) = record::add(&tools.data, &told(tools, &out)) {
            out.notes.push(format!("what was collected could not be noted: {error}"));
        }
    }
    out
}

/// Numbers after those of the items.
fn plan_end(out: &Sweep, n: usize) -> usize {
    out.items.len() + n
}

fn item(found: &Found, standing: Standing) -> Item {
    Item { path: found.path.clone(), kind: found.kind, bytes: found.bytes, modified_ms: found.modified_ms, standing }
}

/// Removes one thing; false: it has come into use meanwhile.
fn remove(
    tools: &Tools,
    inventory: &Inventory,
    known: &Known,
    found: &Found,
    at_ms: u64,
    n: usize,
) -> io::Result<bool> {
    let name = aside::name(at_ms, n);
    let mut gone = None;
    let moved = match &found.of {
        // Their time is that of a record within; whether they are in use is asked under the executor's own lock.
        Of::Environment(key) => tools.executor.retire_environment(key, || {
            gone = Some(set_aside(&tools.data, &found.path, &name, None)?);
            Ok(())
        }),
        Of::Nothing => {
            gone = Some(tools.data.join(&found.path));
            Ok(true)
        }
        Of::Trial(_) | Of::Snapshot(_) | Of::Checkpoint(_) => tools.shell.read(|node, _| {
            if matches!(known.standing(node, inventory, found), Standing::Needed | Standing::Best) {
                return Ok(false);
            }
            gone = Some(set_aside(&tools.data, &found.path, &name, Some(found.modified_ms))?);
            Ok(true)
        }),
    };
    match (moved, gone) {
        (Ok(true), Some(gone)) => aside::remove(&gone).map(|()| true),
        (Ok(_), _) => Ok(false),
        (Err(error), _) if matches!(error.kind(), io::ErrorKind::ResourceBusy | io::ErrorKind::NotFound) => Ok(false),
        (Err(error), _) => Err(error),
    }
}

/// Removes a trial's directory once there is nothing in it but its owner's name.
fn tidy_up(
    tools: &Tools,
    inventory: &Inventory,
    known: &Known,
    trial: &TrialId,
    at_ms: u64,
    n: usize,
) -> io::Result<()> {
    let owner = layout::Layout::new(&tools.data).owner(trial);
    let Some((dir, name)) = owner.parent().and_then(|dir| Some((dir, dir.file_name()?.to_str()?))) else {
        return Ok(());
    };
    let gone = tools.shell.read(|node, _| {
        let bare = fs::read_dir(dir)?.flatten().all(|entry| entry.file_name() == layout::OWNER);
        if !bare || known.of_trial(node, inventory, trial) == Standing::Needed {
            return Ok(None);
        }
        set_aside(&tools.data, &format!("trials/{name}"), &aside::name(at_ms, n), None).map(Some)
    });
    match gone {
        Ok(Some(gone)) => aside::remove(&gone),
        Ok(None) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// What to tell those who look for it: logs and what trials kept.
fn told(tools: &Tools, sweep: &Sweep) -> Vec<Collected> {
    let of = |freed: &Freed| {
        let item = &sweep.items[freed.item];
        let asked_for = matches!(item.kind, Kind::Logs | Kind::Outputs) && freed.why != Why::Deleted && item.bytes > 0;
        let why = record::words(freed.why, item.kind, tools.policy.limit(item.kind));
        asked_for.then(|| Collected::new(sweep.at_ms, &item.path, why))
    };
    sweep.freed.iter().filter_map(of).collect()
}

/// Bytes that a low disk lacks; twice the bound is wanted, so that it isn't low again with the next file.
pub fn short_of(free: u64, total: u64, low: Option<u64>) -> u64 {
    const MOST: u64 = 5 << 30;
    let low = low.unwrap_or((total / 20).min(MOST));
    if free < low { (2 * low).saturating_sub(free) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_low_below_a_twentieth_of_it_or_five_gib() {
        const GIB: u64 = 1 << 30;
        assert_eq!(short_of(2 * GIB, 20 * GIB, None), 0);
        assert_eq!(short_of(GIB / 2, 20 * GIB, None), 2 * GIB - GIB / 2);
        assert_eq!(short_of(4 * GIB, 1000 * GIB, None), 6 * GIB);
        assert_eq!(short_of(6 * GIB, 1000 * GIB, None), 0);
        assert_eq!(short_of(6 * GIB, 1000 * GIB, Some(10 * GIB)), 14 * GIB);
    }
}
