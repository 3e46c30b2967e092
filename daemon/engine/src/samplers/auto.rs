//! experiment
use indexmap::IndexMap;
use metaopt_schema::FieldError;
use serde_json::Value;

use super::{Ask, Sampler, Stop, Suggestion, cmaes::Cmaes, gp::Gp, tpe::Tpe};
use crate::rng::Stream;

/// See the module.
pub struct Auto {
    tpe: Tpe,
    gp: Gp,
    cmaes: Cmaes,
    mix: Vec<(String, f64)>,
    until: usize,
}

impl Auto {
    /// The options of `tpe` go through.
    pub fn new(options: &IndexMap<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mix = std::env::var("AUTO")
            .unwrap_or("gp:1".into())
            .split(',')
            .map(|p| {
                let (a, b) = p.split_once(':').unwrap();
                (a.to_string(), b.parse().unwrap())
            })
            .collect();
        Ok(Self {
            tpe: Tpe::new(options, "auto")?,
            gp: Gp::new(&IndexMap::new())?,
            cmaes: Cmaes::new(&IndexMap::new())?,
            mix,
            until: std::env::var("UNTIL").ok().and_then(|v| v.parse().ok()).unwrap_or(0),
        })
    }
}

impl Sampler for Auto {
    fn suggest(&self, ask: &Ask) -> Result<Suggestion, Stop> {
        let left =
            ask.history.codec().numbering().map(|cells| cells.size().saturating_sub(ask.history.known() as u128));
        let fits = left.zip(ask.budget_left).is_some_and(|(left, budget)| left <= u128::from(budget));
        if fits {
            return self.tpe.suggest(ask, true);
        }
        let mut s = Stream::of(ask, "auto");
        let at = if ask.history.finished() < self.until {
            0
        } else {
            s.weighted(&self.mix.iter().map(|m| m.1).collect::<Vec<_>>())
        };
        match self.mix[at].0.as_str() {
            "tpe" => self.tpe.suggest(ask, false),
            "cmaes" => self.cmaes.suggest(ask),
            _ => self.gp.suggest(ask),
        }
    }
}
