//! A laptop without slots: it submits while it is alone, and looks on from wherever it is.

use std::{fs, time::Duration};

use metaopt_integration::{
    cluster::{FAST, Lan, Node, agree, exports, say},
    wait_for,
};

use crate::{count, names, options, remotes};

#[test]
fn what_a_laptop_without_slots_submits_while_offline_runs_elsewhere_once_it_is_back() {
    let Some(lan) = Lan::new(3) else { return };
    let start = |at: usize, slots: &str| {
        let options = options(&lan, slots, FAST);
        Node::start(&lan, at, &options.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let nodes = [start(0, "1"), start(1, "1"), start(2, "0")];
    let (remotes, names) = (remotes(&nodes), names(&nodes));
    agree(&remotes, &names, Duration::from_secs(20));
    lan.plug(2, false);
    let alone = [names[2].clone()];
    agree(&remotes[2..], &alone, Duration::from_secs(15));
    let work = lan.dir().join("project");
    fs::create_dir(&work).unwrap();
    fs::write(work.join("data.txt"), "the data\n").unwrap();
    let script = "cat data.txt; echo kept > $METAOPT_OUTPUT_DIR/model; echo metaopt: loss=$2\n";
    fs::write(work.join("train.sh"), script).unwrap();
    let args = ["submit", "-n", "away", "--max-trials", "6", "--", "sh", "train.sh", "--x~uniform(0, 1)"];
    let said = nodes[2].metaopt(&work, &args);
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success(), "{text}");
    assert!(text.contains("only on this machine"), "{text}");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(count(&remotes[2], "away", "running"), Some(0));

    lan.plug(2, true);
    let complete = || {
        let failed = remotes[2].trials("away")?.into_iter().find(|trial| trial["state"] == "fail");
        if let Some(trial) = failed {
            let log = remotes[2].text(&format!("/trials/{}/logs", trial["id"].as_str()?));
            panic!("{trial:#}\n{log:?}");
        }
        (count(&remotes[2], "away", "complete")? >= 6).then_some(())
    };
    wait_for(Duration::from_secs(40), "the others' work, seen from the laptop", complete);
    exports(&remotes, "away", Duration::from_secs(5));
    let trials = remotes[2].trials("away").unwrap();
    let on: std::collections::BTreeSet<&str> = trials.iter().filter_map(|trial| trial["node"].as_str()).collect();
    say(&format!("six trials of a laptop ran on {on:?}"));
    assert!(!on.is_empty() && !on.contains("box3"), "{on:?}");
    for trial in trials.iter().take(2) {
        let label = trial["label"].as_str().unwrap();
        let log = nodes[2].metaopt(&work, &["logs", label]);
        let log = String::from_utf8_lossy(&log.stdout).into_owned();
        assert!(log.contains("the data") && log.contains("metaopt: loss="), "{label}: {log}");
        let to = lan.dir().join(format!("pulled-{label}"));
        let pulled = nodes[2].metaopt(&work, &["pull", label, "-o", &to.display().to_string()]);
        assert!(pulled.status.success(), "{}", String::from_utf8_lossy(&pulled.stderr));
        let found = walk(&to).into_iter().find(|path| path.ends_with("model"));
        assert_eq!(fs::read_to_string(found.expect("the model")).unwrap(), "kept\n");
    }
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
