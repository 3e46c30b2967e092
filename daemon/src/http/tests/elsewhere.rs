//! Trials of other nodes: their logs, files, reports and results through any node.

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use metaopt_schema::AttemptKey;
use serde_json::{Value, json};

use super::{
    Bench,
    net::{cluster, until},
};

/// Two nodes; the first lent a trial to a client, and the second has heard of it.
async fn lent() -> (std::sync::Arc<super::net::Net>, [Bench; 2], String) {
    let (net, [a, b]) = cluster(["gpu1", "gpu2"]).await;
    a.study("s", json!({})).await;
    let trial = a.ask("s").await["id"].as_str().unwrap().to_owned();
    b.hears_of(&trial).await;
    until("the claim is heard of", || b.shell.read(|node, _| node.holder(&trial, None).is_some())).await;
    (net, [a, b], trial)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_heartbeats_and_results_go_to_the_holder_through_any_node() {
    let (net, [a, b], trial) = lent().await;
    let at = format!("/trials/{trial}");
    let verdict = b.post(&format!("{at}/reports"), json!({"step": 1, "values": {"loss": 0.5}})).await.ok(200);
    assert_eq!(verdict, json!({"action": "continue"}));
    assert_eq!(a.get(&format!("{at}/reports")).await.ok(200)["items"][0]["step"], 1);
    b.post(&format!("{at}/heartbeat"), json!({})).await.ok(200);
    // What the holder refuses is refused.
    b.post(&format!("{at}/reports"), json!({"step": 1, "values": {"loss": 0.6}})).await.problem(409);
    b.post(&format!("{at}/complete"), json!({"values": {"other": 1}})).await.problem(422);
    let done = b.post(&format!("{at}/complete"), json!({"values": {"loss": 0.25}})).await.ok(200);
    assert_eq!((&done["state"], &done["node"]), (&json!("complete"), &json!("gpu1")));
    assert_eq!(a.get(&at).await.ok(200)["values"]["loss"], 0.25);
    assert_eq!(net.calls("POST", &a, &format!("/peer/v1/api/trials/{trial}/complete")), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_is_taken_where_it_comes_when_the_holder_is_away() {
    let (net, [a, b], trial) = lent().await;
    let at = format!("/trials/{trial}");
    net.go_away(&a);
    for call in ["reports", "heartbeat"] {
        let body = if call == "reports" { json!({"step": 1, "values": {"loss": 0.5}}) } else { json!({}) };
        let answer = b.post(&format!("{at}/{call}"), body).await;
        let (detail, _) = answer.problem(503);
        assert!(detail.contains("on gpu1, which can't be reached from here (it was last heard"), "{detail}");
        assert_eq!(
            (answer.headers["retry-after"].to_str().unwrap(), &answer.json()["type"]),
            ("5", &json!("urn:metaopt:problem:away"))
        );
    }
    let done = b.post(&format!("{at}/complete"), json!({"values": {"loss": 0.25}})).await.ok(200);
    assert_eq!(done["state"], "complete");
    net.come_back(&a);
    until("the holder learns of it", || {
        a.shell.read(|node, _| node.trial(&trial).unwrap().1.state.as_str() == "complete")
    })
    .await;
    assert_eq!(a.get(&at).await.ok(200)["values"]["loss"], 0.25);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_passed_on_once() {
    let (net, [a, b], trial) = lent().await;
    // The first takes the second for the holder, and the second the first.
    let router = super::super::peer_router(b.app.clone());
    let mut request = Request::post(format!("/peer/v1/api/trials/{trial}/reports"))
        .body(Body::from(json!({"step": 1, "values": {"loss": 0.5}}).to_string()))
        .unwrap();
    request.extensions_mut().insert(crate::peer::Caller(a.identity.node.clone()));
    let answer = tower::ServiceExt::oneshot(router, request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(net.calls("POST", &a, "reports") + net.calls("POST", &b, "reports"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn artifacts_are_put_listed_and_fetched_through_any_node() {
    let (net, [a, b], trial) = lent().await;
    let at = format!("/api/v1/trials/{trial}/artifacts");
    let put = b.call("PUT", &format!("{at}/a b.txt").replace(' ', "%20"), "hello there").await.ok(201);
    assert_eq!((&put["name"], &put["size"]), (&json!("a b.txt"), &json!(11)));
    assert!(
        a.dir.path().join("trials").read_dir().unwrap().count() == 1
            && !b.dir.path().join("trials").join(&trial).exists()
    );
    for bench in [&a, &b] {
        let listed = bench.call("GET", &format!("{at}?hashes=true"), "").await.ok(200);
        assert_eq!(listed["items"][0]["blake3"], blake3::hash(b"hello there").to_hex().as_str());
        let plain = bench.call("GET", &at, "").await.ok(200);
        assert_eq!((&plain["items"][0]["name"], &plain["items"][0]["blake3"]), (&json!("a b.txt"), &Value::Null));
        let got = bench.call("GET", &format!("{at}/a%20b.txt"), "").await;
        assert_eq!((got.status.as_u16(), got.text().as_str()), (200, "hello there"));
        assert_eq!(got.headers["content-security-policy"], "default-src 'none'; sandbox");
        assert!(got.headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
        let tag = got.headers["etag"].clone();
        let request = Request::get(format!("{at}/a%20b.txt")).header("range", "bytes=6-").header("if-range", tag);
        let rest = bench.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!((rest.status.as_u16(), rest.text().as_str()), (206, "there"));
        bench.call("GET", &format!("{at}/none"), "").await.problem(404);
        let status = bench.call("PUT", &format!("{at}/..%2Fx"), "x").await.status.as_u16();
        assert!([404, 422].contains(&status), "{status}");
    }
    net.go_away(&a);
    for (method, path) in [("GET", at.clone()), ("GET", format!("{at}/a%20b.txt")), ("PUT", format!("{at}/x"))] {
        let (detail, _) = b.call(method, &path, "x").await.problem(503);
        assert!(detail.contains("the files of trial gpu1-0 are on gpu1, which can't be reached"), "{detail}");
    }
}

/// A trial that ran on the first node, whose log is there.
async fn ran(a: &Bench) -> AttemptKey {
    a.study("r", json!({"run": {"command": ["true"]}})).await;
    let probed = a.shell.read(|node, _| node.study("r").unwrap().id.clone());
    a.shell
        .call(move |node, now| {
            node.adopted(now, &[]);
            node.probed(now, &probed, Ok(()));
            Ok(())
        })
        .await
        .unwrap();
    let mut found = None;
    until("it runs", || {
        found = a.shell.read(|node, _| node.running().next().cloned());
        found.is_some()
    })
    .await;
    found.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_read_and_followed_through_any_node() {
    let (net, [a, b]) = cluster(["gpu1", "gpu2"]).await;
    let key = ran(&a).await;
    let trial = key.trial.as_str().to_owned();
    b.hears_of(&trial).await;
    until("the claim is heard of", || b.shell.read(|node, _| node.holder(&trial, None).is_some())).await;
    let log = a.dir.path().join("logs").join(format!("{trial}-{}.log", key.attempt));
    std::fs::write(&log, "one\ntwo\n").unwrap();
    let text = b.get(&format!("/trials/{trial}/logs")).await;
    assert_eq!((text.status.as_u16(), text.text().as_str()), (200, "one\ntwo\n"));
    let followed = b.get(&format!("/trials/{trial}/logs?follow=true")).await;
    assert_eq!(followed.headers["content-type"], "text/event-stream");
    assert!(
        followed.text().contains("id: 4\ndata: one") || followed.text().contains("data: one\nid: 4"),
        "{}",
        followed.text()
    );
    assert!(followed.text().contains("event: end"), "{}", followed.text());
    let request = Request::get(format!("/api/v1/trials/{trial}/logs?follow=true")).header("last-event-id", "4");
    let rest = b.send(request.body(Body::empty()).unwrap()).await.text();
    assert!(!rest.contains("data: one") && rest.contains("data: two"), "{rest}");
    b.get(&format!("/trials/{trial}/logs?attempt=9")).await.problem(404);
    net.go_away(&a);
    let (detail, _) = b.get(&format!("/trials/{trial}/logs")).await.problem(503);
    assert!(detail.starts_with("the log of attempt 1 of trial gpu1-0 is on gpu1, which"), "{detail}");
    b.call("DELETE", "/api/v1/nodes/gpu1", "").await.ok(204);
    let (detail, _) = b.get(&format!("/trials/{trial}/logs")).await.problem(404);
    assert!(detail.contains("which was removed from the cluster"), "{detail}");
}
