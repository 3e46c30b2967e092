//! Snapshots from node to node: by several, after cuts, against liars, and what is said when nobody has one.

use std::{io::Write, time::Duration};

use axum::{
    body::Body,
    http::{Request, Response, StatusCode, header},
};
use metaopt_core::launch::{Checkpoint, Launch};
use metaopt_schema::{AttemptKey, NodeId, TrialId, study::RunSpec};
use serde_json::json;

use super::{
    Bench,
    net::{cluster, until},
};
use crate::{
    blobs::{CHUNK, FetchError, Kind, Want},
    peer::Caller,
    snapshot::{PackOptions, name_whole, pack},
};

const SOON: Duration = Duration::from_secs(10);
const AT_ONCE: Duration = Duration::from_millis(1);

/// Packs a directory whose archive has about so many bytes; answers its name and bytes.
fn archive(bytes: usize, seed: u8) -> (String, Vec<u8>) {
    let source = tempfile::tempdir().unwrap();
    let mut noise = vec![0; bytes];
    let mut reader = blake3::Hasher::new().update(&[seed]).finalize_xof();
    reader.fill(&mut noise);
    std::fs::File::create(source.path().join("data")).unwrap().write_all(&noise).unwrap();
    let packed = pack(source.path(), &PackOptions::default()).unwrap();
    (packed.hash, std::fs::read(packed.body.path()).unwrap())
}

impl Bench {
    fn keeps(&self, (hash, bytes): &(String, Vec<u8>)) {
        self.app.0.executor.snapshots().put(hash, bytes.as_slice()).unwrap();
    }

    fn has(&self, hash: &str) -> bool {
        self.app.0.executor.snapshots().has(hash)
    }

    /// A checkpoint that a trial left here; answers its name.
    fn has_checkpoint(&self, trial: &TrialId) -> String {
        let at = self.dir.path().join("trials").join(trial.as_str()).join("checkpoint");
        std::fs::create_dir_all(&at).unwrap();
        std::fs::write(at.join("model.pt"), "weights").unwrap();
        name_whole(&at, 1 << 20).unwrap()
    }

    async fn fetch(&self, hash: &str, patience: Duration) -> Result<std::path::PathBuf, FetchError> {
        self.fetcher().fetch(want(hash, None), patience).await
    }
}

