//! A small Gaussian process over the nearest trials, in the distribution's own metric: it picks among several draws.

use super::{
    layout::{Layout, Sample},
    matrix::{Square, dot},
    state::State,
};
use crate::samplers::Ask;

/// See the module.
pub struct Model {
    points: Vec<(Vec<f64>, Vec<Option<usize>>)>,
    alpha: Vec<f64>,
    root: Square,
    length2: f64,
    kind: u64,
}

pub struct Tuning {
    pub points: usize,
    pub length: f64,
    pub noise: f64,
    pub target: u64,
    pub kind: u64,
}

impl Model {
    pub fn new(ask: &Ask, layout: &Layout, state: &State, t: &Tuning) -> Option<Self> {
        let codec = ask.history.codec();
        let n = state.mean.len() + layout.choices.len();
        let mut rows: Vec<(f64, u64, Vec<f64>, Sample)> = ask
            .history
            .results((0, 0))
            .rev()
            .take(4 * t.points)
            .map(|(_, record, config)| {
                let sample = layout.sample(codec, record, config);
                let z = state.root.solve(&state.step(&sample.x));
                let miss: f64 = sample
                    .choices
                    .iter()
                    .enumerate()
                    .filter_map(|(a, c)| Some(-2.0 * libm::log(*state.tables[a].get((*c)?)?)))
                    .sum();
                (dot(&z, &z) + miss, record.key, z, sample)
            })
            .collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        rows.truncate(t.points);
        if rows.len() < 4 {
            return None;
        }
        let keys: Vec<u64> = rows.iter().map(|row| row.1).collect();
        let ranked = ask.history.ranked(&keys);
        let m = rows.len() as f64;
        let mut y = vec![0.0; rows.len()];
        for (place, (at, _)) in ranked.iter().enumerate() {
            let u = (place as f64 + 0.5) / m;
            y[*at] = match t.target {
                0 => libm::pow(u, 2.0 / n as f64),
                1 => crate::math::ppf(u),
                2 => libm::log(place as f64 + 1.0),
                _ => u,
            };
        }
        let mean = y.iter().sum::<f64>() / m;
        let sd = (y.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / m).sqrt().max(1e-12);
        y.iter_mut().for_each(|v| *v = (*v - mean) / sd);
        let mut points: Vec<_> = rows.into_iter().map(|row| (row.2, row.3.choices)).collect();
        let finished = points.len();
        for (record, config) in ask.history.pending().take(64) {
            let sample = layout.sample(codec, record, config);
            points.push((state.root.solve(&state.step(&sample.x)), sample.choices));
        }
        let mut model = Self { points, alpha: Vec::new(), root: Square::diagonal(&[]), length2: t.length * t.length * n as f64, kind: t.kind };
        let count = model.points.len();
        let mut gram = Square::diagonal(&vec![t.noise; count]);
        for i in 0..count {
            for j in 0..=i {
                gram.row_mut(i)[j] += model.kernel(&model.points[i], &model.points[j]);
            }
        }
        model.root = gram.cholesky()?;
        let mut v = Vec::new();
        for i in 0..finished {
            let row = model.root.row(i);
            v.push((y[i] - dot(&row[..i], &v)) / row[i]);
        }
        // Only finished: the leading block.
        for i in (0..finished).rev() {
            let row = model.root.row(i);
            let value = v[i] / row[i];
            v[i] = value;
            for j in 0..i {
                v[j] -= row[j] * value;
            }
        }
        model.alpha = v;
        Some(model)
    }

    fn kernel(&self, a: &(Vec<f64>, Vec<Option<usize>>), b: &(Vec<f64>, Vec<Option<usize>>)) -> f64 {
        let d2 = a.0.iter().zip(&b.0).fold(0.0, |s, (x, y)| s + (x - y) * (x - y));
        let differ = a.1.iter().zip(&b.1).filter(|(x, y)| x != y).count() as f64;
        let r2 = d2 / self.length2 + differ * 0.5;
        match self.kind {
            0 => libm::exp(-0.5 * r2) + 1.0,
            1 => {
                let r = (5.0 * r2).sqrt();
                (1.0 + r + r * r / 3.0) * libm::exp(-r) + 1.0
            }
            _ => {
                let s = dot(&a.0, &b.0) / self.length2 + 1.0;
                s * s * libm::exp(-0.5 * differ)
            }
        }
    }

    /// Mean and deviation.
    pub fn predict(&self, z: Vec<f64>, choices: Vec<Option<usize>>) -> (f64, f64) {
        let point = (z, choices);
        let k: Vec<f64> = self.points.iter().map(|p| self.kernel(p, &point)).collect();
        let mean = dot(&self.alpha, &k);
        let v = self.root.solve(&k);
        (mean, (self.kernel(&point, &point) - dot(&v, &v)).max(0.0).sqrt())
    }
}
