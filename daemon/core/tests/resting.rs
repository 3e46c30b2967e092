//! What isn't used lately rests outside of memory, and nobody can tell.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;

use common::{Bench, Disk};
use metaopt_core::{
    RefusalKind,
    commands::{Action, Report, TrialAction},
    node::REST_AFTER_MS,
};
use metaopt_schema::{
    DocId,
    docs::{Doc, Vector},
    trial::{Point, TrialState},
};
use serde_json::json;

fn rest(bench: &mut Bench) -> usize {
    bench.pass(1.0);
    bench.pass(REST_AFTER_MS as f64 / 1000.0 + 1.0);
    bench.rest()
}

/// A study with two finished trials, whose curves have three points.
fn finished(bench: &mut Bench) -> Vec<String> {
    let study = bench.study(json!({"early_stopping": {"rule": "median"}}));
    let ids: Vec<String> = (0..2).map(|_| bench.ask(&study, 1, None).trials[0].to_string()).collect();
    for id in &ids {
        for step in 1..=3 {
            bench.report(id, step, 1.0 / step as f64);
        }
        bench.tell(id, None, 0.3).unwrap();
    }
    ids
}

fn curve(bench: &Bench, id: &str) -> Vec<Point> {
    let (study, trial) = bench.node.trial(id).unwrap();
    bench.node.curve(study, trial).unwrap()
}

#[test]
fn resting_trials_are_read_edited_and_told_of_as_others() {
    let mut bench = Bench::new(0);
    let ids = finished(&mut bench);
    let before: Vec<_> = ids.iter().map(|id| (bench.trial(id).values(), curve(&bench, id))).collect();
    assert_eq!(before[0].1.len(), 3);
    assert_eq!(rest(&mut bench), 3, "the study's document, its trials' and that of their curves");
    assert!(ids.iter().all(|id| !bench.trial(id).is_warm()));
    assert_eq!(bench.rest(), 0, "what rests already is not saved again");
    let after: Vec<_> = ids.iter().map(|id| (bench.trial(id).values(), curve(&bench, id))).collect();
    assert_eq!(before, after);

    bench.node.patch_trial(bench.now, &ids[0], Some("woken".into()), Default::default()).unwrap();
    bench.settle();
    // The rule that points are never changed holds for those that rest, too.
    assert_eq!(bench.report(&ids[1], 2, 0.5), Action::Stop);
    let changed = Report { step: 2, values: [("loss", Some(9.0))].into_iter().collect(), attempt: None };
    let refused = bench.node.report(bench.now, &ids[1], vec![changed]).unwrap_err();
    assert!(refused.detail.contains("other values"), "{refused}");
    assert_eq!(bench.report(&ids[1], 7, 0.1), Action::Stop);
    assert_eq!(curve(&bench, &ids[1]).iter().map(|p| p.step).collect::<Vec<_>>(), [1, 2, 3, 7]);
    bench.restart(0);
    assert_eq!(bench.trial(&ids[0]).note(), "woken");
    assert_eq!(curve(&bench, &ids[1]).iter().map(|p| p.step).collect::<Vec<_>>(), [1, 2, 3, 7]);
    assert_eq!(curve(&bench, &ids[0]), before[0].1);
}

#[test]
fn a_start_from_digests_is_a_start_from_documents() {
    let mut bench = Bench::new(0);
    let ids = finished(&mut bench);
    let study = bench.node.trial(&ids[0]).unwrap().0.id.clone();
    rest(&mut bench);
    let shown = |bench: &Bench| {
        let study = bench.node.world().study(&study).unwrap();
        let trials: Vec<String> = study.trials().iter().map(|t| format!("{t:?}")).collect();
        (trials, study.best().map(|t| t.label()), ids.iter().map(|id| curve(bench, id)).collect::<Vec<_>>())
    };
    let digested = bench.disk.docs().values().filter(|d| d.digest.is_some()).count();
    assert_eq!(digested, 3);
    bench.restart(0);
    let from_digests = shown(&bench);
    // An older metaopt left none; those of a later one are passed over.
    for spoil in [Disk::renew_digests, Disk::drop_digests] {
        spoil(&bench.disk);
        bench.restart(0);
        let loaded = bench.disk.docs().keys().filter(|id| bench.node.replica(id).is_some()).count();
        assert_eq!(loaded, bench.disk.docs().len(), "documents, not digests");
        bench.pass(0.1);
        assert_eq!(from_digests, shown(&bench));
        assert_eq!(bench.node.damaged(), &[] as &[String]);
    }
    // Both go on where they were: no number is given twice.
    let next = bench.ask("s", 1, None).trials[0].clone();
    assert!(!ids.contains(&next.to_string()));
}

