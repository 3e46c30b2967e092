//! Where an acquisition is largest: an even cover of the space and a spray around the best trials, then local searches.
//!
//! A local search alternates projected L-BFGS over numbers (fine grids as if they were continuous, then rounded) and sweeps over
//! discrete parameters one at a time, as in Optuna's mixed search (Watanabe 2025, arXiv 2505.18967 describes its L-BFGS).

use super::{
    acquisition::Worth,
    frame::{FINE, Frame},
    kernel::Metric,
    process::Room,
};
use crate::{
    algebra::lbfgs::{Limits, minimise},
    codec::Axis,
    math::ppf,
    rng::Stream,
};

/// Choices of one parameter that one sweep looks at.
const CHOICES: u64 = 24;

/// A box around a centre that a search stays in.
#[derive(Clone, Debug)]
pub struct Region {
    /// Its centre (raw).
    pub centre: Vec<f64>,
    /// Bounds of numbers.
    pub low: Vec<f64>,
    /// Likewise.
    pub high: Vec<f64>,
    /// The share of coordinates that a candidate changes.
    pub share: f64,
}

impl Region {
    /// The box of half sides `halves` around `centre`.
    pub fn new(centre: &[f64], halves: &[f64]) -> Self {
        let end = |sign: f64| -> Vec<f64> {
            centre
                .iter()
                .zip(halves)
                .map(|(c, half)| (if c.is_nan() { 0.5 } else { *c } + sign * half).clamp(0.0, 1.0))
                .collect()
        };
        // In many dimensions a candidate that differs in all of them is far from everything.
        let share = (20.0 / centre.len() as f64).min(1.0);
        Self { centre: centre.to_vec(), low: end(-1.0), high: end(1.0), share }
    }
}

/// One search.
pub struct Search<'a> {
    /// The space.
    pub frame: &'a Frame<'a>,
    /// What is maximised.
    pub worth: &'a Worth,
    /// Relevances, for the scale of steps.
    pub rho: &'a [f64],
    /// Raw points of the best trials, best first.
    pub best: &'a [Vec<f64>],
    /// Candidates of the cover.
    pub cover: usize,
    /// Local searches.
    pub starts: usize,
    /// Where it stays; none: everywhere.
    pub region: Option<Region>,
    pool: Vec<(f64, Vec<f64>)>,
    room: Room,
    seen: Vec<f64>,
}

impl<'a> Search<'a> {
    /// A search without bounds.
    pub fn new(frame: &'a Frame<'a>, worth: &'a Worth, rho: &'a [f64], best: &'a [Vec<f64>]) -> Self {
        let (pool, room, seen) = (Vec::new(), Room::default(), Vec::new());
        Self { frame, worth, rho, best, cover: 1024, starts: 8, region: None, pool, room, seen }
    }

    /// The worth of a settled raw point.
    pub fn value(&mut self, raw: &[f64]) -> f64 {
        self.frame.see(raw, &mut self.seen);
        let value = self.worth.at(&self.seen, &mut self.room, None);
        if value.is_nan() { f64::NEG_INFINITY } else { value }
    }

    /// Settled raw points that were looked at and their worth, best first.
    pub fn run(mut self, stream: &mut Stream) -> Vec<(f64, Vec<f64>)> {
        let mut starts = self.candidates(stream);
        starts.sort_by(|a, b| b.0.total_cmp(&a.0));
        let chosen = self.choose(&starts, stream);
        self.pool = starts;
        for raw in chosen {
            self.climb(raw, stream);
        }
        self.pool.sort_by(|a, b| b.0.total_cmp(&a.0));
        self.pool
    }

    fn candidates(&mut self, stream: &mut Stream) -> Vec<(f64, Vec<f64>)> {
        let d = self.frame.d();
        let scramble = (stream.unit() * f64::from(u32::MAX)) as u32;
        let mut raws: Vec<Vec<f64>> = Vec::new();
        for index in 0..self.cover {
            let unit = |j: usize| {
                let scramble = scramble.wrapping_add((j / 256) as u32);
                f64::from(sobol_burley::sample((index % 65_536) as u32, (j % 256) as u32, scramble))
                    + 1.0 / 33_554_432.0
            };
            let mut raw: Vec<f64> = (0..d).map(|j| self.frame.quantile(j, unit(j))).collect();
            if let Some(region) = &self.region {
                let kept = stream.below(d);
                for (j, x) in raw.iter_mut().enumerate() {
                    *x = if j != kept && stream.unit() >= region.share {
                        region.centre[j]
                    } else if self.frame.metrics[j] == Metric::Number {
                        region.low[j] + *x * (region.high[j] - region.low[j])
                    } else {
                        *x
                    };
                }
            }
            raws.push(raw);
        }
        // A spray around the best: most coordinates move a little, on all scales.
        let share = (10.0 / d as f64).min(1.0);
        for k in 0..self.cover / 8 {
            let Some(centre) = self.best.get(k % self.best.len().clamp(1, 5)) else { break };
            let width = libm::pow(10.0, -3.0 + 2.7 * stream.unit());
            let kept = stream.below(d);
            let raw = (0..d).map(|j| match self.frame.axis(j) {
                _ if centre[j].is_nan() || !(j == kept || stream.unit() < share) => centre[j],
                Axis::Choice { cells } if stream.unit() < 0.3 => stream.below(cells as usize) as f64,
                Axis::Choice { .. } => centre[j],
                _ => {
                    let u = reflect(centre[j] + width * ppf(stream.unit()));
                    self.region.as_ref().map_or(u, |region| u.clamp(region.low[j], region.high[j]))
                }
            });
            raws.push(raw.collect());
        }
        let mut scored = Vec::with_capacity(raws.len());
        for mut raw in raws {
            self.frame.settle(&mut raw);
            scored.push((self.value(&raw), raw));
        }
        scored
    }

