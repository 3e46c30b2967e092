//! Several boxes as one.

use std::time::Duration;

use metaopt_integration::{
    cluster::{FAST, Lan, Marks, Node, agree, counted_once, exports, say},
    wait, wait_for,
};

use crate::{cluster, count, names, remotes, study};

#[test]
fn five_boxes_run_what_was_submitted_on_one_and_export_the_same_bytes() {
    let Some(lan) = Lan::new(5) else { return };
    let nodes = cluster(&lan, "2", FAST);
    let remotes = remotes(&nodes);
    let marks = Marks::new(&lan.dir().join("work"));
    study(&remotes[0], "runs", Some(marks.run(0.5)), 60);
    wait_for(Duration::from_secs(60), "all trials", || (count(&remotes[0], "runs", "complete")? >= 60).then_some(()));
    let (took, export) = exports(&remotes, "runs", Duration::from_secs(5));
    let again = marks.check(2);
    say(&format!("60 trials on {:?}, {again} started again, exports equal after {took:.2?}", marks.boxes()));
    assert_eq!(marks.boxes().len(), 5, "all of them run: {:?}", marks.boxes());
    assert!(export.lines().count() >= 60);
    for remote in &remotes {
        assert!(counted_once(&remote.trials("runs").unwrap()) >= 60);
    }
}

#[test]
fn boxes_join_by_codes_and_find_each_other_by_multicast() {
    let Some(lan) = Lan::new(3) else { return };
    let args = [&["--slots", "1"], FAST].concat();
    let nodes: Vec<Node> = (0..3).map(|at| Node::start(&lan, at, &args)).collect();
    let remotes = remotes(&nodes);
    for node in &nodes[1..] {
        let invited = nodes[0].metaopt(lan.dir(), &["invite"]);
        let code = String::from_utf8_lossy(&invited.stdout).trim().to_owned();
        assert!(invited.status.success(), "{}", String::from_utf8_lossy(&invited.stderr));
        let joined = node.metaopt(lan.dir(), &["join", &code]);
        assert!(joined.status.success(), "{}", String::from_utf8_lossy(&joined.stderr));
    }
    let took = agree(&remotes, &names(&nodes), Duration::from_secs(15));
    say(&format!("three boxes joined by code, over multicast alone, and all see all {took:.1?} after the last join"));
    let marks = Marks::new(&lan.dir().join("work"));
    study(&remotes[2], "runs", Some(marks.run(0.3)), 12);
    wait("all trials", || (count(&remotes[0], "runs", "complete")? >= 12).then_some(()));
    exports(&remotes, "runs", Duration::from_secs(5));
    assert_eq!(marks.boxes().len(), 3, "{:?}", marks.boxes());
}
