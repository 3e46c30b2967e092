//! Trials in columns, lists by name, and sparklines.

use metaopt_api::columns::Columns;
use serde_json::{Value, json};

use super::Bench;

/// A study with every kind of parameter and `n` trials of which each third fails.
async fn mixed(bench: &Bench, n: u32) -> Vec<Value> {
    let space = json!([{"name": "x", "type": "float", "low": 0.0, "high": 1e6}, {"name": "b", "type": "bool"},
        {"name": "c", "type": "categorical", "choices": ["1", 1, null, "<b>"]},
        {"name": "m", "type": "int", "low": 1, "high": 9, "when": {"b": [true]}}]);
    bench.study("s", json!({"space": space})).await;
    let choices = [json!("1"), json!(1), Value::Null, json!("<b>")];
    let lines: Vec<String> = (0..n)
        .map(|i| {
            let mut params = json!({"x": f64::from(i), "b": i % 2 == 0, "c": choices[i as usize % 4]});
            if i % 2 == 0 {
                params["m"] = json!(3);
            }
            let line = match i % 3 {
                2 => json!({"state": "fail"}),
                _ => json!({"state": "complete", "values": {"loss": 1.0 / f64::from(i + 1), "seconds": 2.5}}),
            };
            let mut line = line;
            line["params"] = params;
            line["id"] = json!(format!("i{i}"));
            line.to_string()
        })
        .collect();
    bench.call("POST", "/api/v1/studies/s/import", lines.join("\n")).await.ok(200);
    bench.get("/studies/s/trials?limit=1000&sort=-number").await.ok(200)["items"].as_array().unwrap().clone()
}

async fn columns(bench: &Bench, query: &str) -> Columns {
    serde_json::from_value(bench.get(&format!("/studies/s/columns{query}")).await.ok(200)).unwrap()
}

#[tokio::test]
async fn columns_say_the_same_as_the_list() {
    let bench = Bench::new();
    let trials = mixed(&bench, 40).await;
    let all = columns(&bench, "").await;
    assert_eq!((all.count, all.total, &all.next_cursor), (40, 40, &None));
    for (row, trial) in trials.iter().enumerate() {
        assert_eq!(trial["id"], *all.id[row]);
        assert_eq!(trial["label"], *all.label[row]);
        assert_eq!(trial["number"], all.number[row]);
        assert_eq!(trial["state"], *all.states[all.state[row] as usize]);
        let reason = all.reason[row].map_or(Value::Null, |code| json!(all.reasons[code as usize]));
        assert_eq!(trial["reason"], reason);
        let node = all.node[row].map_or(Value::Null, |code| json!(all.nodes[code as usize]));
        assert_eq!(trial["node"], node);
        assert_eq!(trial["params"]["x"].as_f64(), all.params["x"][row]);
        assert_eq!(trial["params"]["b"].as_bool().map(f64::from), all.params["b"][row]);
        assert_eq!(trial["params"].get("m").and_then(Value::as_f64), all.params["m"][row]);
        let choice = all.params["c"][row].unwrap() as usize;
        assert_eq!(trial["params"]["c"], [json!("1"), json!(1), Value::Null, json!("<b>")][choice]);
        for metric in ["loss", "seconds"] {
            assert_eq!(trial["values"].get(metric).and_then(Value::as_f64), all.values[metric][row]);
        }
        assert_eq!(all.finished_ms[row].is_some(), trial["finished_at"].is_string());
    }
}

#[tokio::test]
async fn columns_come_in_pages_within_their_bounds() {
    let bench = Bench::new();
    let trials = mixed(&bench, 40).await;
    let (mut seen, mut query) = (Vec::new(), "?limit=7".to_owned());
    loop {
        let page = columns(&bench, &query).await;
        assert!(page.count <= 7 && page.id.len() as u64 == page.count);
        seen.extend(page.id);
        let Some(next) = page.next_cursor else { break };
        query = format!("?limit=7&cursor={next}");
    }
    assert!(trials.iter().map(|trial| trial["id"].as_str().unwrap()).eq(seen.iter().map(String::as_str)));
    // Four parameters and two metrics: two rows are 12 cells.
    let few = bench.shell.read(|node, _| crate::http::columns::columns(node, node.study("s").unwrap(), None, 1000, 13));
    assert!(few.count == 2 && few.next_cursor.is_some());
    let least = bench.shell.read(|node, _| crate::http::columns::columns(node, node.study("s").unwrap(), None, 9, 0));
    assert_eq!(least.count, 1, "every page goes on");
    for wrong in ["?limit=0", "?limit=20001", "?cursor=x", "?sort=number"] {
        bench.get(&format!("/studies/s/columns{wrong}")).await.problem(422);
    }
    bench.get("/studies/none/columns").await.problem(404);
    bench.study("empty", json!({})).await;
    assert_eq!(bench.get("/studies/empty/columns").await.ok(200)["count"], 0);
}

