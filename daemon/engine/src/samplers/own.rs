//! Finite spaces and several nodes: which configurations are left, and whose they are.
//!
//! Ownership is a weighted rendezvous hash over (study, configuration, member): nodes that agree on the members never
//! propose the same configuration, without a word between them, and a change of members moves only the cells it must.

use metaopt_schema::space::count::Cells;

use super::{Ask, Stop};
use crate::{
    codec::{Cell, Codec, Config},
    rng::key,
};

/// Above this size nothing is lent: no node will ever have proposed all that it owns.
const LENT_UP_TO: u128 = 1_000_000;

/// Unknown configurations looked at where all that are left must be weighed.
pub const ENUMERATED: usize = 4096;

/// Steps of one walk; far more than any study's trials.
const MAX_WALK: u128 = 4_000_000;

/// The member that owns `id`, and the next in line; none: one node proposes alone.
pub fn owners(ask: &Ask, id: u128) -> Option<(usize, usize)> {
    if ask.members.len() < 2 {
        return None;
    }
    let cell = key("own", &[ask.seed, id as u64, (id >> 64) as u64]);
    let score = |i: usize| {
        let member = ask.members[i];
        let bits = mix(cell ^ mix(member.id));
        let unit = ((bits >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0;
        // −w / ln u is largest for member i with probability w_i / Σw.
        (-member.weight.max(1e-9) / libm::log(unit), std::cmp::Reverse(member.id), i)
    };
    let before = |a: &Score, b: &Score| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).is_gt();
    let (mut first, mut second) = (score(0), score(1));
    if before(&second, &first) {
        std::mem::swap(&mut first, &mut second);
    }
    for one in (2..ask.members.len()).map(score) {
        if before(&one, &first) {
            second = std::mem::replace(&mut first, one);
        } else if before(&one, &second) {
            second = one;
        }
    }
    Some((first.2, second.2))
}

/// A member's claim to a configuration: larger is stronger, ties go to the smaller ID; and its position.
type Score = (f64, std::cmp::Reverse<u64>, usize);

/// Whether a configuration may be taken by the next in line: half of each member's, by their hash. Its owner comes to
/// these last, and others only while it is far from them: so nobody takes what its owner is about to.
fn is_lent(ask: &Ask, id: u128) -> bool {
    key("lent", &[ask.seed, id as u64, (id >> 64) as u64]) & 1 == 1
}

/// Whether this node may propose `id`. `lends`: what is lent to others comes later ([`allowed`]).
pub fn mine(ask: &Ask, id: u128, lends: bool) -> bool {
    owners(ask, id).is_none_or(|(first, _)| first == ask.me && !(lends && is_lent(ask, id)))
}

/// Whether what is lent of a space of `size` configurations comes later.
pub fn lends(size: u128) -> bool {
    size <= LENT_UP_TO
}

/// Whether what is lent of this space comes later.
pub fn is_small(codec: &Codec) -> bool {
    codec.numbering().is_some_and(|cells| lends(cells.size()))
}

/// How many draws it takes on average until one may be proposed: of a finite space a node owns but a share, and keeps half of
/// a small one for later.
pub fn draws(ask: &Ask) -> usize {
    let (codec, members) = (ask.history.codec(), ask.members.len());
    match codec.numbering() {
        Some(_) if members > 1 => members.min(16) * if is_small(codec) { 2 } else { 1 },
        _ => 1,
    }
}

/// Whether `config` may be proposed: unknown, and in a finite space this node's own. (Models of nodes that see the same come to
/// the same places, however large the space.)
pub fn is_free(ask: &Ask, config: &Config) -> bool {
    let codec = ask.history.codec();
    !ask.history.knows(config.id) && (codec.numbering().is_none() || mine(ask, config.id, is_small(codec)))
}

/// A study-seeded permutation of `0..size`: a four-round Feistel network over the next power of four, walked until it
/// falls inside.
#[derive(Clone, Copy, Debug)]
pub struct Shuffle {
    size: u128,
    half: u32,
    keys: [u64; 4],
}

impl Shuffle {
    /// The permutation of `size` positions under `seed`.
    pub fn new(size: u128, seed: u64) -> Self {
        let bits = 128 - size.saturating_sub(1).leading_zeros();
        Self { size, half: bits.div_ceil(2).max(1), keys: [0, 1, 2, 3].map(|round| key("walk", &[seed, round])) }
    }

    /// Where position `at` goes.
    pub fn place(&self, at: u128) -> u128 {
        let mask = (1u128 << self.half) - 1;
        let mut x = at;
        loop {
            let (mut left, mut right) = (x >> self.half & mask, x & mask);
            for round in self.keys {
                (left, right) = (right, left ^ (u128::from(mix(right as u64 ^ round)) & mask));
            }
            x = left << self.half | right;
            if x < self.size {
                return x;
            }
        }
    }
}

/// The finaliser of SplitMix64.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Configuration `index` of a finite space.
pub fn nth(codec: &Codec, cells: &Cells, index: u128) -> Config {
    codec.config(cells.nth(index).into_iter().map(|cell| cell.map_or(Cell::Off, Cell::Index)).collect())
}

/// Unknown configurations in the study's walk order.
pub struct Walk<'a, F> {
    ask: &'a Ask<'a>,
    shuffle: Shuffle,
    name: u64,
    at: u128,
    end: u128,
    /// Nothing unknown has been met yet.
    prefix: bool,
    decode: F,
}

