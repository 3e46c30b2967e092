//! A network in two parts, with work on both.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use metaopt_integration::{
    cluster::{FAST, Lan, Marks, Remote, Work, agree, counted_once, exports, say},
    wait_for,
};
use serde_json::Value;

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
            // Two studies of one name, that know nothing of each other.
            study(&remotes[0], "twin", None, 10);
            study(&remotes[4], "twin", None, 10);
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
    let twins = |at: &Remote| -> Vec<(String, String)> {
        let all = at.ok("GET", "/studies", None)["items"].clone();
        let text = |study: &Value, key: &str| study[key].as_str().unwrap().to_owned();
        let all = all.as_array().unwrap().iter().map(|study| (text(study, "name"), text(study, "id")));
        let mut twins: Vec<_> = all.filter(|(name, _)| name.starts_with("twin")).collect();
        twins.sort();
        twins
    };
    let seen =
        wait_for(Duration::from_secs(5), "both twins", || Some(twins(&remotes[0])).filter(|seen| seen.len() == 2));
    assert_eq!(seen.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["twin", "twin-2"]);
    for remote in &remotes {
        work.ledger().check(remote, "asked");
        let alike = || (twins(remote) == seen).then_some(());
        wait_for(Duration::from_secs(5), &format!("{} to call twins the same", remote.name), alike);
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

#[test]
fn a_cut_in_one_direction_between_two_boxes_takes_nobodys_trials_away() {
    let Some(mut lan) = Lan::new(3) else { return };
    let nodes = cluster(&lan, "1", FAST);
    let (remotes, names) = (remotes(&nodes), names(&nodes));
    let marks = Marks::new(&lan.dir().join("work"));
    // Longer than until they would be given to others.
    study(&remotes[0], "runs", Some(marks.run(12.0)), 3);
    wait_for(Duration::from_secs(15), "a job each", || (marks.boxes().len() == 3).then_some(()));
    lan.cut_one_way(&[0], &[1]);
    std::thread::sleep(Duration::from_secs(9));
    let seen: Vec<_> = remotes.iter().map(|at| at.nodes("alive")).collect();
    study(&remotes[0], "asked", None, 10);
    let (relayed, _) = exports(&remotes, "asked", Duration::from_secs(5));
    assert!(lan.heal() > 0, "the fault fired");
    assert!(seen.iter().all(|seen| *seen == names), "they hear of each other through the third: {seen:?}");
    wait_for(Duration::from_secs(20), "the jobs' ends", || {
        remotes.iter().all(|at| count(at, "runs", "complete") == Some(3)).then_some(())
    });
    let again = marks.check(1);
    say(&format!("a study reaches the other side through the third box in {relayed:.2?}; {again} jobs again"));
    assert_eq!(again, 0);
    exports(&remotes, "runs", Duration::from_secs(5));
}

/// Results acknowledged on each box.
fn each(work: &Work) -> Vec<usize> {
    let ledger = work.ledger();
    let of = |at: usize| ledger.told.iter().filter(|(_, value)| *value as usize / 1_000_000 == at).count();
    (0..5).map(of).collect()
}
