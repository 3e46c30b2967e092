//! Processes that metaopt runs. They outlive their daemon, and die with their machine.

use metaopt_core::launch::{ExitReport, Launch, Spooled, StopWhy};
use metaopt_schema::AttemptKey;
use serde_json::json;

use crate::{random::Random, scenario::Scenario};

/// What a job is going to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Plan {
    /// Tells its result by a call, then ends.
    Tells,
    /// Prints its result.
    Prints,
    /// Ends with an error.
    Fails,
    /// Its supervisor is killed.
    Vanishes,
    /// Could not be started.
    Unstartable,
}

#[derive(Debug)]
pub struct Job {
    pub launch: Launch,
    /// Tells this process from another of the same attempt, which must not be.
    pub run: u64,
    pub plan: Plan,
    pub step: u64,
    pub steps: u64,
    pub step_ms: u64,
    pub spooled: Vec<Spooled>,
    pub stopped: Option<StopWhy>,
    pub ended: Option<ExitReport>,
    /// Its supervisor was killed: it left no record.
    pub vanished: bool,
    /// Which run of the daemon was told of its end.
    pub told_boot: Option<u64>,
    pub ends_soon: bool,
}

impl Job {
    pub fn new(random: &mut Random, launch: Launch, run: u64, scenario: &Scenario) -> Self {
        let plan = match random.below(100) {
            0..=39 if scenario.contended => Plan::Fails,
            0..=44 => Plan::Tells,
            45..=86 => Plan::Prints,
            87..=94 => Plan::Fails,
            95..=97 => Plan::Vanishes,
            _ => Plan::Unstartable,
        };
        // Some last longer than a partition.
        let long = random.chance(if scenario.long_jobs { 0.6 } else { 0.12 });
        let steps = launch.resume_step + if long { random.range(10, 25) } else { random.range(1, 5) };
        Self {
            step: launch.resume_step,
            launch,
            run,
            plan,
            steps,
            step_ms: random.range(200, 3_000),
            spooled: Vec::new(),
            stopped: None,
            ended: None,
            vanished: false,
            told_boot: None,
            ends_soon: false,
        }
    }

    pub fn lives(&self) -> bool {
        self.ended.is_none() && !self.vanished
    }

    /// CPU slots that it takes, and the share of each of its GPUs.
    pub fn takes(&self) -> (u32, f64) {
        let share = self.launch.run.gpus.filter(|g| *g > 0.0 && *g < 1.0).unwrap_or(1.0);
        if self.launch.gpus.is_empty() { (self.launch.run.cpus.unwrap_or(1), 0.0) } else { (0, share) }
    }

    pub fn spool_step(&mut self) {
        let body = json!({"step": self.step, "values": {"loss": value_at(&self.launch.key, self.step)}});
        self.spooled.push(Spooled { call: "reports".into(), body });
    }

    pub fn spool_result(&mut self) {
        let body = json!({"values": {"loss": result_of(&self.launch.key)}});
        self.spooled.push(Spooled { call: "complete".into(), body });
    }

    /// How it ended, where it was not asked to.
    pub fn natural_end(&mut self, wall_ms: u64) {
        let result = (self.plan == Plan::Prints)
            .then(|| Ok([("loss".to_owned(), result_of(&self.launch.key))].into_iter().collect()));
        self.end(ExitReport {
            exit_code: Some(i32::from(self.plan == Plan::Fails)),
            result,
            ended_at: wall_ms,
            ..ExitReport::default()
        });
    }

    /// It was asked to end, by a signal or in an answer.
    pub fn obey(&mut self, wall_ms: u64) {
        self.end(ExitReport {
            exit_code: Some(0),
            stopped: self.stopped,
            has_checkpoint: self.step > 0,
            ended_at: wall_ms,
            ..ExitReport::default()
        });
    }

    fn end(&mut self, report: ExitReport) {
        if self.lives() {
            let spooled = std::mem::take(&mut self.spooled);
            self.ended = Some(ExitReport { spooled, ..report });
        }
    }
}

/// The result of an attempt: each has its own, so that mixing them up is seen.
pub fn result_of(key: &AttemptKey) -> f64 {
    let hash = blake3::hash(format!("{} {}", key.trial, key.attempt).as_bytes());
    f64::from(u16::from_le_bytes(hash.as_bytes()[..2].try_into().unwrap())) / 65_536.0
}

pub fn value_at(key: &AttemptKey, step: u64) -> f64 {
    result_of(key) + 1.0 / step.max(1) as f64
}
