//! What strangers and broken members send: frames overheard, torn, renamed and made up. Nobody may act on them.
//!
//! The checksum of frames is right here: what a wire can do to them is refused by the decoder (daemon/core/tests/wire.rs).

use std::{collections::BTreeMap, sync::Arc};

use metaopt_core::wire::{Decoder, Frame, Heartbeat};
use metaopt_schema::{DocId, NodeId, StudyId, docs::RawChange};

use crate::{random::Random, world::World};

/// Frames remembered.
const OVERHEARD: usize = 64;
/// Frames of one attack.
const AT_ONCE: u64 = 12;

/// Keeps a frame for later.
pub fn overhear(world: &mut World, frame: &Arc<[u8]>) {
    if world.overheard.len() >= OVERHEARD {
        world.overheard.pop_front();
    }
    world.overheard.push_back(frame.clone());
}

/// Who is no member of anything.
pub fn stranger() -> NodeId {
    NodeId::new("stranger00000000")
}

/// Sends box `at` several such frames, as a stranger or under a member's name.
pub fn attack(world: &mut World, at: usize) {
    let others: Vec<NodeId> = (0..world.boxes.len()).filter(|i| *i != at).map(|i| world.boxes[i].id.clone()).collect();
    let strange = world.random.chance(0.4);
    let Some(member) = world.random.pick(&others).cloned() else { return };
    world.say(|| format!("box{at} gets what a {} sends", if strange { "stranger" } else { "broken member" }));
    for _ in 0..AT_ONCE {
        let overheard = world.random.pick(world.overheard.make_contiguous()).cloned();
        let frame = overheard.and_then(|bytes| {
            let mut decoder = Decoder::new();
            decoder.push(&bytes);
            decoder.next_frame().ok()?
        });
        let Some(node) = &world.boxes[at].node else { return };
        let before = node.root();
        let known: Vec<DocId> = world.boxes[at].disk.docs().into_iter().map(|doc| doc.id).collect();
        if strange {
            let frame = frame.unwrap_or_else(|| made_up(&mut world.random, &known));
            world.with(at, |node, now| node.frame(now, &stranger(), frame));
            if world.boxes[at].node.as_ref().is_some_and(|node| node.root() != before) {
                world.wrong(format!("10: box{at} takes what a stranger sends"));
            }
        } else {
            let frame = match frame {
                Some(Frame::Changes(changes)) if world.random.chance(0.6) => {
                    Frame::Changes(changes.into_iter().map(|change| spoilt(&mut world.random, change)).collect())
                }
                _ => made_up(&mut world.random, &known),
            };
            world.with(at, |node, now| node.frame(now, &member, frame));
        }
    }
}

/// A change that nobody wrote.
fn spoilt(random: &mut Random, (doc, change): (DocId, RawChange)) -> (DocId, RawChange) {
    let RawChange { actor, seq, bytes } = change;
    let mut torn = bytes.to_vec();
    let place = random.below(torn.len() as u64) as usize;
    match random.below(6) {
        0 => torn[place] ^= 1 << random.below(8),
        1 => torn.truncate(place),
        2 => torn.extend_from_slice(&bytes[..place]),
        3 => return (doc, RawChange { actor, seq: seq + random.range(1, 9), bytes }),
        4 => {
            let mut other = actor.to_vec();
            other[0] ^= 1;
            return (doc, RawChange { actor: other.into(), seq, bytes });
        }
        // A document of another kind.
        _ => {
            let study = StudyId::new(format!("madeup{:010}", random.below(3)));
            let other = if matches!(doc, DocId::Study(_)) { DocId::Cluster } else { DocId::Study(study) };
            return (other, RawChange { actor, seq, bytes });
        }
    }
    (doc, RawChange { actor, seq, bytes: torn.into() })
}

fn made_up(random: &mut Random, known: &[DocId]) -> Frame {
    let mut vectors = BTreeMap::new();
    for _ in 0..random.range(1, 5) {
        let unknown = DocId::Study(StudyId::new(format!("madeup{:010}", random.below(100))));
        let doc = random.pick(known).filter(|_| random.clone().chance(0.6)).cloned().unwrap_or(unknown);
        let actor: Arc<[u8]> = random.next().to_le_bytes().into();
        let count = if random.chance(0.3) { u64::MAX } else { random.range(0, 99) };
        vectors.insert(doc, BTreeMap::from([(actor, count)]));
    }
    match random.below(7) {
        0 => Frame::Have { vectors, more: random.chance(0.5) },
        1 => Frame::Want(vectors),
        2 => Frame::Compare((0..random.below(600)).map(|i| (i as u8, random.next())).collect()),
        3 => Frame::Sent,
        4 => {
            let torn = |random: &mut Random| (0..random.below(200)).map(|_| random.next() as u8).collect();
            let doc = vectors.into_keys().next().unwrap_or(DocId::Cluster);
            Frame::Whole(doc, torn(random), torn(random))
        }
        5 => Frame::Changes(vec![(
            vectors.into_keys().next().unwrap_or(DocId::Cluster),
            RawChange { actor: Arc::default(), seq: random.next(), bytes: random.next().to_le_bytes().into() },
        )]),
        // Of no run that there is, so that it hides none; otherwise as false as can be.
        _ => Frame::Heartbeat(Heartbeat {
            boot: random.next(),
            seq: random.next(),
            wall_ms: random.next(),
            root: random.next(),
            free: random.next() as u32,
            links: vec![stranger()],
            heard: vec![(stranger(), random.next(), random.next())],
            unable: vec![(StudyId::new("madeup"), "no".into())],
            active: vec![StudyId::new("madeup")],
            wants: vec![StudyId::new("madeup")],
            ..Heartbeat::default()
        }),
    }
}
