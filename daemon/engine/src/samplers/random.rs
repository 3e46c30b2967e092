//! Independent draws: uniform in each parameter's own scale, or from its normal prior.

use indexmap::IndexMap;
use metaopt_schema::FieldError;
use serde_json::Value;

use super::{Ask, Sampler, Stop, Suggestion, own};
use crate::{codec::Config, options::Options, rng::Stream};

/// Draws that hit a known configuration before the rest of a finite space is listed.
const TRIES: usize = 64;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Random;

impl Random {
    /// It has no options.
    pub fn new(options: &IndexMap<String, Value>) -> Result<Self, Vec<FieldError>> {
        Options::new(options, "/sampler", "random", &[]).done(Self)
    }
}

/// One draw from the prior.
pub fn draw(ask: &Ask, stream: &mut Stream) -> Config {
    let codec = ask.history.codec();
    codec.build(|i| codec.quantile(i, stream.unit()))
}

/// A free configuration at random.
pub fn pick(ask: &Ask, stream: &mut Stream) -> Result<Config, Stop> {
    let mut last = draw(ask, stream);
    for _ in 0..TRIES {
        if own::is_free(ask, &last) {
            return Ok(last);
        }
        last = draw(ask, stream);
    }
    match ask.history.codec().numbering() {
        Some(cells) => {
            let mut left = own::remaining(ask, cells)?;
            Ok(left.swap_remove(stream.below(left.len())))
        }
        // A space with a continuous parameter, most of whose weight lies on one point: a repeat is all it has.
        None => Ok(last),
    }
}

impl Sampler for Random {
    fn suggest(&self, ask: &Ask) -> Result<Suggestion, Stop> {
        let config = pick(ask, &mut Stream::of(ask, "random"))?;
        Ok(Suggestion { params: ask.history.codec().decode(&config), sampler: "random", ..Suggestion::default() })
    }
}
