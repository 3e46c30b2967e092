//! How much each parameter matters, by PED-ANOVA (Watanabe et al. 2023, arXiv 2304.10255): a parameter matters where the
//! best trials' values are distributed unlike everybody's.
//!
//! A conditional parameter is judged among the trials in which it was active, and counts in proportion to their share.

use serde_json::Value;

use super::{MIN_TRIALS, Sample};
use crate::{codec::Axis, math::cdf, rng::Stream};

/// Share of trials that count as the best, unless asked otherwise.
pub const TOP: f64 = 0.1;
/// Their least number.
const MIN_TOP: usize = 5;
/// Bins of a numeric parameter.
const BINS: usize = 50;
/// Trials below which whiskers would say more than is known.
const MIN_WHISKERS: usize = 50;
/// Times the trials are drawn anew for whiskers, and (parameter, draw) pairs at most, below which there are fewer.
const DRAWS: (usize, usize) = (100, 20_000);
/// Share of draws outside each end of a whisker.
const TAIL: f64 = 0.05;
/// Share of the best trials that a range or choice of values holds to be told.
const HOLDS: f64 = 0.8;
/// How much smaller the share of all trials in it must be.
const STANDS_OUT: f64 = 0.15;

/// How much a parameter matters.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// Its position in the space.
    pub param: usize,
    /// Its share; all add up to 1.
    pub share: f64,
    /// Where the share lies in nine of ten redrawings of the trials; none below fifty trials.
    pub whiskers: Option<(f64, f64)>,
    /// Where the best trials lie, if that is a smaller part than where all do.
    pub best: Option<Best>,
}

/// The values of one parameter that most of the best trials have.
#[derive(Clone, Debug, PartialEq)]
pub struct Best {
    /// From the smallest to the largest; none for choices.
    pub range: Option<(Value, Value)>,
    /// Choices, the most frequent first; empty for numbers.
    pub choices: Vec<Value>,
    /// Share of the best trials that have them (of those in which the parameter was active).
    pub of_best: f64,
    /// Share of all.
    pub of_all: f64,
}

/// A parameter's values in the order of a sample's rows, for drawing them anew.
struct Column {
    axis: Axis,
    u: Vec<f64>,
    bins: Vec<u16>,
}

/// How often each row is drawn, and how many of the best count.
struct Draw<'a> {
    /// Best first.
    order: &'a [usize],
    times: &'a [u32],
    top: f64,
}

/// Importances, largest first; empty while there are fewer than ten trials. `objective` says by which the best are meant
/// (none: by the only one, or by non-dominated rank), `top` which share of trials they are.
pub fn importances(sample: &Sample, objective: Option<usize>, top: f64) -> Vec<Importance> {
    let n = sample.rows.len();
    if n < MIN_TRIALS {
        return Vec::new();
    }
    let order = sample.order(objective, best_of(n, top));
    let once = vec![1u32; n];
    let as_is = Draw { order: &order, times: &once, top };
    let params = (0..sample.codec.axes().len()).filter(|i| !sample.codec.space().params[*i].domain.is_fidelity());
    let params: Vec<usize> = params.collect();
    let columns: Vec<Column> = params.iter().map(|i| Column::new(sample, *i)).collect();
    let shares = as_is.shares(&columns);
    let whiskers = (n >= MIN_WHISKERS).then(|| whiskers(&columns, &order, top, &shares));
    let one = |at: usize| Importance {
        param: params[at],
        share: shares[at],
        whiskers: whiskers.as_ref().map(|all| all[at]),
        best: best(sample, params[at], &columns[at], &as_is),
    };
    let mut all: Vec<Importance> = (0..params.len()).map(one).collect();
    all.sort_by(|a, b| b.share.total_cmp(&a.share));
    all
}

/// How many of `n` trials count as the best.
pub fn best_of(n: usize, top: f64) -> usize {
    (libm::ceil(top * n as f64) as usize).max(MIN_TOP).min(n)
}

