//! What separates the best trials from the rest, in a few sentences: a small decision tree (Breiman et al. 1984), whose
//! leaves full of good trials are read out as conditions.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{MIN_TRIALS, Sample, ped::best_of};
use crate::codec::Axis;

/// Conditions of one rule at most.
const DEPTH: usize = 3;
/// Trials that the tree is fitted to at most, and parameters, the most important ones.
const BOUNDS: (usize, usize) = (2000, 40);
/// Rules at most.
const RULES: usize = 3;
/// A rule's trials are at least so many times as often among the best as all are.
const LIFT: f64 = 2.0;

/// A part of the space in which good trials are frequent.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What holds there; at most one condition a parameter.
    pub conditions: Vec<Condition>,
    /// Trials in it.
    pub trials: usize,
    /// Share of these that are among the best.
    pub good: f64,
    /// Share of the best that are in it.
    pub of_best: f64,
    /// Share of all that are in it.
    pub of_all: f64,
}

/// What holds of one parameter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Condition {
    /// Its position in the space.
    pub param: usize,
    /// Whether it must be active (or not); none: nothing is said, or it always is.
    pub active: Option<bool>,
    /// Its smallest value.
    pub at_least: Option<Value>,
    /// Its largest.
    pub at_most: Option<Value>,
    /// The choices that it may have; empty: nothing is said.
    pub one_of: Vec<Value>,
}

/// A question that divides trials.
#[derive(Clone, Debug)]
enum Cut {
    Active,
    Below(f64),
    Among(Vec<u64>),
}

struct Fit<'a> {
    sample: &'a Sample,
    params: Vec<usize>,
    /// By position among the rows: whether it is one of the best.
    good: Vec<bool>,
    rows: Vec<usize>,
    /// What a good trial weighs: both kinds weigh the same in all.
    weight: f64,
    leaf: usize,
}

/// Rules about `params` (the most important ones first), the most telling first; none where nothing stands out.
pub fn rules(sample: &Sample, params: &[usize], objective: Option<usize>, top: f64) -> Vec<Rule> {
    let n = sample.rows.len();
    if n < MIN_TRIALS {
        return Vec::new();
    }
    let best = best_of(n, top);
    let order = sample.order(objective, best);
    let mut good = vec![false; n];
    order[..best].iter().for_each(|i| good[*i] = true);
    // All of the best, and evenly many of the rest.
    let (most, rest) = (BOUNDS.0.saturating_sub(best).max(best), &order[best..]);
    let step = rest.len().div_ceil(most).max(1);
    let kept = order[..best.min(BOUNDS.0)].iter().chain(rest.iter().step_by(step));
    let rows: Vec<usize> = kept.copied().collect();
    let goods = rows.iter().filter(|i| good[**i]).count();
    let fit = Fit {
        sample,
        params: params.iter().copied().take(BOUNDS.1).collect(),
        weight: (rows.len() - goods) as f64 / goods.max(1) as f64,
        leaf: (goods / 5).max(3),
        good,
        rows,
    };
    let mut found = Vec::new();
    fit.split(fit.rows.clone(), &mut Vec::new(), &mut found);
    let mut rules: Vec<Rule> = found.into_iter().map(|path| fit.rule(&path)).collect();
    rules.retain(|rule| !rule.conditions.is_empty() && rule.of_best >= LIFT * rule.of_all);
    rules.sort_by(|a, b| b.of_best.total_cmp(&a.of_best).then(a.of_all.total_cmp(&b.of_all)));
    rules.truncate(RULES);
    rules
}

/// A way down the tree: questions, and whether the answer is yes.
type Path = Vec<(usize, Cut, bool)>;

