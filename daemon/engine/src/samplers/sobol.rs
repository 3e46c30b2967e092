//! A scrambled Sobol sequence (Owen scrambling by hashing, Burley 2020): covers the space more evenly than chance.
//!
//! Alone, a node takes point number `draw`. Several nodes take the points whose configurations they own, so that together
//! they walk one sequence.

use indexmap::IndexMap;
use metaopt_schema::FieldError;
use serde_json::Value;

use super::{Ask, Sampler, Stop, Suggestion, own, random};
use crate::{
    codec::{Cell, Codec, Config},
    options::Options,
    rng::{Stream, key},
};

/// Points are defined up to this index; a further one begins a new scrambling.
const PERIOD: u64 = 1 << 16;
/// Dimensions of one sequence; further ones take another scrambling.
const DIMENSIONS: usize = 256;
/// Points looked at for a free one.
const TRIES: u64 = 512;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Sobol;

impl Sobol {
    /// It has no options.
    pub fn new(options: &IndexMap<String, Value>) -> Result<Self, Vec<FieldError>> {
        Options::new(options, "/sampler", "sobol", &[]).done(Self)
    }
}

/// Point `index` of the sequence under `seed`.
pub fn point(codec: &Codec, seed: u64, index: u64) -> Config {
    codec.build(|i| -> Cell {
        let scramble = key("sobol", &[seed, index / PERIOD, (i / DIMENSIONS) as u64]) as u32;
        let u = sobol_burley::sample((index % PERIOD) as u32, (i % DIMENSIONS) as u32, scramble);
        // The middle of the float's last place keeps quantiles away from 0.
        codec.quantile(i, f64::from(u) + 1.0 / 33_554_432.0)
    })
}

/// The first free point from `from` on.
pub fn pick(ask: &Ask, from: u64) -> Result<Config, Stop> {
    let codec = ask.history.codec();
    let alone = ask.members.len() < 2;
    let lends = own::is_small(codec);
    for index in from..from.saturating_add(TRIES) {
        let config = point(codec, ask.seed, index);
        // In a space too large for ownership to be checked elsewhere, it still divides the sequence.
        if !ask.history.knows(config.id) && (alone || own::mine(ask, config.id, lends)) {
            return Ok(config);
        }
    }
    random::pick(ask, &mut Stream::of(ask, "sobol"))
}

impl Sampler for Sobol {
    fn suggest(&self, ask: &Ask) -> Result<Suggestion, Stop> {
        let config = pick(ask, ask.draw)?;
        Ok(Suggestion { params: ask.history.codec().decode(&config), sampler: "sobol", ..Suggestion::default() })
    }
}