fn whiskers(columns: &[Column], order: &[usize], top: f64, shares: &[f64]) -> Vec<(f64, f64)> {
    let n = order.len();
    let draws = (DRAWS.1 / columns.len().max(1)).clamp(20, DRAWS.0);
    let mut stream = Stream::new(0, 0, 0, "whiskers of importances");
    let mut drawn: Vec<Vec<f64>> = vec![Vec::with_capacity(draws); columns.len()];
    for _ in 0..draws {
        let mut times = vec![0u32; n];
        (0..n).for_each(|_| times[stream.below(n)] += 1);
        let shares = Draw { order, times: &times, top }.shares(columns);
        drawn.iter_mut().zip(shares).for_each(|(all, share)| all.push(share));
    }
    let ends = |(mut all, share): (Vec<f64>, &f64)| {
        all.sort_by(f64::total_cmp);
        let cut = (TAIL * draws as f64) as usize;
        // Repeats make a draw look more uneven than the trials were, so the share itself may lie below.
        (all[cut].min(*share), all[draws - 1 - cut].max(*share))
    };
    drawn.into_iter().zip(shares).map(ends).collect()
}

impl Column {
    fn new(sample: &Sample, param: usize) -> Self {
        let axis = sample.codec.axes()[param];
        let bins = bins_of(axis);
        let u: Vec<f64> = sample.rows.iter().map(|row| row.u[param]).collect();
        let bin = |u: &f64| match axis {
            _ if u.is_nan() => u16::MAX,
            Axis::Choice { .. } => *u as u16,
            _ => ((u * bins as f64) as usize).min(bins - 1) as u16,
        };
        Self { axis, bins: u.iter().map(bin).collect(), u }
    }
}

fn bins_of(axis: Axis) -> usize {
    match axis {
        Axis::Choice { cells } => cells as usize,
        Axis::Grid { cells, .. } => (cells as usize).min(BINS),
        _ => BINS,
    }
}

impl Draw<'_> {
    /// Shares by column, adding up to 1; the same for all where nothing matters.
    fn shares(&self, columns: &[Column]) -> Vec<f64> {
        let scores: Vec<f64> = columns.iter().map(|column| self.score(column)).collect();
        let sum: f64 = scores.iter().sum();
        if sum > 0.0 && sum.is_finite() {
            scores.iter().map(|score| score / sum).collect()
        } else {
            vec![1.0 / columns.len().max(1) as f64; columns.len()]
        }
    }

    /// The rows of `column` that are active, best first, and how many of these draws are of the best.
    fn active(&self, column: &Column) -> (impl Iterator<Item = (usize, u32)>, usize, usize) {
        let rows = self.order.iter().copied().filter(|i| column.bins[*i] != u16::MAX && self.times[*i] > 0);
        let rows: Vec<(usize, u32)> = rows.map(|i| (i, self.times[i])).collect();
        let all = rows.iter().map(|(_, times)| *times as usize).sum::<usize>();
        let best = best_of(all, self.top);
        (rows.into_iter(), all, best)
    }

    fn score(&self, column: &Column) -> f64 {
        let (rows, all, best) = self.active(column);
        if column.axis == Axis::Fixed || all < MIN_TRIALS {
            return 0.0;
        }
        let (mut everyone, mut top) = (Histogram::new(column.axis), Histogram::new(column.axis));
        let mut left = best;
        for (i, times) in rows {
            everyone.add(column.bins[i], column.u[i], f64::from(times));
            let taken = left.min(times as usize);
            left -= taken;
            if taken > 0 {
                top.add(column.bins[i], column.u[i], taken as f64);
            }
        }
        divergence(&top.density(), &everyone.density()) * all as f64 / self.order.len() as f64
    }
}

/// Pearson's divergence of `p` from `q`.
fn divergence(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).map(|(p, q)| (p - q) * (p - q) / q).sum()
}

/// Values by bin, and what a kernel's width needs.
struct Histogram {
    axis: Axis,
    counts: Vec<f64>,
    n: f64,
    sum: f64,
    squares: f64,
}

