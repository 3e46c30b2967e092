//! Which boxes, what work, and what goes wrong.

use metaopt_schema::{
    facts::{SlotKind, SlotSpec},
    study::{StudyDef, validate::parse_study},
};
use serde_json::json;

use crate::{
    clients::{self, Client},
    faults::{self, Fault},
    invariants, operators,
    random::Random,
    world::{Call, Event, TIMING, Who, World},
};

#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    /// Fewest and most boxes.
    pub sizes: (usize, usize),
    pub faults: Vec<Fault>,
    pub clients: u64,
    pub runs: u64,
    pub finite: bool,
    /// Much fails and is tried again, which every node could do.
    pub contended: bool,
    /// Many jobs last longer than a partition.
    pub long_jobs: bool,
    pub gpus: bool,
    pub operators: bool,
    pub gives_up_nodes: bool,
    pub removes: bool,
    /// How long things go wrong (milliseconds).
    pub length: u64,
    pub budget: u64,
    /// Trials are frozen at rungs and go on later, wherever there is a free slot.
    pub frost: bool,
    /// Two runs of one seed are compared.
    pub compared: bool,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: "",
            sizes: (2, 5),
            faults: Vec::new(),
            clients: 3,
            runs: 2,
            finite: false,
            contended: false,
            long_jobs: false,
            gpus: false,
            operators: false,
            gives_up_nodes: false,
            removes: false,
            length: 60_000,
            budget: 20,
            frost: false,
            compared: false,
        }
    }
}

/// All, by name.
pub fn all() -> Vec<Scenario> {
    use Fault::*;
    let base = Scenario::default;
    vec![
        Scenario { name: "calm", finite: true, ..base() },
        Scenario { name: "calm-16", sizes: (16, 16), finite: true, length: 30_000, budget: 60, clients: 6, ..base() },
        Scenario {
            name: "wide",
            faults: vec![Partition, Reset],
            sizes: (33, 64),
            length: 20_000,
            budget: 80,
            clients: 8,
            ..base()
        },
        Scenario { name: "contended", contended: true, sizes: (3, 5), ..base() },
        Scenario { name: "partitions", faults: vec![Partition], ..base() },
        Scenario { name: "one-way", faults: vec![OneWay, PartialMesh], sizes: (3, 5), ..base() },
        Scenario { name: "links", faults: vec![Reset, Slow, PartialMesh], ..base() },
        Scenario { name: "chaos", faults: vec![Chaos, Reset], ..base() },
        Scenario { name: "crashes", faults: vec![Crash, PowerCut], gpus: true, ..base() },
        Scenario { name: "disks", faults: vec![DiskFull, Crash], ..base() },
        Scenario { name: "lost-disks", faults: vec![DiskLost], sizes: (3, 5), ..base() },
        Scenario { name: "clocks", faults: vec![ClockJump], ..base() },
        Scenario { name: "pauses", faults: vec![Stopped, Asleep], ..base() },
        Scenario { name: "operators", faults: vec![Partition, Crash], operators: true, ..base() },
        Scenario {
            name: "given-up",
            faults: vec![Partition],
            operators: true,
            gives_up_nodes: true,
            sizes: (3, 5),
            ..base()
        },
        Scenario { name: "removals", faults: vec![Partition], operators: true, removes: true, sizes: (4, 5), ..base() },
        Scenario { name: "long-jobs", faults: vec![Partition], long_jobs: true, sizes: (3, 5), budget: 10, ..base() },
        Scenario { name: "frost", faults: vec![Partition, Crash, PowerCut, Stopped], frost: true, ..base() },
        Scenario { name: "rogues", faults: vec![Rogue, Rogue, Reset], ..base() },
        Scenario {
            name: "everything",
            faults: vec![
                Partition,
                OneWay,
                PartialMesh,
                Reset,
                Slow,
                Chaos,
                Crash,
                PowerCut,
                DiskFull,
                ClockJump,
                Stopped,
                Asleep,
            ],
            operators: true,
            gpus: true,
            ..base()
        },
    ]
}

pub fn named(name: &str) -> Option<Scenario> {
    all().into_iter().find(|s| s.name == name)
}

impl Scenario {
    pub fn boxes(&self, random: &mut Random) -> usize {
        random.range(self.sizes.0 as u64, self.sizes.1 as u64) as usize
    }

    pub fn slots(&self, random: &mut Random, at: usize) -> Vec<SlotSpec> {
        let cpus = random.range(0, 3).max(u64::from(at == 0));
        let mut slots: Vec<SlotSpec> =
            (0..cpus).map(|i| SlotSpec { id: format!("cpu-{i}"), kind: SlotKind::Cpu }).collect();
        if self.gpus {
            let gpus = random.range(0, 2).max(u64::from(at == 0));
            slots.extend((0..gpus).map(|i| SlotSpec { id: format!("GPU-{at}-{i}"), kind: SlotKind::Gpu }));
        }
        slots
    }

