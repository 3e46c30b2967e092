//! Every configuration of a finite space once, in a shuffled order that the study's seed decides.

use indexmap::IndexMap;
use metaopt_schema::{
    FieldError,
    space::{
        Domain, Space,
        count::Cells,
        domain::{round12, same},
    },
};
use serde_json::{Number, Value};

use super::{Ask, Sampler, Stop, Suggestion, own};
use crate::options::Options;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    levels: Option<u64>,
}

impl Grid {
    /// `levels`: values that a continuous float is cut into (2 to 1024); without it the space must be finite.
    pub fn new(options: &IndexMap<String, Value>) -> Result<Self, Vec<FieldError>> {
        let mut read = Options::new(options, "/sampler", "grid", &["levels"]);
        let levels = read.count("levels", 2, 1024);
        read.done(Self { levels })
    }

    /// `space` with its continuous floats cut into levels, both ends included, evenly on their own scale.
    fn cut(&self, space: &Space) -> Space {
        let mut cut = space.clone();
        for param in &mut cut.params {
            if let (Domain::Float { low, high, log, step: None, .. }, Some(levels)) = (&param.domain, self.levels) {
                let level = |i: u64| {
                    let t = i as f64 / (levels - 1) as f64;
                    let value = if *log {
                        libm::exp(libm::log(*low) + t * (libm::log(*high) - libm::log(*low)))
                    } else {
                        low + t * (high - low)
                    };
                    Number::from_f64(round12(value).clamp(*low, *high)).map_or(Value::Null, Value::Number)
                };
                let mut choices: Vec<Value> = (0..levels).map(level).collect();
                choices.dedup_by(|a, b| same(a, b));
                param.domain = Domain::Ordinal { choices };
            }
        }
        cut
    }

    /// Why `space` can't be walked, if it can't.
    pub fn misfit(&self, space: &Space) -> Option<(usize, String)> {
        let endless = space.params.iter().position(|p| p.domain.cells().is_none())?;
        if self.levels.is_some() {
            return None;
        }
        let name = &space.params[endless].name;
        Some((
            endless,
            format!(
                "`{name}` is continuous, so the sampler `grid` can't walk it: give it a `step`, set the sampler's `levels`, or use another sampler"
            ),
        ))
    }
}

impl Sampler for Grid {
    fn suggest(&self, ask: &Ask) -> Result<Suggestion, Stop> {
        let codec = ask.history.codec();
        let cut = self.cut(ask.history.space());
        let Some(cells) = Cells::new(&cut) else { return Err(Stop::Exhausted) };
        let decode = |index: u128| {
            // Levels aren't cells of the study's own space, so they go through their values.
            let params = (cut.params.iter().zip(cells.nth(index)))
                .filter_map(|(param, cell)| Some((param.name.clone(), param.domain.cell_value(cell?))))
                .collect();
            codec.encode(&params).unwrap_or_else(|| codec.start())
        };
        let mut walk = own::Walk::new(ask, cells.size(), self.levels.unwrap_or(0), decode);
        let lends = own::lends(cells.size());
        // The first of one's own is nearly always close; all that is left matters only at the end.
        let mut passed = Vec::new();
        let config = loop {
            match walk.next() {
                Some(config) if own::mine(ask, config.id, lends) => break config,
                Some(config) if passed.len() < own::ENUMERATED => passed.push(config),
                _ => break own::allowed(ask, passed)?.swap_remove(0),
            }
        };
        Ok(Suggestion { params: codec.decode(&config), sampler: "grid", ..Suggestion::default() })
    }
}
