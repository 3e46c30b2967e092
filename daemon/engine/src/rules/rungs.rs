//! Rungs and brackets of successive halving: at which steps trials are compared, and with whom.

use crate::{
    history::{History, Record, RecordState},
    math::sortable,
    rng::key,
};

/// More brackets than this no trial is long enough for.
const BRACKETS: usize = 16;

/// How trials are compared.
#[derive(Clone, Copy, Debug)]
pub struct Ladder {
    /// One trial in so many goes on.
    pub factor: u64,
    /// The first rung; by default 1, or an 81st of a trial's length where that is more.
    pub min_steps: Option<u64>,
    /// A trial's length; by default that of the longest known.
    pub max_steps: Option<u64>,
    /// Brackets at most.
    pub brackets: usize,
}

/// A step at which trials are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// That step.
    pub step: u64,
    /// Where those end that go on: at the next rung, or a trial's length.
    pub above: u64,
    /// Whether that is a trial's length.
    pub is_last: bool,
}

impl Rung {
    /// How many of so many trials go on: the farther it is, the fewer, so that each leg costs all of them about the same.
    pub fn go_on(&self, trials: usize) -> f64 {
        trials as f64 * self.step as f64 / self.above as f64
    }
}

impl Ladder {
    /// A trial's length, as far as is known.
    pub fn length(&self, history: &History) -> u64 {
        self.max_steps.unwrap_or_else(|| history.records().map(|r| r.last_step).max().unwrap_or(0))
    }

    /// The rungs below a trial's length, of all brackets.
    pub fn rungs(&self, length: u64) -> Vec<Rung> {
        let first = self.min_steps.unwrap_or_else(|| (length / 81).max(1));
        let next = |rung: &u64| rung.checked_mul(self.factor);
        let steps: Vec<u64> = std::iter::successors(Some(first), next).take_while(|rung| *rung < length).collect();
        let above = steps.iter().skip(1).copied().map(Some).chain([None]);
        let rung = |(step, above): (&u64, Option<u64>)| Rung {
            step: *step,
            above: above.unwrap_or(length),
            is_last: above.is_none(),
        };
        steps.iter().zip(above).map(rung).collect()
    }

    /// The bracket of a trial: its first rung, counted from the lowest. Brackets that begin lower have as many more trials
    /// as Hyperband gives them (Li et al. 2018, algorithm 1), so that all cost about the same.
    pub fn bracket(&self, trial: u64, rungs: usize) -> usize {
        let brackets = self.brackets.min(BRACKETS).min(rungs + 1);
        if brackets < 2 {
            return 0;
        }
        let share = |bracket: usize| {
            let halvings = (rungs - bracket) as i32;
            (self.factor as f64).powi(halvings) / f64::from(halvings + 1)
        };
        let whole: f64 = (0..brackets).map(share).sum();
        let mut left = key("bracket", &[trial]) as f64 / u64::MAX as f64 * whole;
        for bracket in 0..brackets {
            left -= share(bracket);
            if left < 0.0 {
                return bracket;
            }
        }
        brackets - 1
    }
}

/// A trial's standing at one rung: its cost there, and what breaks ties.
pub type Standing = (u64, u64, u64);

/// A trial's cost at a rung, if it got there: of its last report up to then, or of the first one after where it had none. (What
/// failed says nothing, and takes nobody's place.)
pub fn standing(record: &Record, rung: u64) -> Option<Standing> {
    let sound = !matches!(record.state, RecordState::Ignored | RecordState::Failed);
    let reached = sound && record.last_step >= rung;
    let after = record.curve.partition_point(|(step, _)| *step <= rung);
    let (_, cost) = record.curve.get(after.saturating_sub(1)).filter(|_| reached)?;
    Some((sortable(*cost), record.order, record.key))
}

/// How many of `standings` have a lower cost than `own`.
pub fn better(standings: &[Standing], own: Standing) -> usize {
    standings.iter().filter(|other| other.0 < own.0).count()
}
