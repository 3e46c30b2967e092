//! The store on a disk that fails at every single operation in turn, against a model of what was acknowledged.
//!
//! `METAOPT_CRASH_SEEDS=500 cargo test --release -p metaopt-daemon store::tests::crash` goes on for longer; every
//! failure names its seed and operation.

use std::{collections::BTreeMap, env, fs, path::Path};

use metaopt_schema::{DocId, docs::RawChange};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use super::{
    actor,
    disk::{Disk, Fault, pick},
    study,
};
use crate::store::{Opened, Store, StoreError};

/// What should be stored.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    snapshots: BTreeMap<DocId, Vec<u8>>,
    changes: BTreeMap<DocId, Vec<(String, u64, Vec<u8>)>>,
    meta: BTreeMap<String, Vec<u8>>,
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<(DocId, RawChange)>, u8),
    Snapshot(DocId, Vec<u8>, u64),
    Delete(DocId),
    Reopen,
}

const KEYS: [&str; 2] = ["counter", "other"];

impl Model {
    fn apply(&mut self, step: &Step) {
        match step {
            Step::Commit(changes, value) => {
                for (id, change) in changes {
                    let list = self.changes.entry(id.clone()).or_default();
                    list.push((format!("{:?}", change.actor), change.seq, change.bytes.to_vec()));
                    list.sort();
                }
                self.meta.insert(KEYS[usize::from(value % 2)].into(), vec![*value; 9]);
            }
            Step::Snapshot(id, bytes, covered) => {
                self.snapshots.insert(id.clone(), bytes.clone());
                let name = format!("{:?}", actor("n"));
                if let Some(list) = self.changes.get_mut(id) {
                    list.retain(|(by, seq, _)| *by != name || seq > covered);
                }
                self.changes.retain(|_, list| !list.is_empty());
            }
            Step::Delete(id) => {
                self.snapshots.remove(id);
                self.changes.remove(id);
            }
            Step::Reopen => {}
        }
    }

    fn read(store: &Store) -> Self {
        let mut model = Self::default();
        for doc in store.load().unwrap() {
            assert_eq!(store.reader().doc(&doc.id).unwrap().as_ref(), Some(&doc), "both ways to read agree");
            let digest = doc.snapshot.as_deref().map(digest_of).filter(|_| doc.changes.is_empty());
            assert_eq!(doc.digest.as_deref(), digest, "a digest is that of its snapshot, and there when it says all");
            model.snapshots.extend(doc.snapshot.map(|bytes| (doc.id.clone(), bytes)));
            if !doc.changes.is_empty() {
                let list = doc.changes.iter().map(|c| (format!("{:?}", c.actor), c.seq, c.bytes.to_vec()));
                let mut list: Vec<_> = list.collect();
                list.sort();
                model.changes.insert(doc.id, list);
            }
        }
        for key in KEYS {
            model.meta.extend(store.meta(key).unwrap().map(|value| (key.to_owned(), value)));
        }
        model
    }
}

/// A day in the life of a store: mostly small commits, now and then a large one, a snapshot, a deletion, a restart.
fn workload(seed: u64) -> Vec<Step> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut seqs: BTreeMap<(DocId, &str), u64> = BTreeMap::new();
    let docs = [DocId::Cluster, study("a"), study("b"), study("b2")];
    let mut steps = Vec::new();
    for number in 0..14_u8 {
        let doc = docs[pick(&mut rng, docs.len())].clone();
        steps.push(match pick(&mut rng, 10) {
            0 => Step::Reopen,
            1 => Step::Delete(doc),
            2 | 3 => {
                let covered = seqs.get(&(doc.clone(), "n")).copied().unwrap_or(0).saturating_sub(1);
                Step::Snapshot(doc, vec![number; 1 + pick(&mut rng, 9000)], covered)
            }
            _ => {
                let mut changes = Vec::new();
                for _ in 0..=pick(&mut rng, 6) {
                    let (doc, by) = (docs[pick(&mut rng, docs.len())].clone(), ["n", "m"][pick(&mut rng, 2)]);
                    let seq = seqs.entry((doc.clone(), by)).or_default();
                    *seq += 1;
                    let size = if pick(&mut rng, 8) == 0 { 20_000 } else { 300 };
                    let bytes: Vec<u8> = (0..=pick(&mut rng, size)).map(|at| at as u8 ^ number).collect();
                    changes.push((doc, RawChange { actor: actor(by), seq: *seq, bytes: bytes.into() }));
                }
                Step::Commit(changes, number)
            }
        });
    }
    steps
}

/// What stands for a digest: the store doesn't look into it, but must never give that of another snapshot.
fn digest_of(snapshot: &[u8]) -> &[u8] {
    &snapshot[..snapshot.len().min(99)]
}

