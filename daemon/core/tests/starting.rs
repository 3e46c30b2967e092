//! Starting from what is known: given trials first, another study's results, a space that grows.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Bench, def, net::Net};
use metaopt_core::commands::{StudyPatch, SuggestRequest};
use metaopt_schema::{
    TrialId,
    space::{Params, Space},
    trial::{Proposer, TrialState},
};
use serde_json::{Value, json};

fn params(value: Value) -> Params {
    serde_json::from_value(value).unwrap()
}

fn told(bench: &mut Bench, study: &str, loss: impl Fn(&Params) -> f64, count: usize) {
    for _ in 0..count {
        let id = bench.ask(study, 1, None).trials.remove(0);
        let loss = loss(&bench.trial(id.as_str()).spec.params.params());
        bench.pass(0.1);
        bench.tell(id.as_str(), None, loss).unwrap();
    }
}

#[test]
fn given_trials_run_first_and_count_and_then_come_the_defaults() {
    let mut bench = Bench::new(0);
    let space = json!([{"name": "x", "type": "float", "low": 0, "high": 1, "default": 0.125}]);
    let study = bench.study(json!({"space": space, "sampler": {"name": "tpe"}, "budget": {"max_trials": 3}}));
    for x in [0.5, 0.75] {
        bench.node.enqueue(bench.now, &study, params(json!({"x": x})), Default::default()).unwrap();
    }
    bench.settle();
    let asked = bench.ask(&study, 9, None);
    let xs: Vec<_> = asked.trials.iter().map(|id| bench.trial(id.as_str()).spec.params.get("x").unwrap()).collect();
    assert_eq!(xs, [json!(0.5), json!(0.75), json!(0.125)], "in their order, then the default; three in all");
    let explained = bench.node.explain(asked.trials[0].as_str()).unwrap();
    assert_eq!((&explained["source"], &explained["reproduced"]), (&json!("enqueued"), &json!(null)));
}

#[test]
fn a_trial_given_at_one_node_is_known_to_the_samplers_of_all() {
    let mut net = Net::new(2, 0);
    net.study(0, json!({"space": [{"name": "n", "type": "int", "low": 1, "high": 4}], "sampler": {"name": "random"}}));
    net.nodes[1].node.enqueue(net.now, "s", params(json!({"n": 3})), Default::default()).unwrap();
    net.settle();
    let mut given = Vec::new();
    for _ in 0..40 {
        for at in [0, 1] {
            let request = SuggestRequest { count: 1, client_id: None, lease_s: 3600.0 };
            given.extend(net.nodes[at].node.suggest(net.now, "s", request).unwrap().trials);
        }
        net.pass(1.0);
    }
    let values = |at: usize| -> Vec<i64> {
        let study = net.nodes[at].node.study("s").unwrap();
        study.trials().iter().filter_map(|t| t.spec.params.get("n")?.as_i64()).collect()
    };
    let mut all = values(0);
    assert_eq!(values(1), all);
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4], "each once");
    given.sort();
    given.dedup();
    assert_eq!(given.len(), 4, "and each was handed out, the given one too");
}

#[test]
fn a_study_starts_from_what_fits_of_another() {
    let mut bench = Bench::new(0);
    let space = json!([
        {"name": "x", "type": "float", "low": 0, "high": 1},
        {"name": "gone", "type": "bool"},
        {"name": "opt", "type": "categorical", "choices": ["sgd", "adam"]}]);
    let old = bench.study(json!({"name": "old", "space": space, "sampler": {"name": "random", "seed": 1}}));
    let x = |params: &Params| params["x"].as_f64().unwrap();
    told(&mut bench, &old, |params| (x(params) - 0.25).abs(), 40);
    let cancelled = bench.ask(&old, 1, None).trials.remove(0);
    bench.node.trial_action(bench.now, cancelled.as_str(), metaopt_core::commands::TrialAction::Cancel).unwrap();
    let small = bench.node.study(&old).unwrap().trials().iter().filter(|t| x(&t.spec.params.params()) <= 0.5).count()
        - usize::from(x(&bench.trial(cancelled.as_str()).spec.params.params()) <= 0.5);
    let space = json!([
        {"name": "x", "type": "float", "low": 0, "high": 0.5},
        {"name": "depth", "type": "int", "low": 1, "high": 3, "default": 2},
        {"name": "opt", "type": "categorical", "choices": ["sgd", "adam", "lion"]},
        {"name": "momentum", "type": "float", "low": 0, "high": 1, "default": 0.5, "when": {"opt": ["sgd"]}}]);
    let body =
        json!({"name": "new", "space": space, "sampler": {"name": "tpe", "seed": 1}, "budget": {"max_trials": 20}});
    let started = bench.node.create_study_from(bench.now, def(body.clone()), "old").unwrap();
    for some in started.fitting.chunks(7) {
        bench.node.copy_trials(bench.now, &started.study, some).unwrap();
        bench.settle();
    }
    assert_eq!(started.fitting.len(), small);
    let why: Vec<(&str, u64)> = started.left_out.iter().map(|(why, n)| (why.as_str(), *n)).collect();
    assert_eq!(why.len(), 2, "{why:?}");
    assert!(why.contains(&("`x` is not a number from 0 to 0.5", 40 - small as u64)), "{why:?}");
    assert!(why.iter().any(|(why, n)| why.contains("cancelled") && *n == 1), "{why:?}");
    let new = bench.node.study("new").unwrap();
    assert_eq!((new.trials().len(), new.imported()), (small, small as u64));
    for trial in new.trials() {
        let params = trial.spec.params.params();
        assert!(!params.contains_key("gone") && params["depth"] == json!(2), "{params:?}");
        assert_eq!(params.get("momentum"), (params["opt"] == "sgd").then(|| json!(0.5)).as_ref());
        assert_eq!((trial.state, trial.spec.by == Proposer::Imported), (TrialState::Complete, true));
    }
    let best = (new.best().unwrap().values(), bench.node.study("old").unwrap().best().unwrap().values());
    assert_eq!(best.0, best.1, "results came along");
    // Its first draws know of them: a good half lies where the old results were good, which is a fifth of the range.
    let asked = bench.ask("new", 99, None);
    assert_eq!(asked.trials.len(), 20, "what was taken over does not use up the budget");
    let near = |id: &&TrialId| (x(&bench.trial(id.as_str()).spec.params.params()) - 0.25).abs() < 0.1;
    let near = asked.trials.iter().take(10).filter(near).count();
    assert!(near >= 5, "{near} of the first ten");
    for trial in &asked.trials {
        let explained = bench.node.explain(trial.as_str()).unwrap();
        assert_eq!(explained["reproduced"], json!(true), "{explained:#}");
    }
    let again = bench.node.create_study_from(bench.now, def(body), "old");
    assert!(again.unwrap_err().detail.contains("there is a study `new` already"));
}