#[test]
fn early_stopping_compares_with_curves_that_rest() {
    let mut bench = Bench::new(0);
    let study = bench.study(json!({"early_stopping": {"rule": "median", "n_startup_trials": 2, "min_peers": 2}}));
    for level in [0.1, 0.2, 0.3] {
        let id = bench.ask(&study, 1, None).trials[0].to_string();
        for step in 1..=5 {
            bench.report(&id, step, level);
        }
        bench.tell(&id, None, level).unwrap();
    }
    let verdicts = |bench: &mut Bench| {
        let id = bench.ask("s", 1, None).trials[0].to_string();
        (1..=4).map(|step| bench.report(&id, step, 5.0)).collect::<Vec<_>>()
    };
    let fresh = verdicts(&mut bench);
    assert!(fresh.contains(&Action::Stop), "{fresh:?}");
    rest(&mut bench);
    assert_eq!(verdicts(&mut bench), fresh, "after their points went to rest");
    rest(&mut bench);
    bench.restart(0);
    assert_eq!(verdicts(&mut bench), fresh, "after a start from what rested");
}

#[test]
fn a_resting_trial_can_run_again() {
    let mut bench = Bench::new(0);
    let study = bench.study(json!({}));
    let id = bench.ask(&study, 1, None).trials[0].to_string();
    bench.report(&id, 1, 0.5);
    bench.node.trial_action(bench.now, &id, TrialAction::Cancel).unwrap();
    bench.settle();
    rest(&mut bench);
    bench.node.trial_action(bench.now, &id, TrialAction::Retry).unwrap();
    bench.settle();
    assert_eq!(bench.ask(&study, 1, None).trials[0].as_str(), id);
    bench.report(&id, 1, 0.4);
    bench.tell(&id, None, 0.4).unwrap();
    assert_eq!((bench.trial(&id).state, bench.trial(&id).attempts.len()), (TrialState::Complete, 2));
    assert_eq!(curve(&bench, &id).len(), 1, "the later attempt's point over the earlier one's");
}

#[test]
fn curves_beyond_their_share_of_memory_are_on_the_disk_alone() {
    let mut bench = Bench::new(0);
    let ids = finished(&mut bench);
    let before = curve(&bench, &ids[0]);
    rest(&mut bench);
    bench.curve_bytes = 0;
    bench.restart(0);
    assert_eq!(curve(&bench, &ids[0]), before);

    bench.disk.break_down(true);
    let (study, trial) = bench.node.trial(&ids[0]).unwrap();
    let refused = bench.node.curve(study, trial).unwrap_err();
    assert!(refused.kind == RefusalKind::Unreadable && refused.detail.contains("the disk broke down"), "{refused}");
    let report = Report { step: 9, values: [("loss", Some(0.1))].into_iter().collect(), attempt: None };
    assert_eq!(bench.node.report(bench.now, &ids[0], vec![report]).unwrap_err().kind, RefusalKind::Unreadable);
    assert_eq!(bench.trial(&ids[0]).values()["loss"], 0.3, "what isn't a curve is in memory");

    bench.disk.break_down(false);
    bench.report(&ids[0], 9, 0.1);
    let after = curve(&bench, &ids[0]);
    assert_eq!((after.len(), &after[..3]), (4, &before[..]));
    assert_eq!(rest(&mut bench), 1);
    assert_eq!(curve(&bench, &ids[0]), after, "and back on the disk");
    assert_eq!(curve(&bench, &ids[1]).len(), 3);
}

