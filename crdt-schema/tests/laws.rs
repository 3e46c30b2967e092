//! The laws of the documents, one test each, and what happens to those who break them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use automerge::{
    ActorId, Automerge, Change, ExpandedChange, ObjType, ROOT, ReadDoc,
    legacy::{ObjectId, OpId},
    transaction::Transactable,
};
use common::{actor, all, bag, claimed, forged, node, noted, on, other, proposed, samples, study};
use metaopt_schema::{
    DocId,
    docs::{Actor, Doc, DocError, RawChange, digest},
    facts::{Fact, TrialFact},
};

fn segment() -> DocId {
    proposed(0).doc()
}

/// A change that metaopt itself would never write, by `actor`, on top of `doc`.
fn foreign(doc: &Doc, actor: &Actor, work: impl FnOnce(&mut automerge::transaction::Transaction<'_>)) -> RawChange {
    let saved = doc.save();
    let mut raw = Automerge::load(&saved).unwrap().with_actor(ActorId::from(&**actor.bytes()));
    let mut transaction = raw.transaction();
    work(&mut transaction);
    transaction.commit();
    let change = raw.get_last_local_change().unwrap();
    RawChange { actor: actor.bytes().clone(), seq: change.seq(), bytes: change.raw_bytes().into() }
}

#[test]
fn a_written_fact_is_never_changed_and_a_failed_write_leaves_nothing() {
    let mut doc = Doc::new(noted(1, "a").doc(), &actor(&node()));
    doc.write(&[noted(1, "a")]).unwrap().unwrap();
    let before = (doc.heads(), all(&doc));
    let error = doc.write(&[noted(2, "b"), noted(1, "other")]).unwrap_err();
    assert!(matches!(&error, DocError::AlreadyWritten { key, .. } if key.starts_with("e/1/")), "{error}");
    assert!(doc.write(&[noted(3, "c"), noted(3, "d")]).is_err(), "nor twice in one change");
    assert_eq!((doc.heads(), all(&doc)), before);
    assert_eq!(doc.write(&[noted(1, "a")]).unwrap(), None);
    assert_eq!(doc.write(&[]).unwrap(), None);
    let change = doc.write(&[noted(1, "a"), noted(2, "b"), noted(2, "b")]).unwrap().unwrap();
    assert_eq!(change.seq, 2);
    assert_eq!(all(&doc), bag([noted(1, "a"), noted(2, "b")]));
}

#[test]
fn only_the_proposer_opens_buckets_and_only_the_executor_writes_its_curves() {
    let mut doc = Doc::new(segment(), &actor(&other()));
    assert!(matches!(doc.write(&[proposed(0)]), Err(DocError::NotOurs { .. })));
    assert!(matches!(doc.write(&[claimed(0, &other(), "c")]), Err(DocError::UnknownTrial { .. })));
    let (id, facts) = samples().pop().unwrap();
    assert!(matches!(Doc::new(id, &actor(&other())).write(&facts), Err(DocError::NotOurs { .. })));
    let mut stray = Doc::new(DocId::Cluster, &actor(&node()));
    assert!(matches!(stray.write(&[proposed(0)]), Err(DocError::WrongDocument { .. })));
    assert!(stray.heads().is_empty());
}

#[test]
fn replicas_that_begin_a_document_at_once_lose_nothing() {
    let (mut a, mut b) =
        (Doc::new(noted(1, "").doc(), &actor(&node())), Doc::new(noted(1, "").doc(), &actor(&other())));
    let mine = a.write(&[noted(1, "a")]).unwrap().unwrap();
    let theirs = b.write(&[noted(2, "b")]).unwrap().unwrap();
    let (left, right) = (a.apply(&[theirs]), b.apply(&[mine]));
    assert_eq!((bag(left.facts), bag(right.facts)), (bag([noted(2, "b")]), bag([noted(1, "a")])));
    assert_eq!(a.heads(), b.heads());
    assert_eq!((all(&a), a.layout()), (bag([noted(1, "a"), noted(2, "b")]), 1));
    assert_eq!(all(&b), all(&a));
}

#[test]
fn of_two_values_under_one_key_every_replica_reads_the_smallest() {
    let base = {
        let mut doc = Doc::new(segment(), &actor(&node()));
        doc.write(&[proposed(0)]).unwrap();
        doc.save()
    };
    // One node runs twice on copies of one data directory.
    let run = |boot| Doc::load(segment(), &Actor::new(&other(), boot), Some(&base), &[]).unwrap();
    let (mut a, mut b) = (run(1), run(2));
    let small = a.write(&[claimed(0, &other(), "aaa")]).unwrap().unwrap();
    let large = b.write(&[claimed(0, &other(), "bbb")]).unwrap().unwrap();
    let (left, right) = (a.apply(std::slice::from_ref(&large)), b.apply(std::slice::from_ref(&small)));
    assert!(left.refold && right.refold, "the view is told to fold anew");
    let agreed = bag([proposed(0), claimed(0, &other(), "aaa")]);
    for doc in [&a, &b] {
        assert_eq!(all(doc), agreed);
    }
    for changes in [[small.clone(), large.clone()], [large, small]] {
        let mut late = Doc::load(segment(), &actor(&node()), Some(&base), &[]).unwrap();
        let applied = late.apply(&changes);
        assert!(applied.refold);
        assert_eq!((all(&late), late.heads()), (agreed.clone(), a.heads()));
    }
    assert!(matches!(b.write(&[claimed(0, &other(), "bbb")]), Err(DocError::AlreadyWritten { .. })));
}

#[test]
fn a_bucket_created_twice_hides_nothing_for_good() {
    // The proposer runs twice on copies of one data directory, and each run opens the first bucket.
    let run = |boot| Doc::new(segment(), &Actor::new(&node(), boot));
    let (mut a, mut b) = (run(1), run(2));
    let first = a.write(&[proposed(0)]).unwrap().unwrap();
    let second = b.write(&[proposed(1)]).unwrap().unwrap();
    assert!(a.apply(&[second]).refold && b.apply(&[first]).refold);
    assert_eq!(all(&a), bag([proposed(0), proposed(1)]));
    assert_eq!((all(&b), b.heads()), (all(&a), a.heads()));
    // And so it stays for what comes later, from either.
    let later = [b.write(&[claimed(1, &node(), "c")]).unwrap().unwrap(), b.write(&[proposed(2)]).unwrap().unwrap()];
    assert!(a.apply(&later).refold);
    assert_eq!(all(&a), bag([proposed(0), proposed(1), proposed(2), claimed(1, &node(), "c")]));
    let mut loaded = Doc::load(segment(), &actor(&other()), Some(&a.save()), &[]).unwrap();
    assert_eq!(all(&loaded), all(&a));
    let last = a.write(&[proposed(3)]).unwrap().unwrap();
    assert!(loaded.apply(&[last]).refold);
    assert_eq!(all(&loaded), all(&a));
}

#[test]
fn changes_wait_for_those_they_depend_on_and_are_then_all_accepted() {
    let mut doc = Doc::new(segment(), &actor(&node()));
    let changes: Vec<RawChange> = (0..6).map(|seq| doc.write(&[proposed(seq)]).unwrap().unwrap()).collect();
    let mut late = Doc::new(segment(), &actor(&other()));
    for change in changes[1..].iter().rev() {
        let applied = late.apply(&[change.clone(), change.clone()]);
        assert!(applied.facts.is_empty() && applied.accepted.is_empty() && applied.problems.is_empty());
    }
    assert!(late.vector().is_empty(), "what waits isn't had");
    let applied = late.apply(&changes[..1]);
    assert_eq!(applied.accepted, changes);
    assert_eq!(bag(applied.facts), all(&doc));
    assert_eq!((late.heads(), late.vector()), (doc.heads(), doc.vector()));
    assert!(late.apply(&changes).accepted.is_empty(), "a repetition is nothing new");
}

#[test]
fn entries_of_later_metaopts_are_counted_kept_and_passed_on() {
    let mut doc = Doc::new(segment(), &actor(&node()));
    doc.write(&[proposed(0)]).unwrap();
    let newer = foreign(&doc, &actor(&other()), |transaction| {
        let (_, bucket) = transaction.get(ROOT, "b/0").unwrap().unwrap();
        transaction.put(&bucket, "0-100/q/new kind", b"\x01{}".to_vec()).unwrap();
        transaction.put(&bucket, "0-100/c/9/n", b"\x63anything at all".to_vec()).unwrap();
        transaction.put(&bucket, "0-100/c/8/n", "not even bytes").unwrap();
        transaction.put(ROOT, "v", 2_u64).unwrap();
        transaction.put(ROOT, "index", 5_u64).unwrap();
        let deep = transaction.put_object(ROOT, "later", ObjType::Map).unwrap();
        let deeper = transaction.put_object(&deep, "b/0", ObjType::Map).unwrap();
        transaction.put(&deeper, "0-100/p", b"\x01{}".to_vec()).unwrap();
    });
    let applied = doc.apply(&[newer]);
    assert_eq!((applied.facts, applied.problems), (vec![], vec![]));
    assert!(applied.unknown >= 5, "{}", applied.unknown);
    assert_eq!(doc.layout(), 2);
    let read = doc.facts();
    assert_eq!((bag(read.facts), read.problems, read.unknown), (bag([proposed(0)]), vec![], 5));
    // Work goes on beside them, and a third node gets them too.
    doc.write(&[proposed(1)]).unwrap().unwrap();
    let mut third = Doc::new(segment(), &actor(&"third".into()));
    third.apply(&doc.changes_after(&third.vector()));
    assert_eq!((third.facts().unknown, third.heads()), (5, doc.heads()));
}

#[test]
fn a_corrupt_value_is_named_and_harms_no_other() {
    let mut doc = Doc::new(segment(), &actor(&node()));
    doc.write(&[proposed(0)]).unwrap();
    let bad = foreign(&doc, &actor(&other()), |transaction| {
        let (_, bucket) = transaction.get(ROOT, "b/0").unwrap().unwrap();
        transaction.put(&bucket, "0-100/c/1/n", b"\x01{\"id\":".to_vec()).unwrap();
        transaction.put(&bucket, "64-164/p", b"\x01{}".to_vec()).unwrap();
    });
    for problems in [doc.apply(&[bad]).problems, doc.facts().problems] {
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 2, "{texts:?}");
        assert!(
            texts.iter().any(|text| text.contains(&segment().to_string()) && text.contains("b/0/0-100/c/1/n")),
            "{texts:?}"
        );
        assert!(texts.iter().any(|text| text.contains("wrong bucket") || text.contains("bucket 0")), "{texts:?}");
    }
    assert_eq!(bag(doc.facts().facts), bag([proposed(0)]));
}