impl Fit<'_> {
    fn u(&self, row: usize, param: usize) -> f64 {
        self.sample.rows[row].u[param]
    }

    /// Weights of good trials and of the others.
    fn weights(&self, rows: &[usize]) -> (f64, f64) {
        let good = rows.iter().filter(|i| self.good[**i]).count();
        (good as f64 * self.weight, (rows.len() - good) as f64)
    }

    fn split(&self, rows: Vec<usize>, path: &mut Path, found: &mut Vec<Path>) {
        let cut = if path.len() < DEPTH { self.best_cut(&rows) } else { None };
        let Some((param, cut)) = cut else {
            let (good, rest) = self.weights(&rows);
            if good > rest {
                found.push(path.clone());
            }
            return;
        };
        let (yes, no): (Vec<usize>, Vec<usize>) = rows.into_iter().partition(|i| cut.holds(self.u(*i, param)));
        for (rows, answer) in [(yes, true), (no, false)] {
            path.push((param, cut.clone(), answer));
            self.split(rows, path, found);
            path.pop();
        }
    }

    /// The question after which good trials and others are least mixed (Gini); none where no question helps.
    fn best_cut(&self, rows: &[usize]) -> Option<(usize, Cut)> {
        let (good, rest) = self.weights(rows);
        let mixed = |good: f64, rest: f64| if good + rest > 0.0 { good * rest / (good + rest) } else { 0.0 };
        let mut best = (mixed(good, rest) * 0.95, None);
        let mut consider = |left: (f64, f64), make: &dyn Fn() -> (usize, Cut)| {
            let now = mixed(left.0, left.1) + mixed(good - left.0, rest - left.1);
            if now < best.0 {
                best = (now, Some(make()));
            }
        };
        for &param in &self.params {
            let mut line: Vec<(f64, bool)> = Vec::with_capacity(rows.len());
            line.extend(rows.iter().map(|i| (self.u(*i, param), self.good[*i])).filter(|(u, _)| !u.is_nan()));
            if line.len() < rows.len() && line.len() >= self.leaf && rows.len() - line.len() >= self.leaf {
                consider(self.sum(&line), &|| (param, Cut::Active));
            }
            if matches!(self.sample.codec.axes()[param], Axis::Choice { .. }) {
                self.rank_choices(&mut line);
            } else {
                line.sort_by(|a, b| a.0.total_cmp(&b.0));
            }
            let mut left = (0.0, 0.0);
            for at in 1..line.len() {
                let one = self.sum(&line[at - 1..at]);
                left = (left.0 + one.0, left.1 + one.1);
                if line[at].0 == line[at - 1].0 || at < self.leaf || rows.len() - at < self.leaf {
                    continue;
                }
                consider(left, &|| (param, self.cut(param, &line, at)));
            }
        }
        best.1
    }

    fn sum(&self, line: &[(f64, bool)]) -> (f64, f64) {
        let good = line.iter().filter(|(_, good)| *good).count();
        (good as f64 * self.weight, (line.len() - good) as f64)
    }

    /// Puts equal choices together, those with the largest share of good trials first: the best division into two sets is
    /// then one into a beginning and an end.
    fn rank_choices(&self, line: &mut [(f64, bool)]) {
        let mut counts: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
        for (u, good) in line.iter() {
            let count = counts.entry(*u as u64).or_default();
            count.0 += usize::from(*good);
            count.1 += 1;
        }
        let share = |u: f64| counts.get(&(u as u64)).map_or(0.0, |(good, all)| *good as f64 / *all as f64);
        line.sort_by(|a, b| share(b.0).total_cmp(&share(a.0)).then(a.0.total_cmp(&b.0)));
    }

    fn cut(&self, param: usize, line: &[(f64, bool)], at: usize) -> Cut {
        if matches!(self.sample.codec.axes()[param], Axis::Choice { .. }) {
            let mut among: Vec<u64> = line[..at].iter().map(|(u, _)| *u as u64).collect();
            among.sort_unstable();
            among.dedup();
            return Cut::Among(among);
        }
        Cut::Below((line[at - 1].0 + line[at].0) / 2.0)
    }

    /// The conditions of a path in the words of the space: bounds are values that trials had.
    fn rule(&self, path: &Path) -> Rule {
        let holds = |i: &usize| path.iter().all(|(param, cut, answer)| cut.holds(self.u(*i, *param)) == *answer);
        let all: Vec<usize> = (0..self.sample.rows.len()).filter(holds).collect();
        let best = self.good.iter().filter(|good| **good).count();
        let good = all.iter().filter(|i| self.good[**i]).count();
        let mut params: Vec<usize> = Vec::new();
        for (param, ..) in path {
            if !params.contains(param) {
                params.push(*param);
            }
        }
        Rule {
            conditions: params.into_iter().map(|param| self.condition(path, param, &all)).collect(),
            trials: all.len(),
            good: good as f64 / all.len().max(1) as f64,
            of_best: good as f64 / best.max(1) as f64,
            of_all: all.len() as f64 / self.sample.rows.len() as f64,
        }
    }

    fn condition(&self, path: &Path, param: usize, within: &[usize]) -> Condition {
        let asked = || path.iter().filter(|(p, ..)| *p == param);
        let mut values: Vec<f64> = within.iter().map(|i| self.u(*i, param)).filter(|u| !u.is_nan()).collect();
        values.sort_by(f64::total_cmp);
        let mut condition = Condition { param, ..Condition::default() };
        if values.is_empty() {
            condition.active = Some(false);
            return condition;
        }
        if values.len() == within.len() && self.rows.iter().any(|i| self.u(*i, param).is_nan()) {
            condition.active = Some(true);
        }
        let value = |u: f64| self.sample.value(param, u);
        for (_, cut, answer) in asked() {
            match (cut, answer) {
                (Cut::Active, _) => {}
                (Cut::Below(_), true) => condition.at_most = values.last().map(|u| value(*u)),
                (Cut::Below(_), false) => condition.at_least = values.first().map(|u| value(*u)),
                (Cut::Among(_), _) => {
                    values.dedup();
                    condition.one_of = values.iter().map(|u| value(*u)).collect();
                }
            }
        }
        condition
    }
}

impl Cut {
    /// Whether the answer is yes; of an inactive parameter it is no.
    fn holds(&self, u: f64) -> bool {
        match self {
            _ if u.is_nan() => false,
            Self::Active => true,
            Self::Below(cut) => u < *cut,
            Self::Among(choices) => choices.contains(&(u as u64)),
        }
    }
}
