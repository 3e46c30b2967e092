//! Who gets in, and what is said to those who don't.

use axum::{body::Body, http::Request};
use serde_json::json;
use tower::ServiceExt;

use super::Bench;

fn get(path: &str) -> axum::http::request::Builder {
    Request::builder().uri(path)
}

#[tokio::test]
async fn every_call_needs_the_token_reading_too() {
    let bench = Bench::new();
    for value in ["", "Bearer", "Bearer wrong", "Basic abc", "bearer  "] {
        let request = get("/api/v1/studies").header("authorization", value).body(Body::empty()).unwrap();
        let answer = bench.send(request).await;
        let (detail, _) = answer.problem(401);
        assert!(!detail.contains(&bench.identity.token));
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    for path in ["/api/openapi.json", "/metrics", "/api/v1/nothing"] {
        let request = get(path).header("authorization", "Bearer x").body(Body::empty()).unwrap();
        bench.send(request).await.problem(401);
    }
    let lower = format!("bearer {}", bench.identity.token);
    let request = get("/api/v1/studies").header("authorization", lower).body(Body::empty()).unwrap();
    bench.send(request).await.ok(200);
}

#[tokio::test]
async fn guessing_tokens_is_slowed_down() {
    let bench = Bench::new();
    let mut last = 0;
    for _ in 0..150 {
        let request = get("/api/v1/studies").header("authorization", "Bearer guess").body(Body::empty()).unwrap();
        let answer = bench.send(request).await;
        last = answer.status.as_u16();
        if last == 429 {
            answer.problem(429);
            assert_eq!(answer.headers["retry-after"], "1");
            break;
        }
    }
    assert_eq!(last, 429);
    bench.get("/studies").await.ok(200);
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_refused() {
    let bench = Bench::new();
    for host in ["evil.example", "evil.example:7878", "192.168.0.1:7878"] {
        let request = get("/healthz").header("host", host).body(Body::empty()).unwrap();
        bench.send(request).await.problem(403);
    }
    for origin in ["http://evil.example", "null", "http://127.0.0.1:9999"] {
        let request = get("/api/v1/studies").header("origin", origin).body(Body::empty()).unwrap();
        let answer = bench.send(request).await;
        answer.problem(403);
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
    }
    for (host, origin) in [("localhost:7878", "http://localhost:7878"), ("[::1]:7878", "http://127.0.0.1:7878")] {
        let request = get("/api/v1/studies").header("host", host).header("origin", origin).body(Body::empty()).unwrap();
        bench.send(request).await.ok(200);
    }
}

#[tokio::test]
async fn liveness_needs_no_token_and_proves_the_daemon() {
    let bench = Bench::new();
    let challenge = "00112233445566778899aabbccddeeff";
    let request =
        get(&format!("/healthz?challenge={challenge}")).header("authorization", "x").body(Body::empty()).unwrap();
    let body = bench.send(request).await.ok(200);
    assert_eq!(body["proof"], crate::http::auth::proof(&bench.identity.token, challenge));
    assert_eq!(body["node"], bench.identity.node.as_str());
    let plain = bench.call("GET", "/healthz", "").await.ok(200);
    assert!(plain.get("proof").is_none() && plain["status"] == "ok");
    for wrong in ["xyz", "00", "metaopt-challenge"] {
        bench.call("GET", &format!("/healthz?challenge={wrong}"), "").await.problem(422);
    }
}

#[tokio::test]
async fn a_trials_token_is_good_for_that_trial_only() {
    let bench = Bench::new();
    bench.study("s", json!({})).await;
    let (mine, other) = (bench.ask("s").await, bench.ask("s").await);
    let (id, other) = (mine["id"].as_str().unwrap(), other["id"].as_str().unwrap());
    let token = bench.trial_token(id, 1);
    let report = r#"{"step": 1, "values": {"loss": 1}}"#;
    bench.with_token(&token, "GET", &format!("/trials/{id}"), "").await.ok(200);
    bench.with_token(&token, "POST", &format!("/trials/{id}/reports"), report).await.ok(200);
    bench.with_token(&token, "POST", &format!("/trials/{id}/heartbeat"), "").await.ok(200);
    bench.with_token(&token, "PATCH", &format!("/trials/{id}"), r#"{"user_attrs": {"a": 1}}"#).await.ok(200);
    bench.with_token(&token, "PUT", &format!("/trials/{id}/artifacts/a.txt"), "x").await.ok(201);
    let label = mine["label"].as_str().unwrap();
    bench.with_token(&token, "GET", &format!("/trials/{label}"), "").await.ok(200);
    let refused = [
        ("GET", format!("/trials/{other}")),
        ("POST", format!("/trials/{other}/reports")),
        ("POST", format!("/trials/{id}/cancel")),
        ("POST", format!("/trials/{id}/stop")),
        ("GET", format!("/trials/{id}/logs")),
        ("GET", format!("/trials/{id}/artifacts/a.txt")),
        ("GET", "/studies".to_owned()),
        ("POST", "/studies/s/trials/suggest".to_owned()),
        ("DELETE", "/studies/s".to_owned()),
        ("GET", "/events".to_owned()),
        ("PUT", format!("/trials/{id}%2F..%2F{other}/artifacts/x")),
    ];
    for (method, path) in refused {
        bench.with_token(&token, method, &path, report).await.problem(403);
    }
    bench.with_token(&token, "PATCH", &format!("/trials/{id}"), r#"{"note": "x"}"#).await.problem(403);
    let later = r#"{"step": 2, "values": {"loss": 1}, "attempt": 2}"#;
    bench.with_token(&token, "POST", &format!("/trials/{id}/reports"), later).await.problem(403);
    let forged = token.replace(id, other);
    bench.with_token(&forged, "GET", &format!("/trials/{other}"), "").await.problem(401);
    bench.with_token(&token, "POST", &format!("/trials/{id}/complete"), r#"{"values": {"loss": 1}}"#).await.ok(200);
}

#[tokio::test]
async fn unknown_paths_and_verbs_are_problems() {
    let bench = Bench::new();
    for path in
        ["/api/v1/nothing", "/api/v1/studies/", "/favicon.ico", "/api", "/api/v1/cluster/nothing", "/api/v2/studies"]
    {
        bench.call("GET", path, "").await.problem(404);
    }
    let answer = bench.call("PUT", "/api/v1/studies", "{}").await;
    answer.problem(405);
    let allow = answer.headers["allow"].to_str().unwrap();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
    bench.call("GET", "/api/v1/studies/%ff", "").await.problem(404);
}

#[tokio::test]
async fn the_page_needs_no_token_and_runs_nothing_but_its_own() {
    let bench = Bench::new();
    for path in ["/", "/studies/digits-v1.2", "/trials/k3.17"] {
        let answer = bench.send(get(path).header("authorization", "x").body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
        assert!(answer.text().contains("<title>metaopt</title>") && !answer.text().contains(&bench.identity.token));
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("cache-control", "no-cache"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(answer.headers[name], value, "{path}");
        }
    }
    bench.send(get("/").header("host", "evil.example").body(Body::empty()).unwrap()).await.problem(403);
    bench.send(get("/").header("origin", "http://evil.example").body(Body::empty()).unwrap()).await.problem(403);
    bench.call("POST", "/studies", "{}").await.problem(404);
    assert_eq!(bench.call("HEAD", "/", "").await.status, 200);
}

#[tokio::test]
async fn a_dashboards_token_does_everything_but_make_tokens_until_it_is_revoked() {
    let bench = Bench::new();
    bench.study("s", json!({})).await;
    let trial = bench.ask("s").await;
    let issued = bench.post("/tokens", json!({})).await.ok(201);
    let token = issued["token"].as_str().unwrap();
    bench.with_token(token, "GET", "/studies", "").await.ok(200);
    bench.with_token(token, "POST", "/studies/s/pause", "").await.ok(200);
    let scripts = bench.trial_token(trial["id"].as_str().unwrap(), 1);
    for other in [token, &scripts] {
        bench.with_token(other, "POST", "/tokens", "").await.problem(403);
        bench.with_token(other, "DELETE", "/tokens", "").await.problem(403);
    }
    let request = get("/api/v1/events").header("host", "localhost").header("authorization", format!("Bearer {token}"));
    let events = bench.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(events.status(), 200);
    assert_eq!(bench.call("DELETE", "/api/v1/tokens", "").await.ok(200)["revoked"], 1);
    bench.with_token(token, "GET", "/studies", "").await.problem(401);
    // Its stream has an end now.
    let rest = axum::body::to_bytes(events.into_body(), 1 << 20);
    tokio::time::timeout(std::time::Duration::from_secs(10), rest).await.unwrap().unwrap();
    let next = bench.post("/tokens", json!({})).await.ok(201);
    bench.with_token(next["token"].as_str().unwrap(), "GET", "/studies", "").await.ok(200);
}

#[tokio::test]
async fn bodies_have_limits_and_must_be_plain_json() {
    let bench = Bench::new();
    bench.call("POST", "/api/v1/studies", vec![b' '; 1024 * 1024 + 1]).await.problem(413);
    for body in ["{", "hello", "{\"a\":}", "\u{feff}["] {
        let (detail, _) = bench.call("POST", "/api/v1/studies", body).await.problem(400);
        assert!(detail.contains("line 1 column"), "{detail}");
    }
    let request = Request::builder().method("POST").uri("/api/v1/studies").header("content-encoding", "gzip");
    bench.send(request.body(Body::from("{}")).unwrap()).await.problem(415);
    let cut = futures_util::stream::iter([Ok("{"), Err(std::io::Error::other("gone"))]);
    bench.call("POST", "/api/v1/studies", Body::from_stream(cut)).await.problem(400);
}

#[tokio::test]
async fn answers_are_sealed_against_browsers() {
    let bench = Bench::new();
    let answer = bench.get("/studies").await;
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ] {
        assert_eq!(answer.headers[name], value);
    }
    assert!(!answer.headers.contains_key("set-cookie"));
    assert!(answer.headers.contains_key("x-request-id"));
    let request = get("/api/v1/studies").header("x-request-id", "mine-1").body(Body::empty()).unwrap();
    assert_eq!(bench.send(request).await.headers["x-request-id"], "mine-1");
    let request = get("/api/v1/studies").header("x-request-id", "a b<script>").body(Body::empty()).unwrap();
    assert_ne!(bench.send(request).await.headers["x-request-id"], "a b<script>");
}

#[tokio::test]
async fn a_stopping_daemon_says_so() {
    let bench = Bench::new();
    bench.app.stopping().cancel();
    let answer = bench.post("/studies", json!({})).await;
    answer.problem(503);
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(bench.call("GET", "/healthz", "").await.ok(200)["status"], "stopping");
}

#[tokio::test]
async fn a_panic_is_a_problem_without_its_text() {
    let response = crate::http::problem::panicked(Box::new("secret path /home/x".to_owned()));
    assert_eq!(response.status(), 500);
    let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
    assert!(!String::from_utf8_lossy(&body).contains("secret"));
}
