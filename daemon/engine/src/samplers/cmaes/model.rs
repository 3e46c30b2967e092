//! A small Gaussian process over the trials nearest to the distribution, in its own metric, to choose among several draws.
//! (After Bajer et al. 2019, "Gaussian Process Surrogate Models for the CMA Evolution Strategy", but nothing is fitted: the
//! distribution knows the scales, and ranks know theirs.)
//!
//! Values are ranks, so increasing transformations of a metric change nothing. Draws beside pending trials are set back.

use super::{
    layout::Layout,
    matrix::{Square, dot},
    state::State,
};
use crate::{codec::Config, math::ppf, samplers::Ask};

/// Trials that it learns from: time no longer grows with the study, and what is far away says little.
const POINTS: usize = 48;
/// Latest results among which the nearest are looked for, in a space of up to `SMALL` dimensions and in larger ones.
const LATEST: (usize, usize) = (192, 64);
const SMALL: usize = 32;
/// Pending trials that it keeps away from.
const PENDING: usize = 32;
/// The kernel's length over the square root of the dimensions.
const LENGTH: f64 = 2.0;
/// What another choice counts as, in squared lengths.
const OTHER: f64 = 0.5;
/// The variance of noise; that of the values is 1.
const NOISE: f64 = 0.01;
/// How far a draw is beside a pending trial, in the kernel's lengths, and what one on top of it is set back by, in deviations
/// of the values. (Draws differ anyway: wider or stronger was worse with eight trials at a time.)
const BESIDE: f64 = 0.1;
const CROWD: f64 = 0.5;
/// Deviations by which a draw is believed to be better than its mean.
const HOPE: f64 = 1.0;

/// Where a trial lies.
struct Point {
    z: Vec<f64>,
    choices: Vec<Option<usize>>,
}

/// See the module.
pub struct Model {
    points: Vec<Point>,
    root: Square,
    weights: Vec<f64>,
    pending: Vec<Point>,
    length2: f64,
}

impl Model {
    /// Learns from the history; none where it has too little of it.
    pub fn new(ask: &Ask, layout: &Layout, state: &State) -> Option<Self> {
        let dimensions = state.mean.len() + layout.choices.len();
        let latest = if dimensions > SMALL { LATEST.1 } else { LATEST.0 };
        let results = ask.history.results((0, 0)).rev().take(latest);
        let mut near: Vec<(f64, u64, Point)> = results
            .map(|(_, record, config)| {
                let point = Point::new(state, layout, config);
                (dot(&point.z, &point.z) + point.strangeness(state), record.key, point)
            })
            .collect();
        near.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        near.truncate(POINTS);
        if near.len() < 4 {
            return None;
        }
        let keys: Vec<u64> = near.iter().map(|(_, key, _)| *key).collect();
        let values = values(&ask.history.ranked(&keys), near.len(), dimensions);
        let points = near.into_iter().map(|(_, _, point)| point).collect();
        let pending = ask.history.pending().rev().take(PENDING);
        let mut model = Self {
            points,
            root: Square::diagonal(&[]),
            weights: Vec::new(),
            pending: pending.map(|(_, config)| Point::new(state, layout, config)).collect(),
            length2: LENGTH * LENGTH * dimensions.max(1) as f64,
        };
        let mut gram = Square::diagonal(&vec![NOISE; model.points.len()]);
        for (i, a) in model.points.iter().enumerate() {
            let row = gram.row_mut(i);
            row.iter_mut().zip(&model.points[..=i]).for_each(|(cell, b)| *cell += model.kernel(a, b));
        }
        model.root = gram.cholesky()?;
        model.weights = model.root.solve_transposed(&model.root.solve(&values));
        Some(model)
    }

    /// How far apart two points are, in squared lengths.
    fn apart(&self, a: &Point, b: &Point) -> f64 {
        let squares = a.z.iter().zip(&b.z).fold(0.0, |sum, (x, y)| sum + (x - y) * (x - y));
        let differing = a.choices.iter().zip(&b.choices).filter(|(x, y)| x != y).count();
        squares / self.length2 + OTHER * differing as f64
    }

    /// The covariance of two points; the level of all is free.
    fn kernel(&self, a: &Point, b: &Point) -> f64 {
        1.0 + libm::exp(-0.5 * self.apart(a, b))
    }

    /// How good a draw may be: smaller is better.
    pub fn hope(&self, state: &State, layout: &Layout, config: &Config) -> f64 {
        let point = Point::new(state, layout, config);
        let near: Vec<f64> = self.points.iter().map(|p| self.kernel(p, &point)).collect();
        let known = self.root.solve(&near);
        let variance = (2.0 - dot(&known, &known)).max(0.0);
        let beside = |p: &Point| libm::exp(-self.apart(p, &point) / (2.0 * BESIDE * BESIDE));
        let crowd = self.pending.iter().fold(0.0, |sum, p| sum + beside(p));
        dot(&self.weights, &near) - HOPE * variance.sqrt() + CROWD * crowd
    }
}

impl Point {
    /// Where `config` runs: what it was drawn from doesn't matter here, and inactive parameters make no difference.
    fn new(state: &State, layout: &Layout, config: &Config) -> Self {
        let x: Vec<f64> = layout.numbers.iter().map(|i| config.u[*i]).collect();
        Self { z: state.root.solve(&state.step(&x)), choices: layout.values(config) }
    }

    /// The squared distance that improbable choices stand for.
    fn strangeness(&self, state: &State) -> f64 {
        let probability = |(value, table): (&Option<usize>, &Vec<f64>)| Some(*table.get((*value)?)?);
        self.choices.iter().zip(&state.tables).filter_map(probability).fold(0.0, |sum, p| sum - 2.0 * libm::log(p))
    }
}

/// A value by rank with mean 0 and variance 1, by position: as if costs rose with the square of the distance from the best
/// and trials filled a ball around it. (A normal score where there is but one dimension or none.)
fn values(ranked: &[(usize, usize)], count: usize, dimensions: usize) -> Vec<f64> {
    let mut values = vec![0.0; count];
    let mut from = 0;
    while from < ranked.len() {
        // Equals take the middle of their places.
        let equals = ranked[from..].iter().take_while(|(_, class)| *class == ranked[from].1).count();
        let share = (from as f64 + equals as f64 / 2.0) / count as f64;
        let value = if dimensions < 2 { ppf(share) } else { libm::pow(share, 2.0 / dimensions as f64) };
        ranked[from..from + equals].iter().for_each(|(at, _)| values[*at] = value);
        from += equals;
    }
    let mean = values.iter().sum::<f64>() / count as f64;
    let spread = (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count as f64).sqrt();
    values.iter_mut().for_each(|v| *v = if spread > 1e-9 { (*v - mean) / spread } else { 0.0 });
    values
}