impl Histogram {
    fn new(axis: Axis) -> Self {
        Self { axis, counts: vec![0.0; bins_of(axis)], n: 0.0, sum: 0.0, squares: 0.0 }
    }

    fn add(&mut self, bin: u16, u: f64, times: f64) {
        self.counts[usize::from(bin)] += times;
        self.n += times;
        self.sum += times * u;
        self.squares += times * u * u;
    }

    /// Probabilities of the bins: kernels at the middles of the values' bins, and the uniform prior as one more.
    fn density(&self) -> Vec<f64> {
        let n = self.counts.len();
        let weight = 1.0 / (self.n + 1.0);
        if matches!(self.axis, Axis::Choice { .. }) {
            return self.counts.iter().map(|count| weight * (count + 1.0 / n as f64)).collect();
        }
        let mean = self.sum / self.n;
        let deviation = libm::sqrt((self.squares / self.n - mean * mean).max(0.0));
        // Scott's rule, no narrower than half a bin.
        let sigma = (1.06 * deviation * libm::pow(self.n, -0.2)).max(0.5 / n as f64);
        // Below the edge that lies k - n + ½ bins above a kernel's middle.
        let below: Vec<f64> = (0..2 * n).map(|k| cdf((k as f64 - n as f64 + 0.5) / n as f64 / sigma)).collect();
        let mut bins = vec![weight / n as f64; n];
        for (at, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            let edges = &below[n - 1 - at..=2 * n - 1 - at];
            let scale = weight * count / (edges[n] - edges[0]);
            bins.iter_mut().zip(edges.windows(2)).for_each(|(bin, edge)| *bin += scale * (edge[1] - edge[0]));
        }
        bins
    }
}

/// The shortest range, or the fewest choices, that hold most of the best trials.
fn best(sample: &Sample, param: usize, column: &Column, draw: &Draw) -> Option<Best> {
    let (rows, all, top) = draw.active(column);
    if column.axis == Axis::Fixed || all < MIN_TRIALS {
        return None;
    }
    let rows: Vec<usize> = rows.map(|(i, _)| i).collect();
    let (good, holds) = (&rows[..top], libm::ceil(HOLDS * top as f64) as usize);
    let share = |among: &[usize], within: &dyn Fn(f64) -> bool| {
        among.iter().filter(|i| within(column.u[**i])).count() as f64 / among.len() as f64
    };
    let found = if let Axis::Choice { cells } = column.axis {
        let mut counts: Vec<(usize, u64)> = (0..cells).map(|cell| (0, cell)).collect();
        good.iter().for_each(|i| counts[column.u[*i] as usize].0 += 1);
        counts.sort_by_key(|(count, cell)| (usize::MAX - count, *cell));
        let mut held = 0;
        let chosen = counts.into_iter().take_while(|(count, _)| {
            let more = held < holds;
            held += count;
            more
        });
        let chosen: Vec<f64> = chosen.map(|(_, cell)| cell as f64).collect();
        let within = |u: f64| chosen.contains(&u);
        let choices = chosen.iter().map(|u| sample.value(param, *u)).collect();
        Best { range: None, choices, of_best: share(good, &within), of_all: share(&rows, &within) }
    } else {
        let mut sorted: Vec<f64> = good.iter().map(|i| column.u[*i]).collect();
        sorted.sort_by(f64::total_cmp);
        let widths = sorted.windows(holds).map(|w| (w[0], w[holds - 1]));
        let (low, high) = widths.min_by(|a, b| (a.1 - a.0).total_cmp(&(b.1 - b.0)))?;
        let within = |u: f64| low <= u && u <= high;
        let range = Some((sample.value(param, low), sample.value(param, high)));
        Best { range, choices: Vec::new(), of_best: share(good, &within), of_all: share(&rows, &within) }
    };
    (found.of_best - found.of_all >= STANDS_OUT).then_some(found)
}
