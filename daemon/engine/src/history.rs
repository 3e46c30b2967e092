//! What samplers and rules see of a study: one record a trial, with its configuration encoded once.
//!
//! Owns: the records, in an order that doesn't depend on when they arrived, and caches over them.
//! Must not: know documents, attempts or leases; the caller says which value counts.
//! Law: histories with the same records are the same, whatever the order of `upsert`, `report` and `remove`.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, OnceLock},
};

use metaopt_schema::space::{Params, Space};

use crate::{
    codec::{Cell, Codec, Config},
    math::sortable,
    pareto,
};

/// A place in the canonical order of results: [`Record::done`] and the record's key.
pub(crate) type Place = (u64, u64);

/// A trial's state, as far as models care.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordState {
    /// Waiting or running, for the first time or again.
    #[default]
    Pending,
    /// Has a counted result.
    Complete,
    /// Ended early by a rule.
    Pruned,
    /// Frozen by a rule; may go on, and is then pending again.
    Paused,
    /// The configuration's own failure (a crash, memory, a missing metric), not a machine's.
    Failed,
    /// Told infeasible.
    Infeasible,
    /// Known, but says nothing (cancelled).
    Ignored,
}

/// One trial.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Its place in the canonical order of proposals; ties go by `key`.
    pub order: u64,
    /// Its place in the canonical order of results, on the same scale; of a paused one, that of its pause; 0 while it is
    /// pending.
    pub done: u64,
    /// [`crate::hash64`] of its ID.
    pub key: u64,
    /// Its state.
    pub state: RecordState,
    /// Objectives in the study's order, the sign turned so that smaller is better; empty unless complete.
    pub costs: Vec<f64>,
    /// Sum over the constraints of how far each is broken, 0 where none is.
    pub violation: f64,
    /// The constraints' values in the study's order: 0 or below where one holds, NaN where it is unknown.
    pub constraints: Vec<f64>,
    /// Its last reported step.
    pub last_step: u64,
    /// The first objective's cost as reported, by step; may be empty.
    pub curve: Vec<(u64, f64)>,
    /// Seconds that a step took, 0 where that isn't known; of a record that is replaced by one without, it stays.
    pub step_s: f64,
    /// What its sampler fitted ([`crate::Suggestion::fit`]); empty where nothing was.
    pub fit: Vec<f32>,
}

impl Record {
    /// The smallest cost reported up to `step`, and its step.
    pub fn best_until(&self, step: u64) -> Option<(u64, f64)> {
        let points = self.curve.iter().take_while(|(s, _)| *s <= step).filter(|(_, cost)| !cost.is_nan());
        points.fold(None, |best: Option<(u64, f64)>, point| match best {
            Some(best) if best.1 <= point.1 => Some(best),
            _ => Some(*point),
        })
    }
}

/// How good a finished trial is: smaller is better, and comparable between any two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    class: Class,
    first: u64,
    second: u64,
    order: u64,
    key: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Feasible,
    Pruned,
    Infeasible,
    Failed,
}

#[derive(Clone, Debug)]
struct Row {
    record: Record,
    /// None where it doesn't fit the space.
    config: Option<Config>,
    rank: Option<Rank>,
}

/// The trials in which some parameters were active.
#[derive(Clone, Debug, Default)]
struct Group {
    /// Finished ones, best first.
    ranked: BTreeSet<Rank>,
    /// The same by key.
    keys: BTreeSet<u64>,
    pending: BTreeSet<(u64, u64)>,
    /// Without failed ones.
    finished: usize,
    /// Of these, pruned and paused ones, and the sum of their last steps.
    partial: (usize, u64),
    /// With several objectives: feasible ones by front, as far as they are needed ([`NEAR`]).
    fronts: OnceLock<Vec<u64>>,
}

/// With several objectives, how many trials at the front are put in order; the others are only known to be behind.
const NEAR: usize = 256;

/// Where walks may begin, the newest last: everything before is known, or not the walk's.
#[derive(Debug, Default)]
struct Cursor(Mutex<Vec<(u64, u128)>>);

/// Walks that are remembered.
const WALKS: usize = 4;

