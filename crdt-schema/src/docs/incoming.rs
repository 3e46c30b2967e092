//! What is demanded of a change before a replica takes it, whoever wrote it: a peer, or our own disk.
//!
//! Owns: the checks that need the change alone. Must not: know what the replica has.
//!
//! Automerge decodes what it can and trusts the rest. A change that it takes may still overwrite what others wrote (law
//! 1), or be spelt in a way that saving does not keep: the saved document would then never load again.

use std::panic::catch_unwind;

use automerge::{
    ActorId, Change, ObjType,
    legacy::{Key, ObjectId, Op, OpId, OpType},
};

use super::{
    RawChange,
    columns::bounded,
    doc::{INNER_CHECK, KIND_KEY, VERSION_KEY},
};

/// Where Automerge's binary format has a chunk's checksum, the first bytes of its hash; after it comes its type.
const CHECKSUM: std::ops::Range<usize> = 4..8;
/// The type of an uncompressed change.
const PLAIN_CHANGE: u8 = 1;
/// Most operations of one change: metaopt writes as many as it puts facts.
const MOST_OPERATIONS: u64 = 1 << 16;

/// A change that is well-formed in itself, and what it takes for granted of the replica that it comes to.
#[derive(Clone)]
pub(super) struct Incoming {
    pub(super) change: Change,
    pub(super) raw: RawChange,
    /// Numbers of its operations that make a map.
    pub(super) makes: Vec<u64>,
    /// Maps that it writes into and doesn't make: the number and actor of the operation that made each.
    pub(super) into: Vec<(u64, ActorId)>,
}

/// Reads `raw` as a change of a document of this kind, or says why it is none.
pub(super) fn read(raw: &RawChange, kind: &str) -> Result<Incoming, String> {
    // A small compressed chunk can inflate to gigabytes; metaopt never writes one.
    if raw.bytes.get(CHECKSUM.end) != Some(&PLAIN_CHANGE) {
        return Err("it is not an uncompressed Automerge change".into());
    }
    if !bounded(&raw.bytes, MOST_OPERATIONS) {
        return Err(format!("it is not whole, or of more than {MOST_OPERATIONS} operations"));
    }
    catch_unwind(|| parse(raw, kind)).unwrap_or_else(|_| Err(INNER_CHECK.into()))
}

fn parse(raw: &RawChange, kind: &str) -> Result<Incoming, String> {
    let change = Change::try_from(&*raw.bytes).map_err(|error| error.to_string())?;
    // Automerge doesn't compare them for single changes.
    if raw.bytes.get(CHECKSUM) != change.hash().0.get(..CHECKSUM.len()) {
        return Err("its checksum is wrong".into());
    }
    if change.raw_bytes().len() != raw.bytes.len() {
        return Err("bytes follow the change".into());
    }
    if change.actor_id().to_bytes() != &*raw.actor || change.seq() != raw.seq {
        return Err(format!("its bytes say change {} of actor {}", change.seq(), change.actor_id()));
    }
    if change.is_empty() {
        return Err("it has no operations".into());
    }
    let expanded = change.decode();
    let (mut makes, mut into) = (Vec::new(), Vec::new());
    for (number, op) in (change.start_op().get()..).zip(&expanded.operations) {
        if !creates(op) {
            return Err(format!("it does more than create entries of maps: {:?} of {:?}", op.action, op.key));
        }
        if stands_at(op, KIND_KEY) && op.primitive_value() != Some(kind.into()) {
            return Err(format!("it is of a document of another kind than `{kind}`"));
        }
        if let ObjectId::Id(OpId(made, by)) = &op.obj {
            let own = *made >= change.start_op().get();
            if own && !(by == change.actor_id() && makes.contains(made)) {
                return Err("it writes into a map that nobody made before".into());
            }
            if !own && !into.iter().any(|(other, actor)| other == made && actor == by) {
                into.push((*made, by.clone()));
            }
        }
        if let OpType::Make(_) = op.action {
            makes.push(number);
        }
    }
    if Change::from(expanded).hash() != change.hash() {
        return Err("it is not spelt as Automerge spells it, so that it would be lost by saving".into());
    }
    Ok(Incoming { change, raw: raw.clone(), makes, into })
}

/// Law 1: it puts a new value or map, and takes the place of none. Only the layout's version may be raised.
fn creates(op: &Op) -> bool {
    matches!(op.action, OpType::Put(_) | OpType::Make(ObjType::Map))
        && matches!(op.key, Key::Map(_))
        && !op.insert
        && (op.pred.is_empty() || stands_at(op, VERSION_KEY))
}

fn stands_at(op: &Op, wanted: &str) -> bool {
    op.obj == ObjectId::Root && matches!(&op.key, Key::Map(key) if key.as_str() == wanted)
}
