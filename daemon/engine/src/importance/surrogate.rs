//! What a model of the results expects of configurations never tried: marginal curves (partial dependence, Friedman 2001),
//! and how much pairs of parameters matter together (functional ANOVA; Hutter et al. 2014 for forests).
//!
//! The model is a forest of extremely randomised regression trees. Means over the other parameters are taken over one set
//! of draws from the space, the same for every value asked about: what parameters add independently of each other cancels,
//! so that interactions aren't made up by chance. Draws respect conditions: a value is only asked about where it is active.

use serde_json::Value;

use super::{MIN_TRIALS, Sample};
use crate::{
    codec::Axis,
    forest::{Forest, Growth, Rows},
    rng::Stream,
    samplers::drafts,
};

/// Most trials a model is fitted to.
const MAX_TRIALS: usize = 2000;
/// Trees.
const TREES: usize = 64;
/// Draws over which curves are averaged, and those for pairs of which there are many.
const BACKGROUND: (usize, usize) = (64, 24);
/// Values of a curve; of each parameter of a plane; of each in the decomposition.
const STEPS: (usize, usize, usize) = (40, 16, 6);
/// Parameters of which all pairs are looked at, the most important ones.
const PAIRED: usize = 8;
/// Draws by which the model's whole variance is told.
const SPREAD: usize = 1024;

/// A fitted model.
#[derive(Clone, Debug)]
pub struct Surrogate<'a> {
    sample: &'a Sample,
    forest: Forest,
    /// Costs were moved by the first and divided by the second.
    scale: (f64, f64),
    trials: usize,
}

/// What is expected at one value of a parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The value.
    pub x: Value,
    /// Mean over the other parameters.
    pub mean: f64,
    /// How far the trees disagree about the mean (standard deviation): how well it is known.
    pub deviation: f64,
    /// The tenth of configurations with the lowest expectations end here, over the other parameters.
    pub low: f64,
    /// The tenth with the highest begin here.
    pub high: f64,
}

/// What is expected over a plane of two parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// Values of the first.
    pub xs: Vec<Value>,
    /// Values of the second.
    pub ys: Vec<Value>,
    /// A row per value of the second; none where both are never active together.
    pub means: Vec<Vec<Option<f64>>>,
}

/// How much two parameters matter together, beyond what each does alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// Positions in the space.
    pub params: (usize, usize),
    /// Share of the model's variance.
    pub share: f64,
}

/// The model's variance taken apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pairs {
    /// Share of the variance that each parameter explains alone.
    pub alone: Vec<(usize, f64)>,
    /// What pairs of them add, largest first.
    pub pairs: Vec<Pair>,
}

/// A draw from the space: its quantiles, and the coordinates there.
struct Draw {
    quantiles: Vec<f64>,
    u: Vec<f64>,
}

/// Expectations at the values of one or two parameters: by value, the trees' answers averaged over the background.
struct Means {
    /// By value: mean, how many draws it is over.
    at: Vec<Option<f64>>,
    /// Share of draws in which the parameters were active, over all values.
    active: f64,
}

impl<'a> Surrogate<'a> {
    /// A model of `cost` (of a trial's key; smaller is better) or, without it, of an objective. None where fewer than ten
    /// trials have a finite one.
    pub fn fit(sample: &'a Sample, cost: impl Fn(u64, &[f64]) -> Option<f64>) -> Option<Self> {
        let axes = sample.codec.axes();
        let mut by_key: Vec<(u64, &[f64], f64)> = sample
            .rows
            .iter()
            .filter_map(|row| Some((row.key, row.u.as_slice(), cost(row.key, &row.costs).filter(|c| c.is_finite())?)))
            .collect();
        if by_key.len() < MIN_TRIALS {
            return None;
        }
        // Keys are hashes: an even draw.
        by_key.sort_by_key(|(key, ..)| *key);
        by_key.truncate(MAX_TRIALS);
        let (costs, scale) = scaled(by_key.iter().map(|(.., cost)| *cost).collect());
        let n = costs.len();
        let rows = Rows { x: by_key.iter().map(|(_, u, _)| *u).collect(), y: costs, w: vec![1.0; n] };
        let modelled = axes.iter().filter(|axis| **axis != Axis::Fixed).count();
        // (For regression all parameters are tried, within reason.)
        let growth = Growth { trees: TREES, leaf: 3, tried: modelled.clamp(1, 10), depth: 32 };
        let forest = Forest::grow(axes, &rows, growth, &mut Stream::new(0, 0, 0, "surrogate of results"));
        Some(Self { sample, forest, scale, trials: n })
    }