fn perform(store: &mut Store, step: &Step) -> Result<(), StoreError> {
    match step {
        Step::Commit(changes, value) => {
            store.commit(changes, &[(KEYS[usize::from(value % 2)].into(), vec![*value; 9])])
        }
        Step::Snapshot(id, bytes, covered) => {
            let digest = Some(digest_of(bytes));
            store.snapshot(id, bytes, &[(actor("n"), *covered)].into_iter().collect(), digest)
        }
        Step::Delete(id) => store.delete(id),
        Step::Reopen => store.reopen(),
    }
}

/// What a run came to: all that was acknowledged, and the same with the step that failed.
#[derive(Default)]
struct Run {
    /// All that was acknowledged but the last step.
    before: Model,
    acknowledged: Model,
    tried: Model,
    failed: Option<StoreError>,
}

fn open(dir: &Path, disk: &Disk) -> Result<Store, StoreError> {
    let opened = open_any(dir, disk)?;
    assert_eq!(opened.moved_aside, None, "nothing was damaged, but something was moved aside");
    Ok(opened.store)
}

fn open_any(dir: &Path, disk: &Disk) -> Result<Opened, StoreError> {
    loop {
        match Store::open_on(dir, disk.opener()) {
            // A process that another test is just starting has our files for a moment, the lock too.
            Err(StoreError::InUse { .. }) => std::thread::sleep(std::time::Duration::from_millis(1)),
            outcome => return outcome,
        }
    }
}

/// Until the end or the first failure; the store is closed then.
fn run(dir: &Path, disk: &Disk, steps: &[Step]) -> Run {
    let mut run = Run::default();
    let mut store = match open(dir, disk) {
        Ok(store) => store,
        Err(error) => return Run { failed: Some(error), ..run },
    };
    for step in steps {
        run.tried.apply(step);
        match perform(&mut store, step) {
            Ok(()) => run.before = std::mem::replace(&mut run.acknowledged, run.tried.clone()),
            Err(error) => return Run { failed: Some(error), ..run },
        }
    }
    run
}

/// Runs through the workload whatever fails, as the driver does: reopen until it works, then the same step again.
fn persist(dir: &Path, disk: &Disk, steps: &[Step]) -> (Model, u64) {
    let mut model = Model::default();
    let mut failures = 0;
    let mut store = loop {
        match open(dir, disk) {
            Ok(store) => break store,
            Err(_) => failures += 1,
        }
        assert!(failures < 20, "never came back");
    };
    for step in steps {
        while perform(&mut store, step).is_err() {
            failures += 1;
            while let Err(error) = store.reopen() {
                failures += 1;
                assert!(!error.is_corruption(), "{error}");
                assert!(failures < 20, "never came back: {error}");
            }
        }
        model.apply(step);
    }
    assert_eq!(Model::read(&store), model, "what is read while the system is up");
    (model, failures)
}

/// A fresh machine for one run, and the one before the fault.
fn machine(seed: u64) -> (tempfile::TempDir, Disk) {
    (tempfile::tempdir().unwrap(), Disk::seeded(seed))
}

/// What the system forgets with its memory: the page cache, which the disk models, and the marker of a failed sync.
fn lose_power(dir: &Path, disk: &Disk) {
    disk.power_cut();
    let _ = fs::remove_file(dir.join("metaopt.redb.unsynced"));
}

