//! Studies over REST.

use serde_json::{Value, json};

use super::Bench;

#[tokio::test]
async fn a_study_is_answered_as_created_with_what_became_of_it() {
    let bench = Bench::new();
    let study = bench
        .study(
            "mnist",
            json!({"note": "n", "user_attrs": {"a": [1]}, "budget": {"max_trials": 10},
            "constraints": [{"metric": "ms", "at_most": 20.0}], "early_stopping": {"rule": "median", "min_steps": 2}}),
        )
        .await;
    assert_eq!(study["state"], "running");
    assert_eq!(study["counts"]["waiting"], 0);
    assert_eq!(study["early_stopping"], json!({"rule": "median", "min_steps": 2}));
    assert_eq!(study["budget"]["max_trials"], 10);
    assert_eq!((&study["run"], &study["best"]), (&Value::Null, &Value::Null));
    assert!(study["created_at"].as_str().unwrap().ends_with('Z') && study["node"] == "box");
    for at in ["mnist", study["id"].as_str().unwrap()] {
        assert_eq!(bench.get(&format!("/studies/{at}")).await.ok(200), study);
    }
    let list = bench.get("/studies").await.ok(200);
    assert_eq!((list["items"].as_array().unwrap().len(), &list["next_cursor"]), (1, &Value::Null));
}

#[tokio::test]
async fn the_same_name_is_taken_or_loaded() {
    let bench = Bench::new();
    let study = bench.study("s", json!({})).await;
    let mut body = json!({"name": "s", "space": [{"name": "x", "type": "float", "low": 0.0, "high": 1.0}],
        "objectives": [{"metric": "loss", "direction": "minimize"}]});
    bench.post("/studies", body.clone()).await.problem(409);
    body["load_if_exists"] = json!(true);
    assert_eq!(bench.post("/studies", body.clone()).await.ok(200)["id"], study["id"]);
    body["space"][0]["high"] = json!(2.0);
    bench.post("/studies", body.clone()).await.problem(409);
    body["load_if_exists"] = json!("yes");
    assert_eq!(bench.post("/studies", body).await.problem(422).1, ["/load_if_exists"]);
}

#[tokio::test]
async fn every_wrong_field_of_a_study_is_named() {
    let bench = Bench::new();
    let body = json!({"name": "s", "objectvies": [], "space": [{"name": "x", "type": "float", "low": 2, "high": 1},
        {"name": "y", "type": "float", "low": 0, "high": 1, "log": true}],
        "objectives": [{"metric": "loss", "direction": "minimize"}]});
    let (detail, pointers) = bench.post("/studies", body).await.problem(422);
    assert!(pointers.iter().any(|p| p == "/objectvies") && detail.contains("did you mean `objectives`"), "{detail}");
    assert!(pointers.iter().any(|p| p.starts_with("/space/0")) && pointers.iter().any(|p| p.starts_with("/space/1")));
    let nan =
        r#"{"name": "s", "space": [{"name": "x", "type": "float", "low": NaN, "high": 1e999}], "objectives": []}"#;
    let (detail, pointers) = bench.call("POST", "/api/v1/studies", nan).await.problem(422);
    assert_eq!(pointers, ["/space/0/high", "/space/0/low"]);
    assert!(detail.contains("finite"), "{detail}");
    bench.post("/studies", json!([])).await.problem(422);
    assert_eq!(bench.get("/studies").await.ok(200)["items"], json!([]));
}

#[tokio::test]
async fn a_patch_changes_what_it_names() {
    let bench = Bench::new();
    bench.study("s", json!({"budget": {"max_trials": 10, "priority": 3}})).await;
    let patch = |body: Value| bench.call("PATCH", "/api/v1/studies/s", body.to_string());
    let body = json!({"note": "hello", "user_attrs": {"k": 1}, "budget": {"max_trials": 20}});
    let study = patch(body).await.ok(200);
    assert_eq!((&study["note"], &study["user_attrs"]), (&json!("hello"), &json!({"k": 1})));
    assert_eq!((&study["budget"]["max_trials"], &study["budget"]["priority"]), (&json!(20), &json!(3)));
    assert_eq!(patch(json!({"budget": {"max_trials": null}})).await.ok(200)["budget"]["max_trials"], Value::Null);
    let wider = json!({"space": [{"name": "x", "type": "float", "low": -1.0, "high": 1.0},
        {"name": "new", "type": "int", "low": 1, "high": 3, "default": 1}]});
    let study = patch(wider).await.ok(200);
    assert_eq!((&study["space"][0]["low"], &study["space"][1]["name"]), (&json!(-1.0), &json!("new")));
    for (body, at) in [
        (json!({"bugdet": {}}), "/bugdet"),
        (json!({"budget": {"max_trails": 1}}), "/budget/max_trails"),
        (json!({"budget": {"max_parallel": 0}}), "/budget/max_parallel"),
        (json!({"name": ""}), "/name"),
        (json!({"note": 3}), "/note"),
        (json!({"space": [{"name": "z", "type": "int", "low": 1, "high": 3}]}), "/space/0"),
    ] {
        let (_, pointers) = patch(body.clone()).await.problem(422);
        assert!(pointers.iter().any(|p| p.starts_with(at)), "{body}: {pointers:?}");
    }
    assert_eq!(patch(json!({"name": "t"})).await.ok(200)["name"], "t");
    bench.get("/studies/s").await.problem(404);
}

