//! The frames of peer links: whatever is sent arrives as it was, however the stream is cut; what is damaged, too large
//! or too dense is refused; version 1 stays readable for ever.
#![allow(clippy::disallowed_methods, reason = "golden files are read")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use metaopt_core::wire::{
    BULK_LIMIT, CONTROL_LIMIT, DENSE, Decoder, Frame, Greeting, HEADER, Heartbeat, Hello, INFLATED_LIMIT, Intent,
    Queue, WireError, changes, encode,
};
use metaopt_schema::{DocId, NodeId, StudyId, docs::RawChange};
use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::*,
};

fn doc() -> impl Strategy<Value = DocId> {
    let id = || "[a-z0-9]{1,16}";
    prop_oneof![
        Just(DocId::Cluster),
        id().prop_map(|study| DocId::Study(StudyId::new(study))),
        (id(), id(), any::<u32>()).prop_map(|(study, node, segment)| DocId::Trials {
            study: StudyId::new(study),
            node: NodeId::new(node),
            segment
        }),
        (id(), id(), any::<u32>()).prop_map(|(study, node, segment)| DocId::Metrics {
            study: StudyId::new(study),
            node: NodeId::new(node),
            segment
        }),
    ]
}

fn bytes(most: usize) -> impl Strategy<Value = Arc<[u8]>> {
    prop_oneof![
        vec(any::<u8>(), 0..most).prop_map(Arc::from),
        (any::<u8>(), 0..most).prop_map(|(b, n)| vec![b; n].into())
    ]
}

fn change() -> impl Strategy<Value = RawChange> {
    (bytes(30), any::<u64>(), bytes(2000)).prop_map(|(actor, seq, bytes)| RawChange { actor, seq, bytes })
}

fn vectors() -> impl Strategy<Value = BTreeMap<DocId, BTreeMap<Arc<[u8]>, u64>>> {
    let actor = bytes(30).prop_filter("an actor has a name", |actor| !actor.is_empty());
    btree_map(doc(), btree_map(actor, any::<u64>(), 0..4), 0..8)
}

fn greeting() -> impl Strategy<Value = Greeting> {
    let intent = prop_oneof![Just(Intent::Link), Just(Intent::Join), Just(Intent::JoinOpen)];
    (any::<u64>(), ".{0,20}", ".{0,20}", intent, any::<bool>())
        .prop_map(|(boot, name, version, intent, fleet)| Greeting { boot, name, version, intent, fleet })
}

fn heartbeat() -> impl Strategy<Value = Heartbeat> {
    let node = || "[a-z0-9]{1,16}".prop_map(NodeId::new);
    let study = "[a-z0-9]{1,16}".prop_map(StudyId::new);
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), any::<u32>());
    let heard = vec((node(), any::<u64>(), any::<u64>()), 0..4);
    (numbers, vec(node(), 0..4), heard, vec((study, ".{0,20}"), 0..4), option::of(".{0,20}")).prop_map(
        |((boot, seq, wall_ms, root, free), links, heard, unable, why)| Heartbeat {
            boot,
            seq,
            wall_ms,
            root,
            free,
            rests: free % 2 == 1,
            links,
            heard,
            active: unable.iter().map(|(study, _): &(StudyId, String)| study.clone()).collect(),
            wants: unable.iter().skip(1).map(|(study, _)| study.clone()).collect(),
            unable,
            why,
        },
    )
}

fn frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        (any::<u8>(), any::<u8>()).prop_map(|(oldest, newest)| Frame::Hello(Hello { oldest, newest })),
        greeting().prop_map(Frame::Greeting),
        option::of(".{0,60}").prop_map(Frame::Verdict),
        any::<u64>().prop_map(Frame::Ping),
        any::<u64>().prop_map(Frame::Pong),
        (any::<u8>(), vec(any::<u8>(), 0..100)).prop_map(|(step, bytes)| Frame::Proof(step, bytes)),
        heartbeat().prop_map(Frame::Heartbeat),
        vec((any::<u8>(), any::<u64>()), 0..256).prop_map(Frame::Compare),
        (vectors(), any::<bool>()).prop_map(|(vectors, more)| Frame::Have { vectors, more }),
        vectors().prop_map(Frame::Want),
        Just(Frame::Sent),
        vec((doc(), change()), 0..8).prop_map(Frame::Changes),
        (doc(), bytes(5000), bytes(500)).prop_map(|(doc, bytes, digest)| Frame::Whole(doc, bytes, digest)),
    ]
}

