//! What a draw depended on beside its counter, kept small: only what changed since the same node's draw before.
//!
//! Owns: the binary form in a trial's specification, and the ledger that adds the differences up. Must not: decide what
//! a sampler is shown; know what the changes say.
//!
//! A node knows its own facts up to the stamp of the trial it draws. What it knew of others is a vector: of each document
//! of trials and each run of a node that wrote there, how many changes. Members, budget and edits of the space are named
//! whenever they are others than before. A node alone therefore writes some ten bytes at the first draw of each run, and
//! nothing afterwards; among sixteen it is about two bytes a draw for each other node.
//!
//! Layout: a byte of flags (below; the highest bit: of a later metaopt), then what they announce, in their order. Numbers
//! are LEB128, texts and lists stand behind their length. Nodes are named once and numbered on, as are runs (a document
//! and a writer's actor).

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::{Lamport, NodeId, docs::Actor};

/// All that was known stands here; nothing before counts. The version of the proposing metaopt follows.
const BASE: u8 = 1;
/// Nodes that weren't named before.
const NODES: u8 = 1 << 1;
/// Runs that weren't named before: home, segment, writer, boot, changes.
const RUNS: u8 = 1 << 2;
/// Changes of runs that were: how many runs are passed over, how many changes came.
const NEWS: u8 = 1 << 3;
/// Who proposed, with weights; none: the node alone.
const MEMBERS: u8 = 1 << 4;
/// The budget's trials plus one; 0: no end.
const BUDGET: u8 = 1 << 5;
/// The edits that made the space: Lamport time, writer.
const SPACE: u8 = 1 << 6;
/// Not of this version.
const LATER: u8 = 1 << 7;

/// Bytes in a document's JSON, as base 64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed(Box<[u8]>);

/// What a sampler fitted, in a document's JSON as base 64 of its little-endian bytes.
#[derive(Clone, Debug, Default)]
pub struct Fit(Box<[f32]>);

/// One run of a node, in one document of trials.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    /// The node whose trials the document holds.
    pub home: NodeId,
    /// Which of its documents.
    pub segment: u32,
    /// Who wrote.
    pub writer: NodeId,
    /// In which run.
    pub boot: u64,
}

/// What a node drew from, beside the facts it wrote itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sight {
    /// Who proposed, with weights; empty: the node alone.
    pub members: Vec<(NodeId, f32)>,
    /// The budget's trials; none: no end.
    pub max_trials: Option<u64>,
    /// The edits that made the space.
    pub space: Vec<(Lamport, NodeId)>,
}

/// All of a node's draws in one study up to one of them, added up.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The metaopt that drew.
    pub version: String,
    /// Beside the changes.
    pub sight: Sight,
    nodes: Vec<NodeId>,
    runs: Vec<(Run, u64)>,
    places: BTreeMap<Run, usize>,
}

impl Run {
    /// The actor that its changes are of.
    pub fn actor(&self) -> Actor {
        Actor::new(&self.writer, self.boot)
    }
}

impl Packed {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl From<Vec<u8>> for Packed {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        URL_SAFE_NO_PAD.decode(&*text).map(Self::from).map_err(D::Error::custom)
    }
}

impl Fit {
    /// Whether nothing was fitted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The numbers.
    pub fn values(&self) -> &[f32] {
        &self.0
    }
}

impl From<Vec<f32>> for Fit {
    fn from(values: Vec<f32>) -> Self {
        Self(values.into())
    }
}

/// By their bits: what was written must be read back, whatever it is.
impl PartialEq for Fit {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| a.to_bits() == b.to_bits())
    }
}

impl Serialize for Fit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|value| value.to_le_bytes()).collect();
        Packed::from(bytes).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Fit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let packed = Packed::deserialize(deserializer)?;
        let (values, rest) = packed.0.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(D::Error::custom("numbers of four bytes should fill it"));
        }
        Ok(Self(values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()))
    }
}

impl Ledger {
    /// How many changes of each run were known.
    pub fn runs(&self) -> impl Iterator<Item = (&Run, u64)> {
        self.runs.iter().map(|(run, changes)| (run, *changes))
    }

