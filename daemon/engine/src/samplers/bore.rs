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
    codec::{Axis, Config},
    forest::{Forest, Growth, Rows},
    history::Split,
    math::sortable,
    options::Options,
    rng::Stream,
};

/// Most good trials.
const MAX_GOOD: usize = 64;
/// Most others: quality stays, and time no longer grows with the study.
const MAX_BAD: usize = 192;
/// Good trials that are mutated, and candidates that go on being.
const PARENTS: usize = 10;
/// Rounds in which the best candidates are mutated, and mutants of each.
const CLIMBS: (usize, usize) = (3, 4);
/// Most parameters that a node tries a cut through, of half of all.
const TRIED: usize = 5;
/// Candidates of equal score that distances decide between.
const TIES: usize = 32;
/// Rounds of candidates before a finite space's rest is listed.
const ROUNDS: usize = 2;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Bore {
    startup: usize,
    candidates: usize,
    gamma: f64,
    trees: usize,
    leaf: usize,
    kappa: f64,
    weigh: bool,
    liar: bool,
}

impl Bore {
    /// `n_startup_trials` (10), `gamma` (0.1, the share of good trials), `n_trees` (32), `min_leaf` (2), `n_candidates`
    /// (200), `kappa` (1, what the trees' disagreement is worth), `gain_weights` (true: good trials count by how much
    /// better they are), `constant_liar` (true: pending trials count as bad).
    pub fn new(options: &IndexMap<String, Value>) -> Result<Self, Vec<FieldError>> {
        let known = [
            "n_startup_trials",
            "gamma",
            "n_trees",
            "min_leaf",
            "n_candidates",
            "kappa",
            "gain_weights",
            "constant_liar",
        ];
        let mut read = Options::new(options, "/sampler", "bore", &known);
        let bore = Self {
            startup: read.count("n_startup_trials", 1, 1_000_000).unwrap_or(10) as usize,
            gamma: read.number("gamma", "a number above 0 and below 1", |g| g > 0.0 && g < 1.0).unwrap_or(0.1),
            trees: read.count("n_trees", 1, 1000).unwrap_or(32) as usize,
            leaf: read.count("min_leaf", 1, 1000).unwrap_or(2) as usize,
            candidates: read.count("n_candidates", 2, 10_000).unwrap_or(200) as usize,
            kappa: read.number("kappa", "a number from 0 to 100", |k| (0.0..=100.0).contains(&k)).unwrap_or(1.0),
            weigh: read.flag("gain_weights").unwrap_or(true),
            liar: read.flag("constant_liar").unwrap_or(true),
        };
        read.done(bore)
    }

    fn model(&self, ask: &Ask) -> Result<Config, Stop> {
        let codec = ask.history.codec();
        let good = |n: usize| (libm::ceil(self.gamma * n as f64) as usize).clamp(1, MAX_GOOD);
        let split = ask.history.split(good, MAX_BAD, self.liar, 0);
        let mut stream = Stream::of(ask, "bore");
        if split.good.is_empty() {
            return random::pick(ask, &mut stream);
        }
        let forest = self.forest(ask, &split, &mut stream);
        if own::left(ask).is_some_and(|left| left <= self.candidates as u128) {
            return own::best_of_rest(ask, |config| self.score(&forest, &config.u));
        }
        let parents: Vec<Draft> = split.good.iter().take(PARENTS).map(|s| Draft::of(s.config)).collect();
        for _ in 0..ROUNDS {
            for draft in self.ranked(ask, &forest, &parents, &mut stream) {
                let config = draft.config(codec);
                if own::is_free(ask, &config) {
                    return Ok(config);
                }
            }
        }
        match codec.numbering() {
            Some(_) => own::best_of_rest(ask, |config| self.score(&forest, &config.u)),
            None => random::pick(ask, &mut stream),
        }
    }

