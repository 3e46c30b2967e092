//! A scrambled Sobol sequence (Owen scrambling by hashing, Burley 2020): covers the space more evenly than chance.
//!
//! Alone, a node takes point number `draw` (of a sequence of its own where it isn't the study's creator). Several nodes take the points whose
//! configurations they own, each the first of its own that is unknown, so that together they walk one sequence.

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
/// Points that a node alone looks at for a free one, and that a walk looks at beyond those that may all be known.
const TRIES: u64 = 512;
/// Points of one walk, at most; far more than any study's trials.
const MAX_WALK: f64 = 4e6;

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

/// The next free point.
pub fn pick(ask: &Ask) -> Result<Config, Stop> {
    let codec = ask.history.codec();
    let alone = ask.members.len() < 2;
    // Who thinks itself alone may be wrong: only the study's creator then takes its sequence.
    let seed = if alone && ask.slot != 0 { key("sobol alone", &[ask.seed, ask.slot]) } else { ask.seed };
    if alone {
        for index in ask.draw..ask.draw.saturating_add(TRIES) {
            let config = point(codec, seed, index);
            if !ask.history.knows(config.id) {
                return Ok(config);
            }
        }
    }
    walk(ask, seed).map_or_else(|| random::pick(ask, &mut Stream::of(ask, "sobol")), Ok)
}

/// The first point of all that is unknown, and this node's own: in an endless space ownership still divides the sequence. How far a node
/// is along it no count of its draws would tell, since it owns points by chance, and other ones when members come and go.
fn walk(ask: &Ask, seed: u64) -> Option<Config> {
    let codec = ask.history.codec();
    let (total, own) =
        (ask.members.iter().map(|m| m.weight).sum::<f64>(), ask.members.get(ask.me).map_or(1.0, |m| m.weight));
    let spread = (total / own).max(1.0);
    let end = ((ask.history.known() as f64 + TRIES as f64) * spread).min(MAX_WALK) as u128;
    let mut who = vec![seed, ask.me as u64];
    who.extend(ask.members.iter().flat_map(|m| [m.id, m.weight.to_bits()]));
    let (name, all) = (key("sobol walk", &who), key("sobol walk of all", &[seed]));
    let lends = own::is_small(codec);
    // What all know is passed over whoever is a member, so that members' news don't begin anew.
    let mut known = ask.history.walked(all);
    let mut at = ask.history.walked(name).max(known);
    let mut found = None;
    while at < end && found.is_none() {
        let config = point(codec, seed, at as u64);
        let is_known = ask.history.knows(config.id);
        if is_known && known == at {
            known += 1;
        }
        if !is_known && own::mine(ask, config.id, lends) {
            found = Some(config);
        } else {
            at += 1;
        }
    }
    ask.history.set_walked(all, known);
    ask.history.set_walked(name, at);
    found
}

impl Sampler for Sobol {
    fn suggest(&self, ask: &Ask) -> Result<Suggestion, Stop> {
        let config = pick(ask)?;
        Ok(Suggestion { params: ask.history.codec().decode(&config), sampler: "sobol", ..Suggestion::default() })
    }
}