impl Clone for Cursor {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// What samplers keep to be quicker next time. (Answers don't depend on it; clones begin without.)
#[derive(Debug, Default)]
struct Caches(Mutex<HashMap<u64, Cached>>);

#[derive(Debug)]
struct Cached {
    value: Arc<dyn Any + Send + Sync>,
    /// The first place in the order of results that has changed since.
    stale_from: Option<(u64, u64)>,
}

impl Clone for Caches {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// All records of a study.
#[derive(Clone, Debug)]
pub struct History {
    codec: Arc<Codec>,
    objectives: usize,
    rows: BTreeMap<u64, Row>,
    known: HashMap<u128, u32>,
    /// By group of the codec: the trials in which its parameters were active. (The first: all.)
    groups: Vec<Group>,
    /// Finished trials in the order of results.
    results: BTreeSet<(u64, u64)>,
    /// Last steps of complete trials, and how many have each.
    lengths: BTreeMap<u64, usize>,
    /// Changes so far.
    version: u64,
    cursor: Cursor,
    caches: Caches,
}

impl Caches {
    fn touch(&mut self, place: (u64, u64)) {
        let Ok(caches) = self.0.get_mut() else { return };
        for cached in caches.values_mut() {
            cached.stale_from = Some(cached.stale_from.map_or(place, |from| from.min(place)));
        }
    }
}

/// A trial as models see it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Its configuration.
    pub config: &'a Config,
    /// Its cost, where there is one objective and the trial is feasible and complete.
    pub cost: Option<f64>,
}

/// Trials divided for a model.
#[derive(Clone, Debug, Default)]
pub struct Split<'a> {
    /// The best, in order.
    pub good: Vec<Seen<'a>>,
    /// The rest (or a part of it that stands for it), and pending ones.
    pub bad: Vec<Seen<'a>>,
}

impl History {
    /// An empty history of a study over `space` with `objectives` objectives. A widened space needs a new history.
    pub fn new(space: &Space, objectives: usize) -> Self {
        let codec = Arc::new(Codec::new(space));
        Self {
            groups: vec![Group::default(); codec.groups().len()],
            codec,
            objectives,
            rows: BTreeMap::new(),
            known: HashMap::new(),
            results: BTreeSet::new(),
            lengths: BTreeMap::new(),
            version: 0,
            cursor: Cursor::default(),
            caches: Caches::default(),
        }
    }

    /// The space.
    pub fn space(&self) -> &Space {
        self.codec.space()
    }

    /// The compiled space.
    pub fn codec(&self) -> &Codec {
        &self.codec
    }

    /// The compiled space, to be kept longer than the history.
    pub(crate) fn shared_codec(&self) -> Arc<Codec> {
        self.codec.clone()
    }

    /// At most `most` finished trials without failed ones, an even draw where there are more; best first (by the first
    /// objective), each with its configuration and whether it is complete and feasible.
    pub(crate) fn judged(&self, most: usize) -> Vec<(&Record, &Config, bool)> {
        // Keys are hashes, so the first by key are an even draw that every replica makes alike.
        let judged = self.groups[0].keys.iter().filter_map(|key| {
            let row = self.rows.get(key)?;
            let rank = row.rank.filter(|rank| rank.class != Class::Failed)?;
            Some((rank, &row.record, row.config.as_ref()?))
        });
        let mut judged: Vec<_> = judged.take(most).collect();
        judged.sort_by_key(|(rank, ..)| *rank);
        judged.into_iter().map(|(rank, record, config)| (record, config, rank.class == Class::Feasible)).collect()
    }

    /// Adds a record of the configuration `params`, or replaces the one with its key (whose configuration is the same:
    /// trials never change it).
    pub fn upsert(&mut self, mut record: Record, params: impl FnOnce() -> Params) {
        self.version += 1;
        record.curve.sort_by_key(|(step, _)| *step);
        record.curve.dedup_by_key(|(step, _)| *step);
        let config = match self.take(record.key) {
            // Encoding is the costly part.
            Some(old) => {
                if record.step_s <= 0.0 {
                    record.step_s = old.record.step_s;
                }
                old.config
            }
            None => self.codec.encode(&params()),
        };
        if let Some(config) = &config {
            *self.known.entry(config.id).or_default() += 1;
        }
        // What doesn't fit the space says nothing to models.
        let rank = config.as_ref().and_then(|_| self.rank(&record));
        if record.state == RecordState::Complete {
            *self.lengths.entry(record.last_step).or_default() += 1;
        }
        if rank.is_some() {
            self.results.insert((record.done, record.key));
            self.caches.touch((record.done, record.key));
        }
        for group in self.active(config.as_ref()) {
            let group = &mut self.groups[group];
            match rank {
                Some(rank) => {
                    group.fronts = OnceLock::new();
                    group.finished += usize::from(rank.class != Class::Failed);
                    if rank.class == Class::Pruned {
                        group.partial = (group.partial.0 + 1, group.partial.1.saturating_add(record.last_step));
                    }
                    group.ranked.insert(rank);
                    group.keys.insert(record.key);
                }
                None if record.state == RecordState::Pending => {
                    group.pending.insert((record.order, record.key));
                }
                None => {}
            }
        }
        self.rows.insert(record.key, Row { record, config, rank });
    }