    /// Candidates, best first: half from the prior and half mutants of good trials, then mutants of the best of these.
    fn ranked(&self, ask: &Ask, forest: &Forest, parents: &[Draft], stream: &mut Stream) -> Vec<Draft> {
        let codec = ask.history.codec();
        let mut pool: Vec<(f64, Draft)> = Vec::new();
        for i in 0..self.candidates {
            let draft = match i % 2 {
                0 => drafts::prior(codec, stream),
                _ => drafts::mutant(codec, &parents[stream.below(parents.len())], stream),
            };
            pool.push((self.score(forest, &draft.u), draft));
        }
        // Stable sorts: ties stay in the order of the draws.
        pool.sort_by(|a, b| b.0.total_cmp(&a.0));
        for _ in 0..CLIMBS.0 {
            for i in 0..PARENTS.min(pool.len()) {
                for _ in 0..CLIMBS.1 {
                    let draft = drafts::mutant(codec, &pool[i].1, stream);
                    pool.push((self.score(forest, &draft.u), draft));
                }
            }
            pool.sort_by(|a, b| b.0.total_cmp(&a.0));
        }
        let ties = pool.iter().take(TIES).take_while(|(score, _)| *score == pool[0].0).count();
        if ties > 1 {
            let pending: Vec<&Config> =
                ask.history.pending().rev().take(MAX_BAD / 2).map(|(_, config)| config).collect();
            pool[..ties].sort_by_cached_key(|(_, draft)| !sortable(lonely(codec.axes(), &draft.u, &pending)));
        }
        pool.into_iter().map(|(_, draft)| draft).collect()
    }

    /// The probability that a configuration is good, and a part of how far the trees disagree about it: where they were
    /// grown from the same trials, that is for lack of trials there.
    fn score(&self, forest: &Forest, u: &[f64]) -> f64 {
        let (mean, deviation) = forest.answer(u);
        mean + self.kappa * deviation
    }

    /// The classifier. With gains a good trial counts twice: once for, as much as it gains in units of the average, and
    /// once, like all, against; the labels' mean and weight say so in one row.
    fn forest(&self, ask: &Ask, split: &Split, stream: &mut Stream) -> Forest {
        let axes = ask.history.codec().axes();
        let mut rows = Rows::default();
        let (gains, mean) = tpe::good_weights(split);
        for (seen, gain) in split.good.iter().zip(&gains) {
            let gain = gain / mean;
            let (label, weight) = if self.weigh { (gain / (1.0 + gain), 1.0 + gain) } else { (1.0, 1.0) };
            rows.push(&seen.config.u, label, weight);
        }
        split.bad.iter().for_each(|seen| rows.push(&seen.config.u, 0.0, 1.0));
        let modelled = axes.iter().filter(|axis| **axis != Axis::Fixed).count();
        let tried = modelled.div_ceil(2).clamp(1, TRIED);
        Forest::grow(axes, &rows, Growth { trees: self.trees, leaf: self.leaf, tried, depth: 64 }, stream)
    }
}

impl Sampler for Bore {
    fn suggest(&self, ask: &Ask) -> Result<Suggestion, Stop> {
        let config = if ask.history.finished() < self.startup { tpe::start(ask)? } else { self.model(ask)? };
        Ok(Suggestion { params: ask.history.codec().decode(&config), sampler: "bore", ..Suggestion::default() })
    }
}

/// How far `u` is from the nearest of `others`, as a sum over parameters (at most 1 each).
fn lonely(axes: &[Axis], u: &[f64], others: &[&Config]) -> f64 {
    let apart = |axis: &Axis, a: f64, b: f64| match (a.is_nan(), b.is_nan()) {
        (true, true) => 0.0,
        (false, false) if !matches!(axis, Axis::Choice { .. }) => (a - b).abs(),
        _ => f64::from(u8::from(a != b)),
    };
    let distance = |other: &&Config| -> f64 { (0..u.len()).map(|i| apart(&axes[i], u[i], other.u[i])).sum() };
    others.iter().map(distance).fold(f64::INFINITY, f64::min)
}
