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
