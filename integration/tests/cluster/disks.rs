//! One box's disk fills up; the others' don't.

use std::{fs, time::Duration};

use metaopt_integration::{
    cluster::{FAST, Lan, Marks, Node, Small, agree, exports, say},
    wait, wait_for,
};
use serde_json::{Value, json};

use crate::{count, names, options, remotes, study};

#[test]
fn a_full_disk_stops_one_boxs_claims_and_its_results_reach_the_others() {
    let Some(lan) = Lan::new(3) else { return };
    let small = Small::mount(&lan, "small", 48);
    let (usual, tight) = (options(&lan, "1", FAST), options(&lan, "1", &[FAST, &["--min-free", "16MiB"]].concat()));
    let words = |options: &[String]| options.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
    let start = |at: usize, options: &[String]| {
        let text = words(options);
        Node::start(&lan, at, &text.split('\n').collect::<Vec<_>>())
    };
    let mut nodes = vec![start(0, &usual)];
    let text = words(&tight);
    nodes.push(Node::within(&lan, 1, small.path().join("data"), &text.split('\n').collect::<Vec<_>>(), &[]));
    nodes.push(start(2, &usual));
    let remotes = remotes(&nodes);
    agree(&remotes, &names(&nodes), Duration::from_secs(20));

    // A job that waits for a word, on the box whose disk will fill up.
    let go = lan.dir().join("go");
    let script = format!("while ! test -e {}; do sleep 0.1; done; echo 'metaopt: loss=0.5'", go.display());
    let mut run = json!({"command": ["sh", "-c", script], "workdir": "in_place", "path": lan.dir()});
    run["nodes"] = json!(["box2"]);
    study(&remotes[0], "held", Some(run), 1);
    wait("the job", || (count(&remotes[1], "held", "running") == Some(1)).then_some(()));

    small.fill(8 << 20);
    let why = |at: usize| -> Option<String> {
        let nodes = remotes[at].ok("GET", "/nodes", None);
        let item = nodes["items"].as_array()?.iter().find(|node| node["name"] == "box2")?.clone();
        item["why"].as_str().map(str::to_owned)
    };
    wait("its own word", || why(1).filter(|why| why.contains("MiB left")));
    let elsewhere = wait("its word elsewhere", || why(0).filter(|why| why.contains("MiB left")));
    say(&format!("box1 says of box2: {elsewhere}"));
    let marks = Marks::new(&lan.dir().join("work"));
    study(&remotes[0], "runs", Some(marks.run(0.5)), 1000);
    wait_for(Duration::from_secs(20), "work on the others", || (marks.starts() > 12).then_some(()));
    assert!(!marks.boxes().contains("box2"), "it claims nothing: {:?}", marks.boxes());
    // What runs there goes on, and what it gives is known everywhere.
    fs::write(&go, "").unwrap();
    wait("its result on another box", || (count(&remotes[2], "held", "complete") == Some(1)).then_some(()));
    let trial: Value = remotes[2].trials("held").unwrap().remove(0);
    assert_eq!((&trial["values"]["loss"], &trial["attempt"]), (&json!(0.5), &json!(1)), "{trial:#}");

    // Not a byte is left: it lives on, and the others go on.
    small.fill(0);
    let so_far = marks.starts();
    wait_for(Duration::from_secs(20), "more work", || (marks.starts() > so_far + 6).then_some(()));
    assert!(!marks.boxes().contains("box2"), "it claims nothing: {:?}", marks.boxes());
    assert_eq!(remotes[0].nodes("lost"), Vec::<String>::new(), "its heart beats");

    small.clear();
    wait_for(Duration::from_secs(30), "work on it again", || marks.boxes().contains("box2").then_some(()));
    remotes[0].ok("POST", "/studies/runs/cancel", None);
    wait("the jobs' ends", || remotes.iter().all(|at| count(at, "runs", "running") == Some(0)).then_some(()));
    for name in ["held", "runs"] {
        exports(&remotes, name, Duration::from_secs(5));
    }
    marks.check(1);
}