#[test]
fn damaged_and_forged_changes_are_refused_without_harm_to_the_rest() {
    let mut doc = Doc::new(segment(), &actor(&node()));
    let good = doc.write(&[proposed(0)]).unwrap().unwrap();
    let next = doc.write(&[proposed(1)]).unwrap().unwrap();
    let flipped = |at: usize| {
        let mut bytes = next.bytes.to_vec();
        let at = at % bytes.len();
        bytes[at] ^= 0x40;
        RawChange { bytes: bytes.into(), ..next.clone() }
    };
    let mut compressed = next.bytes.to_vec();
    compressed[8] = 2;
    let mut bad = vec![
        RawChange { bytes: next.bytes[..next.bytes.len() - 1].into(), ..next.clone() },
        RawChange { bytes: [&*next.bytes, b"x"].concat().into(), ..next.clone() },
        RawChange { bytes: [].as_slice().into(), ..next.clone() },
        RawChange { bytes: compressed.into(), ..next.clone() },
        RawChange { seq: 3, ..next.clone() },
        RawChange { actor: actor(&other()).bytes().clone(), ..next.clone() },
    ];
    bad.extend((0..next.bytes.len()).map(flipped));
    let mut replica = Doc::new(segment(), &actor(&other()));
    let count = bad.len();
    bad.insert(0, good);
    bad.push(next);
    let applied = replica.apply(&bad);
    assert_eq!(applied.problems.len(), count);
    assert!(applied.problems.iter().all(|problem| matches!(problem, DocError::BadChange { .. })));
    assert_eq!((all(&replica), replica.heads()), (all(&doc), doc.heads()));
}

