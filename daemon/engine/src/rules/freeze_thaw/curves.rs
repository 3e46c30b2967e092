//! What the model sees of a history: curves thinned to a bounded number of reports, on grids that many share, their costs
//! normalised.

use crate::{
    history::{History, Record, RecordState},
    samplers::gp::frame::Frame,
};

/// Reports of one curve that the model sees.
pub const POINTS: usize = 64;
/// Units of time in a trial's length.
pub const TIME: f64 = 50.0;
/// Of so few curves it isn't asked which are slow.
const FEW: usize = 3;
/// A step takes at most so many times as long as the median curve's, or one in so many: a clock that jumped decides nothing.
const MOST_PACE: f64 = 10.0;
/// Normalised costs above this are as bad as it gets.
const WORST: f64 = 4.0;

/// A trial's curve.
#[derive(Clone, Debug, Default)]
pub struct Curve {
    /// [`Record::key`].
    pub key: u64,
    /// Its state.
    pub state: RecordState,
    /// Its last step.
    pub last_step: u64,
    /// Its configuration.
    pub point: Vec<f64>,
    /// Thinned reports.
    pub steps: Vec<u64>,
    /// Their costs.
    pub costs: Vec<f64>,
    /// Its smallest cost as reported.
    pub best: f64,
    /// Seconds of a step, over those of the median curve; 1 where they aren't known.
    pub pace: f64,
    /// Its place in [`Curves::grids`].
    pub grid: usize,
}

/// The bin of a step, of `bins` that are spaced by the logarithm but no narrower than a step.
fn bin(step: u64, length: u64, bins: usize) -> u64 {
    if length <= bins as u64 {
        return step;
    }
    let place = libm::log(step as f64) / libm::log(length as f64) * bins as f64;
    (place + 1e-9) as u64
}

/// The first report of each bin up to step `upto`: whatever is reported later, these stay.
fn thin(record: &Record, length: u64, bins: usize, upto: u64) -> (Vec<u64>, Vec<f64>) {
    let mut last = None;
    let points = record.curve.iter().filter(|(step, _)| *step > 0 && *step <= upto);
    let kept = points.filter(|(step, _)| {
        let bin = Some(bin((*step).min(length), length, bins));
        let fresh = bin != last;
        last = bin;
        fresh
    });
    kept.take(bins + 1).copied().unzip()
}

/// A trial's curve up to a step.
pub fn curve(record: &Record, point: Vec<f64>, length: u64, bins: usize, upto: u64) -> Curve {
    let (steps, costs) = thin(record, length, bins, upto);
    let best = record.curve.iter().map(|(_, cost)| *cost).fold(f64::INFINITY, f64::min);
    let (key, state, last_step) = (record.key, record.state, record.last_step);
    Curve { key, state, last_step, point, steps, costs, best, pace: 1.0, grid: 0 }
}

/// All curves of a history that say something or soon will, those that got furthest first, then by cost.
pub fn all(history: &History, frame: &Frame, length: u64) -> Vec<Curve> {
    let useful =
        |r: &Record| r.state != RecordState::Ignored && (!r.curve.is_empty() || r.state == RecordState::Pending);
    let seen = |(record, config)| {
        let mut point = Vec::new();
        frame.see(&frame.point(config), &mut point);
        curve(record, point, length, POINTS, u64::MAX)
    };
    let mut curves: Vec<Curve> = history.encoded().filter(|(r, _)| useful(r)).map(seen).collect();
    let known = |key: u64| history.get(key).map(|r| r.step_s).filter(|seconds| *seconds > 0.0);
    let mut seconds: Vec<f64> = curves.iter().filter_map(|c| known(c.key)).collect();
    seconds.sort_by(f64::total_cmp);
    if let Some(median) = seconds.get(seconds.len() / 2).filter(|_| seconds.len() >= FEW) {
        for curve in &mut curves {
            curve.pace = known(curve.key).map_or(1.0, |own| (own / median).clamp(1.0 / MOST_PACE, MOST_PACE));
        }
    }
    curves.sort_by(|a, b| {
        let last = |c: &Curve| c.costs.last().map_or(f64::INFINITY, |c| if c.is_nan() { f64::INFINITY } else { *c });
        b.steps.len().cmp(&a.steps.len()).then(last(a).total_cmp(&last(b))).then(a.key.cmp(&b.key))
    });
    curves
}

/// Gives each curve a grid whose first times are its steps, and answers the grids' steps. Grids go on to the trial's end.
pub fn share(curves: &mut [Curve], length: u64, bins: usize) -> Vec<Vec<u64>> {
    let mut grids = vec![go_on(Vec::new(), 1, length, bins)];
    let mut order: Vec<usize> = (0..curves.len()).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(curves[*i].steps.len()), curves[*i].key));
    for i in order {
        let steps = &curves[i].steps;
        let found = grids.iter().position(|grid| grid.starts_with(steps));
        curves[i].grid = found.unwrap_or_else(|| {
            let stride = match steps.as_slice() {
                [.., last] => (last / steps.len() as u64).max(1),
                [] => 1,
            };
            grids.push(go_on(steps.clone(), stride, length, bins));
            grids.len() - 1
        });
    }
    grids
}

/// `steps` and those that are to come, every `stride`, thinned.
fn go_on(mut steps: Vec<u64>, stride: u64, length: u64, bins: usize) -> Vec<u64> {
    let mut last = steps.last().map(|s| bin(*s, length, bins));
    let mut step = steps.last().map_or(0, |s| *s);
    while step < length && steps.len() < 2 * bins {
        // (Long strides of bins without a report would make this slow where trials have millions of steps.)
        step = (step + stride).max(step + (step / (8 * bins as u64)) / stride.max(1) * stride).min(length);
        let own = Some(bin(step, length, bins));
        if own != last || step == length {
            steps.push(step);
        }
        last = own;
    }
    steps
}

/// How costs are normalised: the same for costs that differ by a positive factor and a shift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// What becomes 0.
    pub centre: f64,
    /// What becomes 1.
    pub spread: f64,
}

impl Scale {
    /// That of some curves' last costs: the median becomes 0, the tenth of the best −1.
    pub fn of(curves: &[Curve]) -> Self {
        let mut costs: Vec<f64> =
            curves.iter().filter_map(|c| c.costs.last().copied()).filter(|c| c.is_finite()).collect();
        costs.sort_by(f64::total_cmp);
        let at = |costs: &[f64], q: f64| costs.get((q * costs.len() as f64) as usize).copied();
        let centre = at(&costs, 0.5).unwrap_or(0.0);
        let mut spread = centre - at(&costs, 0.1).unwrap_or(0.0);
        if spread.is_nan() || spread <= 0.0 {
            // Too few: what one curve fell.
            let all = || curves.iter().flat_map(|c| &c.costs).copied().filter(|c| c.is_finite());
            let (low, high) = all().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), c| (l.min(c), h.max(c)));
            spread = if high > low { high - low } else { 1.0 };
        }
        Self { centre, spread }
    }

    /// The normalised cost: linear where it is good, logarithmic where it is bad, so that what diverges doesn't bend the model.
    pub fn to(&self, cost: f64) -> f64 {
        if cost.is_nan() {
            return WORST;
        }
        let z = ((cost - self.centre) / self.spread).max(-1e3);
        if z > 0.0 { libm::log1p(z).min(WORST) } else { z }
    }

    /// The cost of a normalised one.
    pub fn back(&self, z: f64) -> f64 {
        let z = if z > 0.0 { libm::expm1(z.min(2.0 * WORST)) } else { z };
        self.centre + self.spread * z
    }
}
