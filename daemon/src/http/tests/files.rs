//! Exports, imports, artifacts, snapshots.

use std::io::Write;

use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::RowAccessor,
};
use serde_json::{Value, json};

use super::Bench;

async fn filled(bench: &Bench) {
    let space = json!({"space": [{"name": "x", "type": "float", "low": 0.0, "high": 1.0},
        {"name": "n", "type": "int", "low": 1, "high": 9}, {"name": "opt", "type": "categorical", "choices": ["a,b", "c"]},
        {"name": "mix", "type": "categorical", "choices": [1, "1", null]}]});
    bench.study("s", space).await;
    bench
        .post(
            "/studies/s/trials",
            json!({"params": {"x": 0.5, "n": 3, "opt": "a,b", "mix": "1"}, "user_attrs": {"k": "v"}}),
        )
        .await
        .ok(201);
    bench.done("s", json!({"loss": 0.25, "acc": 1})).await;
    let failed = bench.ask("s").await;
    let at = format!("/trials/{}/complete", failed["id"].as_str().unwrap());
    bench.post(&at, json!({"state": "fail", "detail": "line\nbreak"})).await.ok(200);
    bench.ask("s").await;
}

#[tokio::test]
async fn an_export_lists_trials_as_they_are_answered() {
    let bench = Bench::new();
    filled(&bench).await;
    let export = bench.get("/studies/s/export").await;
    assert_eq!(export.headers["content-type"], "application/x-ndjson");
    assert!(export.headers["content-disposition"].to_str().unwrap().contains("s.jsonl"));
    let lines: Vec<Value> = export.text().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let listed = bench.get("/studies/s/trials").await.ok(200);
    assert_eq!(Value::from(lines), listed["items"]);
    bench.get("/studies/s/export?format=xml").await.problem(422);
    bench.get("/studies/none/export").await.problem(404);
}

