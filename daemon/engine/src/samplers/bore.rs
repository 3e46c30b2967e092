//! BORE: Bayesian optimisation by density-ratio estimation (Tiao et al. 2021, arXiv 2102.09009) with forests, each good
//! trial weighted by its gain (likelihood-free Bayesian optimisation, Song et al. 2022, arXiv 2206.13035).
//!
//! A classifier learns to tell good trials from the rest; the probability that it gives a configuration ranks like the
//! expected improvement. Trees need no distances, so choices and conditions are as good to them as numbers.

use indexmap::IndexMap;
use metaopt_schema::FieldError;
use serde_json::Value;

use super::{
    Ask, Sampler, Stop, Suggestion,
    drafts::{self, Draft},
    own, random, tpe,
};
use crate::{
    codec::Config,
    forest::{Forest, Growth, Rows},
    history::Split,
    options::Options,
    rng::Stream,
};

/// Most good trials.
const MAX_GOOD: usize = 64;
/// Most others: quality stays, and time no longer grows with the study.
const MAX_BAD: usize = 256;
/// Good trials that are mutated.
const PARENTS: usize = 10;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Bore {
    startup: usize,
    candidates: usize,
    climbs: usize,
    gamma: f64,
    trees: usize,
    leaf: usize,
    tried: f64,
    weigh: bool,
    smooth: f64,
    kappa: f64,
    eps: f64,
    liar: bool,
}

impl Bore {
    /// Options.
    pub fn new(options: &IndexMap<String, Value>) -> Result<Self, Vec<FieldError>> {
        let known = [
            "n_startup_trials",
            "n_candidates",
            "climbs",
            "gamma",
            "n_trees",
            "min_leaf",
            "tried",
            "gain_weights",
            "smooth", "kappa", "eps",
            "constant_liar",
        ];
        let mut read = Options::new(options, "/sampler", "bore", &known);
        let bore = Self {
            startup: read.count("n_startup_trials", 1, 1_000_000).unwrap_or(10) as usize,
            candidates: read.count("n_candidates", 2, 10_000).unwrap_or(500) as usize,
            climbs: read.count("climbs", 0, 100).unwrap_or(5) as usize,
            gamma: read.number("gamma", "a number above 0 and below 1", |g| g > 0.0 && g < 1.0).unwrap_or(0.25),
            trees: read.count("n_trees", 1, 1000).unwrap_or(64) as usize,
            leaf: read.count("min_leaf", 1, 1000).unwrap_or(1) as usize,
            tried: read.number("tried", "above 0", |g| g > 0.0 && g <= 1.0).unwrap_or(0.5),
            weigh: read.flag("gain_weights").unwrap_or(true),
            smooth: read.number("smooth", "0 or above", |g| g >= 0.0).unwrap_or(0.0),
            kappa: read.number("kappa", "0 or above", |_| true).unwrap_or(0.0),
            eps: read.number("eps", "0 or above", |g| g >= 0.0).unwrap_or(0.0),
            liar: read.flag("constant_liar").unwrap_or(true),
        };
        read.done(bore)
    }

    fn model(&self, ask: &Ask) -> Result<Config, Stop> {
        let codec = ask.history.codec();
        let good = |n: usize| (libm::ceil(self.gamma * n as f64) as usize).clamp(1, MAX_GOOD);
        let split = ask.history.split(good, MAX_BAD, self.liar, None);
        let mut stream = Stream::of(ask, "bore");
        if split.good.is_empty() || stream.unit() < self.eps {
            return random::pick(ask, &mut stream);
        }
        let forest = self.forest(ask, &split, &mut stream);
        let left = codec.numbering().map(|c| c.size().saturating_sub(ask.history.known() as u128));
        if let (Some(cells), Some(left)) = (codec.numbering(), left)
            && left <= self.candidates as u128
        {
            let mut rest = own::remaining(ask, cells)?;
            let best = first_best(rest.iter().map(|config| forest.mean(&config.u)));
            return Ok(rest.swap_remove(best));
        }
        let parents: Vec<Draft> = split.good.iter().take(PARENTS).map(|s| Draft::of(s.config)).collect();
        let mut pool: Vec<(f64, Draft)> = Vec::new();
        for i in 0..self.candidates {
            let draft = if i % 2 == 0 {
                drafts::prior(codec, &mut stream)
            } else {
                drafts::mutant(codec, &parents[stream.below(parents.len())], &mut stream)
            };
            pool.push((forest.ucb(&draft.u, self.kappa), draft));
        }
        let keep = |pool: &mut Vec<(f64, Draft)>, most: usize| {
            // A stable sort: ties stay in the order of the draws.
            pool.sort_by(|a, b| b.0.total_cmp(&a.0));
            pool.truncate(most);
        };
        pool.sort_by(|a, b| b.0.total_cmp(&a.0));
        for _ in 0..self.climbs {
            for i in 0..PARENTS.min(pool.len()) {
                for _ in 0..4 {
                    let draft = drafts::mutant(codec, &pool[i].1, &mut stream);
                    pool.push((forest.ucb(&draft.u, self.kappa), draft));
                }
            }
            keep(&mut pool, self.candidates);
        }
        for (_, draft) in &pool {
            let config = draft.config(codec);
            if own::is_free(ask, &config) {
                return Ok(config);
            }
        }
        random::pick(ask, &mut stream)
    }

    /// The classifier: what a good trial adds to its leaf's probability is its gain, in units of the average.
    fn forest(&self, ask: &Ask, split: &Split, stream: &mut Stream) -> Forest {
        let axes = ask.history.codec().axes();
        let mut rows = Rows::default();
        let (gains, mean) =
            if self.weigh { tpe::good_weights(split) } else { (vec![1.0; split.good.len()], 1.0) };
        for (seen, gain) in split.good.iter().zip(&gains) {
            rows.x.push(&seen.config.u);
            let gain = gain / mean;
            if self.weigh {
                // Good ones count twice: once with their gain, and once, like all, against.
                rows.y.push(gain / (1.0 + gain));
                rows.w.push(1.0 + gain);
            } else {
                rows.y.push(1.0);
                rows.w.push(1.0);
            }
        }
        for seen in &split.bad {
            rows.x.push(&seen.config.u);
            rows.y.push(0.0);
            rows.w.push(1.0);
        }
        let modelled = axes.iter().filter(|a| **a != crate::codec::Axis::Fixed).count();
        let tried = (libm::ceil(modelled as f64 * self.tried) as usize).clamp(1, 8);
        Forest::grow(axes, &rows, Growth { trees: self.trees, leaf: self.leaf, tried, depth: 64, smooth: self.smooth }, stream)
    }
}

impl Sampler for Bore {
    fn suggest(&self, ask: &Ask) -> Result<Suggestion, Stop> {
        let config = if ask.history.finished() < self.startup { tpe::start(ask)? } else { self.model(ask)? };
        Ok(Suggestion { params: ask.history.codec().decode(&config), sampler: "bore", fit: Vec::new() })
    }
}

fn first_best(values: impl Iterator<Item = f64>) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (i, value) in values.enumerate() {
        if value > best.1 {
            best = (i, value);
        }
    }
    best.0
}