#[test]
fn a_document_that_rested_goes_on_with_the_number_after_its_last() {
    // Packed in memory; then on the disk alone, as far as curves go.
    for curve_bytes in [1 << 20, 0] {
        let mut bench = Bench::new(0);
        bench.curve_bytes = curve_bytes;
        bench.restart(0);
        bench.study(json!({}));
        let ids: Vec<String> = (0..2).map(|_| bench.ask("s", 1, None).trials[0].to_string()).collect();
        for round in 1..=3 {
            for id in &ids {
                bench.report(id, round, 0.5);
                bench.node.patch_trial(bench.now, id, Some(format!("{round}")), Default::default()).unwrap();
                bench.settle();
            }
            let live = |bench: &Bench| bench.disk.docs().keys().filter(|id| bench.node.replica(id).is_some()).count();
            // The study's own is written to before the first rest only.
            let study = usize::from(round == 1);
            assert_eq!(live(&bench), 3 + study, "awake: the cluster's, the trials', their curves'");
            assert_eq!((rest(&mut bench), live(&bench)), (2 + study, 1));
        }
        if curve_bytes == 0 {
            // Only what is on the shelf alone can't be written to now.
            bench.disk.break_down(true);
            let report =
                Report { step: 9, values: [("loss".to_owned(), Some(0.1))].into_iter().collect(), attempt: None };
            bench.node.report(bench.now, &ids[0], vec![report]).unwrap();
            assert!(bench.node.drain().owed.is_some());
            bench.disk.break_down(false);
            bench.settle();
        }

        let mut numbers: BTreeMap<&DocId, Vector> = BTreeMap::new();
        for (id, change) in &bench.written {
            let last = numbers.entry(id).or_default().entry(change.actor.clone()).or_default();
            assert_eq!(change.seq, *last + 1, "{curve_bytes} bytes: {id}");
            *last = change.seq;
        }
        for (id, numbers) in numbers {
            let stored = bench.disk.docs()[id].clone();
            let doc = Doc::load(id.clone(), &common::config(9).actor(), stored.snapshot.as_deref(), &stored.changes);
            assert_eq!(doc.unwrap().vector(), numbers, "{id}: all of it is there");
            assert!(id.study().is_none() || numbers.len() == 1, "{id}: one run, one actor");
        }
    }
}

#[test]
fn endless_curves_are_thinned_and_keep_their_ends_and_extremes() {
    let mut bench = Bench::new(0);
    let study = bench.study(json!({}));
    let id = bench.ask(&study, 1, None).trials[0].to_string();
    let loss = |step: u64| match step {
        7_777 => -1.0,
        8_888 => 99.0,
        _ => 1.0 / step as f64,
    };
    for step in 1..=20_000 {
        bench.report(&id, step, loss(step));
    }
    // The same report again is no news, whether it was kept or not.
    assert_eq!(bench.report(&id, 19_999, loss(19_999)), Action::Continue);
    // The newest is shown and remembered while it is held back.
    assert_eq!(curve(&bench, &id).last().map(|p| p.step), Some(20_000));
    let other = Report { step: 20_000, values: [("loss", Some(5.0))].into_iter().collect(), attempt: None };
    assert!(bench.node.report(bench.now, &id, vec![other]).unwrap_err().detail.contains("other values"));
    bench.tell(&id, None, 0.1).unwrap();
    let kept = curve(&bench, &id);
    assert!((1_000..4_000).contains(&kept.len()), "{}", kept.len());
    assert!(kept[..1000].iter().zip(1..).all(|(p, step)| p.step == step), "the first thousand are whole");
    let steps: Vec<u64> = kept.iter().map(|p| p.step).collect();
    assert!([7_777, 8_888, 20_000].iter().all(|step| steps.contains(step)), "extremes and the end");
    assert!(steps.windows(2).all(|w| w[1] - w[0] <= w[0] / 500 + 1), "no gap wider than 0.2 %");
    bench.restart(0);
    assert_eq!(curve(&bench, &id), kept);
}

#[test]
fn one_call_brings_no_more_metrics_than_many_and_no_step_that_javascript_can_t_count() {
    let mut bench = Bench::new(0);
    let study = bench.study(json!({}));
    let id = bench.ask(&study, 1, None).trials[0].to_string();
    let report = |step: u64, names: std::ops::Range<u32>| {
        let values = names.map(|n| (format!("m{n}"), Some(0.5))).collect::<Vec<_>>();
        Report { step, values: values.iter().map(|(n, v)| (n.as_str(), *v)).collect(), attempt: None }
    };
    let refused = bench.node.report(bench.now, &id, vec![report(1, 0..900), report(2, 800..1_001)]).unwrap_err();
    assert_eq!(refused.errors[0].pointer, "/1/values");
    bench.node.report(bench.now, &id, vec![report(1, 0..900), report(2, 800..1_000)]).unwrap();
    let refused = bench.node.report(bench.now, &id, vec![report((1 << 53) + 1, 0..1)]).unwrap_err();
    assert_eq!(refused.errors[0].pointer, "/step");
}