fn whole(bytes: impl Into<Arc<[u8]>>) -> Frame {
    Frame::Whole(DocId::Cluster, bytes.into(), Arc::default())
}

/// All frames of a stream that comes in these pieces.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Frame>, WireError> {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            piece = &piece[decoder.push(piece)..];
            while let Some(frame) = decoder.next_frame()? {
                frames.push(frame);
            }
        }
    }
    decoder.finish()?;
    Ok(frames)
}

/// A frame as no encoder of ours would write it, with the right checksum.
fn forged(version: u8, kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(&[version, kind, flags, 0]);
    let sum = blake3::Hasher::new().update(&bytes).update(payload).finalize();
    bytes.extend_from_slice(&sum.as_bytes()[..8]);
    bytes.extend_from_slice(payload);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn frames_arrive_as_they_were_however_the_stream_is_cut(
        frames in vec(frame(), 1..5), cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let stream: Vec<u8> = frames.iter().flat_map(|f| encode(f).unwrap().to_vec()).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]);
        prop_assert_eq!(read(pieces).unwrap(), frames.clone());
        prop_assert_eq!(read(stream.chunks(1)).unwrap(), frames);
    }

    #[test]
    fn one_wrong_byte_is_an_error_and_never_another_frame(
        frames in vec(frame(), 1..4), at in any::<prop::sample::Index>(), flip in 1..=255u8,
    ) {
        let mut stream: Vec<u8> = frames.iter().flat_map(|f| encode(f).unwrap().to_vec()).collect();
        let at = at.index(stream.len());
        stream[at] ^= flip;
        let mut decoder = Decoder::new();
        let mut got = Vec::new();
        decoder.push(&stream);
        let failed = loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => got.push(frame),
                Ok(None) => break decoder.finish().is_err(),
                Err(error) => {
                    prop_assert_eq!(decoder.next_frame(), Err(error), "an error stays");
                    break true;
                }
            }
        };
        prop_assert!(failed);
        prop_assert_eq!(&got[..], &frames[..got.len()], "only whole frames before it");
    }

    #[test]
    fn batches_hold_each_change_once_and_in_order(list in vec((doc(), change()), 0..40)) {
        let (frames, errors) = changes(&list);
        assert!(errors.is_empty());
        let mut got = Vec::new();
        for frame in read(frames.iter().map(|frame| &frame[..])).unwrap() {
            let Frame::Changes(changes) = frame else { panic!("{frame:?}") };
            prop_assert!(!changes.is_empty());
            got.extend(changes);
        }
        prop_assert_eq!(got, list);
    }

    #[test]
    fn arbitrary_payloads_are_read_or_refused(kind in 0..70u8, payload in vec(any::<u8>(), 0..200)) {
        let _ = read([&forged(1, kind, 0, &payload)[..]]);
    }
}

#[test]
fn a_batch_is_cut_before_control_would_wait_long() {
    let noise = |seed: u64| -> Arc<[u8]> {
        let mut out = vec![0; 100 << 10];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
        out.into()
    };
    let one = |seq| (DocId::Cluster, RawChange { actor: Arc::from(&b"n"[..]), seq, bytes: noise(seq) });
    let list: Vec<_> = (1..=5).map(one).collect();
    let (frames, errors) = changes(&list);
    assert!(errors.is_empty());
    assert_eq!(frames.len(), 3, "two of 100 KiB each in one");
    assert!(frames.iter().all(|frame| frame.len() < 300 << 10));
}

#[test]
fn what_is_too_large_is_refused_when_its_header_is_there() {
    for (kind, limit) in [(4, CONTROL_LIMIT), (64, BULK_LIMIT), (200, BULK_LIMIT), (63, CONTROL_LIMIT)] {
        let mut header = forged(1, kind, 0, &[]);
        header[..4].copy_from_slice(&(limit as u32 + 1).to_le_bytes());
        let mut decoder = Decoder::new();
        decoder.push(&header);
        assert_eq!(decoder.next_frame(), Err(WireError::TooLarge { kind, length: limit + 1, limit }));
    }
}

#[test]
fn no_more_than_one_frame_is_buffered() {
    let mut decoder = Decoder::new();
    let endless = vec![0; 20 << 20];
    assert_eq!(decoder.push(&endless), HEADER + BULK_LIMIT);
    assert_eq!(decoder.push(&endless), 0);
}

