//! Asynchronous successive halving (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning"), by stopping or
//! by pausing, in one bracket or several (Hyperband: Li et al. 2018).
//!
//! At each rung a trial is compared with all that got there; of so many as the next one is farther, the best goes on: one in every
//! `reduction_factor`, and more at the last rung, where the end is nearer. With `mode`
//! "stopping" the others are ended at once. With "promotion" every trial is paused at a rung and goes on once it is among
//! the best; where scripts leave no checkpoints it falls back to stopping. The best at the last rung always goes on: little is left
//! of it, and only whole trials have results.
//!
//! A stale view has too few rivals, so that trials go on which should not. Hence passed rungs are tested again at every
//! report, but only against trials that were proposed earlier: those would have been in a fresh view. Later ones don't count,
//! or nearly finished slow starters would be ended by newcomers.

use indexmap::IndexMap;
use metaopt_schema::FieldError;
use serde_json::Value;

use super::{
    Free, Next, Reported, Rule, Verdict,
    rungs::{Ladder, Rung, Standing, better, standing},
};
use crate::{
    history::{History, Record, RecordState},
    options::Options,
};

/// Fewer trials at a rung than this and none is stopped there: too few to tell, and stopping can't be taken back.
const FEW: usize = 4;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Asha {
    ladder: Ladder,
    promotes: bool,
}

impl Asha {
    /// `mode` ("stopping", or "promotion"), `reduction_factor` (3), `min_steps` (the first rung: 1, or an 81st of
    /// `max_steps` where that is more), `max_steps` (a trial's length: by default that of the longest known), `brackets` (1).
    pub fn new(options: &IndexMap<String, Value>) -> Result<Self, Vec<FieldError>> {
        Self::read(options, "asha", 1)
    }

    /// Hyperband: as [`Asha::new`], with as many `brackets` as there are rungs and one without any.
    pub fn hyperband(options: &IndexMap<String, Value>) -> Result<Self, Vec<FieldError>> {
        Self::read(options, "hyperband", usize::MAX)
    }

    /// By stopping, on a ladder.
    pub fn stopping(ladder: Ladder) -> Self {
        Self { ladder, promotes: false }
    }

    fn read(options: &IndexMap<String, Value>, name: &str, brackets: usize) -> Result<Self, Vec<FieldError>> {
        let known = ["mode", "reduction_factor", "min_steps", "max_steps", "brackets"];
        let mut read = Options::new(options, "/early_stopping", name, &known);
        let mode = read.choice("mode", &["promotion", "stopping"]).unwrap_or("stopping");
        let ladder = Ladder {
            factor: read.count("reduction_factor", 2, 100).unwrap_or(3),
            min_steps: read.count("min_steps", 1, u64::MAX >> 1),
            max_steps: read.count("max_steps", 1, u64::MAX >> 1),
            brackets: read.count("brackets", 1, 100).map_or(brackets, |n| n as usize),
        };
        if let (Some(min), Some(max)) = (ladder.min_steps, ladder.max_steps)
            && min > max
        {
            read.fault("min_steps", format!("`min_steps` ({min}) is above `max_steps` ({max}), so there is no rung"));
        }
        read.done(Self { ladder, promotes: mode == "promotion" })
    }

    /// Those of a trial's own bracket that got to a rung.
    fn rivals(&self, history: &History, rung: u64, own: usize, rungs: usize, older: Option<&Record>) -> Vec<Standing> {
        let before = |r: &&Record| older.is_none_or(|own| (r.order, r.key) <= (own.order, own.key));
        let here = |r: &&Record| self.ladder.bracket(r.key, rungs) == own;
        history.records().filter(before).filter(here).filter_map(|r| standing(r, rung)).collect()
    }