    /// Adds one point to a record's curve (and raises its `last_step`) without touching the rest; unknown keys and points
    /// whose step is known are ignored.
    pub fn report(&mut self, key: u64, step: u64, cost: f64) {
        let Some(row) = self.rows.get_mut(&key) else { return };
        self.version += 1;
        if let Err(at) = row.record.curve.binary_search_by_key(&step, |(s, _)| *s) {
            row.record.curve.insert(at, (step, cost));
        }
        row.record.last_step = row.record.last_step.max(step);
        if row.rank.is_some() {
            let record = row.record.clone();
            self.upsert(record, Params::new);
        }
    }

    /// Says how many seconds a step of a record takes.
    pub fn pace(&mut self, key: u64, step_s: f64) {
        if let Some(row) = self.rows.get_mut(&key) {
            row.record.step_s = step_s;
        }
    }

    /// Forgets a record.
    pub fn remove(&mut self, key: u64) {
        if self.take(key).is_some() {
            self.version += 1;
            self.cursor = Cursor::default();
        }
    }

    /// A number that grows with every change, by which caches know whether they hold. (It differs between histories of the
    /// same records.)
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// A record by its key.
    pub fn get(&self, key: u64) -> Option<&Record> {
        self.rows.get(&key).map(|row| &row.record)
    }

    /// A record's configuration, where it fits the space.
    pub(crate) fn config(&self, key: u64) -> Option<&Config> {
        self.rows.get(&key)?.config.as_ref()
    }