    /// Trials it was fitted to.
    pub fn trials(&self) -> usize {
        self.trials
    }

    /// The curve over one parameter.
    pub fn curve(&self, param: usize) -> Vec<Point> {
        let draws = self.draws(BACKGROUND.0);
        let point = |u: f64| {
            let drafts: Vec<Vec<f64>> = draws.iter().filter_map(|q| self.place(q, &[(param, u)])).collect();
            if drafts.is_empty() {
                return None;
            }
            let n = drafts.len() as f64;
            let mut each = vec![0.0; drafts.len()];
            let mut trees = Vec::with_capacity(TREES);
            for tree in &self.forest.0 {
                let mut sum = 0.0;
                for (draft, all) in drafts.iter().zip(&mut each) {
                    let answer = tree.answer(draft);
                    sum += answer;
                    *all += answer / TREES as f64;
                }
                trees.push(sum / n);
            }
            let (mean, deviation) = moments(&trees);
            each.sort_by(f64::total_cmp);
            let tenth = each.len() / 10;
            Some(Point {
                x: self.sample.value(param, u),
                mean: self.cost(mean),
                deviation: deviation * self.scale.1,
                low: self.cost(each[tenth]),
                high: self.cost(each[each.len() - 1 - tenth]),
            })
        };
        self.steps(param, STEPS.0).into_iter().filter_map(point).collect()
    }

    /// The plane over two parameters.
    pub fn plane(&self, x: usize, y: usize) -> Grid {
        let draws = self.draws(BACKGROUND.0);
        let (xs, ys) = (self.steps(x, STEPS.1), self.steps(y, STEPS.1));
        let mean = |u: f64, v: f64| Some(self.cost(self.means(&draws, &[vec![(x, u), (y, v)]]).at[0]?));
        Grid {
            means: ys.iter().map(|v| xs.iter().map(|u| mean(*u, *v)).collect()).collect(),
            xs: xs.iter().map(|u| self.sample.value(x, *u)).collect(),
            ys: ys.iter().map(|v| self.sample.value(y, *v)).collect(),
        }
    }

    /// The variance that the `params` explain alone and in pairs; of the first few, so that the most important come first.
    pub fn pairs(&self, params: &[usize]) -> Pairs {
        let params: Vec<usize> = params.iter().copied().take(PAIRED).collect();
        let spread: Vec<f64> = { self.draws(SPREAD).iter().map(|draw| self.forest.mean(&draw.u)).collect() };
        let (_, deviation) = moments(&spread);
        let total = deviation * deviation;
        // The model says the same everywhere (up to rounding).
        if total < 1e-18 {
            let alone = params.iter().map(|i| (*i, 0.0)).collect();
            return Pairs { alone, pairs: Vec::new() };
        }
        let draws = self.draws(BACKGROUND.1);
        let steps: Vec<Vec<f64>> = params.iter().map(|i| self.steps(*i, STEPS.2)).collect();
        let weights: Vec<Vec<f64>> = params.iter().zip(&steps).map(|(i, steps)| self.weights(*i, steps)).collect();
        let alone = (0..params.len()).map(|a| {
            let places: Vec<Vec<(usize, f64)>> = steps[a].iter().map(|u| vec![(params[a], *u)]).collect();
            let means = self.means(&draws, &places);
            (params[a], means.active * variance(&means.at, &weights[a]) / total)
        });
        let alone: Vec<(usize, f64)> = alone.collect();
        let mut pairs = Vec::new();
        for a in 0..params.len() {
            for b in a + 1..params.len() {
                let place =
                    |u: &f64| steps[b].iter().map(|v| vec![(params[a], *u), (params[b], *v)]).collect::<Vec<_>>();
                let places: Vec<Vec<(usize, f64)>> = steps[a].iter().flat_map(place).collect();
                let means = self.means(&draws, &places);
                let interaction = interaction(&means.at, &weights[a], &weights[b]);
                pairs.push(Pair { params: (params[a], params[b]), share: means.active * interaction / total });
            }
        }
        pairs.sort_by(|a, b| b.share.total_cmp(&a.share));
        Pairs { alone, pairs }
    }

