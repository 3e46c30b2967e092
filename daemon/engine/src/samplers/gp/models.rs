//! The models of one suggestion: a process for the objective and one for each constraint, and what they make a point worth.

use super::{
    acquisition::{Aim, Worth},
    data::Data,
    frame::Frame,
    kernel::Cloud,
    pending,
    process::Process,
    recorded::Recorded,
    transform,
};
use crate::{rng::Stream, samplers::Ask};

/// Trials around which a search sprays candidates.
const BEST: usize = 10;

/// See the module.
#[derive(Clone, Debug)]
pub struct Models {
    /// What a point is worth.
    pub worth: Worth,
    /// Raw points of the best trials, best first.
    pub best: Vec<Vec<f64>>,
    /// The hyperparameters, to be recorded.
    pub recorded: Recorded,
}

impl Models {
    /// Models of `data`; `bound`: the objective counts by a confidence bound of so many standard deviations. None where nothing is known
    /// that a model could learn from.
    pub fn build(
        ask: &Ask,
        frame: &mut Frame,
        data: &Data,
        weights: &[f64],
        bound: Option<f64>,
        stream: &mut Stream,
    ) -> Option<Self> {
        let (at, values) = data.objective(weights);
        let mut ranked: Vec<usize> = (0..at.len()).collect();
        let fine = |k: usize| data.feasible[at[k]];
        ranked.sort_by(|a, b| fine(*b).cmp(&fine(*a)).then(values[*a].total_cmp(&values[*b])).then(a.cmp(b)));
        let best: Vec<Vec<f64>> = ranked.iter().take(BEST).map(|k| data.points[at[*k]].clone()).collect();
        frame.learn_donors(ranked.iter().map(|k| &data.points[at[*k]]));
        let frame = &*frame;
        let constraints: Vec<(Vec<usize>, Vec<f64>, f64)> = data
            .constraints
            .iter()
            .map(|column| {
                let known: Vec<usize> = (0..column.len()).filter(|i| column[*i].is_some()).collect();
                let (values, limit) = transform::constraint(&column.iter().filter_map(|v| *v).collect::<Vec<_>>());
                (known, values, limit)
            })
            .filter(|(known, ..)| !known.is_empty())
            .collect();
        let seen = |raw: &[f64]| {
            let mut seen = Vec::new();
            frame.see(raw, &mut seen);
            seen
        };
        let count = constraints.len() + usize::from(!at.is_empty());
        let mut recorded = Recorded::new(ask, count, frame.d(), ask.history.finished());
        let mut process = |at: &[usize], values: &[f64]| {
            let points: Vec<Vec<f64>> = at.iter().map(|i| seen(&data.points[*i])).collect();
            let cloud = Cloud::new(&frame.metrics, &points);
            let theta = recorded.next(&cloud, values);
            Process::new(theta, cloud, values)
        };
        let mut worth = Worth::default();
        if !at.is_empty() {
            let objective = process(&at, &values);
            let smoothed = objective.smoothed(&values);
            let bar = (0..at.len()).filter(|k| fine(*k)).map(|k| smoothed[k]).fold(f64::INFINITY, f64::min);
            // Nothing feasible yet: first find where constraints hold.
            if bar.is_finite() {
                worth.objective = Some((objective, bound.map_or(Aim::Improve(vec![bar]), Aim::Bound)));
            }
        }
        for (known, values, limit) in &constraints {
            worth.constraints.push((process(known, values), *limit));
        }
        let waiting: Vec<Vec<f64>> =
            ask.history.pending().rev().take(pending::MOST).map(|(_, config)| seen(&frame.point(config))).collect();
        pending::imagine(&mut worth, &waiting, stream);
        (worth.count() > 0).then_some(Self { worth, best, recorded })
    }

    /// Relevances of the coordinates.
    pub fn rho(&self) -> &[f64] {
        self.worth.processes().next().map_or(&[], |process| &process.theta().rho)
    }
}
