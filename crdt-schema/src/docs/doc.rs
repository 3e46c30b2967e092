//! One document: an Automerge replica that takes facts and raw changes, and gives both back.
//!
//! Owns: the replica, its buckets, the changes that wait for others. Must not: fold facts, do I/O, read clocks.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::catch_unwind,
    sync::Arc,
};

use automerge::{
    ActorId, Automerge, Change, ChangeHash, ObjId, ObjType, Patch, PatchAction, PatchLog, Prop, ROOT, ReadDoc,
    ScalarValue, Value, transaction::Transactable,
};

use super::{
    Actor, Applied, DocError, Facts, LAYOUT, MAX_WAITING, RawChange, Vector,
    codec::{self, Entry},
    digest,
    incoming::{self, Incoming},
};
use crate::{DocId, facts::Fact};

/// The layout version's key in the root map.
pub(super) const VERSION_KEY: &str = "v";
/// The document kind's key in the root map.
pub(super) const KIND_KEY: &str = "kind";

/// What is said where Automerge panicked.
pub(super) const INNER_CHECK: &str = "reading it failed an inner check of Automerge";

/// Whether a key of the root map is no fact, but says what the document is (law 3).
fn is_marker(key: &str) -> bool {
    key == VERSION_KEY || key == KIND_KEY
}

/// What is called with each entry: its bucket, its key, and its bytes where it has any.
type Take<'a> = dyn FnMut(Option<u64>, &str, Option<&[u8]>) + 'a;
/// Changes about to be applied together: the last of each actor, the last operation of each, the maps they make.
#[derive(Default)]
struct Fresh {
    last: BTreeMap<Arc<[u8]>, (u64, Option<ChangeHash>)>,
    ends: BTreeMap<ChangeHash, u64>,
    made: BTreeSet<(u64, ActorId)>,
}

/// A change's first operation, actor and number.
type Turn = (u64, Arc<[u8]>, u64);

/// One replica of one document.
#[derive(Clone)]
pub struct Doc {
    id: DocId,
    actor: Actor,
    replica: Automerge,
    buckets: BTreeMap<u64, ObjId>,
    /// A bucket was created twice after all: patches no longer show everything, so that every change means a refold.
    split: bool,
    /// The changes it has: per actor, in order. Automerge has no public way from (actor, seq) to a hash.
    hashes: BTreeMap<Arc<[u8]>, Vec<ChangeHash>>,
    /// Changes whose dependencies are missing, in an order that respects dependencies: a change's first operation is
    /// numbered above all that it depends on.
    waiting: BTreeMap<Turn, Incoming>,
}

impl Doc {
    /// An empty document.
    pub fn new(id: DocId, actor: &Actor) -> Self {
        Self::over(id, actor, Automerge::new())
    }

    /// The document of a stored snapshot and the changes stored after it (in any order; those that the snapshot holds
    /// already are passed over). Damaged bytes are an error; single unreadable entries are told by [`Doc::facts`].
    pub fn load(id: DocId, actor: &Actor, snapshot: Option<&[u8]>, changes: &[RawChange]) -> Result<Self, DocError> {
        let damaged = |detail: String| DocError::Damaged { doc: id.clone(), detail };
        let replica = match snapshot {
            // Automerge's decoder panics on some damaged bytes whose checksum is right.
            Some(bytes) => catch_unwind(|| Automerge::load(bytes))
                .map_err(|_| damaged(INNER_CHECK.into()))?
                .map_err(|error| damaged(error.to_string()))?,
            None => Automerge::new(),
        };
        let mut doc = Self::over(id.clone(), actor, replica);
        for change in doc.replica.get_changes_meta(&[]) {
            doc.hashes.entry(change.actor.to_bytes().into()).or_default().push(change.hash);
        }
        let mut applied = Applied::default();
        let ready = doc.admit(changes, &mut applied);
        doc.merge(ready, &mut PatchLog::inactive(), &mut applied);
        if let Some(problem) = applied.problems.into_iter().next() {
            return Err(problem);
        }
        doc.find_buckets();
        let kinds = doc.kinds();
        if let Some(other) = kinds.first().filter(|_| !kinds.iter().any(|kind| kind == codec::kind(&id))) {
            return Err(damaged(format!("it is marked as a document of kind `{other}`")));
        }
        Ok(doc)
    }

    fn over(id: DocId, actor: &Actor, replica: Automerge) -> Self {
        let replica = replica.with_actor(ActorId::from(&**actor.bytes()));
        Self {
            id,
            actor: actor.clone(),
            replica,
            buckets: BTreeMap::new(),
            split: false,
            hashes: BTreeMap::new(),
            waiting: BTreeMap::new(),
        }
    }