fn want(hash: &str, near: Option<&Bench>) -> Want {
    let near = near.map(|bench| (bench.identity.node.clone(), "submitted it"));
    Want { hash: hash.to_owned(), kind: Kind::Snapshot, near }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_comes_from_several_nodes_at_once_and_all_who_wait_share_one_fetch() {
    let (net, [a, b, c]) = cluster(["gpu1", "gpu2", "gpu3"]).await;
    let made = archive(5 * CHUNK as usize, 1);
    a.keeps(&made);
    b.keeps(&made);
    // Slow enough that both have something to do.
    let (first, second) = tokio::join!(c.fetch(&made.0, SOON), c.fetch(&made.0, SOON));
    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(std::fs::read(c.app.0.executor.snapshots().path(&made.0).unwrap()).unwrap(), made.1);
    let got = (net.calls("GET", &a, "blobs"), net.calls("GET", &b, "blobs"));
    assert!(got.0 > 0 && got.1 > 0, "{got:?}");
    assert_eq!(got.0 + got.1, 6, "each chunk once");
    assert_eq!((net.calls("HEAD", &a, "blobs"), net.calls("HEAD", &b, "blobs")), (1, 1));
    let left = std::fs::read_dir(c.dir.path().join("snapshots")).unwrap().count();
    assert_eq!(left, 1, "nothing half fetched is left");
    assert!(c.fetch(&made.0, AT_ONCE).await.is_ok(), "it is here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_goes_on_where_it_was_when_the_peer_was_lost() {
    let (net, [a, b]) = cluster(["gpu1", "gpu2"]).await;
    let made = archive(3 * CHUNK as usize, 2);
    a.keeps(&made);
    // It breaks off within the third chunk, and whenever it is asked again.
    let nth = std::sync::atomic::AtomicUsize::new(0);
    net.falsify(&a, move |path, answer| {
        if !path.contains("blobs") || answer.status() != StatusCode::PARTIAL_CONTENT {
            return answer;
        }
        if nth.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2 {
            return answer;
        }
        let broken = [Ok(vec![0; 1000]), Err(std::io::Error::other("cut"))];
        answer.map(|_| Body::from_stream(futures_util::stream::iter(broken)))
    });
    let error = b.fetch(&made.0, Duration::from_millis(700)).await.unwrap_err().to_string();
    assert!(error.contains(&made.0) && error.contains("gpu1 broke off (cut)"), "{error}");
    let asked = net.calls("GET", &a, "blobs");
    until("nobody waits, and its files are closed", || b.fetcher().open_parts() == 0).await;
    // The daemon begins anew: what has come is on disk.
    net.falsify(&a, |_, answer| answer);
    let again = b.another_fetcher(&net);
    again.fetch(want(&made.0, None), SOON).await.unwrap();
    assert_eq!(net.calls("GET", &a, "blobs") - asked, 2, "two of four chunks were here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_serves_wrong_bytes_is_found_out_and_not_asked_again() {
    let (net, [a, b, c]) = cluster(["gpu1", "gpu2", "gpu3"]).await;
    let made = archive(3 * CHUNK as usize, 3);
    a.keeps(&made);
    b.keeps(&made);
    // One byte of each chunk, and the length is right.
    net.falsify(&a, |_, answer| {
        answer.map(|body| {
            let body = futures_util::StreamExt::map(body.into_data_stream(), |piece| {
                piece.map(|bytes| {
                    let mut bytes = bytes.to_vec();
                    bytes[0] ^= 1;
                    bytes
                })
            });
            Body::from_stream(body)
        })
    });
    c.fetch(&made.0, SOON).await.unwrap();
    let asked = net.calls("GET", &a, "blobs");
    assert!(asked > 0);
    std::fs::remove_file(c.app.0.executor.snapshots().path(&made.0).unwrap()).unwrap();
    // It may not have been found out where the other was quicker; alone it is.
    net.go_away(&b);
    let error = c.fetch(&made.0, Duration::from_secs(2)).await.unwrap_err().to_string();
    assert!(error.contains("gpu1 served wrong bytes and isn't asked again"), "{error}");
    let asked = net.calls("HEAD", &a, "blobs");
    net.come_back(&b);
    c.fetch(&made.0, SOON).await.unwrap();
    assert_eq!(net.calls("HEAD", &a, "blobs"), asked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_has_it_and_the_error_names_it_and_who_was_asked() {
    let (net, [a, b, c]) = cluster(["gpu1", "gpu2", "gpu3"]).await;
    let hash = format!("b3:{}", "7".repeat(64));
    net.go_away(&a);
    let fetched = c.fetcher().fetch(want(&hash, Some(&a)), Duration::from_millis(300)).await;
    let error = fetched.unwrap_err().to_string();
    let (start, rest) = error.split_once(": ").unwrap();
    assert_eq!(start, format!("no reachable node has snapshot {hash}"));
    assert_eq!(rest, "gpu1 (submitted it) can't be reached (no route); gpu2 doesn't have it");
    assert!(matches!(c.fetch("b3:nonsense", AT_ONCE).await, Err(FetchError::BadHash(_))));
    // Who was away comes back while somebody waits.
    let made = archive(10, 4);
    a.keeps(&made);
    let fetcher = c.fetcher();
    let wanted = want(&made.0, Some(&a));
    let waiting = tokio::spawn(async move { fetcher.fetch(wanted, SOON).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    net.come_back(&a);
    waiting.await.unwrap().unwrap();
    drop(b);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_offered_beyond_measure_is_not_taken() {
    let (net, [a, b]) = cluster(["gpu1", "gpu2"]).await;
    let made = archive(10, 5);
    a.keeps(&made);
    for (header, value, said) in [
        (header::CONTENT_LENGTH, "99999999999999", "offers one of 90.9 TiB, and the limit is 512.0 MiB"),
        (header::CONTENT_LENGTH, "0", "did not say what it has"),
        (header::ETAG, "\"../../x\"", "did not say what it has"),
    ] {
        net.falsify(&a, move |_, mut answer: Response<Body>| {
            answer.headers_mut().insert(header.clone(), value.parse().unwrap());
            answer
        });
        let error = b.fetch(&made.0, Duration::from_millis(600)).await.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    // More than was asked for.
    net.falsify(&a, |_, answer| match answer.status() {
        StatusCode::PARTIAL_CONTENT => {
            let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![7; 1 << 16]));
            answer.map(|_| Body::from_stream(endless))
        }
        _ => answer,
    });
    let error = b.fetch(&made.0, Duration::from_millis(300)).await.unwrap_err().to_string();
    assert!(error.contains("gpu1 sent more than it was asked for"), "{error}");
    assert!(!b.has(&made.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_waits_for_its_snapshot_without_an_attempt_and_says_why() {
    let (net, [a, b]) = cluster(["gpu1", "gpu2"]).await;
    let made = archive(10, 6);
    a.keeps(&made);
    net.go_away(&a);
    let run = json!({"command": ["true"], "snapshot": made.0});
    b.study("s", json!({"run": run})).await;
    let executor = b.app.0.executor.clone();
    let (run, by) = b.shell.read(|node, _| {
        let record = &node.study("s").unwrap().record;
        (record.def.run.clone().unwrap(), record.node.clone())
    });
    let error = executor.probe(&run).unwrap_err();
    assert!(error.contains("is not on this node"), "{error}");
    let coming = tokio::spawn(executor.bring(&run, Some(by)).unwrap());
    tokio::time::sleep(Duration::from_millis(300)).await;
    let error = executor.probe(&run).unwrap_err();
    assert!(error.contains("no reachable node has snapshot") && error.contains("gpu1"), "{error}");
    assert!(executor.bring(&run, None).is_none(), "it is under way");
    net.come_back(&a);
    coming.await.unwrap();
    executor.probe(&run).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_submitted_on_a_laptop_is_brought_to_two_nodes_that_run_trials() {
    let (net, [laptop, a, b, c]) = cluster(["laptop", "gpu1", "gpu2", "gpu3"]).await;
    let made = archive(2 * CHUNK as usize, 7);
    let stopping = tokio_util::sync::CancellationToken::new();
    for bench in [&laptop, &a] {
        tokio::spawn(bench.fetcher().keep_spreading(stopping.clone()));
    }
    let at = format!("/api/v1/snapshots/{}", made.0);
    assert_eq!(laptop.call("PUT", &at, made.1.clone()).await.status, 201);
    let run = json!({"command": ["true"], "snapshot": made.0});
    laptop.study("s", json!({"run": run})).await;
    let have = || [&a, &b, &c].iter().filter(|bench| bench.has(&made.0)).count();
    until("two have it", || have() == 2).await;
    assert_eq!(net.calls("PUT", &laptop, ""), 0);
    for bench in [&a, &b, &c] {
        bench.hears_of("s").await;
    }
    let places = laptop.get("/studies/s/places").await.ok(200);
    let items = places["items"].as_array().unwrap();
    assert_eq!((&items[0]["name"], &items[0]["ready"]), (&json!("laptop"), &json!(false)), "{places}");
    assert_eq!(items.iter().filter(|p| p["snapshot"] == true && p["known"] == true).count(), 3, "{places}");
    // The third fetches it from them although the laptop is closed.
    net.go_away(&laptop);
    for bench in [&a, &b, &c] {
        bench.fetch(&made.0, SOON).await.unwrap();
    }
    let got = c.get(&format!("/snapshots/{}", made.0)).await;
    assert_eq!((got.status.as_u16(), got.bytes.len()), (200, made.1.len()));
    stopping.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_members_bring_is_checked_like_everything() {
    let (_net, [a, b]) = cluster(["gpu1", "gpu2"]).await;
    let made = archive(10, 8);
    let router = super::super::peer_router(b.app.clone());
    let from = a.identity.node.clone();
    let call = |caller: NodeId, method: &str, path: String, headers: Vec<(&str, String)>, body: Vec<u8>| {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut request = request.body(Body::from(body)).unwrap();
        request.extensions_mut().insert(Caller(caller));
        tower::ServiceExt::oneshot(router.clone(), request)
    };
    let blob = format!("/peer/v1/blobs/{}", made.0);
    let tag = |bytes: &[u8]| ("if-match", format!("\"{}\"", blake3::hash(bytes).to_hex()));
    let range = |bytes: &[u8]| ("content-range", format!("bytes 0-{}/{}", bytes.len() - 1, bytes.len()));
    let status = async |path: &str, headers, body: &[u8]| {
        call(from.clone(), "PUT", path.to_owned(), headers, body.to_vec()).await.unwrap().status().as_u16()
    };
    assert_eq!(status(&blob, vec![], &made.1).await, 422, "no part is named");
    let huge = ("content-range", format!("bytes 0-{}/{}", CHUNK - 1, 1u64 << 40));
    assert_eq!(status(&blob, vec![tag(&made.1), huge], &made.1).await, 413);
    assert_eq!(status(&blob, vec![tag(b"other"), range(&made.1)], &made.1).await, 422, "not what it promised");
    let rubbish = b"rubbish";
    assert_eq!(status(&blob, vec![tag(rubbish), range(rubbish)], rubbish).await, 422, "no archive");
    assert_eq!(status("/peer/v1/blobs/..%2Fx", vec![tag(rubbish), range(rubbish)], rubbish).await, 422);
    assert!(!b.has(&made.0));
    assert_eq!(status(&blob, vec![tag(&made.1), range(&made.1)], &made.1).await, 201);
    assert!(b.has(&made.0));
    // A stranger, and what isn't on the list.
    let stranger = call(NodeId::new("stranger"), "GET", blob.clone(), vec![], vec![]).await.unwrap();
    assert_eq!(stranger.status(), 403);
    for (method, path) in [
        ("GET", "/api/v1/studies"),
        ("POST", "/api/v1/cluster/leave"),
        ("POST", "/peer/v1/api/cluster/leave"),
        ("GET", "/peer/v1/api/cluster"),
        ("POST", "/peer/v1/api/nodes/x/drain"),
        ("GET", "/peer/v1/api/studies"),
        ("GET", "/peer/v1/api/trials/x"),
        ("PATCH", "/peer/v1/api/trials/x"),
        ("POST", "/peer/v1/api/trials/x/cancel"),
        ("DELETE", &blob),
        ("GET", "/metrics"),
    ] {
        let answer = call(from.clone(), method, path.to_owned(), vec![], vec![]).await.unwrap();
        assert!([404, 405].contains(&answer.status().as_u16()), "{method} {path}: {}", answer.status());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trial_goes_on_from_a_checkpoint_that_another_node_made() {
    let (net, [a, b]) = cluster(["gpu1", "gpu2"]).await;
    let trial = TrialId::new("node.7");
    let at = |bench: &Bench| bench.dir.path().join("trials").join(trial.as_str()).join("checkpoint");
    std::fs::create_dir_all(at(&a).join("deep")).unwrap();
    std::fs::write(at(&a).join("deep/model.pt"), "weights of step 5").unwrap();
    std::fs::create_dir_all(at(&b)).unwrap();
    std::fs::write(at(&b).join("old.pt"), "of an earlier attempt here").unwrap();
    let hash = name_whole(&at(&a), 1 << 20).unwrap();
    let launch = |attempt, hash: String| Launch {
        key: AttemptKey { trial: trial.clone(), attempt },
        label: "gpu1-7".into(),
        study: "s".into(),
        study_name: "s".into(),
        params: Default::default(),
        space_names: Vec::new(),
        metrics: vec!["loss".into()],
        run: RunSpec { command: vec!["true".into()], ..RunSpec::default() },
        resume_step: 5,
        checkpoint: Some(Checkpoint { node: a.identity.node.clone(), hash: Some(hash) }),
        gpus: Vec::new(),
        grace_s: 1.0,
        at: 0,
    };
    let plan = |attempt: u32| b.dir.path().join("attempts").join(format!("node.7-{attempt}")).join("plan.json");
    b.app.0.executor.launch(launch(2, hash.clone()));
    until("it is about to start", || plan(2).exists()).await;
    assert_eq!(std::fs::read_to_string(at(&b).join("deep/model.pt")).unwrap(), "weights of step 5");
    assert!(!at(&b).join("old.pt").exists());
    let text = std::fs::read_to_string(plan(2)).unwrap();
    assert!(text.contains("\"METAOPT_RESUME_STEP\",\"5\"") && !text.contains("began anew"), "{text}");
    assert_eq!(std::fs::read_dir(at(&b).parent().unwrap()).unwrap().count(), 3, "checkpoint, output and owner");
    // Packed once; a name that it hasn't is not there, whatever lies in the directory.
    let other = format!("b3:{}", "0".repeat(64));
    let want = Want { hash: other, kind: Kind::Checkpoint(trial.clone()), near: None };
    let error = b.fetcher().fetch(want, Duration::from_millis(300)).await.unwrap_err().to_string();
    assert!(error.starts_with("no reachable node has checkpoint b3:0000"), "{error}");
    assert!(error.ends_with("gpu1 doesn't have it"), "{error}");
    // What was brought is here for the next attempt, also without the node that made it.
    net.go_away(&a);
    b.app.0.executor.launch(launch(3, hash));
    until("it is about to start", || plan(3).exists()).await;
    assert!(at(&b).join("deep/model.pt").exists());
}

/// Answers after a while, as a slow link does.
fn late(answer: Response<Body>, by: Duration) -> Response<Body> {
    answer.map(|body| {
        let waited = futures_util::stream::once(async move {
            tokio::time::sleep(by).await;
            Ok::<_, axum::Error>(Vec::new().into())
        });
        Body::from_stream(futures_util::StreamExt::chain(waited, body.into_data_stream()))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetches_whose_holder_says_nothing_keep_no_other_waiting() {
    let (net, [a, b]) = cluster(["gpu1", "gpu2"]).await;
    for digit in ["1", "2", "3", "4"] {
        let hash = format!("b3:{}", digit.repeat(64));
        net.stall(&a, &hash);
        let fetcher = b.fetcher();
        tokio::spawn(async move { fetcher.fetch(want(&hash, None), SOON).await });
    }
    until("all four are asked for", || net.calls("HEAD", &a, "blobs") == 4).await;
    let made = archive(10, 9);
    a.keeps(&made);
    b.fetch(&made.0, Duration::from_secs(2)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_says_nothing_keeps_nobody_from_those_that_have_it() {
    let (net, [a, b, c]) = cluster(["gpu1", "gpu2", "gpu3"]).await;
    let made = archive(10, 16);
    c.keeps(&made);
    net.stall(&a, &made.0);
    // Who is asked is waited for twice as long as this.
    tokio::time::timeout(SOON, b.fetch(&made.0, SOON)).await.unwrap().unwrap();
    assert_eq!(net.calls("HEAD", &a, "blobs"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_is_not_packed_into_the_room_that_is_kept_for_results() {
    let (_net, [a, b]) = cluster(["full", "gpu2"]).await;
    let trial = TrialId::new("node.7");
    let hash = a.has_checkpoint(&trial);
    let wanted = Want { hash: hash.clone(), kind: Kind::Checkpoint(trial), near: None };
    let error = b.fetcher().fetch(wanted, Duration::from_millis(500)).await.unwrap_err().to_string();
    assert!(error.contains(&hash) && error.contains("full answered 503"), "{error}");
    assert!(!a.app.0.executor.checkpoints().has(&hash));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patience_is_for_silence_and_not_for_waiting_ones_turn() {
    let (net, [a, b]) = cluster(["gpu1", "gpu2"]).await;
    let made: Vec<_> = (10..15).map(|seed| archive(10, seed)).collect();
    made.iter().for_each(|made| a.keeps(made));
    net.falsify(&a, |_, answer| match answer.status() {
        StatusCode::PARTIAL_CONTENT => late(answer, Duration::from_millis(1500)),
        _ => answer,
    });
    for (hash, _) in &made[..4] {
        let (fetcher, wanted) = (b.fetcher(), want(hash, None));
        tokio::spawn(async move { fetcher.fetch(wanted, SOON).await });
    }
    until("all four come", || net.calls("GET", &a, "blobs") == 4).await;
    net.falsify(&a, |_, answer| answer);
    b.fetch(&made[4].0, Duration::from_millis(500)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_is_being_packed_is_waited_for() {
    let (net, [a, b]) = cluster(["gpu1", "gpu2"]).await;
    let trial = TrialId::new("node.7");
    let hash = a.has_checkpoint(&trial);
    let turns = a.app.0.executor.hold_packing().await;
    // Others don't wait for it, and whoever asks is told soon.
    let asked = std::time::Instant::now();
    let router = super::super::peer_router(a.app.clone());
    let mut request = Request::head(format!("/peer/v1/blobs/{hash}?trial=node.7")).body(Body::empty()).unwrap();
    request.extensions_mut().insert(Caller(b.identity.node.clone()));
    let answer = tower::ServiceExt::oneshot(router, request).await.unwrap();
    assert!(answer.status() == 503 && answer.headers()["metaopt-packing"] == "true", "{answer:?}");
    assert!(answer.headers().contains_key("retry-after") && asked.elapsed() < SOON);
    let fetcher = b.fetcher();
    let wanted = Want { hash: hash.clone(), kind: Kind::Checkpoint(trial), near: None };
    let waiting = tokio::spawn(async move { fetcher.fetch(wanted, SOON / 2 + SOON / 10).await });
    // Longer than its patience.
    tokio::time::sleep(SOON).await;
    assert_eq!(b.fetcher().progress(&hash).unwrap(), format!("checkpoint {hash} is being packed on gpu1"));
    assert!(!waiting.is_finished());
    drop(turns);
    waiting.await.unwrap().unwrap();
    assert!(net.calls("HEAD", &a, "blobs") < 6, "who asks is kept a while");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_on_members_that_are_gone_or_cannot_run_a_study_do_not_count() {
    let (_net, [laptop, a, b, c, d]) = cluster(["laptop", "gpu1", "gpu2", "gpu3", "gpu4"]).await;
    let made = archive(10, 15);
    let stopping = tokio_util::sync::CancellationToken::new();
    tokio::spawn(laptop.fetcher().keep_spreading(stopping.clone()));
    laptop.call("PUT", &format!("/api/v1/snapshots/{}", made.0), made.1.clone()).await.ok(201);
    let run = json!({"command": ["true"], "snapshot": made.0});
    laptop.study("s", json!({"run": run})).await;
    let all = [&a, &b, &c, &d];
    let have = || all.iter().filter(|bench| bench.has(&made.0)).count();
    until("two have it", || have() == 2).await;
    let first = all.iter().find(|bench| bench.has(&made.0)).unwrap();
    laptop.call("DELETE", &format!("/api/v1/nodes/{}", first.identity.node), "").await.ok(204);
    laptop.fetcher().submitted(&made.0);
    until("another has it in place of the one that was removed", || have() == 3).await;
    let last = all.iter().position(|bench| !bench.has(&made.0)).unwrap();
    let run = json!({"command": ["true"], "snapshot": made.0, "nodes": [format!("gpu{}", last + 1)]});
    laptop.study("t", json!({"run": run})).await;
    laptop.fetcher().submitted(&made.0);
    until("the only one that may run the second study has it", || have() == 4).await;
    stopping.cancel();
}