    /// The cost that a scaled one stands for.
    fn cost(&self, scaled: f64) -> f64 {
        scaled * self.scale.1 + self.scale.0
    }

    /// Values of a parameter at even steps (all of a small one), at most `most`; choices by how often trials made them.
    fn steps(&self, param: usize, most: usize) -> Vec<f64> {
        match self.sample.codec.axes()[param] {
            Axis::Fixed => vec![0.5],
            Axis::Choice { cells } if cells as usize <= most => (0..cells).map(|cell| cell as f64).collect(),
            Axis::Choice { cells } => {
                let mut counts: Vec<(usize, u64)> = (0..cells).map(|cell| (0, cell)).collect();
                let made = self.sample.rows.iter().map(|row| row.u[param]).filter(|u| !u.is_nan());
                made.for_each(|u| counts[u as usize].0 += 1);
                counts.sort_by_key(|(count, cell)| (usize::MAX - count, *cell));
                let mut chosen: Vec<f64> = counts[..most].iter().map(|(_, cell)| *cell as f64).collect();
                chosen.sort_by(f64::total_cmp);
                chosen
            }
            axis @ Axis::Grid { cells, .. } => {
                let n = (cells as usize).min(most) as u64;
                let middle = |k: u64| {
                    let at = if cells as usize <= most { k } else { (2 * k + 1) * (cells - 1) / (2 * n) };
                    let (from, to) = axis.edges(at);
                    (from + to) / 2.0
                };
                let mut steps: Vec<f64> = (0..n).map(middle).collect();
                steps.dedup();
                steps
            }
            Axis::Real { .. } => (0..most).map(|k| (k as f64 + 0.5) / most as f64).collect(),
        }
    }

    /// How likely the share of values around each step is under the parameter's prior; adding up to 1.
    fn weights(&self, param: usize, steps: &[f64]) -> Vec<f64> {
        let Some((mean, sigma)) = self.sample.codec.prior(param) else {
            return vec![1.0 / steps.len() as f64; steps.len()];
        };
        let density = |u: &f64| libm::exp(-0.5 * ((u - mean) / sigma) * ((u - mean) / sigma));
        // A prior so narrow that it falls between two steps leaves the nearest.
        let all: Vec<f64> = steps.iter().map(|u| density(u).max(1e-300)).collect();
        let sum: f64 = all.iter().sum();
        all.iter().map(|w| w / sum).collect()
    }

    /// Draws from the space.
    fn draws(&self, count: usize) -> Vec<Draw> {
        let d = self.sample.codec.axes().len();
        let mut stream = Stream::new(0, 0, 0, "background of marginals");
        // Each parameter's quantiles are spread evenly, in an order of their own (a Latin hypercube).
        let mut all = vec![Vec::with_capacity(d); count];
        for _ in 0..d {
            let mut places: Vec<usize> = (0..count).collect();
            for at in (1..count).rev() {
                places.swap(at, stream.below(at + 1));
            }
            for (draw, place) in all.iter_mut().zip(places) {
                draw.push((place as f64 + stream.unit()) / count as f64);
            }
        }
        let draw = |quantiles: Vec<f64>| Draw { u: drafts::at(&self.sample.codec, &quantiles, &[]).u, quantiles };
        all.into_iter().map(draw).collect()
    }

    /// The coordinates of `draw` but for parameters in `fixed`; none where one of these is inactive.
    fn place(&self, draw: &Draw, fixed: &[(usize, f64)]) -> Option<Vec<f64>> {
        let codec = self.sample.codec();
        let mut parents = codec.conditions().iter().flatten().map(|(parent, _)| *parent);
        let u = if parents.any(|parent| fixed.iter().any(|(i, _)| *i == parent)) {
            // Others depend on it.
            drafts::at(codec, &draw.quantiles, fixed).u
        } else {
            let mut u = draw.u.clone();
            fixed.iter().filter(|(i, _)| !draw.u[*i].is_nan()).for_each(|(i, at)| u[*i] = *at);
            u
        };
        fixed.iter().all(|(i, _)| !u[*i].is_nan()).then_some(u)
    }