    /// Which document it is.
    pub fn id(&self) -> &DocId {
        &self.id
    }

    /// How many changes it has.
    pub fn changes(&self) -> usize {
        self.hashes.values().map(Vec::len).sum()
    }

    /// The newest layout that any writer of this document marked; 0 while it is empty.
    pub fn layout(&self) -> u64 {
        let markers = self.replica.get_all(ROOT, VERSION_KEY).unwrap_or_default();
        markers.iter().filter_map(|(value, _)| value.as_u64()).max().unwrap_or(0)
    }

    /// Every kind that a writer marked: one that marks another must not make the document unreadable.
    fn kinds(&self) -> Vec<String> {
        let markers = self.replica.get_all(ROOT, KIND_KEY).unwrap_or_default();
        markers.iter().filter_map(|(value, _)| value.as_str().map(str::to_owned)).collect()
    }

    /// Writes `facts` as one change: all of them or, on error, none. A fact that stands there already with the same
    /// bytes is passed over; when that is so of all, there is no change. The change is to be stored before it is sent.
    pub fn write(&mut self, facts: &[Fact]) -> Result<Option<RawChange>, DocError> {
        let entries = self.missing(facts)?;
        if entries.is_empty() {
            return Ok(None);
        }
        let opened = self.put(&entries).map_err(|error| self.refused(&error))?;
        let change = self
            .replica
            .get_last_local_change()
            .ok_or_else(|| self.refused(&"the change just committed is missing"))?;
        self.buckets.extend(opened);
        let actor = self.actor.bytes().clone();
        self.hashes.entry(actor.clone()).or_default().push(change.hash());
        Ok(Some(RawChange { actor, seq: change.seq(), bytes: change.raw_bytes().into() }))
    }

    /// Bytes of a fact as it stands in a change, about; 0 where it can't be written.
    pub fn size_of(&self, fact: &Fact) -> usize {
        codec::encode(&self.id, fact).map_or(0, |entry| entry.key.len() + entry.bytes.len())
    }

    /// The entries of `facts` that aren't there yet, checked against every law that writing could break.
    fn missing(&self, facts: &[Fact]) -> Result<Vec<Entry>, DocError> {
        let mut entries: Vec<Entry> = Vec::with_capacity(facts.len());
        let mut opens: BTreeSet<u64> = BTreeSet::new();
        let writer = Actor::node_of(self.actor.bytes());
        for fact in facts {
            let entry = codec::encode(&self.id, fact)?;
            let key = || codec::full_key(entry.bucket, &entry.key);
            if let Some(owner) = entry.owner.as_ref().filter(|owner| Some(*owner) != writer.as_ref()) {
                let writer = writer.as_ref().map_or_else(|| "an unknown node".to_owned(), ToString::to_string);
                return Err(DocError::NotOurs { doc: self.id.clone(), key: key(), owner: owner.clone(), writer });
            }
            if entry.opens_bucket {
                opens.extend(entry.bucket);
            }
            if let Some(bucket) = entry.bucket
                && !self.buckets.contains_key(&bucket)
                && !opens.contains(&bucket)
            {
                return Err(DocError::UnknownTrial { doc: self.id.clone(), key: key() });
            }
            let twin = entries.iter().find(|other| other.bucket == entry.bucket && other.key == entry.key);
            match twin.map(|twin| twin.bytes.clone()).or_else(|| self.value(entry.bucket, &entry.key)) {
                None => entries.push(entry),
                Some(there) if there == entry.bytes => {}
                Some(_) => return Err(DocError::AlreadyWritten { doc: self.id.clone(), key: key() }),
            }
        }
        Ok(entries)
    }

    /// Puts `entries` in one transaction; gives the buckets it made.
    fn put(&mut self, entries: &[Entry]) -> Result<BTreeMap<u64, ObjId>, automerge::AutomergeError> {
        let first = self.hashes.is_empty();
        let mut opened: BTreeMap<u64, ObjId> = BTreeMap::new();
        let mut transaction = self.replica.transaction();
        if first {
            transaction.put(ROOT, VERSION_KEY, ScalarValue::Uint(LAYOUT))?;
            transaction.put(ROOT, KIND_KEY, codec::kind(&self.id))?;
        }
        for entry in entries {
            let map = match entry.bucket {
                None => ROOT,
                Some(bucket) => match self.buckets.get(&bucket).or_else(|| opened.get(&bucket)) {
                    Some(map) => map.clone(),
                    None => {
                        let map = transaction.put_object(ROOT, codec::bucket_key(bucket), ObjType::Map)?;
                        opened.insert(bucket, map.clone());
                        map
                    }
                },
            };
            transaction.put(map, entry.key.as_str(), entry.bytes.clone())?;
        }
        transaction.commit();
        Ok(opened)
    }