#[test]
fn a_study_with_other_objectives_is_no_start() {
    let mut bench = Bench::new(0);
    let old = bench.study(json!({"name": "old"}));
    told(&mut bench, &old, |_| 1.0, 1);
    let mut refused = |extra: Value, from: &str| {
        let mut body = json!({"name": "new"});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let refusal = bench.node.create_study_from(bench.now, def(body), from).unwrap_err();
        refusal.errors.into_iter().map(|e| (e.pointer, e.detail)).collect::<Vec<_>>()
    };
    let found = refused(json!({"objectives": [{"metric": "loss", "direction": "maximize"}]}), "old");
    assert!(found[0].0 == "/objectives/0" && found[0].1.contains("the other way"), "{found:?}");
    let found = refused(json!({"objectives": [{"metric": "acc", "direction": "maximize"}]}), "old");
    assert!(found[0].0 == "/objectives/0" && found[0].1.contains("no objective of the study `old`"), "{found:?}");
    let found = refused(json!({"space": [{"name": "z", "type": "bool"}]}), "old");
    assert!(found[0].0 == "/from" && found[0].1.contains("no parameter in common"), "{found:?}");
    let found = refused(json!({}), "odl");
    assert!(found[0].0 == "/from" && found[0].1.contains("did you mean `old`"), "{found:?}");
    assert!(bench.node.study("new").is_err(), "nothing was created");
}

#[test]
fn a_space_that_grew_is_searched_with_the_old_trials_on_every_node() {
    let mut net = Net::new(2, 0);
    net.study(0, json!({"sampler": {"name": "tpe", "seed": 3}}));
    let step = |net: &mut Net, at: usize| -> Option<Params> {
        let request = SuggestRequest { count: 1, client_id: None, lease_s: 3600.0 };
        let id = net.nodes[at].node.suggest(net.now, "s", request).unwrap().trials.pop()?;
        let params = net.nodes[at].node.trial(id.as_str()).unwrap().1.spec.params.params();
        let loss = (params["x"].as_f64().unwrap() - 0.25).abs();
        let told = metaopt_core::commands::Told::Complete([("loss".to_owned(), loss)].into_iter().collect());
        let completion = metaopt_core::commands::Completion { told, attempt: None, detail: None };
        net.nodes[at].node.complete(net.now, id.as_str(), completion).unwrap();
        net.pass(0.2);
        Some(params)
    };
    for round in 0..60 {
        step(&mut net, round % 2);
    }
    let space = Space::parse_edit(&json!([
        {"name": "x", "type": "float", "low": -1, "high": 9},
        {"name": "y", "type": "bool", "default": true}]))
    .unwrap();
    let patch = StudyPatch { space: Some(space), ..StudyPatch::default() };
    net.nodes[1].node.patch_study(net.now, "s", patch).unwrap();
    net.pass(1.0);
    let narrow = Space::parse_edit(&json!([{"name": "x", "type": "float", "low": 0, "high": 1}])).unwrap();
    let refused =
        net.nodes[0].node.patch_study(net.now, "s", StudyPatch { space: Some(narrow), ..StudyPatch::default() });
    assert!(refused.unwrap_err().errors[0].detail.contains("narrow"));
    for at in [0, 1] {
        let drawn: Vec<Params> = (0..20).filter_map(|_| step(&mut net, at)).collect();
        assert!(drawn.iter().all(|params| params.contains_key("y")), "{drawn:?}");
        // A tenth of the range is what the old trials were drawn from: without them two of twenty would lie there.
        let near = drawn.iter().filter(|params| (-0.25..0.75).contains(&params["x"].as_f64().unwrap())).count();
        assert!(near >= 8, "node {at}: {near} of 20");
    }
    net.agree();
    for one in &net.nodes {
        for trial in one.node.study("s").unwrap().trials() {
            let explained = one.node.explain(trial.place.id.as_str()).unwrap();
            assert_eq!(explained["reproduced"], json!(true), "{explained:#}");
        }
    }
}