    /// Where to climb from: the best candidate, the best trial, and others by chance, better ones more likely.
    fn choose(&self, sorted: &[(f64, Vec<f64>)], stream: &mut Stream) -> Vec<Vec<f64>> {
        let mut chosen: Vec<Vec<f64>> = sorted.iter().take(1).map(|c| c.1.clone()).collect();
        chosen.extend(self.best.first().cloned());
        let top = sorted.first().map_or(0.0, |c| c.0);
        if !top.is_finite() {
            return chosen;
        }
        let mut weights: Vec<f64> = sorted.iter().map(|c| libm::exp((c.0 - top).max(-700.0))).collect();
        weights.iter_mut().take(1).for_each(|w| *w = 0.0);
        while chosen.len() < self.starts && weights.iter().any(|w| *w > 0.0) {
            let k = stream.weighted(&weights);
            weights[k] = 0.0;
            chosen.push(sorted[k].1.clone());
        }
        chosen
    }

    fn climb(&mut self, mut raw: Vec<f64>, stream: &mut Stream) {
        let mut value = self.value(&raw);
        for _ in 0..3 {
            let before = value;
            self.follow(&mut raw, &mut value);
            let changed = self.sweep(&mut raw, &mut value, stream);
            if !changed || value - before < 1e-4 {
                break;
            }
        }
        self.pool.push((value, raw));
    }

    fn is_continuous(&self, j: usize) -> bool {
        match self.frame.axis(j) {
            Axis::Real { .. } => true,
            Axis::Grid { cells, .. } => cells > FINE,
            _ => false,
        }
    }

    /// Follows the gradient over what is (or is taken as) continuous.
    fn follow(&mut self, raw: &mut Vec<f64>, value: &mut f64) {
        let free: Vec<usize> = (0..raw.len()).filter(|j| !raw[*j].is_nan() && self.is_continuous(*j)).collect();
        if free.is_empty() {
            return;
        }
        // In units of length scales the surface is about equally curved in all directions.
        let unit: Vec<f64> = free.iter().map(|j| self.rho[*j].sqrt().clamp(0.05, 50.0)).collect();
        let bound = |side: fn(&Region) -> &Vec<f64>, end: f64| -> Vec<f64> {
            free.iter()
                .zip(&unit)
                .map(|(j, u)| u * self.region.as_ref().map_or(end, |region| side(region)[*j]))
                .collect()
        };
        let (low, high) = (bound(|r| &r.low, 0.0), bound(|r| &r.high, 1.0));
        let mut x: Vec<f64> = free.iter().zip(&unit).map(|(j, u)| raw[*j] * u).collect();
        let mut point = Vec::new();
        self.frame.see(raw, &mut point);
        let mut gradient = vec![0.0; raw.len()];
        let (worth, room) = (self.worth, &mut self.room);
        let limits = Limits { evaluations: 30, step: 0.6, gain: 1e-4 };
        let negative = |x: &[f64], out: &mut [f64]| {
            free.iter().zip(&unit).zip(x).for_each(|((j, u), x)| point[*j] = x / u);
            let value = worth.at(&point, room, Some(&mut gradient));
            free.iter().zip(&unit).zip(out).for_each(|((j, u), out)| *out = -gradient[*j] / u);
            if value.is_nan() { f64::INFINITY } else { -value }
        };
        minimise(negative, &mut x, &low, &high, limits);
        let mut moved = raw.clone();
        free.iter().zip(&unit).zip(&x).for_each(|((j, u), x)| moved[*j] = (x / u).clamp(0.0, 1.0));
        self.frame.settle(&mut moved);
        let new = self.value(&moved);
        if new > *value {
            (*raw, *value) = (moved, new);
        }
    }