    /// Applies changes from elsewhere, in whatever order and however often they come. Those whose dependencies are
    /// missing wait for them; a damaged change is refused without harm to the others.
    pub fn apply(&mut self, changes: &[RawChange]) -> Applied {
        let mut applied = Applied::default();
        let ready = self.admit(changes, &mut applied);
        if ready.is_empty() {
            return applied;
        }
        let mut log = PatchLog::active();
        self.merge(ready, &mut log, &mut applied);
        let patches = self.replica.make_patches(&mut log);
        for patch in &patches {
            self.read_patch(patch, &mut applied);
        }
        applied.refold |= self.split;
        applied
    }

    /// Queues `changes` and takes out those that can be applied now, in order.
    fn admit(&mut self, changes: &[RawChange], applied: &mut Applied) -> Vec<Incoming> {
        for raw in changes {
            match self.check(raw) {
                Err(detail) => applied.problems.push(self.bad_change(raw, detail)),
                Ok(None) => {}
                Ok(Some(incoming)) => {
                    let place = (incoming.change.start_op().get(), raw.actor.clone(), raw.seq);
                    self.waiting.entry(place).or_insert(incoming);
                }
            }
        }
        let mut ready = Vec::new();
        let mut fresh = Fresh::default();
        for (place, incoming) in std::mem::take(&mut self.waiting) {
            let Incoming { change, raw, .. } = &incoming;
            let (had, last) = fresh.last.get(&raw.actor).copied().unwrap_or_else(|| self.last(&raw.actor));
            let deps = change.deps().iter().filter(|dep| !fresh.ends.contains_key(*dep));
            let deps: Vec<ChangeHash> = deps.copied().collect();
            if raw.seq == had + 1 && self.replica.get_missing_deps(&deps).is_empty() {
                if let Some(detail) = self.misfit(&incoming, last, &fresh) {
                    applied.problems.push(self.bad_change(raw, detail.into()));
                    continue;
                }
                fresh.last.insert(raw.actor.clone(), (raw.seq, Some(change.hash())));
                fresh.ends.insert(change.hash(), change.max_op());
                fresh.made.extend(incoming.makes.iter().map(|number| (*number, change.actor_id().clone())));
                ready.push(incoming);
            } else if raw.seq > had && self.waiting.len() < MAX_WAITING {
                self.waiting.insert(place, incoming);
            }
        }
        ready
    }