#[tokio::test]
async fn trials_are_listed_by_name_in_the_order_asked_for() {
    let bench = Bench::new();
    let trials = mixed(&bench, 10).await;
    let id = |i: usize| trials[i]["id"].as_str().unwrap();
    let path = format!("/studies/s/trials?fields=id&ids={},nobody,{},{}", id(3), id(0), id(3));
    let items = bench.get(&path).await.ok(200)["items"].clone();
    assert_eq!(items, json!([{"id": id(3)}, {"id": id(0)}, {"id": id(3)}]));
    assert_eq!(bench.get("/studies/s/trials?ids=").await.ok(200)["items"], json!([]));
    bench.get(&format!("/studies/s/trials?ids={}", vec!["a"; 101].join(","))).await.problem(422);
    bench.get("/studies/s/trials?ids=a&limit=3").await.problem(422);
}

#[tokio::test]
async fn a_sparkline_is_the_best_so_far_from_first_to_last() {
    let bench = Bench::new();
    mixed(&bench, 100).await;
    bench.study("none", json!({})).await;
    assert!(bench.get("/studies").await.ok(200)["items"][0].get("spark").is_none());
    let items = bench.get("/studies?spark=true").await.ok(200)["items"].clone();
    let spark: Vec<f64> = serde_json::from_value(items[0]["spark"].clone()).unwrap();
    assert_eq!((spark.len(), spark[0]), (32, 1.0));
    assert_eq!(spark[31], items[0]["best"]["values"]["loss"].as_f64().unwrap());
    assert!(spark.windows(2).all(|pair| pair[1] <= pair[0]), "{spark:?}");
    assert_eq!(items[1]["spark"], json!([]));
}

#[tokio::test]
async fn a_timeline_shows_who_ran_what_when() {
    let bench = Bench::new();
    bench.study("s", json!({})).await;
    let mut asked = Vec::new();
    for _ in 0..5 {
        asked.push(bench.done("s", json!({"loss": 1.0})).await["id"].clone());
    }
    asked.push(bench.ask("s").await["id"].clone());
    let plot = bench.get("/studies/s/plots/timeline").await.ok(200);
    let bars = plot["bars"].as_array().unwrap();
    assert_eq!((&plot["kind"], &plot["total"]), (&json!("timeline"), &json!(6)));
    assert!(bars.iter().map(|bar| &bar["trial"]).eq(&asked));
    for (i, bar) in bars.iter().enumerate() {
        assert_eq!((&bar["node"], &bar["attempt"], &bar["number"]), (&json!("box"), &json!(1), &json!(i)));
        assert_eq!((bar["ended_ms"].is_null(), bar["counted"] == json!(false)), (i == 5, i == 5), "{bar}");
        assert!(bar["ended_ms"].as_u64().is_none_or(|ended| ended >= bar["started_ms"].as_u64().unwrap()));
    }
    let few = bench.get("/studies/s/plots/timeline?most=2").await.ok(200);
    assert_eq!((&few["total"], few["bars"].as_array().unwrap().len()), (&json!(6), 2));
    assert_eq!((&few["bars"][0]["trial"], &few["bars"][1]["trial"]), (&asked[4], &asked[5]));
    // Only what still runs is in the future; nothing was before.
    let later = bench.get("/studies/s/plots/timeline?from=99999999999999").await.ok(200);
    assert_eq!((&later["total"], &later["bars"][0]["trial"]), (&json!(1), &asked[5]));
    assert_eq!(bench.get("/studies/s/plots/timeline?to=1").await.ok(200)["bars"], json!([]));
    for wrong in ["most=0", "most=5001", "from=-1", "metric=loss"] {
        bench.get(&format!("/studies/s/plots/timeline?{wrong}")).await.problem(422);
    }
    // Imports were run by nobody.
    bench.study("old", json!({})).await;
    let line = json!({"params": {"x": 0.5}, "state": "complete", "values": {"loss": 1.0}, "id": "a"}).to_string();
    bench.call("POST", "/api/v1/studies/old/import", line).await.ok(200);
    assert_eq!(bench.get("/studies/old/plots/timeline").await.ok(200)["total"], 0);
}

#[tokio::test]
async fn a_trial_that_waits_says_why() {
    let bench = Bench::new();
    bench.study("s", json!({})).await;
    let waiting = bench.post("/studies/s/trials", json!({"params": {"x": 0.5}})).await.ok(201);
    assert!(waiting.get("why").is_none());
    let path = format!("/trials/{}", waiting["id"].as_str().unwrap());
    let why = |trial: Value| trial["why"].as_str().map(str::to_owned);
    assert_eq!(why(bench.get(&path).await.ok(200)).unwrap(), "no client has asked for it yet");
    bench.post("/studies/s/pause", json!({})).await.ok(200);
    assert_eq!(why(bench.get(&path).await.ok(200)).unwrap(), "the study is paused");
    bench.post("/studies/s/resume", json!({})).await.ok(200);
    let asked = bench.ask("s").await;
    assert_eq!(asked["id"], waiting["id"]);
    assert_eq!(why(bench.get(&path).await.ok(200)), None);
    // Of a study that this node would run itself it says what is missing here.
    let run = json!({"command": ["true"], "gpus": 9});
    bench.study("r", json!({"run": run})).await;
    let trial = bench.post("/studies/r/trials", json!({"params": {"x": 0.5}})).await.ok(201);
    let path = format!("/trials/{}", trial["id"].as_str().unwrap());
    let said = why(bench.get(&path).await.ok(200)).unwrap();
    assert!(said.starts_with("box: "), "{said}");
    bench.post("/studies/r/cancel", json!({})).await.ok(200);
    assert_eq!(why(bench.get(&path).await.ok(200)), None, "it is over");
}