#[test]
fn a_compressed_payload_that_becomes_too_much_is_refused() {
    let zeros = |n: usize| zstd::bulk::compress(&vec![0; n], 1).unwrap();
    let dense = zeros(DENSE + (1 << 20));
    let refused = read([&forged(1, 66, 1, &dense)[..]]);
    assert_eq!(refused, Err(WireError::Inflates { length: dense.len(), limit: DENSE }));
    // Large enough a frame that its ratio is fine and only the size isn't.
    let mut noise = vec![0; INFLATED_LIMIT / 50];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    noise.resize(INFLATED_LIMIT + 1, 0);
    let packed = zstd::bulk::compress(&noise, 1).unwrap();
    let refused = read([&forged(1, 66, 1, &packed)[..]]);
    assert_eq!(refused, Err(WireError::Inflates { length: packed.len(), limit: INFLATED_LIMIT }));
}

#[test]
fn a_document_as_dense_as_an_attack_is_sent_uncompressed() {
    let frame = whole(vec![0; 2 << 20]);
    let bytes = encode(&frame).unwrap();
    assert_eq!(bytes[6], 0);
    assert_eq!(read([&bytes[..]]), Ok(vec![frame]));
    let more = whole(vec![0; 9 << 20]);
    assert!(matches!(encode(&more), Err(WireError::TooLarge { limit: BULK_LIMIT, .. })));
}

#[test]
fn long_lists_are_refused_before_they_are_read() {
    let mut payload = postcard::to_allocvec(&70_000u64).unwrap();
    payload.resize(payload.len() + 70_000 * 4, 0);
    let error = read([&forged(1, 64, 0, &payload)[..]]).unwrap_err();
    assert!(error.to_string().contains("lists 70000 entries"), "{error}");
}

#[test]
fn what_later_metaopts_add_is_passed_over() {
    let known = Frame::Hello(Hello { oldest: 1, newest: 9 });
    let mut stream = forged(1, 40, 0, b"a control kind of later");
    stream.extend(forged(1, 99, 1, b"a bulk kind of later, compressed in its own way"));
    stream.extend(forged(1, 1, 0, &[1, 9, 7, 7, 7]));
    let entry = |name: &str| (name.to_owned(), b"actor".to_vec(), 7u64);
    let wanted = (vec![entry("cluster"), entry("dreams/x"), entry("study/s")], "a field of later");
    stream.extend(forged(1, 12, 0, &postcard::to_allocvec(&wanted).unwrap()));
    stream.extend(forged(1, 66, 0, &postcard::to_allocvec(&("dreams/x", &b"bytes"[..], &b""[..])).unwrap()));
    let mut decoder = Decoder::new();
    assert_eq!(decoder.push(&stream), stream.len());
    assert_eq!(decoder.next_frame(), Ok(Some(known)));
    let Ok(Some(Frame::Want(wanted))) = decoder.next_frame() else { panic!() };
    assert_eq!(wanted.keys().map(ToString::to_string).collect::<Vec<_>>(), ["cluster", "study/s"]);
    assert_eq!(decoder.next_frame(), Ok(None));
    assert_eq!((decoder.finish(), decoder.passed_over()), (Ok(()), 4));
}

#[test]
fn other_versions_and_flags_end_the_link() {
    assert_eq!(read([&forged(2, 1, 0, &[1, 1])[..]]), Err(WireError::Version { found: 2 }));
    assert_eq!(read([&forged(0, 1, 0, &[1, 1])[..]]), Err(WireError::Version { found: 0 }));
    assert!(matches!(read([&forged(1, 64, 2, &[0])[..]]), Err(WireError::Malformed { kind: 64, .. })));
    assert!(matches!(read([&forged(1, 1, 1, &[1, 1])[..]]), Err(WireError::Malformed { kind: 1, .. })));
}

#[test]
fn two_nodes_agree_on_the_newest_version_that_both_speak() {
    let hello = |oldest, newest| Hello { oldest, newest };
    assert_eq!(Hello::ours().agree(Hello::ours()), Ok(1));
    assert_eq!(hello(1, 3).agree(hello(2, 5)), Ok(3));
    assert_eq!(hello(2, 5).agree(hello(1, 3)), Ok(3));
    assert!(hello(3, 4).agree(hello(1, 2)).unwrap_err().to_string().contains("update the older node"));
    assert!(hello(0, 0).agree(hello(0, 0)).is_err());
    assert!(hello(5, 2).agree(hello(1, 9)).is_err(), "a range the wrong way round");
}