impl<'a, F: Fn(u128) -> Config> Walk<'a, F> {
    /// A walk over `size` configurations that `decode` knows by index. `name` tells walks over different grids apart.
    pub fn new(ask: &'a Ask<'a>, size: u128, name: u64, decode: F) -> Self {
        let shuffle = Shuffle::new(size, ask.seed);
        let name = key("walk name", &[ask.seed, name]);
        let at = ask.history.walked(name).min(size);
        Self { ask, shuffle, name, at, end: size.min(at.saturating_add(MAX_WALK)), prefix: true, decode }
    }
}

impl<F: Fn(u128) -> Config> Iterator for Walk<'_, F> {
    type Item = Config;

    fn next(&mut self) -> Option<Config> {
        while self.at < self.end {
            let config = (self.decode)(self.shuffle.place(self.at));
            let known = self.ask.history.knows(config.id);
            if self.prefix && !known {
                self.prefix = false;
                self.ask.history.set_walked(self.name, self.at);
            }
            self.at += 1;
            if !known {
                return Some(config);
            }
        }
        if self.prefix {
            self.ask.history.set_walked(self.name, self.at);
        }
        None
    }
}

/// A walk over the whole finite space of the history.
pub fn walk<'a>(ask: &'a Ask<'a>, cells: &'a Cells) -> Walk<'a, impl Fn(u128) -> Config + 'a> {
    let codec = ask.history.codec();
    Walk::new(ask, cells.size(), 0, move |index| nth(codec, cells, index))
}

/// The configurations among `left` (in walk order) that this node may propose now. Its own, as long as there are any,
/// those that it lends last; then those lent to it whose owner has more of the others than it is about to need.
pub fn allowed(ask: &Ask, left: Vec<Config>) -> Result<Vec<Config>, Stop> {
    if left.is_empty() {
        return Err(Stop::Exhausted);
    }
    if ask.members.len() < 2 {
        return Ok(left);
    }
    let owned: Vec<(usize, usize)> = left.iter().map(|c| owners(ask, c.id).unwrap_or((ask.me, ask.me))).collect();
    let lent: Vec<bool> = left.iter().map(|config| is_lent(ask, config.id)).collect();
    // What each member comes to first.
    let mut counts = vec![0usize; ask.members.len()];
    owned.iter().zip(&lent).filter(|(_, lent)| !**lent).for_each(|((first, _), _)| counts[*first] += 1);
    let needs = |i: usize| 2.0 * libm::ceil(ask.members[i].weight.max(1.0));
    let has_own = owned.iter().any(|(first, _)| *first == ask.me);
    let may = |(&(first, second), &lent): (&(usize, usize), &bool)| match has_own {
        true => first == ask.me && (!lent || counts[ask.me] == 0),
        false => second == ask.me && lent && counts[first] as f64 > needs(first),
    };
    let chosen: Vec<bool> = owned.iter().zip(&lent).map(may).collect();
    let some: Vec<Config> = left.into_iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(c, _)| c).collect();
    if some.is_empty() { Err(Stop::Wait) } else { Ok(some) }
}

/// As [`allowed`] over the first few thousand unknown configurations, so that a huge space costs no more than a small one.
pub fn remaining(ask: &Ask, cells: &Cells) -> Result<Vec<Config>, Stop> {
    allowed(ask, walk(ask, cells).take(ENUMERATED).collect())
}

/// How many configurations of a finite space are unknown.
pub fn left(ask: &Ask) -> Option<u128> {
    ask.history.codec().numbering().map(|cells| cells.size().saturating_sub(ask.history.known() as u128))
}

/// Of all that is left of a finite space (or the first few thousand of it) what has the largest score, the first of equals.
pub fn best_of_rest(ask: &Ask, mut score: impl FnMut(&Config) -> f64) -> Result<Config, Stop> {
    let Some(cells) = ask.history.codec().numbering() else { return Err(Stop::Exhausted) };
    let mut left = remaining(ask, cells)?;
    let mut best = (0, f64::NEG_INFINITY);
    for (i, config) in left.iter().enumerate() {
        let value = score(config);
        if value > best.1 {
            best = (i, value);
        }
    }
    Ok(left.swap_remove(best.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffles_are_permutations_that_depend_on_the_seed() {
        for size in [1u128, 2, 3, 16, 17, 1000] {
            let shuffle = Shuffle::new(size, 5);
            let mut seen: Vec<u128> = (0..size).map(|i| shuffle.place(i)).collect();
            if size == 1000 {
                let other = Shuffle::new(size, 6);
                assert!((0..size).filter(|i| seen[*i as usize] == other.place(*i)).count() < 20);
            }
            seen.sort_unstable();
            assert!(seen.iter().copied().eq(0..size));
        }
        let huge = Shuffle::new(u128::MAX, 1);
        assert_ne!(huge.place(0), huge.place(1));
    }
}
