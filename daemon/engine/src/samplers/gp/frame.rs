//! Configurations as points of the model: one coordinate for each parameter that has more than one value.
//!
//! A raw point has NaN where a parameter is inactive. The model sees ½ there (of a choice: one more level), so that trials differ on
//! that axis only where it is active in one of them, and what tells such trials apart otherwise is their parent's value.

use super::kernel::Metric;
use crate::{
    codec::{Axis, Cell, Codec, Config},
    math::truncated,
};

/// Grids of more cells than this are first searched as if they were continuous.
pub const FINE: u64 = 12;

/// See the module.
#[derive(Clone, Debug)]
pub struct Frame<'a> {
    /// The space.
    pub codec: &'a Codec,
    /// Positions of the modelled parameters.
    pub axes: Vec<usize>,
    /// How each compares.
    pub metrics: Vec<Metric>,
    /// A value for each where it becomes active during a search.
    donors: Vec<f64>,
}

impl<'a> Frame<'a> {
    /// The frame of a space.
    pub fn new(codec: &'a Codec) -> Self {
        let axes: Vec<usize> = (0..codec.axes().len()).filter(|i| codec.axes()[*i] != Axis::Fixed).collect();
        let metric = |i: &usize| match codec.axes()[*i] {
            Axis::Choice { .. } => Metric::Choice,
            _ => Metric::Number,
        };
        let metrics: Vec<Metric> = axes.iter().map(metric).collect();
        let donors = metrics.iter().map(|m| if *m == Metric::Choice { 0.0 } else { 0.5 }).collect();
        Self { codec, axes, metrics, donors }
    }

    /// Dimensions.
    pub fn d(&self) -> usize {
        self.axes.len()
    }

    /// The axis of coordinate `j`.
    pub fn axis(&self, j: usize) -> Axis {
        self.codec.axes()[self.axes[j]]
    }

    /// A configuration's raw point.
    pub fn point(&self, config: &Config) -> Vec<f64> {
        self.axes.iter().map(|i| config.u[*i]).collect()
    }

    /// Takes values for parameters that become active from `points`, the first in which each is.
    pub fn learn_donors<'p>(&mut self, points: impl Iterator<Item = &'p Vec<f64>> + Clone) {
        for (j, donor) in self.donors.iter_mut().enumerate() {
            *donor = points.clone().map(|p| p[j]).find(|v| !v.is_nan()).unwrap_or(*donor);
        }
    }

    /// Coordinates for the model, into `out`.
    pub fn see(&self, raw: &[f64], out: &mut Vec<f64>) {
        out.clear();
        let seen = |(v, metric): (&f64, &Metric)| match (v.is_nan(), metric) {
            (false, _) => *v,
            (true, Metric::Number) => 0.5,
            (true, Metric::Choice) => -1.0,
        };
        out.extend(raw.iter().zip(&self.metrics).map(seen));
    }

    fn cell(&self, j: usize, v: f64) -> Cell {
        match self.axis(j) {
            Axis::Choice { .. } => Cell::Index(v as u64),
            Axis::Real { .. } => Cell::Real(v),
            Axis::Grid { .. } | Axis::Fixed => self.codec.at(self.axes[j], v),
        }
    }

    /// The middle of `cell`'s share of coordinate `j`.
    pub fn middle(&self, j: usize, cell: u64) -> f64 {
        let (low, high) = self.axis(j).edges(cell);
        (low + high) / 2.0
    }

    /// Makes a raw point one that a configuration has: numbers in the middle of cells, NaN exactly where inactive.
    pub fn settle(&self, raw: &mut [f64]) {
        let mut cells: Vec<Cell> = Vec::with_capacity(self.codec.axes().len());
        let mut j = 0;
        for i in 0..self.codec.axes().len() {
            let modelled = self.axes.get(j) == Some(&i);
            if !self.codec.is_active(i, &cells) {
                cells.push(Cell::Off);
                if modelled {
                    raw[j] = f64::NAN;
                    j += 1;
                }
                continue;
            }
            if !modelled {
                cells.push(Cell::Index(0));
                continue;
            }
            if raw[j].is_nan() {
                raw[j] = self.donors[j];
            }
            let cell = self.cell(j, raw[j]);
            if let (Axis::Grid { .. }, Cell::Index(at)) = (self.axis(j), cell) {
                raw[j] = self.middle(j, at);
            }
            cells.push(cell);
            j += 1;
        }
    }

    /// The value of coordinate `j` at quantile `q` of its prior.
    pub fn quantile(&self, j: usize, q: f64) -> f64 {
        match self.axis(j) {
            Axis::Choice { cells } => ((q * cells as f64) as u64).min(cells - 1) as f64,
            _ => self.codec.prior(self.axes[j]).map_or(q, |(mean, sigma)| truncated(q, mean, sigma)),
        }
    }

    /// The configuration of a settled raw point.
    pub fn config(&self, raw: &[f64]) -> Config {
        self.codec.build(|i| match self.axes.binary_search(&i) {
            Err(_) => Cell::Index(0),
            Ok(j) => match self.axis(j) {
                Axis::Choice { .. } => Cell::Index(raw[j] as u64),
                _ => self.codec.at(i, raw[j]),
            },
        })
    }
}