#[test]
fn a_document_whose_name_would_be_read_as_another_is_not_sent() {
    let doc = DocId::Study(StudyId::new("a/b"));
    assert_eq!(encode(&Frame::Whole(doc.clone(), Arc::default(), Arc::default())), Err(WireError::BadName(doc)));
}

#[test]
fn control_overtakes_bulk_and_each_is_bounded() {
    let control = |n| encode(&Frame::Hello(Hello { oldest: 1, newest: n })).unwrap();
    let bulk = |n: u8| encode(&whole(vec![n; 100])).unwrap();
    let mut queue = Queue::new(300);
    let pushed: Vec<bool> = (1..=3).map(|n| queue.push(bulk(n))).collect();
    assert_eq!(pushed, [true, true, false]);
    assert!(queue.push(control(1)) && queue.push(control(2)));
    let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
    assert_eq!(order, [control(1), control(2), bulk(1), bulk(2)]);
    assert!(queue.push(bulk(3)), "what was sent makes room");
}

/// One frame of each kind, none of them compressed.
fn samples() -> Vec<Frame> {
    let trials = DocId::Trials { study: StudyId::new("s1"), node: NodeId::new("n1"), segment: 3 };
    let actor: Arc<[u8]> = Arc::from(&b"n1\0\0\0\0\0\0\0\x07"[..]);
    let change = |seq| RawChange { actor: actor.clone(), seq, bytes: Arc::from(&b"opaque"[..]) };
    vec![
        Frame::Hello(Hello::ours()),
        Frame::Greeting(Greeting {
            boot: 7,
            name: "gpu2".into(),
            version: "0.1.0".into(),
            intent: Intent::JoinOpen,
            fleet: true,
        }),
        Frame::Verdict(None),
        Frame::Verdict(Some("why not".into())),
        Frame::Ping(300),
        Frame::Pong(300),
        Frame::Proof(1, vec![9; 32]),
        Frame::Heartbeat(Heartbeat {
            boot: 7,
            seq: 300,
            wall_ms: 1_700_000_000_000,
            root: u64::MAX,
            free: 2,
            rests: true,
            links: vec![NodeId::new("n2")],
            heard: vec![(NodeId::new("n3"), 8, 5)],
            unable: vec![(StudyId::new("s1"), "its snapshot is missing".into())],
            active: vec![StudyId::new("s1")],
            wants: vec![StudyId::new("s2")],
            why: Some("its clock is wrong".into()),
        }),
        Frame::Compare(vec![(3, 500), (200, 1)]),
        Frame::Have {
            vectors: [(DocId::Cluster, [(actor.clone(), 300)].into()), (trials.clone(), [(actor.clone(), 2)].into())]
                .into(),
            more: true,
        },
        Frame::Want([(DocId::Cluster, BTreeMap::new()), (trials.clone(), [(actor.clone(), 2)].into())].into()),
        Frame::Sent,
        Frame::Changes(vec![(DocId::Study(StudyId::new("s1")), change(1)), (trials.clone(), change(u64::MAX))]),
        Frame::Whole(trials, Arc::from(&b"a saved document"[..]), Arc::from(&b"its digest"[..])),
    ]
}

#[test]
fn version_1_is_written_and_read_as_committed() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let plain: Vec<u8> = samples().iter().flat_map(|frame| encode(frame).unwrap().to_vec()).collect();
    // How zstd packs may change with its version; that old packings are read may not.
    let large = whole(b"a document that repeats itself. ".repeat(100));
    for (name, bytes) in [("frames-v1.bin", &plain[..]), ("compressed-v1.bin", &encode(&large).unwrap())] {
        if std::env::var_os("METAOPT_WRITE_GOLDEN").is_some() && !dir.join(name).exists() {
            std::fs::write(dir.join(name), bytes).unwrap();
        }
    }
    let stored = |name| std::fs::read(dir.join(name)).unwrap();
    assert_eq!(stored("frames-v1.bin"), plain);
    assert_eq!(read([&stored("frames-v1.bin")[..]]).unwrap(), samples());
    let packed = stored("compressed-v1.bin");
    assert_eq!(packed[6], 1, "it is compressed");
    assert_eq!(read([&packed[..]]).unwrap(), [large]);
}

/// Fuzzing begins at what is good now: where frames change, its seeds change too.
#[test]
fn the_fuzzers_good_frames_are_the_golden_ones() {
    let seed = include_bytes!("../../../integration/fuzz/seeds/frames/good-golden");
    assert_eq!(&seed[2..], include_bytes!("golden/frames-v1.bin"), "write the seeds anew, good-forged too");
}
