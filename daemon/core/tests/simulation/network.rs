//! Links between boxes: latency, cuts in one or both directions, and when each side notices.
//!
//! A link is a stream: what is sent arrives once and in order, or the link ends. What is sent into a cut waits, as TCP
//! sends it again, until the cut heals or the link is given up for silence. Chaos breaks this on purpose: then single
//! frames are lost, doubled and overtaken.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use crate::random::Random;

/// A link is given up when nothing came through for this long (milliseconds).
pub const SILENCE_MS: u64 = 6_000;
/// A lost link is dialled again within this time.
pub const REDIAL_MS: u64 = 2_000;

#[derive(Clone, Copy, Debug, Default)]
pub struct Chaos {
    pub lose: f64,
    pub double: f64,
    pub overtake: f64,
}

#[derive(Clone, Debug)]
pub struct Link {
    /// Counts the links of this pair.
    pub number: u64,
    /// Whether each side believes it is up: lower box, higher box.
    pub up: [bool; 2],
    /// Since when both did.
    pub since: u64,
    /// It is over, and the sides are about to notice.
    pub over: bool,
    pub dial_at: u64,
    arrives: [u64; 2],
    stalled: [VecDeque<Arc<[u8]>>; 2],
    /// Since when something can't come through.
    pub mute_since: Option<u64>,
}

pub struct Network {
    pub links: BTreeMap<(usize, usize), Link>,
    /// From, to: nothing comes through.
    pub cuts: BTreeSet<(usize, usize)>,
    /// Base and jitter in milliseconds.
    latency: BTreeMap<(usize, usize), (u64, u64)>,
    pub slow: BTreeSet<(usize, usize)>,
    pub chaos: Chaos,
    pub random: Random,
    /// Frames sent, and their bytes.
    pub sent: (u64, u64),
    pub lost: u64,
    pub doubled: u64,
    pub overtaken: u64,
}

pub fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

pub fn side(of: usize, pair: (usize, usize)) -> usize {
    usize::from(of == pair.1)
}

impl Network {
    /// A full mesh up to 16 boxes; above, a ring with chords, about eight neighbours each, and all with the first, which
    /// lets them in.
    pub fn new(boxes: usize, mut random: Random) -> Self {
        let mut pairs = BTreeSet::new();
        for a in 0..boxes {
            for b in a + 1..boxes {
                if boxes <= 16 || b == a + 1 || a == 0 {
                    pairs.insert((a, b));
                }
            }
            for _ in 0..if boxes > 16 { 3 } else { 0 } {
                let b = random.below(boxes as u64) as usize;
                if a != b {
                    pairs.insert(pair(a, b));
                }
            }
        }
        let mut latency = BTreeMap::new();
        for &(a, b) in &pairs {
            let base = if random.chance(0.1) { random.range(20, 80) } else { random.range(0, 3) };
            let jitter = if random.chance(0.2) { random.range(5, 60) } else { random.range(0, 4) };
            latency.insert((a, b), (base, jitter));
            latency.insert((b, a), (base, jitter));
        }
        let new = |_| Link {
            number: 0,
            up: [false; 2],
            since: 0,
            over: true,
            dial_at: 0,
            arrives: [0; 2],
            stalled: Default::default(),
            mute_since: None,
        };
        Self {
            links: pairs.iter().map(|pair| (*pair, new(pair))).collect(),
            cuts: BTreeSet::new(),
            latency,
            slow: BTreeSet::new(),
            chaos: Chaos::default(),
            random,
            sent: (0, 0),
            lost: 0,
            doubled: 0,
            overtaken: 0,
        }
    }

    pub fn reach(&self, a: usize, b: usize) -> bool {
        !self.cuts.contains(&(a, b)) && !self.cuts.contains(&(b, a))
    }

    pub fn delay(&mut self, from: usize, to: usize) -> u64 {
        let (base, jitter) = self.latency.get(&(from, to)).copied().unwrap_or((1, 1));
        let slow = if self.slow.contains(&(from, to)) { self.random.range(300, 1_500) } else { 0 };
        base + self.random.range(0, jitter) + slow
    }

    /// When frames that are sent now arrive, with the number of their link; none: not at all, or not yet.
    pub fn send(&mut self, now: u64, from: usize, to: usize, frame: &Arc<[u8]>) -> Vec<(u64, u64)> {
        let key = pair(from, to);
        let way = side(from, key);
        let cut = self.cuts.contains(&(from, to));
        let delay = self.delay(from, to);
        let Some(link) = self.links.get_mut(&key).filter(|link| link.up[way] && !link.over) else { return Vec::new() };
        self.sent = (self.sent.0 + 1, self.sent.1 + frame.len() as u64);
        if cut {
            link.stalled[way].push_back(frame.clone());
            link.mute_since.get_or_insert(now);
            return Vec::new();
        }
        let chaos = self.chaos;
        if self.random.chance(chaos.lose) {
            self.lost += 1;
            return Vec::new();
        }
        let in_order = (now + delay).max(link.arrives[way]);
        let mut times = Vec::new();
        if self.random.chance(chaos.overtake) {
            self.overtaken += 1;
            times.push((now + delay + self.random.range(1, 400), link.number));
        } else {
            link.arrives[way] = in_order;
            times.push((in_order, link.number));
        }
        if self.random.chance(chaos.double) {
            self.doubled += 1;
            times.push((in_order + self.random.range(0, 3_000), link.number));
        }
        times
    }

    /// Frames that waited for a cut to heal.
    pub fn resume(&mut self, from: usize, to: usize) -> Vec<Arc<[u8]>> {
        let key = pair(from, to);
        let Some(link) = self.links.get_mut(&key) else { return Vec::new() };
        if link.up == [true; 2] {
            link.mute_since = None;
        } else {
            link.mute_since = Some(0); // nobody is there any more: a reset is the answer
        }
        link.stalled[side(from, key)].drain(..).collect()
    }

    /// A new link of a pair.
    pub fn begin(&mut self, key: (usize, usize)) -> u64 {
        let Some(link) = self.links.get_mut(&key) else { return 0 };
        link.number += 1;
        link.over = false;
        link.stalled = Default::default();
        link.arrives = [0; 2];
        link.mute_since = None;
        link.number
    }
}
