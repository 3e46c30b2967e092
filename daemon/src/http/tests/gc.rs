use axum::{body::Body, http::Request};
use serde_json::json;

use super::{Bench, auth};
use metaopt_schema::{AttemptKey, TrialId};

#[tokio::test]
async fn a_collection_is_described_kind_by_kind_and_wrong_fields_are_named() {
    let bench = Bench::new();
    std::fs::write(bench.dir.path().join("logs/n.1-1.log"), "hello").unwrap();
    let answer = bench.call("POST", "/api/v1/gc", r#"{"dry_run": true}"#).await.ok(200);
    let kinds: Vec<_> = answer["kinds"].as_array().unwrap().iter().map(|row| row["kind"].as_str().unwrap()).collect();
    let all = ["logs", "checkpoints", "outputs", "snapshots", "environments", "leftovers", "corrupt"];
    assert_eq!(kinds, all);
    let logs = &answer["kinds"][0];
    assert_eq!((&logs["count"], &logs["bytes"], &logs["removed"]), (&json!(1), &json!(5), &json!(0)));
    assert_eq!((&logs["keep_s"], &answer["dry_run"]), (&json!(30.0 * 86_400.0), &json!(true)));
    let (detail, pointers) = bench.call("POST", "/api/v1/gc", r#"{"dryrun": true}"#).await.problem(422);
    assert!(detail.contains("dry_run") && pointers == ["/dryrun"], "{detail} {pointers:?}");
}

#[tokio::test]
async fn a_trials_token_collects_nothing() {
    let bench = Bench::new();
    let key = AttemptKey { trial: TrialId::new("n.1"), attempt: 1 };
    let token = auth::mint_trial_token(&bench.identity.secret, &key);
    let request = Request::post("/api/v1/gc").header("authorization", format!("Bearer {token}"));
    bench.send(request.body(Body::empty()).unwrap()).await.problem(403);
}
