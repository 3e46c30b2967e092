//! NSGA-II (Deb et al. 2002) without generations to wait for: parents are the best of all results so far by
//! non-dominated front and crowding, infeasible ones behind all feasible.
//!
//! The elite is a fold over the canonical order of results, a block of as many as it has members at a time.

use indexmap::IndexMap;
use metaopt_schema::FieldError;
use serde_json::Value;

use super::{Ask, Sampler, Stop, Suggestion, breed, fold::Marks, own, random, tpe};
use crate::{
    codec::{Axis, Config},
    history::{History, RecordState},
    options::Options,
    rng::{Stream, key},
};

/// Children that are known already before one is drawn from the prior.
const TRIES: usize = 32;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Nsga2 {
    startup: Option<usize>,
    population: Option<usize>,
    crossover: f64,
    mutation: Option<f64>,
    eta_crossover: f64,
    eta_mutation: f64,
}

impl Nsga2 {
    /// `n_startup_trials`, `population_size`, `crossover_prob`, `mutation_prob`, `eta_crossover`, `eta_mutation`: see
    /// docs/samplers.md.
    pub fn new(options: &IndexMap<String, Value>) -> Result<Self, Vec<FieldError>> {
        let known =
            ["n_startup_trials", "population_size", "crossover_prob", "mutation_prob", "eta_crossover", "eta_mutation"];
        let mut read = Options::new(options, "/sampler", "nsga2", &known);
        let (share, index) = (|p: f64| (0.0..=1.0).contains(&p), |eta: f64| (0.0..=1000.0).contains(&eta));
        let nsga2 = Self {
            startup: read.count("n_startup_trials", 1, 1_000_000).map(|n| n as usize),
            population: read.count("population_size", 2, 10_000).map(|n| n as usize),
            crossover: read.number("crossover_prob", "a number from 0 to 1", share).unwrap_or(0.9),
            mutation: read.number("mutation_prob", "a number from 0 to 1", share),
            eta_crossover: read.number("eta_crossover", "a number from 0 to 1000", index).unwrap_or(5.0),
            eta_mutation: read.number("eta_mutation", "a number from 0 to 1000", index).unwrap_or(5.0),
        };
        read.done(nsga2)
    }

    /// Members of the elite: more objectives have larger fronts.
    fn population(&self, history: &History) -> usize {
        self.population.unwrap_or(10 * history.objectives().max(2))
    }

    /// Keys of the elite, best first.
    fn elite(&self, history: &History) -> Vec<u64> {
        let size = self.population(history);
        let mut marks: Marks<Vec<u64>> = Marks::load(history, key("nsga2", &[size as u64]));
        let (next, mut elite) = marks.last().map_or(((0, 0), Vec::new()), |mark| (mark.next, mark.state.clone()));
        let mut block = Vec::new();
        for (place, record, _) in history.results(next).filter(|(_, r, _)| r.state != RecordState::Failed) {
            block.push(record.key);
            if block.len() == size {
                elite = best(history, &elite, &block, size);
                block.clear();
                marks.push(place, elite.clone());
            }
        }
        marks.save(history);
        best(history, &elite, &block, size)
    }

    fn child(&self, ask: &Ask, parents: &[&Config], stream: &mut Stream) -> Config {
        let codec = ask.history.codec();
        let parent = |stream: &mut Stream| parents[stream.below(parents.len()).min(stream.below(parents.len()))];
        let (first, second) = (parent(stream), parent(stream));
        let child = if stream.unit() < self.crossover {
            breed::cross(codec, (first, second), stream, |i, stream| {
                let near = if stream.unit() < 0.5 { (first, second) } else { (second, first) };
                match codec.axes()[i] {
                    // Half of the numbers are mixed, the others inherited whole.
                    Axis::Real { .. } | Axis::Grid { .. } if stream.unit() < 0.5 => {
                        codec.at(i, self.between(near.0.u[i], near.1.u[i], stream))
                    }
                    _ => near.0.cells[i],
                }
            })
        } else {
            first.clone()
        };
        let changeable = breed::changeable(codec, &child);
        let rate = self.mutation.unwrap_or(1.0 / changeable.len().max(1) as f64);
        let chosen: Vec<usize> = changeable.into_iter().filter(|_| stream.unit() < rate).collect();
        breed::mutate(codec, &child, stream, &chosen, |i, stream| match codec.axes()[i] {
            Axis::Choice { cells } => breed::other(&child, i, cells, stream),
            _ => breed::moved(codec, &child, i, self.nudged(child.u[i], stream)),
        })
    }

