//! The only source of chance: ChaCha12 streams keyed by what a suggestion depends on.

use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::samplers::Ask;

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha12Rng);

impl Stream {
    /// The stream for one `purpose` of one draw.
    pub fn new(seed: u64, slot: u64, draw: u64, purpose: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        for number in [seed, slot, draw] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.update(purpose.as_bytes());
        Self(ChaCha12Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// The stream for one `purpose` of this ask.
    pub fn of(ask: &Ask, purpose: &str) -> Self {
        Self::new(ask.seed, ask.slot, ask.draw, purpose)
    }

    /// Uniform in (0, 1), both ends left out.
    pub fn unit(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
    }

    /// Uniform in 0..n (0 where `n` is 0).
    pub fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n.saturating_sub(1))
    }

    /// A position, with probability in proportion to its weight.
    pub fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut left = self.unit() * weights.iter().sum::<f64>();
        for (i, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return i;
            }
        }
        weights.len().saturating_sub(1)
    }
}

/// 64 bits that depend on all of `parts` (for keys, not for streams).
pub fn key(purpose: &str, parts: &[u64]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(purpose.as_bytes());
    for part in parts {
        hasher.update(&part.to_le_bytes());
    }
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}
