//! A cluster in virtual time: nodes, network, disks, processes and clients from one seed.
//!
//! See docs/simulation.md. `METAOPT_SIM_SEEDS=100000` runs more, `METAOPT_SIM_SCENARIO=crashes METAOPT_SIM_SEED=17` with
//! `-- replay --nocapture` one, and with `METAOPT_SIM_TRACE=1` line by line.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(
    clippy::disallowed_methods,
    reason = "which seeds, and how long they took; the world itself takes its time from its queue"
)]

mod clients;
mod disk;
mod faults;
mod invariants;
mod jobs;
#[cfg(feature = "mutations")]
mod mutations;
mod network;
mod operators;
mod random;
mod rogues;
mod scenario;
mod world;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use scenario::Scenario;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What came of one seed.
struct Run {
    fired: BTreeMap<&'static str, u64>,
    steps: u64,
    launches: u64,
}

fn one(scenario: &Scenario, seed: u64) -> Result<Run, String> {
    let run = catch_unwind(AssertUnwindSafe(|| scenario.run(seed)));
    match run {
        Ok(Ok(world)) => Ok(Run { fired: world.fired, steps: world.steps, launches: world.ledger.launches }),
        Ok(Err((world, what))) => {
            if std::env::var_os("METAOPT_SIM_TRACE").is_some() {
                for (at, machine) in world.boxes.iter().enumerate() {
                    let lines = machine.node.as_ref().map(invariants::export).unwrap_or_default();
                    println!("box{at} {} slots {} ends with", machine.id, machine.slots.len());
                    lines.iter().for_each(|line| println!("    {line}"));
                }
            }
            Err(format!("{what}\n  fired: {:?}", world.fired))
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(format!("panic: {}", text.unwrap_or_default()))
        }
    }
}

fn replay_line(scenario: &Scenario, seed: u64) -> String {
    format!(
        "METAOPT_SIM_SCENARIO={} METAOPT_SIM_SEED={seed} METAOPT_SIM_TRACE=1 cargo test -p metaopt-core --test simulation -- replay --nocapture",
        scenario.name
    )
}

/// Runs many seeds of a scenario on all processors; the failures, smallest seed first.
fn many(scenario: &Scenario, seeds: u64, most_failures: usize) -> (Vec<(u64, String)>, Vec<Run>) {
    let next = AtomicU64::new(number("METAOPT_SIM_FROM").unwrap_or(0));
    let end = next.load(Ordering::SeqCst) + seeds;
    let stop = AtomicBool::new(false);
    let failures = Mutex::new(Vec::new());
    let runs = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= end {
                        return;
                    }
                    match one(scenario, seed) {
                        Ok(run) => runs.lock().unwrap().push(run),
                        Err(what) => {
                            let mut failures = failures.lock().unwrap();
                            failures.push((seed, what));
                            if failures.len() >= most_failures {
                                stop.store(true, Ordering::SeqCst);
                            }
                        }
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    (failures, runs.into_inner().unwrap())
}

/// What may happen in a run, and happened in too many of them: where two nodes begin within a message's time of each other.
/// Without the rule against it, it would happen all the time.
fn too_often(runs: &[Run]) -> Option<String> {
    let rare = invariants::PASSED;
    let times = runs.iter().filter(|run| run.fired.contains_key(rare)).count();
    (times > 1 + runs.len() / 50).then(|| format!("{rare} in {times} of {} runs", runs.len()))
}

/// Runs a scenario's share of seeds, and fails with the smallest one that breaks something.
fn check(name: &str, seeds: u64) {
    let scenario = scenario::named(name).unwrap();
    let seeds = number("METAOPT_SIM_SEEDS").unwrap_or(seeds);
    let most = number("METAOPT_SIM_FAILURES").unwrap_or(1) as usize;
    let began = Instant::now();
    let (failures, runs) = many(&scenario, seeds, most);
    let took = began.elapsed().as_secs_f64();
    let mut fired: BTreeMap<&str, u64> = BTreeMap::new();
    runs.iter().flat_map(|r| &r.fired).for_each(|(name, n)| *fired.entry(name).or_default() += n);
    let (steps, launches) = runs.iter().fold((0, 0), |(s, l), r| (s + r.steps, l + r.launches));
    println!(
        "{name}: {} seeds in {took:.1} s ({:.0} a minute), {steps} events, {launches} launches, {fired:?}",
        runs.len(),
        runs.len() as f64 * 60.0 / took
    );
    for fault in &scenario.faults {
        assert!(runs.len() < 20 || fired.contains_key(fault.name()), "{} never happened", fault.name());
    }
    assert_eq!(too_often(&runs), None);
    for (seed, what) in &failures {
        println!("seed {seed}: {what}\n  {}", replay_line(&scenario, *seed));
    }
    assert!(failures.is_empty(), "{name}: {} seeds fail", failures.len());
}

macro_rules! scenarios {
    ($($test:ident $name:literal $seeds:literal)*) => {
        $(#[test] fn $test() { check($name, $seeds); })*
    };
}

scenarios! {
    calm "calm" 100
    calm_16 "calm-16" 2
    wide "wide" 2
    contended "contended" 60
    partitions "partitions" 130
    one_way "one-way" 130
    links "links" 120
    chaos "chaos" 130
    crashes "crashes" 150
    disks "disks" 120
    lost_disks "lost-disks" 130
    clocks "clocks" 100
    pauses "pauses" 130
    operators_ "operators" 130
    given_up "given-up" 130
    long_jobs "long-jobs" 110
    removals "removals" 130
    frost "frost" 130
    rogues_ "rogues" 120
    everything "everything" 180
}

/// One seed again: `METAOPT_SIM_SCENARIO`, `METAOPT_SIM_SEED`.
#[test]
fn replay() {
    let Some(seed) = number("METAOPT_SIM_SEED") else { return };
    let name = std::env::var("METAOPT_SIM_SCENARIO").unwrap_or_else(|_| "everything".into());
    let scenario = scenario::named(&name).unwrap_or_else(|| panic!("there is no scenario `{name}`"));
    match one(&scenario, seed) {
        Ok(run) => println!("seed {seed} holds: {} events, {} launches, {:?}", run.steps, run.launches, run.fired),
        Err(what) => panic!("seed {seed}: {what}\n  {}", replay_line(&scenario, seed)),
    }
}

/// The same seed is the same run.
#[test]
fn one_seed_is_one_run() {
    for name in ["partitions", "crashes", "everything"] {
        let scenario = Scenario { compared: true, ..scenario::named(name).unwrap() };
        for seed in 0..3 {
            let print = |run: Result<world::World, (Box<world::World>, String)>| match run {
                Ok(world) => (world.fingerprint(), world.steps),
                Err((world, _)) => (world.fingerprint(), world.steps),
            };
            assert_eq!(print(scenario.run(seed)), print(scenario.run(seed)), "{name}, seed {seed}");
        }
    }
}