    fn studies(&self, random: &mut Random) -> Vec<(String, StudyDef)> {
        let mut all = Vec::new();
        let mut study = |name: String, run: bool, random: &mut Random| {
            let finite = self.finite && random.chance(0.7);
            let max = random.range(self.budget / 2, self.budget);
            let mut body = json!({
                "name": name,
                "space": [{"name": "x", "type": "float", "low": 0.0, "high": 1.0}],
                "objectives": [{"metric": "loss", "direction": "minimize"}],
                "sampler": {"name": "random", "seed": random.below(1 << 40)},
                "budget": {"max_trials": max, "strict": random.chance(0.4)},
            });
            if body["sampler"]["seed"].as_u64().is_some_and(|seed| seed % 2 == 1) {
                // One whose draws depend on the history, almost from the start.
                body["sampler"]["name"] = json!("tpe");
                body["sampler"]["n_startup_trials"] = json!(2);
            }
            if finite {
                let cells = random.range(4, self.budget * 2);
                body["space"] = json!([
                    {"name": "x", "type": "int", "low": 0, "high": cells - 1},
                    {"name": "y", "type": "categorical", "choices": ["a"]},
                ]);
            }
            if self.frost {
                let wait = run && random.chance(0.3);
                body["early_stopping"] = json!({"rule": "asha", "mode": "promotion", "max_steps": 9});
                if wait {
                    body["note"] = json!("waits for lost checkpoints");
                }
            }
            if random.chance(0.2) {
                body["budget"]["max_parallel"] = json!(random.range(1, 4));
            }
            if run {
                body["run"] = json!({"command": ["true"], "retry_failed": self.contended || random.chance(0.3)});
                body["run"]["cpus"] = json!(1);
                if body["note"] == "waits for lost checkpoints" {
                    body["run"]["lost_checkpoint"] = json!("wait");
                }
                if self.gpus && random.chance(0.5) {
                    body["run"]["gpus"] = json!(*random.pick(&[0.34, 0.5, 1.0]).unwrap_or(&1.0));
                }
            }
            all.push((name, parse_study(&body).unwrap()));
        };
        for i in 0..self.runs {
            study(format!("run{i}"), true, random);
        }
        if self.clients > 0 {
            study("asked".into(), false, random);
        }
        all
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// What doesn't hold.
    pub fn run(&self, seed: u64) -> Result<World, (Box<World>, String)> {
        let mut world = World::new(seed, self.clone());
        match self.play(&mut world) {
            Ok(()) => Ok(world),
            Err(what) => Err((Box::new(world), what)),
        }
    }

    fn play(&self, world: &mut World) -> Result<(), String> {
        let mut random = Random::stream(world.seed, "studies");
        world.studies = self.studies(&mut random);
        let boxes = world.boxes.len();
        for (_, def) in world.studies.clone() {
            let at = random.below(boxes as u64) as usize;
            let delay = 2_500 + random.below(2_000);
            world.at(delay, Event::Call { at, call: Call::Create(Box::new(def)), who: Who::Nobody });
        }
        for i in 0..self.clients as usize {
            let client = Client::new(world.seed, i, "asked".into(), boxes);
            world.clients.push(client);
            clients::begin(world, i);
        }
        if !self.faults.is_empty() {
            world.at(5_500 + random.below(4_000), Event::Fault);
        }
        if self.operators {
            world.at(6_000 + random.below(2_000), Event::Operator);
        }
        world.run_until(self.length);
        calm(world)?;
        faults::heal(world);
        let healed = world.now;
        // Long enough for a minority to give up what it waits for, and for what is left to be run.
        let mut left = Some("nothing was looked at".to_owned());
        let bound = TIMING.quorum_ms + TIMING.orphan_ms + 60_000;
        while world.now < healed.max(world.ledger.moved) + bound && left.is_some() {
            let next = world.now + 2_000;
            world.run_until(next);
            calm(world)?;
            if world.now < healed + 30_000 && (self.operators || self.name == "clocks") {
                operators::undo(world);
            }
            left = if world.now < healed + 8_000 { left } else { invariants::unfinished(world) };
        }
        if let Some(left) = left {
            invariants::orphans_are_rerun_or_ended(world)?;
            return Err(format!("5: the work isn't done, and nothing was started for {} s: {left}", bound / 1000));
        }
        world.quiet = true;
        // What runs superseded ends; then nothing changes any more.
        let quiet = world.now + 60_000;
        while world.now < quiet && !(world.clients.iter().all(Client::is_idle) && idle(world)) {
            let next = world.now + 500;
            world.run_until(next);
            calm(world)?;
        }
        // A question that was lost is asked again after ten seconds.
        let bound = world.now + 15_000;
        while world.now < bound && !invariants::heads_are_equal(world) {
            let next = world.now + 500;
            world.run_until(next);
            calm(world)?;
        }
        if !invariants::heads_are_equal(world) {
            let what = invariants::what_differs(world);
            return Err(format!("4: heads aren't equal 15 s after the last change: {what}"));
        }
        // What arrived last is on its way to disk.
        let stored = world.now + 2_000;
        world.run_until(stored);
        calm(world)?;
        invariants::one_counted_attempt(world)?;
        invariants::same_heads_same_view(world)?;
        invariants::draws_are_repeated(world)?;
        invariants::acknowledged_results_are_kept(world)?;
        invariants::orphans_are_rerun_or_ended(world)?;
        invariants::budgets_hold(world)?;
        if self.faults.is_empty() {
            invariants::no_duplicates(world)?;
        }
        if self.faults == [Fault::ClockJump] {
            invariants::clocks_decide_nothing(world)?;
        }
        if !self.faults.is_empty() && !self.faults.iter().any(|f| world.fired.contains_key(f.name())) {
            return Err("no fault fired".into());
        }
        Ok(())
    }
}

fn idle(world: &World) -> bool {
    world.members().iter().all(|i| world.boxes[*i].jobs.values().all(|job| !job.lives()))
}

fn calm(world: &World) -> Result<(), String> {
    match world.ledger.wrong.first() {
        Some(wrong) => Err(wrong.clone()),
        None => Ok(()),
    }
}
