//! A daemon that stands still, as on a machine that sleeps or swaps, while its jobs run on.

use std::time::{Duration, Instant};

use metaopt_integration::{
    cluster::{FAST, Lan, Marks, agree, counted_once, exports, say},
    wait_for,
};

use crate::{chaos, cluster, count, names, remotes, study};

#[test]
fn a_daemon_that_is_stopped_for_a_while_loses_no_job_and_nothing_is_counted_twice() {
    let Some(lan) = Lan::new(5) else { return };
    let pause = Duration::from_secs(if chaos() { 120 } else { 20 });
    let nodes = cluster(&lan, "2", FAST);
    let (remotes, names) = (remotes(&nodes), names(&nodes));
    let (marks, long) = (Marks::new(&lan.dir().join("work")), Marks::new(&lan.dir().join("long")));
    // One kind ends while the daemon is stopped, the other when it is back: then two attempts run at once. Of five long jobs on boxes
    // with two slots, one is alone on its box: there a short one comes beside it, and that box is stopped.
    study(&remotes[0], "long", Some(long.run(pause.as_secs_f64() + 6.0)), 5);
    wait_for(Duration::from_secs(20), "the long jobs", || (long.starts() >= 5).then_some(()));
    study(&remotes[0], "runs", Some(marks.run(2.0)), 10_000);
    let runs = |marks: &Marks, name: &str| marks.read().iter().any(|mark| mark.on == name);
    let frozen = wait_for(Duration::from_secs(20), "a box with a job of each kind", || {
        names.iter().position(|name| runs(&long, name) && runs(&marks, name))
    });
    let name = names[frozen].as_str();
    nodes[frozen].freeze();
    let (at, ends) = (Instant::now(), || marks.read().iter().filter(|mark| mark.on == name && !mark.up).count());
    let before = ends();
    wait_for(Duration::from_secs(10), "its jobs to end by themselves", || (ends() > before).then_some(()));
    let others: Vec<_> = remotes.iter().filter(|at| at.name != name).cloned().collect();
    let alive: Vec<String> = names.iter().filter(|other| *other != name).cloned().collect();
    agree(&others, &alive, Duration::from_secs(15));
    say(&format!("the others see it gone {:.1?} after the stop", at.elapsed()));
    std::thread::sleep(pause.saturating_sub(at.elapsed()));
    nodes[frozen].thaw();
    let back = agree(&remotes, &names, Duration::from_secs(15));
    say(&format!("all see it {back:.2?} after it goes on"));
    wait_for(pause + Duration::from_secs(60), "the long jobs' ends", || {
        remotes.iter().all(|at| count(at, "long", "complete") == Some(5)).then_some(())
    });
    remotes[0].ok("POST", "/studies/runs/cancel", None);
    wait_for(Duration::from_secs(15), "the jobs' ends", || {
        remotes.iter().all(|at| count(at, "runs", "running") == Some(0)).then_some(())
    });
    for (name, marks, slots) in [("runs", &marks, 2), ("long", &long, 2)] {
        let (took, _) = exports(&remotes, name, Duration::from_secs(5));
        let again = marks.check(slots);
        let counted: Vec<usize> = remotes.iter().map(|at| counted_once(&at.trials(name).unwrap())).collect();
        say(&format!(
            "{name}: {} starts, {again} of them again, {counted:?} counted, equal after {took:.2?}",
            marks.starts()
        ));
        assert!(counted.iter().all(|count| *count == counted[0]));
    }
    assert!(marks.boxes().len() == 5, "{:?}", marks.boxes());
}
