//! Daemons and whole boxes that die at any moment.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use metaopt_integration::{
    cluster::{FAST, Lan, Marks, Work, agree, counted_once, exports, say},
    wait_for,
};

use crate::{chaos, cluster, count, draw, names, remotes, seed, study};

#[test]
fn all_budgeted_trials_end_while_daemons_and_boxes_are_killed_every_few_seconds() {
    let Some(lan) = Lan::new(5) else { return };
    let (trials, job, seed) = (200, if chaos() { 4.0 } else { 1.5 }, seed());
    say(&format!("seed {seed}: {trials} trials of {job} s on 5 boxes of 2 slots"));
    let mut nodes = cluster(&lan, "2", FAST);
    let (remotes, names) = (remotes(&nodes), names(&nodes));
    let marks = Marks::new(&lan.dir().join("work"));
    study(&remotes[0], "asked", None, 1_000_000);
    study(&remotes[0], "runs", Some(marks.run(job)), trials);
    exports(&remotes, "asked", Duration::from_secs(10));
    let (work, begun) = (Work::default(), Instant::now());
    let (mut kills, mut power) = (0, 0);
    std::thread::scope(|scope| {
        for (number, remote) in remotes.iter().enumerate() {
            let work = &work;
            scope.spawn(move || work.client(remote, "asked", number as u64, Duration::from_millis(200)));
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let mut state = seed;
            while !remotes.iter().any(|at| count(at, "runs", "complete").is_some_and(|count| count >= trials)) {
                // The submitter's too, and first of all.
                let at = if kills == 0 { 0 } else { draw(&mut state, 5) as usize };
                // One in four times everything in the box dies, jobs and supervisors included.
                if draw(&mut state, 4) == 0 {
                    nodes[at].power_off();
                    power += 1;
                } else {
                    nodes[at].crash();
                }
                kills += 1;
                // Sometimes for longer than until its trials are given to others.
                std::thread::sleep(Duration::from_millis(300 + draw(&mut state, 5000)));
                nodes[at].restart();
                std::thread::sleep(Duration::from_millis(500 + draw(&mut state, 1500)));
                assert!(begun.elapsed() < Duration::from_secs(400), "not done yet after {kills} kills");
            }
        }));
        work.over.store(true, Ordering::SeqCst);
        outcome.unwrap_or_else(|panic| resume_unwind(panic));
    });
    agree(&remotes, &names, Duration::from_secs(20));
    wait_for(Duration::from_secs(60), "the last attempts", || {
        remotes.iter().all(|at| count(at, "runs", "running") == Some(0)).then_some(())
    });
    let took = begun.elapsed();
    let (equal, _) = exports(&remotes, "runs", Duration::from_secs(5));
    exports(&remotes, "asked", Duration::from_secs(5));
    let again = marks.check(2);
    let mut complete = Vec::new();
    for remote in &remotes {
        work.ledger().check(remote, "asked");
        let all = remote.trials("runs").unwrap();
        complete.push(counted_once(&all));
        let bad: Vec<_> =
            all.iter().filter(|trial| !["complete", "waiting"].contains(&trial["state"].as_str().unwrap())).collect();
        assert!(bad.is_empty(), "{bad:#?}");
    }
    say(&format!(
        "{} complete after {took:.0?} with {kills} kills, {power} of them of whole boxes; {again} attempts were started again, \
         {} results of clients kept; equal after {equal:.2?}",
        complete[0],
        work.told()
    ));
    assert!(kills >= 5 && power >= 1, "hardly anything was killed");
    assert!(complete.iter().all(|count| *count as u64 >= trials && *count == complete[0]), "{complete:?}");
    marks.are_known(&remotes[0].trials("runs").unwrap());
}