fn seeds() -> std::ops::Range<u64> {
    let count = env::var("METAOPT_CRASH_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let first = env::var("METAOPT_CRASH_FIRST").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    first..first + count
}

/// Operations that the whole workload takes when nothing fails.
fn length(seed: u64) -> u64 {
    let (dir, disk) = machine(seed);
    let steps = workload(seed);
    let run = run(dir.path(), &disk, &steps);
    assert!(run.failed.is_none(), "seed {seed}: {:?}", run.failed);
    disk.operations()
}

#[test]
fn a_power_cut_at_any_moment_leaves_all_that_was_acknowledged_and_nothing_half_done() {
    let mut points = 0;
    for seed in seeds() {
        let (steps, whole) = (workload(seed), length(seed));
        for at in 0..whole {
            let (dir, disk) = machine(seed ^ (at << 32));
            disk.plan(Fault::Cut(at));
            let run = run(dir.path(), &disk, &steps);
            assert!(disk.refused() > 0, "seed {seed} at {at}: the power did not go");
            lose_power(dir.path(), &disk);
            // Half of the time it goes again while the store is being repaired.
            if at % 2 == 0 {
                disk.plan(Fault::Cut(disk.operations() + at % 7));
                let _ = open(dir.path(), &disk);
                lose_power(dir.path(), &disk);
            }
            let store = open(dir.path(), &disk).unwrap_or_else(|error| panic!("seed {seed} at {at}: {error}"));
            let found = Model::read(&store);
            assert!(
                found == run.acknowledged || found == run.tried,
                "seed {seed} at {at}, after {:?}:\nfound {found:?}\nacknowledged {:?}",
                run.failed,
                run.acknowledged
            );
            points += 1;
        }
    }
    println!("{points} power cuts, seeds {:?}", seeds());
    assert!(points >= 200, "{points}");
}

#[test]
fn after_a_sync_failed_nothing_that_is_acknowledged_later_is_lost_with_the_power() {
    let mut fired = 0;
    for seed in seeds() {
        let (steps, whole) = (workload(seed), length(seed));
        let mut at = 0;
        while at < whole {
            let (dir, disk) = machine(seed ^ (at << 32));
            disk.plan(Fault::Sync(at));
            let (model, failures) = persist(dir.path(), &disk, &steps);
            fired += u64::from(disk.refused() > 0 && failures > 0);
            lose_power(dir.path(), &disk);
            let store = open(dir.path(), &disk).unwrap_or_else(|error| panic!("seed {seed} at {at}: {error}"));
            assert_eq!(Model::read(&store), model, "seed {seed} at {at}");
            at += 3;
        }
    }
    println!("{fired} failed syncs, seeds {:?}", seeds());
    assert!(fired >= 40, "{fired}");
}

#[test]
fn a_daemon_that_starts_after_another_s_failed_sync_makes_it_good() {
    let seed = 5;
    let steps = workload(seed);
    let mut fired = 0;
    for at in (0..length(seed)).step_by(5) {
        let (dir, disk) = machine(at);
        disk.plan(Fault::Sync(at));
        // The first daemon gives up at the failure; the next knows of it by the marker only.
        let run = run(dir.path(), &disk, &steps);
        fired += u64::from(run.failed.is_some());
        let store = open(dir.path(), &disk).unwrap();
        let found = Model::read(&store);
        assert!(found == run.acknowledged || found == run.tried, "at {at}");
        drop(store);
        lose_power(dir.path(), &disk);
        assert_eq!(Model::read(&open(dir.path(), &disk).unwrap()), found, "at {at}: read once, lost afterwards");
    }
    assert!(fired >= 10, "{fired}");
}

#[test]
fn want_of_room_at_any_moment_loses_nothing() {
    let mut fired = 0;
    for seed in seeds() {
        let (steps, whole) = (workload(seed), length(seed));
        for at in (0..whole).step_by(2) {
            let (dir, disk) = machine(seed ^ (at << 32));
            disk.plan(Fault::Full(at));
            let (model, _) = persist(dir.path(), &disk, &steps);
            fired += u64::from(disk.refused() > 0);
            lose_power(dir.path(), &disk);
            let store = open(dir.path(), &disk).unwrap_or_else(|error| panic!("seed {seed} at {at}: {error}"));
            assert_eq!(Model::read(&store), model, "seed {seed} at {at}");
        }
    }
    println!("the disk was full {fired} times, seeds {:?}", seeds());
    assert!(fired >= 40, "{fired}");
}

/// Every flipped bit is noticed, or is where nothing is stored. One exception, which docs/adr/0004 explains: after a
/// crash, damage to the last commit looks like a commit that was never finished.
#[test]
fn a_flipped_bit_is_noticed_or_harmless() {
    let (mut noticed, mut harmless, mut undone) = (0, 0, 0);
    for seed in seeds() {
        let (steps, whole) = (workload(seed), length(seed));
        for flip in 0..120_u64 {
            let (dir, disk) = machine(seed ^ (flip << 32));
            let crashed = flip % 3 == 0;
            if crashed {
                disk.plan(Fault::Cut(whole / 3 + flip));
            }
            let run = run(dir.path(), &disk, &steps);
            disk.power_cut();
            // What a good disk gives back; looking at it must not repair it.
            let good = disk.aside(|| Model::read(&open(dir.path(), &disk).unwrap()));
            let mut rng = ChaCha8Rng::seed_from_u64(flip);
            disk.flip(|length| {
                // A third hits the header, which is the most delicate part.
                let byte = if flip % 5 == 0 { pick(&mut rng, 512) } else { pick(&mut rng, length) };
                (byte, pick(&mut rng, 8) as u8)
            });
            match open_any(dir.path(), &disk) {
                Ok(opened) if opened.moved_aside.is_some() => {
                    assert_eq!(Model::read(&opened.store), Model::default());
                    noticed += 1;
                }
                Ok(opened) => {
                    let found = Model::read(&opened.store);
                    let last_undone = crashed && (found == run.before || found == run.acknowledged);
                    assert!(found == good || last_undone, "seed {seed} flip {flip}: read {found:?}");
                    harmless += u64::from(found == good);
                    undone += u64::from(found != good);
                }
                Err(StoreError::Newer { .. }) => noticed += 1,
                Err(error) => panic!("seed {seed} flip {flip}: {error:?}"),
            }
        }
    }
    println!("{noticed} flips noticed, {harmless} harmless, {undone} undid the last commit, seeds {:?}", seeds());
    assert!(noticed >= 20 && harmless > 0, "{noticed} {harmless}");
}