    /// Tries other values of each discrete parameter; whether any was better.
    fn sweep(&mut self, raw: &mut Vec<f64>, value: &mut f64, stream: &mut Stream) -> bool {
        let mut changed = false;
        for j in 0..raw.len() {
            if raw[j].is_nan() {
                continue;
            }
            for other in self.others(j, raw[j], stream) {
                let mut moved = raw.clone();
                moved[j] = other;
                self.frame.settle(&mut moved);
                let new = self.value(&moved);
                if new > *value {
                    self.pool.push((*value, std::mem::replace(raw, moved)));
                    *value = new;
                    changed = true;
                } else {
                    self.pool.push((new, moved));
                }
            }
        }
        changed
    }

    /// Other values of coordinate `j` worth a look.
    fn others(&self, j: usize, at: f64, stream: &mut Stream) -> Vec<f64> {
        match self.frame.axis(j) {
            Axis::Choice { cells } if cells <= CHOICES => (0..cells).map(|c| c as f64).filter(|c| *c != at).collect(),
            Axis::Choice { cells } => {
                let mut some: Vec<f64> = (0..CHOICES).map(|_| stream.below(cells as usize) as f64).collect();
                // Those that the best trials have taken are the likeliest to be good.
                some.extend(self.best.iter().map(|b| b[j]).filter(|v| !v.is_nan()));
                some.retain(|c| *c != at);
                some
            }
            Axis::Grid { cells, .. } => {
                let own = (0..cells.min(FINE)).map(|c| self.frame.middle(j, c));
                if cells <= FINE {
                    return own.filter(|v| *v != at).collect();
                }
                let crate::codec::Cell::Index(here) = self.frame.codec.at(self.frame.axes[j], at) else {
                    return vec![];
                };
                let near = [-2i64, -1, 1, 2].into_iter().filter_map(|by| here.checked_add_signed(by));
                near.filter(|c| *c < cells).map(|c| self.frame.middle(j, c)).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Back into `[0, 1]`.
fn reflect(u: f64) -> f64 {
    let u = u.abs() % 2.0;
    if u > 1.0 { 2.0 - u } else { u }
}

#[cfg(test)]
mod tests {
    use metaopt_schema::space::Space;
    use serde_json::json;

    use super::*;
    use crate::{
        codec::Codec,
        samplers::gp::{acquisition::Aim, fit::Theta, kernel::Cloud, process::Process},
    };

    #[test]
    fn a_search_finds_the_best_point_and_a_region_holds_it() {
        let space: Space = serde_json::from_value(json!([
            {"name": "x", "type": "float", "low": 0.0, "high": 1.0},
            {"name": "i", "type": "int", "low": 1, "high": 8},
            {"name": "c", "type": "categorical", "choices": ["a", "b", "c"]}
        ]))
        .unwrap();
        let codec = Codec::new(&space);
        let frame = Frame::new(&codec);
        let mut stream = Stream::new(1, 1, 1, "search");
        let points: Vec<Vec<f64>> = (0..60)
            .map(|_| vec![stream.unit(), frame.middle(1, stream.below(8) as u64), stream.below(3) as f64])
            .collect();
        let bowl = |p: &[f64]| (p[0] - 0.8) * (p[0] - 0.8) + (p[1] - 0.2) * (p[1] - 0.2) + f64::from(p[2] != 1.0);
        let y: Vec<f64> = points.iter().map(|p| bowl(p)).collect();
        let theta = Theta { rho: vec![1.0, 1.0, 0.5], scale: 1.0, noise: 1e-6 };
        let process = Process::new(theta, Cloud::new(&frame.metrics, &points), &y);
        let worth = Worth { objective: Some((process, Aim::Bound(0.0))), constraints: Vec::new() };
        let rho = [1.0, 1.0, 0.5];
        let found = Search::new(&frame, &worth, &rho, &points[..1]).run(&mut stream);
        let best = &found[0].1;
        assert!((best[0] - 0.8).abs() < 0.03 && (best[1] - 0.1875).abs() < 1e-9 && best[2] == 1.0, "{best:?}");
        // What gains are found inside a region, and nothing is looked at outside.
        let centre = vec![0.3, frame.middle(1, 4), 0.0];
        let best = [centre.clone()];
        let mut search = Search::new(&frame, &worth, &rho, &best);
        search.region = Some(Region::new(&centre, &[0.1, 0.2, 0.2]));
        let found = search.run(&mut stream);
        assert!((found[0].1[0] - 0.4).abs() < 1e-3, "{:?}", found[0]);
        assert!(found.iter().all(|(_, raw)| (raw[0] - 0.3).abs() < 0.1 + 1e-12));
    }
}