#[tokio::test]
async fn studies_are_paused_resumed_cancelled_forked_and_deleted() {
    let bench = Bench::new();
    bench.study("s", json!({})).await;
    bench.done("s", json!({"loss": 1})).await;
    assert_eq!(bench.post("/studies/s/pause", json!({})).await.ok(200)["state"], "paused");
    let idle = bench.post("/studies/s/trials/suggest", json!({})).await.ok(200);
    assert_eq!((&idle["items"], &idle["reason"]), (&json!([]), &json!("paused")));
    assert!(idle["retry_after_s"].is_number());
    assert_eq!(bench.call("POST", "/api/v1/studies/s/resume", "").await.ok(200)["state"], "running");
    let fork = bench.post("/studies/s/fork", json!({"name": "t"})).await.ok(201);
    assert_eq!((fork["counts"]["complete"].clone(), fork["forked_from"].is_string()), (json!(1), true));
    bench.post("/studies/s/fork", json!({"name": "t"})).await.problem(409);
    assert_eq!(bench.post("/studies/s/fork", json!({})).await.problem(422).1, ["/name"]);
    let add = json!({"name": "u", "add": [{"name": "y", "type": "int", "low": 1, "high": 2}]});
    assert!(bench.post("/studies/s/fork", add).await.problem(422).1[0].starts_with("/add/0"));
    assert_eq!(bench.post("/studies/s/cancel", json!({})).await.ok(200)["state"], "cancelled");
    bench.post("/studies/s/resume", json!({})).await.problem(409);
    assert_eq!(bench.post("/studies/t/archive", json!({})).await.ok(200)["state"], "archived");
    assert_eq!(bench.get("/studies?state=archived").await.ok(200)["items"][0]["name"], "t");
    assert_eq!(bench.call("DELETE", "/api/v1/studies/s", "").await.status, 204);
    bench.get("/studies/s").await.problem(404);
    let (detail, _) = bench.get("/studies/tt").await.problem(404);
    assert!(detail.contains("did you mean `t`"), "{detail}");
}

#[tokio::test]
async fn a_study_starts_from_another_and_says_what_did_not_fit() {
    let bench = Bench::new();
    let space = |high: f64| json!([{"name": "x", "type": "float", "low": 0.0, "high": high}]);
    bench.study("old", json!({"space": space(1.0)})).await;
    let lines: String = (0..250)
        .map(|i| {
            let x = f64::from(i) / 250.0;
            format!("{}\n", json!({"params": {"x": x}, "state": "complete", "values": {"loss": x}}))
        })
        .collect();
    bench.call("POST", "/api/v1/studies/old/import", lines).await.ok(200);
    let objectives = json!([{"metric": "loss", "direction": "minimize"}]);
    let new = json!({"name": "new", "space": space(0.5), "objectives": objectives, "from": "old"});
    let study = bench.post("/studies", new.clone()).await.ok(201);
    let left_out = json!([{"why": "`x` is not a number from 0 to 0.5", "trials": 124}]);
    assert_eq!(study["warm_start"], json!({"study": "old", "taken": 126, "left_out": left_out}));
    assert_eq!((&study["counts"]["complete"], study["forked_from"].is_string()), (&json!(126), true));
    assert!(bench.get("/studies/new").await.ok(200).get("warm_start").is_none(), "told once");
    let with = |key: &str, value: serde_json::Value| {
        let mut body = new.clone();
        body[key] = value;
        body
    };
    bench.post("/studies", new.clone()).await.problem(409);
    assert_eq!(bench.post("/studies", with("load_if_exists", json!(true))).await.ok(200)["counts"]["complete"], 126);
    assert_eq!(bench.post("/studies", with("from", json!(7))).await.problem(422).1, ["/from"]);
    assert_eq!(bench.post("/studies", with("from", json!("odl"))).await.problem(422).1, ["/from"]);
    let other = with("objectives", json!([{"metric": "loss", "direction": "maximize"}]));
    assert_eq!(bench.post("/studies", other).await.problem(422).1, ["/objectives/0"]);
}