#[tokio::test]
async fn csv_has_a_column_for_each_parameter_and_metric() {
    let bench = Bench::new();
    filled(&bench).await;
    let export = bench.get("/studies/s/export?format=csv").await;
    let text = export.text();
    let mut lines = text.split("\r\n");
    let header = lines.next().unwrap();
    assert!(
        header.starts_with(
            "number,id,label,state,reason,params_x,params_n,params_opt,params_mix,values_loss,values_acc,"
        ),
        "{header}"
    );
    let first = lines.next().unwrap();
    assert!(first.contains(r#",complete,exit,0.5,3,"a,b","""1""",0.25,1.0,box,1,1,"#), "{first}");
    assert!(first.ends_with(r#""{""k"":""v""}""#), "{first}");
    assert!(text.contains("\"line\nbreak\""), "{text}");
}

#[tokio::test]
async fn parquet_reads_back_with_its_types() {
    let bench = Bench::new();
    filled(&bench).await;
    let export = bench.get("/studies/s/export?format=parquet").await;
    let reader = SerializedFileReader::new(bytes::Bytes::from(export.bytes)).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows(), 3);
    let schema = reader.metadata().file_metadata().schema_descr();
    let names: Vec<_> = schema.columns().iter().map(|c| c.name().to_owned()).collect();
    assert_eq!(&names[5..8], ["params_x", "params_n", "params_opt"]);
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!((rows[0].get_double(5).unwrap(), rows[0].get_long(6).unwrap()), (0.5, 3));
    assert_eq!((rows[0].get_string(7).unwrap().as_str(), rows[0].get_double(9).unwrap()), ("a,b", 0.25));
    assert!(rows[1].get_double(9).is_err(), "a failed trial has no value");
    let created = names.iter().position(|n| n == "created_at").unwrap();
    assert!(rows[0].get_timestamp_millis(created).unwrap() > 1_600_000_000_000);
}

#[tokio::test]
async fn importing_an_export_twice_changes_nothing() {
    let bench = Bench::new();
    filled(&bench).await;
    let export = bench.get("/studies/s/export").await.text();
    let again = bench.call("POST", "/api/v1/studies/s/import?format=jsonl", export.clone()).await.ok(200);
    assert_eq!(again, json!({"added": 0, "skipped": 2, "unfinished": 1}));
    let space = bench.get("/studies/s").await.ok(200)["space"].clone();
    bench.study("t", json!({"space": space})).await;
    let first = bench.call("POST", "/api/v1/studies/t/import", export.clone()).await.ok(200);
    assert_eq!(first, json!({"added": 2, "skipped": 0, "unfinished": 1}));
    let second = bench.call("POST", "/api/v1/studies/t/import", export).await.ok(200);
    assert_eq!(second, json!({"added": 0, "skipped": 2, "unfinished": 1}));
    let best = bench.get("/studies/t/best").await.ok(200);
    assert_eq!((&best["values"], &best["params"]["mix"]), (&json!({"loss": 0.25, "acc": 1.0}), &json!("1")));
    let exported = bench.get("/studies/t/export").await.text();
    let back = bench.call("POST", "/api/v1/studies/s/import", exported).await.ok(200);
    assert_eq!(back["unfinished"], 0);
}

#[tokio::test]
async fn a_long_import_is_taken_in_pieces_and_still_all_or_none() {
    let bench = Bench::new();
    bench.study("s", json!({})).await;
    let line = |i: usize| {
        format!("{{\"params\":{{\"x\":{}}},\"state\":\"complete\",\"values\":{{\"loss\":{i}}}}}\n", i as f64 / 2000.0)
    };
    let lines: Vec<String> = (0..1_700).map(line).collect();
    let mut wrong = lines.clone();
    wrong[1_650] = line(1_650).replace("\"x\"", "\"y\"");
    let (detail, pointers) = bench.call("POST", "/api/v1/studies/s/import", wrong.concat()).await.problem(422);
    assert!(detail.contains("line 1651") && pointers[0].starts_with("/1650/params"), "{detail} {pointers:?}");
    assert_eq!(bench.get("/studies/s").await.ok(200)["counts"]["complete"], 0, "nothing of it is there");
    let done = bench.call("POST", "/api/v1/studies/s/import", lines.concat()).await.ok(200);
    assert_eq!((&done["added"], &done["skipped"]), (&json!(1_700), &json!(0)));
    let again = bench.call("POST", "/api/v1/studies/s/import", lines.concat()).await.ok(200);
    assert_eq!((&again["added"], &again["skipped"]), (&json!(0), &json!(1_700)));
}

#[tokio::test]
async fn an_import_takes_all_lines_or_none() {
    let bench = Bench::new();
    bench.study("s", json!({})).await;
    let good = r#"{"params": {"x": 0.5}, "state": "complete", "values": {"loss": 1}}"#;
    for (bad, pointer) in [
        (r#"{"params": {"x": 7}, "state": "complete", "values": {"loss": 1}}"#, "/1/params/x"),
        (r#"{"params": {"x": 0.1}, "state": "complete", "values": {}}"#, "/1/values/loss"),
        (r#"{"params": {"x": 0.1}, "state": "won"}"#, "/1/state"),
        ("{", "/1"),
    ] {
        let (detail, pointers) =
            bench.call("POST", "/api/v1/studies/s/import", format!("{good}\n{bad}\n")).await.problem(422);
        assert_eq!(pointers, [pointer], "{detail}");
        assert!(detail.contains("line 2"), "{detail}");
    }
    assert_eq!(bench.get("/studies/s").await.ok(200)["counts"]["complete"], 0);
}

#[tokio::test]
async fn artifacts_are_kept_and_sent_so_that_no_browser_runs_them() {
    let bench = Bench::new();
    bench.study("s", json!({})).await;
    let id = bench.ask("s").await["id"].as_str().unwrap().to_owned();
    let at = format!("/api/v1/trials/{id}/artifacts");
    assert_eq!(bench.call("GET", &at, "").await.ok(200)["items"], json!([]));
    let put = bench.call("PUT", &format!("{at}/page.html"), "<script>1</script>").await.ok(201);
    assert_eq!((&put["name"], &put["size"]), (&json!("page.html"), &json!(18)));
    bench.call("PUT", &format!("{at}/page.html"), "<b>").await.ok(200);
    bench.call("PUT", &format!("{at}/a.png"), vec![0x89, b'P']).await.ok(201);
    let html = bench.call("GET", &format!("{at}/page.html"), "").await;
    assert_eq!((html.status.as_u16(), html.text().as_str()), (200, "<b>"));
    assert_eq!(html.headers["content-type"], "application/octet-stream");
    assert_eq!(html.headers["content-length"], "3");
    assert!(html.headers["content-disposition"].to_str().unwrap().starts_with("attachment; "));
    assert_eq!(html.headers["content-security-policy"], "default-src 'none'; sandbox");
    assert_eq!(html.headers["x-content-type-options"], "nosniff");
    let png = bench.call("GET", &format!("{at}/a.png"), "").await;
    assert_eq!(png.headers["content-type"], "image/png");
    assert!(png.headers["content-disposition"].to_str().unwrap().starts_with("inline; "));
    bench.call("GET", &format!("{at}/none"), "").await.problem(404);
    for name in ["..%2F..%2Fapi.json", "..", "a%2Fb", "%00"] {
        let status = bench.call("PUT", &format!("{at}/{name}"), "x").await.status.as_u16();
        assert!([404, 422].contains(&status), "{name}: {status}");
        let status = bench.call("GET", &format!("{at}/{name}"), "").await.status.as_u16();
        assert!([404, 422].contains(&status), "{name}: {status}");
    }
    let names: Vec<Value> = bench.call("GET", &at, "").await.ok(200)["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["name"].clone())
        .collect();
    assert_eq!(names, ["a.png", "page.html"]);
}

#[tokio::test]
async fn a_snapshot_is_kept_only_if_it_is_what_its_name_says() {
    let bench = Bench::new();
    let source = tempfile::tempdir().unwrap();
    std::fs::File::create(source.path().join("train.py")).unwrap().write_all(b"print(1)").unwrap();
    let packed = crate::snapshot::pack(source.path(), &crate::snapshot::PackOptions::default()).unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut packed.body.reopen().unwrap(), &mut bytes).unwrap();
    let at = format!("/api/v1/snapshots/{}", packed.hash);
    assert_eq!(bench.call("HEAD", &at, "").await.status, 404);
    let other = format!("/api/v1/snapshots/b3:{}", "0".repeat(64));
    let (detail, _) = bench.call("PUT", &other, bytes.clone()).await.problem(422);
    assert!(detail.contains(&packed.hash), "{detail}");
    bench.call("PUT", &at, "rubbish").await.problem(422);
    assert_eq!(bench.call("PUT", &at, bytes.clone()).await.status, 201);
    assert_eq!(bench.call("PUT", &at, bytes).await.status, 200);
    assert_eq!(bench.call("HEAD", &at, "").await.status, 200);
    bench.call("PUT", "/api/v1/snapshots/..%2F..%2Fx", "x").await.problem(422);
    assert_eq!(
        std::fs::read_dir(bench.dir.path().join("snapshots")).unwrap().count(),
        1,
        "nothing half-written is left"
    );
}