    /// The stopping test of every rung that a trial has passed.
    fn survives(&self, history: &History, own: &Record, step: u64, rungs: &[Rung]) -> bool {
        let bracket = self.ladder.bracket(own.key, rungs.len());
        let before = own.curve.iter().rev().map(|(s, _)| *s).find(|s| *s < step).unwrap_or(0);
        rungs.iter().skip(bracket).take_while(|rung| rung.step <= step).all(|rung| {
            let Some(standing) = standing(own, rung.step) else { return true };
            let anew = rung.step > before;
            let rivals = self.rivals(history, rung.step, bracket, rungs.len(), (!anew).then_some(own));
            rivals.len() < FEW || better(&rivals, standing) < rung.go_on(rivals.len()).ceil() as usize
        })
    }

    /// Whether `own` is among those of `rivals` that go on; at a rung that is `closed`, the best does.
    fn promotable(rivals: &[Standing], own: Standing, rung: Rung, closed: bool) -> bool {
        let go_on = rung.go_on(rivals.len()).floor() as usize;
        let go_on = if closed || rung.is_last { go_on.max(1) } else { go_on };
        rivals.iter().filter(|other| **other < own).count() < go_on
    }
}

impl Rule for Asha {
    fn decide(&self, history: &History, reported: &Reported) -> Verdict {
        let Some(own) = history.get(reported.key) else { return Verdict::Continue };
        let rungs = self.ladder.rungs(self.ladder.length(history));
        if self.ladder.max_steps.is_some_and(|max| reported.step >= max) {
            return Verdict::Continue;
        }
        if !(self.promotes && reported.freezes) {
            let survives = self.survives(history, own, reported.step, &rungs);
            return if survives { Verdict::Continue } else { Verdict::Stop };
        }
        let before = own.curve.iter().rev().map(|(s, _)| *s).find(|s| *s < reported.step).unwrap_or(0);
        let bracket = self.ladder.bracket(own.key, rungs.len());
        let Some(rung) = rungs.iter().skip(bracket).rev().find(|rung| rung.step <= reported.step && rung.step > before)
        else {
            return Verdict::Continue;
        };
        let rivals = self.rivals(history, rung.step, bracket, rungs.len(), None);
        let goes_on = standing(own, rung.step).is_none_or(|own| Self::promotable(&rivals, own, *rung, false));
        if goes_on { Verdict::Continue } else { Verdict::Pause }
    }

    fn next(&self, history: &History, free: &Free) -> Next {
        let rungs = self.ladder.rungs(self.ladder.length(history));
        // With no newcomers and nobody on the way, what stands at a rung is all there will be.
        let closed = free.new.is_none() && history.pending().next().is_none();
        for (place, rung) in rungs.iter().enumerate().rev() {
            let mut waiting: Vec<(Standing, usize)> = Vec::new();
            for record in history.records().filter(|r| r.state == RecordState::Paused && r.last_step < rung.above) {
                let bracket = self.ladder.bracket(record.key, rungs.len());
                let standing = standing(record, rung.step).filter(|_| bracket <= place);
                waiting.extend(standing.map(|standing| (standing, bracket)));
            }
            waiting.sort_unstable();
            let mut brackets: Vec<usize> = waiting.iter().map(|(_, bracket)| *bracket).collect();
            brackets.sort_unstable();
            brackets.dedup();
            for bracket in brackets {
                let rivals = self.rivals(history, rung.step, bracket, rungs.len(), None);
                let candidates = waiting.iter().filter(|(_, b)| *b == bracket).map(|(standing, _)| *standing);
                let best = candidates.take_while(|own| Self::promotable(&rivals, *own, *rung, closed));
                if let Some((.., key)) = best.into_iter().find(|(.., key)| (free.restore)(*key).is_some()) {
                    return Next::Thaw(key);
                }
            }
        }
        if free.new.is_some() { Next::New } else { Next::Wait }
    }

    fn pauses(&self) -> bool {
        self.promotes
    }

    fn rungs(&self, history: &History, key: u64) -> Vec<u64> {
        let rungs = self.ladder.rungs(self.ladder.length(history));
        let bracket = self.ladder.bracket(key, rungs.len());
        rungs.into_iter().skip(bracket).map(|rung| rung.step).collect()
    }
}
