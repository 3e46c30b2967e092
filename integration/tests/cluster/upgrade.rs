//! Version N beside N+1: boxes are upgraded one after the other while they work. `just upgrade-test` builds the other
//! version and says where it is; elsewhere this says that it did nothing.

use std::{path::PathBuf, time::Duration};

use metaopt_integration::{
    cluster::{FAST, Lan, Marks, Node, agree, counted_once, exports, say},
    wait_for,
};

use crate::{count, names, options, remotes, study};

#[test]
fn boxes_are_upgraded_one_by_one_while_they_work() {
    let Some(old) = std::env::var_os("METAOPT_OLD_PROGRAMS").map(PathBuf::from) else {
        println!("skipped: METAOPT_OLD_PROGRAMS names no other version; `just upgrade-test` does");
        return;
    };
    let Some(lan) = Lan::new(3) else { return };
    let options = options(&lan, "2", FAST);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let mut nodes: Vec<Node> = (0..3)
        .map(|at| {
            let mut node = Node::prepared(&lan, at, lan.dir().join(format!("box{}/data", at + 1)), &options, &[]);
            node.run_programs_of(Some(&old));
            node.restart();
            node
        })
        .collect();
    let (remotes, names) = (remotes(&nodes), names(&nodes));
    agree(&remotes, &names, Duration::from_secs(20));
    let marks = Marks::new(&lan.dir().join("work"));
    study(&remotes[0], "runs", Some(marks.run(1.0)), 10_000);
    for node in &mut nodes {
        let before = marks.starts();
        wait_for(Duration::from_secs(20), "work", || (marks.starts() > before + 8).then_some(()));
        node.stop();
        node.run_programs_of(None);
        node.restart();
        agree(&remotes, &names, Duration::from_secs(20));
    }
    let before = marks.starts();
    wait_for(Duration::from_secs(20), "work", || (marks.starts() > before + 8).then_some(()));
    remotes[0].ok("POST", "/studies/runs/cancel", None);
    wait_for(Duration::from_secs(15), "the jobs' ends", || {
        remotes.iter().all(|at| count(at, "runs", "running") == Some(0)).then_some(())
    });
    exports(&remotes, "runs", Duration::from_secs(5));
    let again = marks.check(2);
    let complete = counted_once(&remotes[0].trials("runs").unwrap());
    say(&format!("{complete} trials through three upgrades, {again} started again"));
    assert_eq!(again, 0, "an upgrade costs no attempt");
}