    /// Simulated binary crossover within the range (Deb and Agrawal 1995): near the first parent, as far as both differ.
    fn between(&self, near: f64, far: f64, stream: &mut Stream) -> f64 {
        let gap = (near - far).abs();
        if gap < 1e-14 {
            return near;
        }
        // The nearer end of the range cuts the spread off.
        let room = if near < far { near } else { 1.0 - near };
        let power = self.eta_crossover + 1.0;
        let alpha = 2.0 - libm::pow(1.0 + 2.0 * room / gap, -power);
        let u = stream.unit() * alpha;
        let spread = if u <= 1.0 { libm::pow(u, 1.0 / power) } else { libm::pow(1.0 / (2.0 - u), 1.0 / power) };
        let middle = (near + far) / 2.0;
        (middle + (near - middle) * spread).clamp(0.0, 1.0)
    }

    /// Polynomial mutation within the range (Deb and Goyal 1996).
    fn nudged(&self, u: f64, stream: &mut Stream) -> f64 {
        let power = self.eta_mutation + 1.0;
        let draw = stream.unit();
        let step = if draw < 0.5 {
            libm::pow(2.0 * draw + (1.0 - 2.0 * draw) * libm::pow(1.0 - u, power), 1.0 / power) - 1.0
        } else {
            1.0 - libm::pow(2.0 * (1.0 - draw) + (2.0 * draw - 1.0) * libm::pow(u, power), 1.0 / power)
        };
        (u + step).clamp(0.0, 1.0)
    }
}

/// The best `size` of both.
fn best(history: &History, elite: &[u64], block: &[u64], size: usize) -> Vec<u64> {
    let keys = [elite, block].concat();
    history.ranked(&keys).into_iter().take(size).map(|(at, _)| keys[at]).collect()
}

impl Sampler for Nsga2 {
    fn suggest(&self, ask: &Ask) -> Result<Suggestion, Stop> {
        let codec = ask.history.codec();
        let answer =
            |config: &Config| Suggestion { params: codec.decode(config), sampler: "nsga2", ..Suggestion::default() };
        if ask.history.finished() < self.startup.unwrap_or(self.population(ask.history)) {
            return Ok(answer(&tpe::start(ask)?));
        }
        let elite = self.elite(ask.history);
        let parents: Vec<&Config> = elite.iter().filter_map(|key| ask.history.config(*key)).collect();
        let mut stream = Stream::of(ask, "nsga2");
        let share = if own::is_small(codec) { 2 * ask.members.len().clamp(1, 16) } else { 1 };
        for _ in 0..if parents.is_empty() { 0 } else { TRIES * share } {
            let child = self.child(ask, &parents, &mut stream);
            if own::is_free(ask, &child) {
                return Ok(answer(&child));
            }
        }
        Ok(answer(&random::pick(ask, &mut stream)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_of_numbers_stay_in_range_near_a_parent_and_to_both_sides_of_it() {
        let nsga2 = Nsga2::new(&IndexMap::new()).unwrap();
        let mut stream = Stream::new(1, 0, 0, "test");
        for (near, far) in [(0.3, 0.5), (0.5, 0.3), (0.01, 0.9), (1.0, 0.0), (0.4, 0.4)] {
            let gap = f64::abs(near - far);
            let children: Vec<f64> = (0..2000).map(|_| nsga2.between(near, far, &mut stream)).collect();
            assert!(children.iter().all(|c| (0.0..=1.0).contains(c)));
            let beside = children.iter().filter(|c| (*c - near).abs() <= 0.25 * gap).count();
            assert!(beside > 1800, "{beside} beside {near}");
            // Half beyond the parent and half towards the other, unless the range ends nearby.
            let beyond = children.iter().filter(|c| (*c - near) * (near - far) > 0.0).count();
            assert!(gap == 0.0 || gap > 0.5 || (800..=1200).contains(&beyond), "{beyond} beyond {near}");
        }
        for u in [0.0, 0.02, 0.5, 1.0] {
            let children: Vec<f64> = (0..2000).map(|_| nsga2.nudged(u, &mut stream)).collect();
            assert!(children.iter().all(|c| (0.0..=1.0).contains(c)));
            let above = children.iter().filter(|c| **c > u).count();
            assert!(u == 0.0 || u == 1.0 || (900..=1100).contains(&above), "{above} above {u}");
            let far = children.iter().filter(|c| (*c - u).abs() > 0.5).count();
            assert!(far < 60, "{far} far from {u}");
        }
    }
}