    fn means(&self, draws: &[Draw], places: &[Vec<(usize, f64)>]) -> Means {
        let mut asked = 0;
        let at = places.iter().map(|fixed| {
            let (mut sum, mut n) = (0.0, 0);
            for u in draws.iter().filter_map(|draw| self.place(draw, fixed)) {
                sum += self.forest.mean(&u);
                n += 1;
            }
            asked += n;
            (n > 0).then(|| sum / n as f64)
        });
        let at = at.collect();
        Means { at, active: asked as f64 / (draws.len() * places.len()).max(1) as f64 }
    }
}

/// Costs moved into [0, 1], and how to move them back. A few that are far out (by more than three times the middle half's
/// width above it) count as the farthest that isn't: runs that diverged would leave nothing else to be seen.
fn scaled(mut costs: Vec<f64>) -> (Vec<f64>, (f64, f64)) {
    let mut sorted = costs.clone();
    sorted.sort_by(f64::total_cmp);
    let (low, q1, q3) = (sorted[0], sorted[sorted.len() / 4], sorted[sorted.len() * 3 / 4]);
    let fence = q3 + 3.0 * (q3 - q1);
    let high = sorted.iter().rev().copied().find(|cost| q3 <= q1 || *cost <= fence).unwrap_or(q3);
    // Halved, so that the width of the widest range is finite.
    let width = (high / 2.0 - low / 2.0) * 2.0;
    let width = if width.is_finite() { width } else { f64::MAX };
    costs.iter_mut().for_each(|cost| {
        let above = (cost.min(high) / 2.0 - low / 2.0) / (width / 2.0);
        *cost = if width > 0.0 { above.clamp(0.0, 1.0) } else { 0.0 };
    });
    (costs, (low, width))
}

/// Mean and standard deviation.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (mean, (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt())
}

/// Variance of what is known of `means`.
fn variance(means: &[Option<f64>], weights: &[f64]) -> f64 {
    let known: Vec<(f64, f64)> =
        means.iter().zip(weights).filter_map(|(mean, w)| Some((mean.as_ref().copied()?, *w))).collect();
    let weight: f64 = known.iter().map(|(_, w)| w).sum();
    let mean = known.iter().map(|(m, w)| m * w).sum::<f64>() / weight;
    let all = known.iter().map(|(m, w)| w * (m - mean) * (m - mean)).sum::<f64>() / weight;
    if all.is_finite() { all } else { 0.0 }
}

/// What is left of a table's variance when rows and columns have had theirs. Where a cell is missing nothing is said of its
/// row and column: the parameters are never active together there.
fn interaction(table: &[Option<f64>], of_rows: &[f64], of_columns: &[f64]) -> f64 {
    let (m, n) = (of_rows.len(), of_columns.len());
    let rows: Vec<usize> = (0..m).filter(|r| (0..n).any(|c| table[r * n + c].is_some())).collect();
    let columns: Vec<usize> = (0..n).filter(|c| rows.iter().all(|r| table[r * n + c].is_some())).collect();
    let cell = |r: usize, c: usize| table[r * n + c].unwrap_or(0.0);
    let (wr, wc) = (rows.iter().map(|r| of_rows[*r]).sum::<f64>(), columns.iter().map(|c| of_columns[*c]).sum::<f64>());
    if rows.is_empty() || columns.is_empty() {
        return 0.0;
    }
    let row = |r: usize| columns.iter().map(|c| of_columns[*c] * cell(r, *c)).sum::<f64>() / wc;
    let column = |c: usize| rows.iter().map(|r| of_rows[*r] * cell(*r, c)).sum::<f64>() / wr;
    let by_row: Vec<f64> = rows.iter().map(|r| row(*r)).collect();
    let by_column: Vec<f64> = columns.iter().map(|c| column(*c)).collect();
    let mean = rows.iter().zip(&by_row).map(|(r, v)| of_rows[*r] * v).sum::<f64>() / wr;
    let mut sum = 0.0;
    for (r, row) in rows.iter().zip(&by_row) {
        for (c, column) in columns.iter().zip(&by_column) {
            let left = cell(*r, *c) - row - column + mean;
            sum += of_rows[*r] * of_columns[*c] * left * left;
        }
    }
    sum / (wr * wc)
}