    /// Adds up one more draw, and answers how it is written: `news` are runs whose changes may be more now, and how many
    /// each has. With `base`, the version of this metaopt, all before is forgotten, and `news` must be all there are.
    pub fn note(&mut self, base: Option<&str>, news: &BTreeMap<Run, u64>, sight: &Sight) -> Packed {
        if let Some(version) = base {
            *self = Self { version: version.to_owned(), ..Self::default() };
        }
        let known = self.nodes.len();
        let (mut more, mut fresh) = (BTreeMap::new(), Vec::new());
        for (run, &changes) in news {
            match self.places.get(run) {
                Some(&place) if changes > self.runs[place].1 => drop(more.insert(place, changes - self.runs[place].1)),
                Some(_) => {}
                None => fresh.push((run, changes)),
            }
        }
        let mut flags = if base.is_some() { BASE } else { 0 };
        let mut body = Vec::new();
        if !fresh.is_empty() {
            flags |= RUNS;
            number(&mut body, fresh.len() as u64);
            for (run, changes) in fresh {
                let (home, writer) = (self.name(&run.home), self.name(&run.writer));
                number(&mut body, home);
                number(&mut body, run.segment.into());
                number(&mut body, writer);
                body.extend_from_slice(&run.boot.to_le_bytes());
                number(&mut body, changes);
                self.places.insert(run.clone(), self.runs.len());
                self.runs.push((run.clone(), changes));
            }
        }
        if !more.is_empty() {
            flags |= NEWS;
            number(&mut body, more.len() as u64);
            let mut next = 0;
            for (place, changes) in more {
                number(&mut body, (place - next) as u64);
                number(&mut body, changes);
                self.runs[place].1 += changes;
                next = place + 1;
            }
        }
        if sight.members != self.sight.members {
            flags |= MEMBERS;
            number(&mut body, sight.members.len() as u64);
            for (node, weight) in &sight.members {
                let node = self.name(node);
                number(&mut body, node);
                body.extend_from_slice(&weight.to_le_bytes());
            }
        }
        if sight.max_trials != self.sight.max_trials {
            flags |= BUDGET;
            number(&mut body, sight.max_trials.map_or(0, |max| max.saturating_add(1)));
        }
        if sight.space != self.sight.space {
            flags |= SPACE;
            number(&mut body, sight.space.len() as u64);
            for (lamport, node) in &sight.space {
                number(&mut body, *lamport);
                let node = self.name(node);
                number(&mut body, node);
            }
        }
        self.sight.clone_from(sight);
        if flags == 0 {
            return Packed::default();
        }
        let mut all = Vec::with_capacity(body.len() + 1);
        all.push(if self.nodes.len() > known { flags | NODES } else { flags });
        if base.is_some() {
            text(&mut all, &self.version);
        }
        if self.nodes.len() > known {
            number(&mut all, (self.nodes.len() - known) as u64);
            self.nodes[known..].iter().for_each(|node| text(&mut all, node.as_str()));
        }
        all.extend(body);
        all.into()
    }

    /// Adds up what [`Ledger::note`] wrote; none: it can't be read (of a later metaopt, or what it builds on is missing).
    pub fn read(&mut self, packed: &Packed) -> Option<()> {
        let rest = &mut &*packed.0;
        if rest.is_empty() {
            return Some(());
        }
        let flags = byte(rest)?;
        if flags & LATER != 0 {
            return None;
        }
        if flags & BASE != 0 {
            *self = Self { version: take_text(rest)?.to_owned(), ..Self::default() };
        }
        if flags & NODES != 0 {
            for _ in 0..take(rest)? {
                self.nodes.push(NodeId::new(take_text(rest)?));
            }
        }
        if flags & RUNS != 0 {
            for _ in 0..take(rest)? {
                let (home, segment) = (self.named(rest)?, take(rest)?.try_into().ok()?);
                let writer = self.named(rest)?;
                let boot = u64::from_le_bytes(*chunk::<8>(rest)?);
                let run = Run { home, segment, writer, boot };
                self.places.insert(run.clone(), self.runs.len());
                self.runs.push((run, take(rest)?));
            }
        }
        if flags & NEWS != 0 {
            let mut next = 0u64;
            for _ in 0..take(rest)? {
                let place = next.checked_add(take(rest)?)?;
                let run = self.runs.get_mut(usize::try_from(place).ok()?)?;
                run.1 = run.1.checked_add(take(rest)?)?;
                next = place + 1;
            }
        }
        if flags & MEMBERS != 0 {
            let mut members = Vec::new();
            for _ in 0..take(rest)? {
                members.push((self.named(rest)?, f32::from_le_bytes(*chunk::<4>(rest)?)));
            }
            self.sight.members = members;
        }
        if flags & BUDGET != 0 {
            self.sight.max_trials = take(rest)?.checked_sub(1);
        }
        if flags & SPACE != 0 {
            let mut space = Vec::new();
            for _ in 0..take(rest)? {
                space.push((take(rest)?, self.named(rest)?));
            }
            self.sight.space = space;
        }
        rest.is_empty().then_some(())
    }

