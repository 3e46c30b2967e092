//! Chooses for people who don't want to.
//!
//! Models that err in different ways share one history: most suggestions come from the Gaussian process, the others from samplers
//! that do well where it does badly (many narrow valleys, branches). A fixed share each was better than the best
//! of them alone (docs/samplers.md has the figures), and needs no account of who did well, on which nodes would have to agree.

use indexmap::IndexMap;
use metaopt_schema::FieldError;
use serde_json::{Value, json};

use super::{Ask, Sampler, Stop, Suggestion, bore::Bore, cmaes::Cmaes, gp::Gp, nsga2::Nsga2, own, tpe::Tpe};
use crate::{codec::Axis, options::Options, rng::Stream};

/// Finished trials below which only the Gaussian process suggests: it needs the fewest.
const FEW: usize = 30;
/// More parameters than these, and the others are left too far behind to be asked.
const WIDE: usize = 20;
/// Finished trials with several objectives from which the front is bred on.
const BRED: usize = 1000;

/// See the module.
pub struct Auto {
    gp: Gp,
    tpe: Tpe,
    cmaes: Cmaes,
    bore: Bore,
    nsga2: Nsga2,
}

/// Which sampler, and why.
type Choice<'a> = (&'a dyn Sampler, &'static str);

impl Auto {
    /// `n_startup_trials` (10): of each sampler that it may choose.
    pub fn new(options: &IndexMap<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut read = Options::new(options, "/sampler", "auto", &["n_startup_trials"]);
        let startup = read.count("n_startup_trials", 1, 1_000_000).unwrap_or(10);
        read.done(())?;
        let options = IndexMap::from([("n_startup_trials".to_owned(), json!(startup))]);
        Ok(Self {
            gp: Gp::new(&options)?,
            tpe: Tpe::new(&options, "auto")?,
            cmaes: Cmaes::new(&options)?,
            bore: Bore::new(&options)?,
            nsga2: Nsga2::new(&options)?,
        })
    }

    fn choose(&self, ask: &Ask) -> Choice<'_> {
        let history = ask.history;
        let codec = history.codec();
        let modelled: Vec<&Axis> = codec.axes().iter().filter(|axis| **axis != Axis::Fixed).collect();
        let finished = history.finished();
        match history.objectives() {
            0 | 1 => {}
            _ if finished >= BRED => {
                return (&self.nsga2, "several objectives and a long history: the front is bred on");
            }
            2 => {
                return self.draw(
                    ask,
                    &[(3.0, (&self.gp, "two objectives")), (1.0, (&self.tpe, "two objectives: one in four"))],
                );
            }
            _ => return (&self.tpe, "three objectives or more"),
        }
        if finished < FEW {
            return (&self.gp, "few trials: the model that needs the fewest");
        }
        if modelled.len() > WIDE {
            return (&self.gp, "more than 20 parameters: a trust region");
        }
        let branches = codec.groups().len() > 1 || modelled.iter().all(|axis| matches!(axis, Axis::Choice { .. }));
        let third: Choice = match branches {
            true => (&self.bore, "one in four: choices and conditions"),
            false => (&self.cmaes, "one in four: numbers"),
        };
        self.draw(ask, &[(2.0, (&self.gp, "every second suggestion")), (1.0, third), (1.0, (&self.tpe, "one in four"))])
    }

    /// One of `arms` by its weight.
    fn draw<'a>(&self, ask: &Ask, arms: &[(f64, Choice<'a>)]) -> Choice<'a> {
        let weights: Vec<f64> = arms.iter().map(|(weight, _)| *weight).collect();
        arms[Stream::of(ask, "auto").weighted(&weights)].1
    }
}

impl Sampler for Auto {
    fn suggest(&self, ask: &Ask) -> Result<Suggestion, Stop> {
        if own::left(ask).zip(ask.budget_left).is_some_and(|(left, budget)| left <= u128::from(budget)) {
            // Every configuration will be tried, so a model only decides their order: it weighs all that are left.
            return Ok(Suggestion {
                why: "all that is left fits the budget: the model orders it",
                ..self.tpe.suggest(ask, true)?
            });
        }
        let (sampler, why) = self.choose(ask);
        Ok(Suggestion { why, ..sampler.suggest(ask)? })
    }
}
