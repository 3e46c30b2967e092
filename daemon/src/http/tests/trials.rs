//! Trials over REST: asking, reporting, telling, listing.

use serde_json::{Value, json};

use super::Bench;

fn id(trial: &Value) -> String {
    trial["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn ask_report_tell() {
    let bench = Bench::new();
    bench.study("s", json!({})).await;
    let trial = bench.ask("s").await;
    assert_eq!((&trial["state"], &trial["attempt"], &trial["node"]), (&json!("running"), &json!(1), &json!("box")));
    assert!((0.0..=1.0).contains(&trial["params"]["x"].as_f64().unwrap()));
    assert_eq!(trial["sampler"], json!({"name": "random", "seed": 1}));
    let at = format!("/trials/{}", id(&trial));
    let verdict = bench.post(&format!("{at}/reports"), json!({"step": 1, "values": {"loss": 0.5}})).await.ok(200);
    assert_eq!(verdict, json!({"action": "continue"}));
    let many = json!([{"step": 2, "values": {"loss": 0.4}}, {"step": 3, "values": {"loss": 0.3, "acc": 0.9}}]);
    bench.post(&format!("{at}/reports"), many.clone()).await.ok(200);
    bench.post(&format!("{at}/reports"), many).await.ok(200);
    bench.post(&format!("{at}/reports"), json!({"step": 3, "values": {"loss": 9}})).await.problem(409);
    let reports = bench.get(&format!("{at}/reports?after_step=1&limit=1")).await.ok(200);
    assert_eq!((&reports["items"][0]["step"], reports["next_cursor"].is_string()), (&json!(2), true));
    let cursor = reports["next_cursor"].as_str().unwrap();
    let rest = bench.get(&format!("{at}/reports?after_step=1&limit=1&cursor={cursor}")).await.ok(200);
    assert_eq!((&rest["items"][0]["values"]["acc"], &rest["next_cursor"]), (&json!(0.9), &Value::Null));
    assert_eq!(bench.post(&format!("{at}/heartbeat"), json!({})).await.ok(200)["action"], "continue");
    let told = bench.post(&format!("{at}/complete"), json!({"values": {"loss": 0.25, "acc": 1}})).await.ok(200);
    assert_eq!(
        (&told["state"], &told["reason"], &told["values"]["loss"]),
        (&json!("complete"), &json!("exit"), &json!(0.25))
    );
    assert_eq!((&told["attempts"][0]["counted"], &told["last_step"]), (&json!(true), &json!(3)));
    bench.post(&format!("{at}/complete"), json!({"values": {"loss": 0.25, "acc": 1}})).await.ok(200);
    bench.post(&format!("{at}/complete"), json!({"values": {"loss": 0.3}})).await.problem(409);
    assert_eq!(
        bench.post(&format!("{at}/reports"), json!({"step": 4, "values": {"loss": 1}})).await.ok(200)["action"],
        "stop"
    );
}

#[tokio::test]
async fn the_bounds_of_suggest_are_named() {
    let bench = Bench::new();
    bench.study("s", json!({})).await;
    let at = "/studies/s/trials/suggest";
    for (body, pointer) in [
        (json!({"count": 0}), "/count"),
        (json!({"count": 1001}), "/count"),
        (json!({"count": 1.5}), "/count"),
        (json!({"lease_s": 0.5}), "/lease_s"),
        (json!({"lease_s": 604_801}), "/lease_s"),
        (json!({"client_id": ""}), "/client_id"),
        (json!({"client": "x"}), "/client"),
    ] {
        assert_eq!(bench.post(at, body).await.problem(422).1, [pointer]);
    }
    let first = bench.post(at, json!({"client_id": "c", "count": 2})).await.ok(200);
    let again = bench.post(at, json!({"client_id": "c", "count": 2})).await.ok(200);
    assert_eq!(first["items"], again["items"]);
    assert_eq!(bench.call("POST", &format!("/api/v1{at}"), "").await.ok(200)["items"].as_array().unwrap().len(), 1);
    let run = json!({"run": {"command": ["true"], "workdir": "in_place", "path": "/tmp"}});
    bench.study("runs", run).await;
    bench.post("/studies/runs/trials/suggest", json!({})).await.problem(409);
}

#[tokio::test]
async fn wrong_reports_are_refused_as_a_whole() {
    let bench = Bench::new();
    bench.study("s", json!({})).await;
    let trial = bench.ask("s").await;
    let at = format!("/api/v1/trials/{}/reports", id(&trial));
    for (body, pointers) in [
        (r#"{"step": 1, "values": {"loss": NaN}}"#, &["/values/loss"][..]),
        (r#"[{"step": 1, "values": {"loss": 1}}, {"step": 0, "values": {"loss": -Infinity}}]"#, &["/1/values/loss"]),
        (r#"{"step": 0, "values": {}}"#, &["/step", "/values"]),
        (r#"{"step": 1, "values": {"loss": "x", "a": null}}"#, &["/values/a", "/values/loss"]),
        (r#"{"step": 1.5, "values": {"loss": 1}}"#, &["/step"]),
        (r#"{"values": {"loss": 1}}"#, &["/step"]),
        (r#"{"step": 1, "value": {"loss": 1}}"#, &["/value", "/values"]),
        (r#"{"step": 1, "values": {"loss": 1}, "attempt": 9}"#, &["/attempt"]),
        ("[]", &[""]),
        ("3", &[""]),
    ] {
        let (detail, found) = bench.call("POST", &at, body).await.problem(422);
        assert_eq!(found, pointers, "{body}: {detail}");
    }
    assert_eq!(bench.get(&at["/api/v1".len()..]).await.ok(200)["items"], json!([]));
}

#[tokio::test]
async fn a_process_may_report_what_is_not_finite() {
    let bench = Bench::new();
    bench.study("s", json!({})).await;
    let id = id(&bench.ask("s").await);
    let token = bench.trial_token(&id, 1);
    let body = r#"{"step": 1, "values": {"loss": NaN, "acc": 0.5}}"#;
    bench.with_token(&token, "POST", &format!("/trials/{id}/reports"), body).await.ok(200);
    let reports = bench.get(&format!("/trials/{id}/reports")).await.ok(200);
    assert_eq!(reports["items"][0]["values"], json!({"loss": null, "acc": 0.5}));
    let missing =
        bench.with_token(&token, "POST", &format!("/trials/{id}/complete"), r#"{"values": {"loss": NaN}}"#).await;
    assert_eq!(missing.problem(422).1, ["/values/loss"]);
}

#[tokio::test]
async fn wrong_results_are_refused() {
    let bench = Bench::new();
    bench.study("s", json!({})).await;
    let at = format!("/trials/{}/complete", id(&bench.ask("s").await));
    for (body, pointers) in [
        (json!({}), &["/values"][..]),
        (json!({"values": {}}), &["/values/loss"]),
        (json!({"values": {"acc": 1}}), &["/values/loss"]),
        (json!({"values": {"loss": "1"}}), &["/values/loss"]),
        (json!({"values": {"loss": null}}), &["/values/loss"]),
        (json!({"state": "done"}), &["/state"]),
        (json!({"state": "fail", "values": {"loss": 1}}), &["/values"]),
        (json!({"loss": 1}), &["/loss"]),
        (json!({"values": {"loss": 1}, "attempt": 0}), &["/attempt"]),
    ] {
        let (detail, found) = bench.post(&at, body.clone()).await.problem(422);
        assert_eq!(found, pointers, "{body}: {detail}");
    }
    let told = bench.post(&at, json!({"state": "infeasible", "detail": "too wide"})).await.ok(200);
    assert_eq!((&told["state"], &told["detail"]), (&json!("infeasible"), &json!("too wide")));
}

#[tokio::test]
async fn enqueued_trials_come_first_and_are_checked() {
    let bench = Bench::new();
    bench.study("s", json!({})).await;
    let trial = bench.post("/studies/s/trials", json!({"params": {"x": 0.125}, "user_attrs": {"a": 1}})).await.ok(201);
    assert_eq!(
        (&trial["state"], &trial["sampler"], &trial["attempt"]),
        (&json!("waiting"), &Value::Null, &Value::Null)
    );
    assert_eq!(bench.ask("s").await["id"], trial["id"]);
    for (body, at) in [
        (json!({"params": {"x": 7}}), "/params/x"),
        (json!({"params": {"x": 0.5, "y": 1}}), "/params/y"),
        (json!({"params": {}}), "/params"),
        (json!({}), "/params"),
        (json!({"params": 3}), "/params"),
    ] {
        let (_, pointers) = bench.post("/studies/s/trials", body.clone()).await.problem(422);
        assert!(pointers[0].starts_with(at), "{body}: {pointers:?}");
    }
}

#[tokio::test]
async fn trials_are_acted_on_and_annotated() {
    let bench = Bench::new();
    bench.study("s", json!({})).await;
    let trial = bench.ask("s").await;
    let at = format!("/trials/{}", id(&trial));
    let patched = bench
        .call("PATCH", &format!("/api/v1{at}"), json!({"note": "n", "user_attrs": {"k": [1]}}).to_string())
        .await
        .ok(200);
    assert_eq!((&patched["note"], &patched["user_attrs"]), (&json!("n"), &json!({"k": [1]})));
    let cleared =
        bench.call("PATCH", &format!("/api/v1{at}"), json!({"user_attrs": {"k": null}}).to_string()).await.ok(200);
    assert_eq!(cleared["user_attrs"], json!({}));
    bench.call("PATCH", &format!("/api/v1{at}"), json!({"state": "complete"}).to_string()).await.problem(422);
    assert_eq!(bench.post(&format!("{at}/pause"), json!({})).await.ok(200)["state"], "running");
    assert_eq!(bench.post(&format!("{at}/heartbeat"), json!({})).await.ok(200)["action"], "pause");
    assert_eq!(bench.post(&format!("{at}/resume"), json!({})).await.ok(200)["state"], "running");
    assert_eq!(bench.post(&format!("{at}/stop"), json!({})).await.ok(200)["state"], "cancelled");
    assert_eq!(bench.post(&format!("{at}/cancel"), json!({})).await.ok(200)["reason"], "cancelled");
    bench.post(&format!("{at}/pause"), json!({})).await.problem(409);
    assert_eq!(bench.post(&format!("{at}/retry"), json!({})).await.ok(200)["state"], "waiting");
    let label = trial["label"].as_str().unwrap();
    assert_eq!(bench.get(&format!("/trials/{label}")).await.ok(200)["id"], trial["id"]);
    let explained = bench.get(&format!("{at}/explain")).await.ok(200);
    assert_eq!((&explained["source"], &explained["reproduced"]), (&json!("sampler"), &json!(true)));
    bench.get("/trials/none").await.problem(404);
    bench.get(&format!("{at}/logs")).await.problem(404);
}

#[tokio::test]
async fn lists_are_filtered_sorted_projected_and_paged() {
    let bench = Bench::new();
    bench.study("s", json!({})).await;
    for loss in [0.5, 0.1, 0.9, 0.3] {
        bench.done("s", json!({"loss": loss})).await;
    }
    bench.ask("s").await;
    let losses = |page: &Value| -> Vec<Option<f64>> {
        page["items"].as_array().unwrap().iter().map(|t| t["values"]["loss"].as_f64()).collect()
    };
    let mut seen = Vec::new();
    let mut path = "/studies/s/trials?sort=-value&limit=2".to_owned();
    loop {
        let page = bench.get(&path).await.ok(200);
        seen.extend(losses(&page));
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/studies/s/trials?sort=-value&limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, [Some(0.9), Some(0.5), Some(0.3), Some(0.1), None]);
    let page =
        bench.get("/studies/s/trials?state=running,complete&sort=-number&fields=number,values&node=box").await.ok(200);
    let items = page["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["number"]), (5, &json!(4)));
    assert_eq!(items[1].as_object().unwrap().len(), 2);
    assert_eq!(bench.get("/studies/s/trials?node=other").await.ok(200)["items"], json!([]));
    for (query, at) in [
        ("state=done", "?state"),
        ("sort=vaule", "?sort"),
        ("fields=id,valeus", "?fields"),
        ("limit=0", "?limit"),
        ("limit=x", "?limit"),
        ("cursor=x", "?cursor"),
        ("stat=running", "?stat"),
    ] {
        assert_eq!(bench.get(&format!("/studies/s/trials?{query}")).await.problem(422).1, [at]);
    }
    let cursor = bench.get("/studies/s/trials?limit=1").await.ok(200)["next_cursor"].as_str().unwrap().to_owned();
    bench.get(&format!("/studies/s/trials?sort=value&cursor={cursor}")).await.problem(422);
}