    /// All records, by key.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.rows.values().map(|row| &row.record)
    }

    /// All records, and their configurations where they fit the space.
    pub fn encoded(&self) -> impl Iterator<Item = (&Record, &Config)> {
        self.rows.values().filter_map(|row| Some((&row.record, row.config.as_ref()?)))
    }

    /// Trials with a result (failed ones too) from a place in the order of results on: (place, record, configuration).
    pub fn results(&self, from: (u64, u64)) -> impl DoubleEndedIterator<Item = ((u64, u64), &Record, &Config)> {
        let row = |place: &(u64, u64)| {
            let row = self.rows.get(&place.1)?;
            Some((*place, &row.record, row.config.as_ref()?))
        };
        self.results.range(from..).filter_map(row)
    }

    /// Trials without a result yet, in the order of proposals.
    pub fn pending(&self) -> impl DoubleEndedIterator<Item = (&Record, &Config)> {
        self.groups[0].pending.iter().filter_map(|(_, key)| {
            let row = self.rows.get(key)?;
            Some((&row.record, row.config.as_ref()?))
        })
    }

    /// What was kept under `name` ([`crate::rng::key`] of the sampler and its options), and the first place in the order of results
    /// that has changed since then; none: nothing has.
    pub(crate) fn cached<T: Any + Send + Sync>(&self, name: u64) -> Option<(Arc<T>, Option<Place>)> {
        let caches = self.caches.0.lock().ok()?;
        let cached = caches.get(&name)?;
        Some((cached.value.clone().downcast().ok()?, cached.stale_from))
    }

    /// Keeps `value` under `name`.
    pub(crate) fn cache(&self, name: u64, value: Arc<dyn Any + Send + Sync>) {
        if let Ok(mut caches) = self.caches.0.lock() {
            caches.insert(name, Cached { value, stale_from: None });
        }
    }

    /// Whether some trial, whatever its state, has this configuration.
    pub fn knows(&self, id: u128) -> bool {
        self.known.contains_key(&id)
    }

    /// How many different configurations are known.
    pub fn known(&self) -> usize {
        self.known.len()
    }

    /// Trials that say how good their configuration is: complete, pruned, paused or infeasible.
    pub fn judgeable(&self) -> usize {
        self.groups[0].finished
    }

    /// How many trials' worth of results there is: complete and infeasible trials, and pruned and paused ones by the share of the
    /// longest complete trial's steps that they ran. A hundred trials of one step each say little about where to search.
    pub fn finished(&self) -> usize {
        self.worth(&self.groups[0])
    }

    fn worth(&self, group: &Group) -> usize {
        let (partial, steps) = group.partial;
        let share = match self.lengths.last_key_value() {
            Some((0, _)) => partial as u64,
            Some((longest, _)) => steps / longest,
            None => 0,
        };
        group.finished - partial + usize::try_from(share).map_or(partial, |share| share.min(partial))
    }

    /// Objectives of the study.
    pub fn objectives(&self) -> usize {
        self.objectives
    }

    fn take(&mut self, key: u64) -> Option<Row> {
        let row = self.rows.remove(&key)?;
        if row.record.state == RecordState::Complete
            && let Some(count) = self.lengths.get_mut(&row.record.last_step)
        {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&row.record.last_step);
            }
        }
        if row.rank.is_some() {
            self.results.remove(&(row.record.done, key));
            self.caches.touch((row.record.done, key));
        }
        for group in self.active(row.config.as_ref()) {
            let group = &mut self.groups[group];
            group.pending.remove(&(row.record.order, key));
            if let Some(rank) = row.rank {
                group.fronts = OnceLock::new();
                group.ranked.remove(&rank);
                group.keys.remove(&key);
                group.finished -= usize::from(rank.class != Class::Failed);
                if rank.class == Class::Pruned {
                    group.partial = (group.partial.0 - 1, group.partial.1.saturating_sub(row.record.last_step));
                }
            }
        }
        if let Some(config) = &row.config
            && let Some(count) = self.known.get_mut(&config.id)
        {
            *count -= 1;
            if *count == 0 {
                self.known.remove(&config.id);
            }
        }
        Some(row)
    }

    /// The codec's groups that a configuration's parameters are in.
    fn active(&self, config: Option<&Config>) -> Vec<usize> {
        let Some(config) = config else { return Vec::new() };
        let all = self.codec.groups().iter().enumerate();
        all.filter(|(at, group)| *at == 0 || group.first().is_some_and(|i| config.cells[*i] != Cell::Off))
            .map(|(at, _)| at)
            .collect()
    }

    fn rank(&self, record: &Record) -> Option<Rank> {
        let (class, first, second) = match record.state {
            RecordState::Pending | RecordState::Ignored => return None,
            RecordState::Complete => {
                let sound = record.costs.len() == self.objectives && !record.costs.iter().any(|c| c.is_nan());
                match (sound, record.violation > 0.0 || record.violation.is_nan()) {
                    (false, _) => (Class::Failed, 0, 0),
                    (true, true) => (Class::Infeasible, sortable(record.violation), 0),
                    (true, false) => (Class::Feasible, sortable(record.costs[0]), 0),
                }
            }
            // Those that got furthest are the best of the pruned. Paused ones are judged alike: their curves say what is known.
            RecordState::Pruned | RecordState::Paused => {
                let last = record.curve.last().map_or(f64::INFINITY, |(_, cost)| *cost);
                (Class::Pruned, u64::MAX - record.last_step, sortable(last))
            }
            RecordState::Infeasible => {
                let violation = if record.violation > 0.0 { record.violation } else { f64::INFINITY };
                (Class::Infeasible, sortable(violation), 0)
            }
            RecordState::Failed => (Class::Failed, 0, 0),
        };
        Some(Rank { class, first, second, order: record.order, key: record.key })
    }

    /// Keys of a group's finished trials, best first. With several objectives feasible ones go by non-dominated rank, as
    /// far as the first `want`.
    fn best_first(&self, group: usize, want: usize) -> Box<dyn Iterator<Item = u64> + '_> {
        let group = &self.groups[group];
        if self.objectives < 2 {
            return Box::new(group.ranked.iter().map(|rank| rank.key));
        }
        let feasible: Box<dyn Iterator<Item = u64>> = if want <= NEAR {
            Box::new(group.fronts.get_or_init(|| self.fronts(group, NEAR)).iter().copied())
        } else {
            Box::new(self.fronts(group, want).into_iter())
        };
        let rest = group.ranked.iter().filter(|rank| rank.class != Class::Feasible).map(|rank| rank.key);
        Box::new(feasible.chain(rest))
    }

    /// Positions of the finished trials `keys`, best first, each with the number of its class of equals from 0 up. With
    /// several objectives feasible ones go by non-dominated front and crowding among `keys`, and none are equal.
    pub(crate) fn ranked(&self, keys: &[u64]) -> Vec<(usize, usize)> {
        let rank = |key: &u64| self.rows.get(key).and_then(|row| row.rank);
        let mut order: Vec<(Option<Rank>, usize)> = keys.iter().map(rank).zip(0..).collect();
        order.retain(|(rank, _)| rank.is_some());
        order.sort_unstable();
        let mut class = 0;
        let mut ranked = Vec::with_capacity(order.len());
        for (i, (rank, at)) in order.iter().enumerate() {
            let merit = |rank: &Option<Rank>| rank.map(|r| (r.class, r.first, r.second));
            class += usize::from(i > 0 && merit(rank) != merit(&order[i - 1].0));
            ranked.push((*at, class));
        }
        if self.objectives > 1 {
            let feasible =
                order.iter().take_while(|(rank, _)| rank.is_some_and(|r| r.class == Class::Feasible)).count();
            let costs: Vec<&[f64]> =
                order[..feasible].iter().filter_map(|(_, at)| Some(self.get(keys[*at])?.costs.as_slice())).collect();
            let fronts = pareto::crowded(&costs, costs.len());
            for (place, from) in fronts.into_iter().enumerate() {
                ranked[place] = (order[from].1, place);
            }
            for (_, class) in &mut ranked[feasible..] {
                *class += feasible;
            }
        }
        ranked
    }

    fn fronts(&self, group: &Group, want: usize) -> Vec<u64> {
        let feasible = group.ranked.iter().take_while(|rank| rank.class == Class::Feasible);
        let mut rows: Vec<&Row> = feasible.filter_map(|rank| self.rows.get(&rank.key)).collect();
        rows.sort_by_key(|row| (row.record.order, row.record.key));
        let costs: Vec<&[f64]> = rows.iter().map(|row| row.record.costs.as_slice()).collect();
        pareto::order(&costs, want).into_iter().map(|i| rows[i].record.key).collect()
    }

    /// Divides the trials in which the parameters of the codec's group `group` were active (0: all): `good(n)` of the
    /// finished ones, which are worth `n`, are good, at most `cap` make the bad set: pending ones, then half the best of the
    /// bad and half an even draw by key, so that neither its size nor the time it takes grows with the study.
    pub fn split(&self, good: impl Fn(usize) -> usize, cap: usize, pending: bool, group: usize) -> Split<'_> {
        let among = &self.groups[group];
        let finished = self.worth(among);
        let mut split = Split::default();
        let mut taken = BTreeSet::new();
        let (good, best_of_bad) = (good(finished).min(among.finished), cap / 2);
        let want = good.saturating_add(best_of_bad);
        let mut ranked = self.best_first(group, want).filter_map(|key| self.rows.get(&key)).peekable();
        while split.good.len() < good
            && let Some(row) = ranked.next_if(|row| row.rank.is_some_and(|rank| rank.class != Class::Failed))
        {
            taken.insert(row.record.key);
            split.good.extend(self.seen(row));
        }
        if pending {
            // Of too many the newest: the models that drew them knew the others.
            let rows = among.pending.iter().rev().filter_map(|(_, key)| self.rows.get(key));
            split.bad.extend(rows.filter_map(|row| self.seen(row)).take(cap / 2));
        }
        let room = cap - split.bad.len();
        for row in ranked.take(room / 2) {
            taken.insert(row.record.key);
            split.bad.extend(self.seen(row));
        }
        // Keys are hashes, so the first by key are an even draw that every replica makes alike.
        let rest = among.keys.iter().filter(|key| !taken.contains(*key)).filter_map(|key| self.rows.get(key));
        split.bad.extend(rest.filter_map(|row| self.seen(row)).take(room - room / 2));
        split
    }

    fn seen<'a>(&self, row: &'a Row) -> Option<Seen<'a>> {
        let feasible = row.rank.is_some_and(|rank| rank.class == Class::Feasible);
        let cost = (self.objectives == 1 && feasible).then(|| row.record.costs[0]);
        row.config.as_ref().map(|config| Seen { config, cost })
    }

    /// The position before which a walk `key` meets only known configurations.
    pub(crate) fn walked(&self, key: u64) -> u128 {
        match self.cursor.0.lock() {
            Ok(walks) => walks.iter().find(|(k, _)| *k == key).map_or(0, |(_, at)| *at),
            Err(_) => 0,
        }
    }

    /// Remembers such a position. (A cache: answers don't depend on it.)
    pub(crate) fn set_walked(&self, key: u64, at: u128) {
        if let Ok(mut walks) = self.cursor.0.lock() {
            walks.retain(|(k, _)| *k != key);
            if walks.len() >= WALKS {
                walks.remove(0);
            }
            walks.push((key, at));
        }
    }
}