#[test]
fn changes_that_no_metaopt_writes_are_refused_before_automerge_takes_them() {
    let mut doc = Doc::new(segment(), &actor(&node()));
    let first = doc.write(&[proposed(0)]).unwrap().unwrap();
    let mut before = Doc::new(segment(), &actor(&node()));
    before.apply(std::slice::from_ref(&first));
    let next = doc.write(&[proposed(1)]).unwrap().unwrap();
    let last = doc.write(&[proposed(2)]).unwrap().unwrap();
    let peer = actor(&other());
    let start = |at: u64| move |change: &mut ExpandedChange| change.start_op = at.try_into().unwrap();
    let into = |made: u64| {
        move |change: &mut ExpandedChange| {
            change.operations[0].obj = ObjectId::Id(OpId(made, change.actor_id.clone()));
        }
    };
    let end = Change::try_from(&*first.bytes).unwrap().max_op();
    let read = Change::try_from(&*next.bytes).unwrap();
    // A run of one, where Automerge writes a list of one.
    let respelt = next.bytes.iter().enumerate().skip(9).filter(|(_, byte)| **byte == 0x7f).find_map(|(at, _)| {
        let mut bytes = next.bytes.to_vec();
        bytes[at] = 1;
        let change = Change::try_from(&bytes[..]).ok()?;
        bytes[4..8].copy_from_slice(&change.hash().0[..4]);
        let same = ExpandedChange { hash: Some(read.hash()), ..change.decode() } == read.decode();
        same.then(|| RawChange { bytes: bytes.into(), ..next.clone() })
    });
    let bad = [
        (foreign(&before, &peer, |t| t.delete(ROOT, "b/0").unwrap()), "more than create"),
        (foreign(&before, &peer, |t| t.put(ROOT, "b/0", 1).unwrap()), "more than create"),
        (foreign(&before, &peer, |t| drop(t.put_object(ROOT, "x", ObjType::List).unwrap())), "more than create"),
        (foreign(&Doc::new(segment(), &peer), &peer, |t| t.put(ROOT, "kind", "study").unwrap()), "another kind"),
        (forged(&next, |change| change.operations.clear()), "no operations"),
        (forged(&next, start(end + 2)), "numbered"),
        (forged(&next, start(end)), "numbered"),
        (forged(&next, |change| change.deps.clear()), "numbered"),
        (forged(&next, into(2)), "nobody made"),
        (forged(&next, into(99)), "nobody made"),
        (respelt.unwrap(), "spelt"),
    ];
    for (change, why) in bad {
        let mut replica = Doc::new(segment(), &peer);
        let applied = replica.apply(&[first.clone(), change]);
        assert!(
            applied.problems.len() == 1 && applied.problems[0].to_string().contains(why),
            "{why}: {:?}",
            applied.problems
        );
        assert_eq!(all(&replica), bag([proposed(0)]));
        replica.save_verified().unwrap();
    }
    // Its own change before is not among those it depends on: once saved, nobody could tell their operations apart.
    let skips = forged(&last, |change| change.deps = vec![Change::try_from(&*first.bytes).unwrap().hash()]);
    let applied = Doc::new(segment(), &peer).apply(&[first, next, skips]);
    assert_eq!((applied.accepted.len(), applied.problems.len()), (2, 1));
}