#[tokio::test]
async fn the_best_is_a_trial_and_several_objectives_have_a_front() {
    let bench = Bench::new();
    bench.study("s", json!({"constraints": [{"metric": "ms", "at_most": 10.0}]})).await;
    bench.get("/studies/s/best").await.problem(404);
    bench.done("s", json!({"loss": 0.1, "ms": 50})).await;
    let (detail, _) = bench.get("/studies/s/best").await.problem(404);
    assert!(detail.contains("constraints"), "{detail}");
    bench.done("s", json!({"loss": 0.5, "ms": 5})).await;
    let best = bench.get("/studies/s/best").await.ok(200);
    assert_eq!(best["values"]["loss"], 0.5);
    assert_eq!(bench.get("/studies/s").await.ok(200)["best"], best);
    let two =
        json!({"objectives": [{"metric": "a", "direction": "minimize"}, {"metric": "b", "direction": "maximize"}]});
    bench.study("two", two).await;
    for (a, b) in [(1, 1), (2, 2), (3, 1), (0, 0)] {
        bench.done("two", json!({"a": a, "b": b})).await;
    }
    let (detail, _) = bench.get("/studies/two/best").await.problem(409);
    assert!(detail.contains("/pareto"), "{detail}");
    let front = bench.get("/studies/two/pareto").await.ok(200);
    let numbers: Vec<_> = front["items"].as_array().unwrap().iter().map(|t| t["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [0, 1, 3]);
    assert_eq!(bench.get("/studies/two").await.ok(200)["best"], Value::Null);
}

#[tokio::test]
async fn plots_are_bounded_and_keep_every_improvement() {
    let bench = Bench::new();
    bench.study("s", json!({})).await;
    let lines: Vec<String> = (0..3000)
        .map(|i| {
            let loss = 1.0 / f64::from(i % 997 + 1) + if i == 2222 { -5.0 } else { 0.0 };
            json!({"params": {"x": f64::from(i) / 3000.0}, "state": "complete", "values": {"loss": loss}, "id": format!("i{i}")})
                .to_string()
        })
        .collect();
    bench.call("POST", "/api/v1/studies/s/import", lines.join("\n")).await.ok(200);
    let plot = bench.get("/studies/s/plots/history").await.ok(200);
    let points = plot["points"].as_array().unwrap();
    assert_eq!((points.len(), &plot["total"], &plot["kind"]), (2000, &json!(3000), &json!("history")));
    assert!(points.iter().any(|p| p["number"] == 2222), "the last improvement is kept");
    assert!(points.last().unwrap()["best"].as_f64().unwrap() < -4.0);
    for kind in ["parallel", "slice", "curves"] {
        let plot = bench.get(&format!("/studies/s/plots/{kind}")).await.ok(200);
        assert_eq!(plot["kind"], kind);
        assert!(plot.to_string().matches("\"number\"").count() <= 2000, "{kind}");
    }
    let (detail, _) = bench.get("/studies/s/plots/histroy").await.problem(404);
    assert!(detail.contains("history"), "{detail}");
    bench.get("/studies/s/plots/history?metrc=loss").await.problem(422);
    let importances = bench.get("/studies/s/importances").await.ok(200);
    assert_eq!(importances["items"][0]["name"], "x");
}

#[tokio::test]
async fn the_node_and_the_cluster_of_one_are_shown() {
    let bench = Bench::new();
    let id = bench.identity.node.as_str();
    let list = bench.get("/nodes").await.ok(200);
    assert_eq!((&list["items"][0]["id"], &list["items"][0]["state"]), (&json!(id), &json!("alive")));
    assert_eq!(
        bench.get("/nodes/box").await.ok(200)["slots"][0],
        json!({"id": "cpu-0", "kind": "cpu", "state": "free", "trials": []})
    );
    assert_eq!(bench.post("/nodes/box/drain", json!({})).await.ok(200)["state"], "draining");
    assert_eq!(bench.post(&format!("/nodes/{id}/resume"), json!({})).await.ok(200)["state"], "alive");
    bench.post("/nodes/box/lost", json!({})).await.problem(409);
    bench.call("DELETE", "/api/v1/nodes/box", "").await.problem(409);
    bench.get("/nodes/none").await.problem(404);
    let cluster = bench.get("/cluster").await.ok(200);
    assert_eq!((&cluster["node"], cluster["nodes"].as_array().unwrap().len()), (&json!(id), 1));
    let metrics = bench.call("GET", "/metrics", "").await;
    assert!(metrics.text().contains("metaopt_trials{state=\"waiting\"} 0\n"), "{}", metrics.text());
    assert!(metrics.text().contains("metaopt_slots{kind=\"cpu\",state=\"free\"} 1\n"));
}
