//! A network in two parts, with work on both.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use metaopt_integration::{
    cluster::{FAST, Lan, Marks, Work, agree, counted_once, exports, say},
    wait_for,
};

use crate::{cluster, count, names, remotes, study};

#[test]
fn both_sides_of_a_partition_work_on_and_are_equal_five_seconds_after_it_heals() {
    let Some(mut lan) = Lan::new(5) else { return };
    let nodes = cluster(&lan, "1", FAST);
    let (remotes, names) = (remotes(&nodes), names(&nodes));
    let marks = Marks::new(&lan.dir().join("work"));
    study(&remotes[0], "runs", Some(marks.run(1.0)), 10_000);
    study(&remotes[4], "asked", None, 1_000_000);
    wait_for(Duration::from_secs(20), "work on all", || (marks.boxes().len() == 5).then_some(()));
    exports(&remotes, "asked", Duration::from_secs(10));
    let work = Work::default();
    std::thread::scope(|scope| {
        for (number, remote) in remotes.iter().enumerate() {
            let work = &work;
            scope.spawn(move || work.client(remote, "asked", number as u64, Duration::from_millis(100)));
        }
        // A failed check must end the clients too, or the scope would wait for ever.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            std::thread::sleep(Duration::from_secs(2));
            lan.cut(&[0, 1, 2], &[3, 4]);
            let (many, few) = names.split_at(3);
            agree(&remotes[..3], many, Duration::from_secs(15));
            agree(&remotes[3..], few, Duration::from_secs(15));
            let before = each(&work);
            // Longer than until the dead are replaced, on both sides.
            std::thread::sleep(Duration::from_secs(10));
            let after = each(&work);
            assert!((0..5).all(|at| after[at] > before[at] + 10), "both sides work: {before:?}, {after:?}");
        }));
        work.over.store(true, Ordering::SeqCst);
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    let dropped = lan.heal();
    assert!(dropped > 0, "the fault fired");
    let healed = Instant::now();
    let (linked, equal) = std::thread::scope(|scope| {
        let linked = scope.spawn(|| agree(&remotes, &names, Duration::from_secs(15)));
        let (equal, _) = exports(&remotes, "asked", Duration::from_secs(20));
        (linked.join().unwrap(), equal)
    });
    say(&format!(
        "{dropped} frames dropped; after the heal linked in {linked:.2?}, {} results equal everywhere in {equal:.2?}",
        work.told()
    ));
    assert!(equal < linked + Duration::from_secs(5), "equal too late");
    println!("{:.2?} since the heal", healed.elapsed());
    for remote in &remotes {
        work.ledger().check(remote, "asked");
    }
    remotes[3].ok("POST", "/studies/runs/cancel", None);
    wait_for(Duration::from_secs(10), "the jobs' ends", || {
        remotes.iter().all(|at| count(at, "runs", "running") == Some(0)).then_some(())
    });
    let (took, _) = exports(&remotes, "runs", Duration::from_secs(5));
    let counted: Vec<usize> = remotes.iter().map(|at| counted_once(&at.trials("runs").unwrap())).collect();
    let again = marks.check(1);
    say(&format!("{} jobs, {again} of them again; {counted:?} counted; equal after {took:.2?}", marks.starts()));
    assert!(counted.iter().all(|count| *count == counted[0] && *count > 0));
}

/// Results acknowledged on each box.
fn each(work: &Work) -> Vec<usize> {
    let ledger = work.ledger();
    let of = |at: usize| ledger.told.values().filter(|value| **value as usize / 1_000_000 == at).count();
    (0..5).map(of).collect()
}