#[test]
fn a_small_change_that_unfolds_to_a_huge_one_is_refused_at_once() {
    const RUN: [u8; 6] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x20];
    // 2^40 times: put null under the key `x` of the root map, in the columns key, insert, action, value and predecessors.
    let columns: [(u8, &[u8]); 5] = [(0x15, &[1, b'x']), (0x34, &[]), (0x42, &[1]), (0x56, &[0]), (0x70, &[0])];
    let peer = actor(&other());
    let mut body = vec![0, peer.bytes().len() as u8];
    body.extend_from_slice(peer.bytes());
    body.extend_from_slice(&[1, 1, 0, 0, 0, columns.len() as u8]);
    body.extend(columns.iter().flat_map(|(spec, value)| [*spec, (RUN.len() + value.len()) as u8]));
    body.extend(columns.iter().flat_map(|(_, value)| [&RUN[..], value].concat()));
    let bytes = [&[0x85, 0x6f, 0x4a, 0x83, 0, 0, 0, 0, 1, body.len() as u8], &body[..]].concat();
    let bomb = RawChange { actor: peer.bytes().clone(), seq: 1, bytes: bytes.into() };
    let applied = Doc::new(segment(), &peer).apply(&[bomb]);
    assert!(applied.problems[0].to_string().contains("operations"), "{}", applied.problems[0]);
}