    /// What a change takes for granted that isn't so, here or among the changes that go before it. Automerge doesn't ask:
    /// it panics, or makes a document that can't be loaded.
    fn misfit(&self, incoming: &Incoming, last: Option<ChangeHash>, fresh: &Fresh) -> Option<&'static str> {
        let Incoming { change, into, .. } = incoming;
        let end = |dep: &ChangeHash| {
            let here = || self.replica.get_change_meta_by_hash(dep).map(|change| change.max_op);
            fresh.ends.get(dep).copied().or_else(here)
        };
        // Saving keeps neither gaps nor which of two changes of one actor an operation is of, if they overlap.
        let before = change.deps().iter().filter_map(end).max().unwrap_or(0);
        if change.start_op().get() != before + 1 || last.as_ref().and_then(end).is_some_and(|end| end > before) {
            return Some("its operations are not numbered on from those before it");
        }
        let is_map = |(number, actor): &(u64, ActorId)| {
            let here = || self.replica.object_type(ObjId::Id(*number, actor.clone(), 0));
            fresh.made.contains(&(*number, actor.clone())) || matches!(here(), Ok(ObjType::Map))
        };
        (!into.iter().all(is_map)).then_some("it writes into a map that nobody made before")
    }

    /// Whether `raw` is a change, and a new one.
    fn check(&self, raw: &RawChange) -> Result<Option<Incoming>, String> {
        let incoming = incoming::read(raw, codec::kind(&self.id))?;
        let known = raw.seq.checked_sub(1).and_then(|index| self.hashes.get(&raw.actor)?.get(index as usize));
        match known {
            None => Ok(Some(incoming)),
            Some(hash) if *hash == incoming.change.hash() => Ok(None),
            Some(_) => Err("another change of the same number is here already: two runs share one actor".into()),
        }
    }

    /// Merges `ready` changes into the replica.
    fn merge(&mut self, ready: Vec<Incoming>, log: &mut PatchLog, applied: &mut Applied) {
        let (changes, raws): (Vec<Change>, Vec<RawChange>) = ready.into_iter().map(|one| (one.change, one.raw)).unzip();
        let hashes: Vec<ChangeHash> = changes.iter().map(Change::hash).collect();
        if let Err(error) = self.replica.apply_changes_log_patches(changes, log) {
            applied.problems.push(self.refused(&error));
            return;
        }
        for (raw, hash) in raws.iter().zip(hashes) {
            self.hashes.entry(raw.actor.clone()).or_default().push(hash);
        }
        applied.accepted = raws;
    }

    /// The fact that a patch shows, if it shows one.
    fn read_patch(&mut self, patch: &Patch, applied: &mut Applied) {
        let PatchAction::PutMap { key, value, conflict } = &patch.action else {
            // Nothing but puts is ever written; a `Conflict` means a second value for a key.
            if let PatchAction::Conflict { prop: Prop::Map(key) } = &patch.action {
                let root = patch.obj == ROOT;
                applied.refold |= !(root && is_marker(key));
                self.split |= root && codec::bucket_of(key).is_some();
            }
            return;
        };
        let bucket = match patch.path.as_slice() {
            [] => None,
            [(_, Prop::Map(key))] => codec::bucket_of(key),
            _ => None,
        };
        if bucket.is_none() && (!patch.path.is_empty() || is_marker(key)) {
            applied.unknown += usize::from(!patch.path.is_empty());
            return;
        }
        match &value.0 {
            Value::Object(ObjType::Map) if patch.path.is_empty() => match codec::bucket_of(key) {
                Some(bucket) => {
                    self.split |= *conflict;
                    self.buckets.insert(bucket, value.1.clone());
                }
                None => applied.unknown += 1,
            },
            Value::Scalar(scalar) => match scalar.as_ref() {
                ScalarValue::Bytes(_) if *conflict => applied.refold = true,
                ScalarValue::Bytes(bytes) => match codec::decode(&self.id, bucket, key, bytes) {
                    Ok(Some(fact)) => applied.facts.push(fact),
                    Ok(None) => applied.unknown += 1,
                    Err(problem) => applied.problems.push(problem),
                },
                _ => applied.unknown += 1,
            },
            Value::Object(_) => applied.unknown += 1,
        }
    }

    /// Every fact of the document; linear in its size, so for loading and refolding only.
    pub fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        self.each_entry(&mut |bucket, key, value| facts.take(&self.id, bucket, key, value));
        facts
    }

    /// The facts of the changes that `vector` names and of those they depend on; none where some of them aren't here.
    pub fn facts_at(&self, vector: &Vector) -> Option<Facts> {
        let mut heads = Vec::new();
        for (actor, count) in vector {
            if let Some(index) = count.checked_sub(1) {
                heads.push(*self.hashes.get(actor)?.get(usize::try_from(index).ok()?)?);
            }
        }
        let mut facts = Facts::default();
        if !heads.is_empty() {
            self.read_map(&ROOT, None, Some(&heads), &mut |bucket, key, value| {
                facts.take(&self.id, bucket, key, value)
            });
        }
        Some(facts)
    }

    /// Its entries and vector as bytes: what [`digest::read`] makes [`Doc::facts`] of. Linear in its size.
    pub fn digest(&self) -> Vec<u8> {
        let mut writer = digest::Writer::new(&self.vector());
        // What isn't bytes is of a later metaopt, and reads as unknown either way.
        self.each_entry(&mut |bucket, key, value| writer.entry(bucket, key, value.unwrap_or(digest::NOT_BYTES)));
        writer.done()
    }

    /// Entries but markers: bucket, key, bytes (none where the value is no bytes).
    fn each_entry(&self, take: &mut Take<'_>) {
        self.read_map(&ROOT, None, None, take);
    }

    /// With `heads`, as it stood there.
    fn read_map(&self, map: &ObjId, bucket: Option<u64>, heads: Option<&[ChangeHash]>, take: &mut Take<'_>) {
        let range = match heads {
            None => self.replica.map_range(map, ..),
            Some(heads) => self.replica.map_range_at(map, .., heads),
        };
        for item in range {
            let key = item.key.as_ref();
            if bucket.is_none() && is_marker(key) {
                continue;
            }
            // All values, not only Automerge's choice: the second of two buckets would be hidden otherwise.
            if let Some(number) = codec::bucket_of(key).filter(|_| bucket.is_none()) {
                for (value, inner) in self.all_at(map, key, heads) {
                    if value.is_object() {
                        self.read_map(&inner, Some(number), heads, take);
                    }
                }
                continue;
            }
            take(bucket, key, self.smallest(map, key, heads).as_deref());
        }
    }

    /// The value under a key; of several, the smallest.
    fn smallest(&self, map: &ObjId, key: &str, heads: Option<&[ChangeHash]>) -> Option<Vec<u8>> {
        self.all_at(map, key, heads).into_iter().filter_map(|(value, _)| value.into_bytes().ok()).min()
    }

    fn all_at(&self, map: &ObjId, key: &str, heads: Option<&[ChangeHash]>) -> Vec<(Value<'_>, ObjId)> {
        let all = match heads {
            None => self.replica.get_all(map, key),
            Some(heads) => self.replica.get_all_at(map, key, heads),
        };
        all.unwrap_or_default()
    }

    fn value(&self, bucket: Option<u64>, key: &str) -> Option<Vec<u8>> {
        match bucket {
            None => self.smallest(&ROOT, key, None),
            Some(bucket) => self.smallest(self.buckets.get(&bucket)?, key, None),
        }
    }

    fn find_buckets(&mut self) {
        if !matches!(self.id, DocId::Trials { .. }) {
            return;
        }
        for item in self.replica.map_range(ROOT, ..) {
            if let Some(bucket) = codec::bucket_of(&item.key) {
                self.split |= item.conflict;
                self.buckets.insert(bucket, item.id());
            }
        }
    }

    /// What names this state of the document: equal heads, equal facts.
    pub fn heads(&self) -> Vec<[u8; 32]> {
        self.replica.get_heads().into_iter().map(|hash| hash.0).collect()
    }

    /// How many changes of each actor it has; changes that wait for others don't count.
    pub fn vector(&self) -> Vector {
        self.hashes.iter().map(|(actor, hashes)| (actor.clone(), hashes.len() as u64)).collect()
    }

    /// Whether it has a change that a replica with `theirs` lacks.
    pub fn is_ahead_of(&self, theirs: &Vector) -> bool {
        self.hashes.iter().any(|(actor, hashes)| theirs.get(actor).copied().unwrap_or(0) < hashes.len() as u64)
    }

    /// The changes that a replica with `theirs` lacks, each after those it depends on.
    pub fn changes_after(&self, theirs: &Vector) -> Vec<RawChange> {
        if !self.is_ahead_of(theirs) {
            return Vec::new();
        }
        let common = theirs.iter().filter_map(|(actor, count)| {
            let hashes = self.hashes.get(actor)?;
            hashes.get((*count).min(hashes.len() as u64).checked_sub(1)? as usize).copied()
        });
        let common: Vec<ChangeHash> = common.collect();
        let changes = self.replica.get_changes(&common);
        changes
            .iter()
            .map(|change| RawChange {
                actor: change.actor_id().to_bytes().into(),
                seq: change.seq(),
                bytes: change.raw_bytes().into(),
            })
            .collect()
    }

    /// The whole document, compact: a snapshot to store beside its [`Doc::vector`], or to send to a fresh node.
    pub fn save(&self) -> Vec<u8> {
        self.replica.save()
    }

    /// As [`Doc::save`], and read once more, for bytes that take the place of changes: Automerge takes some changes that
    /// it can save but not load again, and then the changes are all there is. About the cost of loading.
    pub fn save_verified(&self) -> Result<Vec<u8>, DocError> {
        let bytes = self.save();
        let again = Self::load(self.id.clone(), &self.actor, Some(&bytes), &[])?;
        if again.heads() == self.heads() && again.vector() == self.vector() {
            return Ok(bytes);
        }
        Err(self.refused(&"saved and loaded it is not the same document"))
    }

    /// How many changes of an actor it has, and the last of them.
    fn last(&self, actor: &Arc<[u8]>) -> (u64, Option<ChangeHash>) {
        self.hashes.get(actor).map_or((0, None), |hashes| (hashes.len() as u64, hashes.last().copied()))
    }

    fn refused(&self, error: &dyn std::fmt::Display) -> DocError {
        DocError::Automerge { doc: self.id.clone(), detail: error.to_string() }
    }

    fn bad_change(&self, raw: &RawChange, detail: String) -> DocError {
        let actor = ActorId::from(&*raw.actor).to_hex_string();
        DocError::BadChange { doc: self.id.clone(), actor, seq: raw.seq, detail }
    }
}

impl std::fmt::Debug for Doc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let waiting = self.waiting.len();
        f.debug_struct("Doc")
            .field("id", &self.id)
            .field("changes", &self.changes())
            .field("waiting", &waiting)
            .finish()
    }
}
