//! Tree-structured Parzen estimator (Bergstra et al. 2011), multivariate and grouped by condition.
//!
//! Trials are split into a few good ones and the rest; a density is fitted to each; of some draws from the good one's,
//! the draw with the largest ratio of both is suggested. Pending trials count as bad, so that parallel proposals spread.

use indexmap::IndexMap;
use metaopt_schema::FieldError;
use serde_json::Value;

use super::{Ask, Sampler, Stop, Suggestion, own, parzen::Parzen, random, sobol};
use crate::{
    codec::{Axis, Cell, Codec, Config},
    history::{Seen, Split},
    options::Options,
    rng::Stream,
};

/// Most good trials with one objective.
const MAX_GOOD: usize = 25;
/// Most good trials with several: they have to cover a front.
const MAX_FRONT: usize = 64;
/// Most bad trials that enter the density: quality stays, and time no longer grows with the study.
const MAX_BAD: usize = 256;
/// A conditional group is drawn from its prior below this many trials.
const GROUP_START: usize = 10;
/// Rounds of draws before a finite space's rest is listed.
const ROUNDS: usize = 4;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Tpe {
    startup: usize,
    candidates: usize,
    gamma: f64,
    liar: bool,
}

/// Parameters that are active under the same conditions, with their densities.
struct Group<'a> {
    axes: &'a [usize],
    model: Option<(Parzen<'a>, Parzen<'a>)>,
}

impl Tpe {
    /// `n_startup_trials` (10), `n_ei_candidates` (24), `gamma` (0.1, the share of good trials), `constant_liar` (true:
    /// pending trials count as bad). `owner` is the sampler whose options these are.
    pub fn new(options: &IndexMap<String, Value>, owner: &str) -> Result<Self, Vec<FieldError>> {
        let known = ["n_startup_trials", "n_ei_candidates", "gamma", "constant_liar"];
        let mut read = Options::new(options, "/sampler", owner, &known);
        let tpe = Self {
            startup: read.count("n_startup_trials", 1, 1_000_000).unwrap_or(10) as usize,
            candidates: read.count("n_ei_candidates", 1, 10_000).unwrap_or(24) as usize,
            gamma: read.number("gamma", "a number above 0 and below 1", |g| g > 0.0 && g < 1.0).unwrap_or(0.1),
            liar: read.flag("constant_liar").unwrap_or(true),
        };
        read.done(tpe)
    }

    /// `exhaustive`: every configuration will be tried, so weigh all that are left.
    pub fn suggest(&self, ask: &Ask, exhaustive: bool) -> Result<Suggestion, Stop> {
        let codec = ask.history.codec();
        let config = if ask.history.finished() < self.startup { start(ask)? } else { self.model(ask, exhaustive)? };
        Ok(Suggestion { params: codec.decode(&config), sampler: "tpe", ..Suggestion::default() })
    }

    fn model(&self, ask: &Ask, exhaustive: bool) -> Result<Config, Stop> {
        let codec = ask.history.codec();
        let groups = self.groups(ask);
        if own::left(ask)
            .is_some_and(|left| left <= if exhaustive { own::ENUMERATED as u128 } else { self.candidates as u128 })
        {
            return self.best_of_rest(ask, &groups);
        }
        let mut stream = Stream::of(ask, "tpe");
        let share = own::draws(ask);
        for _ in 0..ROUNDS {
            if let Some(config) = self.draw(ask, &groups, self.candidates * share, &mut stream) {
                return Ok(config);
            }
        }
        match codec.numbering() {
            Some(_) => self.best_of_rest(ask, &groups),
            None => random::pick(ask, &mut stream),
        }
    }

    /// The free configuration with the largest ratio among `count` draws of the first group, each completed by the best
    /// draws of the groups that it activates.
    fn draw(&self, ask: &Ask, groups: &[Group], count: usize, stream: &mut Stream) -> Option<Config> {
        let codec = ask.history.codec();
        let blank = || codec.config(vec![Cell::Off; codec.axes().len()]);
        let (root, children) = groups.split_first()?;
        for mut config in ranked(codec, root, &blank(), count, stream) {
            for group in children {
                if group.axes.first().is_some_and(|i| codec.is_active(*i, &config.cells)) {
                    config = ranked(codec, group, &config, self.candidates, stream).swap_remove(0);
                }
            }
            if own::is_free(ask, &config) {
                return Some(config);
            }
        }
        None
    }

    /// All that is left of a finite space, weighed by the model.
    fn best_of_rest(&self, ask: &Ask, groups: &[Group]) -> Result<Config, Stop> {
        own::best_of_rest(ask, |config| {
            let active = groups.iter().filter(|g| g.axes.first().is_some_and(|i| config.cells[*i] != Cell::Off));
            active.filter_map(|group| Some(ratio(group.model.as_ref()?, config))).sum()
        })
    }