#[test]
fn two_changes_of_one_number_are_noticed() {
    let (mut a, mut b) = (Doc::new(segment(), &actor(&node())), Doc::new(segment(), &actor(&node())));
    a.write(&[proposed(0)]).unwrap();
    let twin = b.write(&[proposed(1)]).unwrap().unwrap();
    let applied = a.apply(&[twin]);
    assert_eq!(applied.problems.len(), 1);
    assert!(applied.problems[0].to_string().contains("share one actor"), "{}", applied.problems[0]);
    assert_eq!(all(&a), bag([proposed(0)]));
}

#[test]
fn damaged_snapshots_and_snapshots_of_other_kinds_are_refused() {
    let mut doc = Doc::new(noted(1, "").doc(), &actor(&node()));
    doc.write(&[noted(1, "")]).unwrap();
    let saved = doc.save();
    let load = |id: DocId, bytes: &[u8]| Doc::load(id, &actor(&node()), Some(bytes), &[]);
    for at in 0..saved.len() {
        let mut bytes = saved.clone();
        bytes[at] ^= 1;
        if let Err(error) = load(doc.id().clone(), &bytes) {
            assert!(error.to_string().contains("study/s-1"), "{error}");
        } else {
            panic!("byte {at} of the snapshot may change unnoticed");
        }
    }
    assert!(matches!(load(DocId::Cluster, &saved), Err(DocError::Damaged { .. })));
}

#[test]
fn an_actor_names_its_node_and_run() {
    let (a, b) = (Actor::new(&node(), 1), Actor::new(&node(), 2));
    assert_ne!(a, b);
    assert_eq!(Actor::node_of(a.bytes()), Some(node()));
    assert_eq!(Actor::node_of(b"short"), None);
    assert_eq!(Actor::node_of(&[0; 8]), None);
}

#[test]
fn segments_and_buckets_are_told_from_places() {
    let mut doc = Doc::new(segment(), &actor(&node()));
    doc.write(&[proposed(63), proposed(64), proposed(1023)]).unwrap();
    assert!(matches!(doc.write(&[proposed(1024)]), Err(DocError::WrongDocument { .. })));
    let told = on(64, TrialFact::Told { attempt: 1, node: node(), end: common::end(0.5) });
    doc.write(std::slice::from_ref(&told)).unwrap();
    assert_eq!(all(&doc), bag([proposed(63), proposed(64), proposed(1023), told]));
    let DocId::Trials { study: of, .. } = doc.id() else { panic!() };
    assert_eq!(*of, study());
    let raw = Automerge::load(&doc.save()).unwrap();
    let keys: Vec<String> = raw.keys(ROOT).collect();
    assert_eq!(keys, ["b/0", "b/1", "b/15", "kind", "v"]);
    assert!(matches!(Fact::doc(&proposed(1024)), DocId::Trials { segment: 1, .. }));
}

#[test]
fn a_digest_that_is_damaged_or_of_a_later_metaopt_is_refused_not_half_read() {
    let mut doc = Doc::new(noted(1, "a").doc(), &actor(&node()));
    doc.write(&[noted(1, "a"), noted(2, "b")]).unwrap();
    let digest = doc.digest();
    assert_eq!(digest::read(doc.id(), &digest).unwrap().0.facts.len(), 2);
    for cut in 0..digest.len() {
        // A cut between two entries reads as fewer: the store's checksums are what keeps the end.
        let read = digest::read(doc.id(), &digest[..cut]).map(|(facts, _)| facts.facts.len());
        assert!(read.is_err() || read == Ok(0) || read == Ok(1), "cut at {cut}: {read:?}");
    }
    let mut later = digest.clone();
    later[0] = 2;
    assert!(matches!(digest::read(doc.id(), &later), Err(DocError::Damaged { .. })));
    assert!(digest::read(doc.id(), &[1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).is_err());
}