    fn name(&mut self, node: &NodeId) -> u64 {
        let place = self.nodes.iter().position(|known| known == node).unwrap_or_else(|| {
            self.nodes.push(node.clone());
            self.nodes.len() - 1
        });
        place as u64
    }

    fn named(&self, rest: &mut &[u8]) -> Option<NodeId> {
        self.nodes.get(usize::try_from(take(rest)?).ok()?).cloned()
    }
}

/// Whether all that was known stands in it.
pub fn is_base(packed: &Packed) -> bool {
    packed.0.first().is_some_and(|flags| flags & BASE != 0)
}

fn number(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn text(out: &mut Vec<u8>, text: &str) {
    number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    let (&byte, after) = rest.split_first()?;
    *rest = after;
    Some(byte)
}

fn chunk<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (chunk, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(chunk)
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = byte(rest)?;
        n |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(n);
        }
    }
    None
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::try_from(take(rest)?).ok()?;
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(home: &str, segment: u32, writer: &str) -> Run {
        Run { home: home.into(), segment, writer: writer.into(), boot: 7 }
    }

    fn same(a: &Ledger, b: &Ledger) {
        assert_eq!((&a.version, &a.sight, &a.nodes, &a.runs), (&b.version, &b.sight, &b.nodes, &b.runs));
    }

    #[test]
    fn draws_added_up_are_what_the_node_knew() {
        let (mut writer, mut reader) = (Ledger::default(), Ledger::default());
        let alone = Sight { max_trials: Some(100), ..Sight::default() };
        let two = Sight { members: vec![("a".into(), 1.0), ("b".into(), 0.1)], ..alone.clone() };
        let grown = Sight { space: vec![(9, "b".into())], max_trials: None, ..two.clone() };
        let steps = [
            (Some("0.1.0"), vec![], &alone),
            (None, vec![(run("b", 0, "b"), 3), (run("a", 0, "b"), 1)], &two),
            (None, vec![(run("b", 0, "b"), 300), (run("b", 1, "b"), 1)], &two),
            (None, vec![(run("b", 0, "b"), 300)], &two),
            (None, vec![(run("b", 1, "b"), 2)], &grown),
            (Some("0.2.0"), vec![(run("b", 1, "b"), 4)], &grown),
        ];
        let mut sizes = Vec::new();
        for (base, news, sight) in steps {
            let packed = writer.note(base, &news.into_iter().collect(), sight);
            assert_eq!(is_base(&packed), base.is_some());
            let text = serde_json::to_string(&packed).unwrap();
            assert_eq!(serde_json::from_str::<Packed>(&text).unwrap(), packed);
            reader.read(&packed).unwrap();
            same(&writer, &reader);
            sizes.push(packed.len());
        }
        assert_eq!(sizes[3], 0, "nothing new, nothing written");
        assert!(sizes[0] < 12, "{sizes:?}");
        assert_eq!(writer.runs().collect::<Vec<_>>(), [(&run("b", 1, "b"), 4)]);
    }

    #[test]
    fn what_is_cut_short_or_of_a_later_version_is_not_read() {
        let mut writer = Ledger::default();
        let sight = Sight { members: vec![("a".into(), 1.0)], max_trials: Some(3), space: vec![(1, "b".into())] };
        let whole = writer.note(Some("0.1.0"), &BTreeMap::from([(run("a", 0, "b"), 300)]), &sight);
        for length in 1..whole.len() {
            assert_eq!(Ledger::default().read(&Packed(whole.0[..length].into())), None, "{length}");
        }
        let mut later = whole.0.clone();
        later[0] |= LATER;
        assert_eq!(Ledger::default().read(&Packed(later)), None);
        let delta = writer.note(None, &BTreeMap::from([(run("a", 0, "b"), 301)]), &sight);
        assert_eq!(Ledger::default().read(&delta), None, "what it builds on is missing");
    }

    #[test]
    fn a_fit_comes_back_bit_for_bit() {
        let fit = Fit::from(vec![0.1, -0.0, f32::NAN, f32::MAX]);
        let text = serde_json::to_string(&fit).unwrap();
        assert_eq!(serde_json::from_str::<Fit>(&text).unwrap(), fit);
        assert!(serde_json::from_str::<Fit>("\"AAA\"").is_err());
    }
}