    fn groups<'a>(&self, ask: &'a Ask) -> Vec<Group<'a>> {
        let codec = ask.history.codec();
        codec.groups().iter().enumerate().map(|(at, axes)| self.group(ask, at, axes)).collect()
    }

    fn group<'a>(&self, ask: &'a Ask, at: usize, axes: &'a [usize]) -> Group<'a> {
        let codec = ask.history.codec();
        let conditional = at > 0;
        let several = ask.history.objectives() > 1;
        let good = |n: usize| {
            (libm::ceil(self.gamma * n as f64) as usize).clamp(1, if several { MAX_FRONT } else { MAX_GOOD })
        };
        let split = ask.history.split(good, MAX_BAD, self.liar, at);
        let numerous = !conditional || split.good.len() + split.bad.len() >= GROUP_START;
        let modelled: Vec<usize> = axes.iter().copied().filter(|i| codec.axes()[*i] != Axis::Fixed).collect();
        let model = (numerous && !split.good.is_empty() && !modelled.is_empty()).then(|| {
            let (good_weights, good_prior) = good_weights(&split);
            let of = |seen: &[Seen<'a>]| seen.iter().map(|s| s.config).collect::<Vec<_>>();
            let (good, bad) = (of(&split.good), of(&split.bad));
            (
                Parzen::new(codec, &modelled, &good, &good_weights, good_prior),
                Parzen::new(codec, &modelled, &bad, &vec![1.0; bad.len()], 1.0),
            )
        });
        Group { axes, model }
    }
}

impl Sampler for Tpe {
    fn suggest(&self, ask: &Ask) -> Result<Suggestion, Stop> {
        Self::suggest(self, ask, false)
    }
}

/// Defaults (or the middle) first, then a Sobol sequence.
pub fn start(ask: &Ask) -> Result<Config, Stop> {
    let codec = ask.history.codec();
    let first = codec.start();
    if !ask.history.knows(first.id) && own::mine(ask, first.id, own::is_small(codec)) {
        return Ok(first);
    }
    sobol::pick(ask)
}

/// Weight of each good trial: how much better than the best bad one it is; the prior weighs as much as the average.
pub(super) fn good_weights(split: &Split) -> (Vec<f64>, f64) {
    let best_bad = split.bad.iter().filter_map(|s| s.cost).fold(f64::INFINITY, f64::min);
    let even = (vec![1.0; split.good.len()], 1.0);
    if split.good.iter().all(|s| s.cost.is_none()) {
        return even;
    }
    // Where no finished trial is bad, the worst good one takes its place.
    let worst = split.good.iter().filter_map(|s| s.cost).fold(f64::NEG_INFINITY, f64::max);
    let bar = if best_bad.is_finite() { best_bad } else { worst };
    let gain: Vec<Option<f64>> = split.good.iter().map(|s| s.cost.map(|c| bar - c).filter(|g| g.is_finite())).collect();
    let known: Vec<f64> = gain.iter().filter_map(|g| *g).map(|g| g.max(0.0)).collect();
    let top = known.iter().copied().fold(0.0, f64::max);
    if !(top > 0.0 && top.is_finite()) {
        return even;
    }
    // In units of the largest gain, so that scaling a metric changes nothing, down to the last bit of a power of two.
    let mean = (known.iter().map(|g| g / top).sum::<f64>() / known.len() as f64).max(1e-12);
    let weight = |(g, s): (&Option<f64>, &Seen)| match (g, s.cost) {
        (Some(g), _) => (g.max(0.0) / top).max(1e-12),
        // −∞ is as good as the best finite one; what has no cost weighs the average.
        (None, Some(cost)) => {
            if cost < 0.0 {
                1.0
            } else {
                1e-12
            }
        }
        (None, None) => mean,
    };
    (gain.iter().zip(&split.good).map(weight).collect(), mean)
}

fn ratio((good, bad): &(Parzen, Parzen), config: &Config) -> f64 {
    let point = good.point(config);
    good.log_density(&point) - bad.log_density(&point)
}

/// `count` completions of `base` by the group's parameters, best first (at least one).
fn ranked(codec: &Codec, group: &Group, base: &Config, count: usize, stream: &mut Stream) -> Vec<Config> {
    let mut drawn: Vec<(f64, Config)> = Vec::new();
    for _ in 0..count.max(1) {
        let mut cells = base.cells.clone();
        match &group.model {
            Some(model) => {
                let mut values = model.0.draw(stream).into_iter();
                for &i in group.axes {
                    cells[i] = if codec.axes()[i] == Axis::Fixed {
                        Cell::Index(0)
                    } else {
                        values.next().unwrap_or(Cell::Off)
                    };
                }
                let config = codec.config(cells);
                drawn.push((ratio(model, &config), config));
            }
            None => {
                for &i in group.axes {
                    cells[i] = codec.quantile(i, stream.unit());
                }
                drawn.push((0.0, codec.config(cells)));
            }
        }
    }
    // A stable sort: ties stay in the order of the draws.
    drawn.sort_by(|a, b| b.0.total_cmp(&a.0));
    drawn.into_iter().map(|(_, config)| config).collect()
}
