//! Known answers, and studies that say nothing.

use metaopt_schema::space::{Params, Space};
use serde_json::{Value, json};

use super::*;
use crate::{History, Record, RecordState, hash64};

fn space(params: Value) -> Space {
    serde_json::from_value(params).unwrap_or_else(|error| unreachable!("{error}"))
}

fn square() -> Space {
    space(json!([
        {"name": "x", "type": "float", "low": 0.0, "high": 1.0},
        {"name": "y", "type": "float", "low": 0.0, "high": 1.0},
        {"name": "junk", "type": "float", "low": 1e-4, "high": 1.0, "log": true}
    ]))
}

/// `n` draws from the space with costs by `f`.
fn study(space: &Space, n: u64, objectives: usize, f: impl Fn(&Params) -> Vec<f64>) -> History {
    let mut history = History::new(space, objectives);
    let mut stream = crate::rng::Stream::new(7, 0, 0, "test");
    for i in 0..n {
        let codec = history.shared_codec();
        let params = codec.decode(&codec.build(|p| codec.quantile(p, stream.unit())));
        let record = Record {
            order: i,
            done: i,
            key: hash64(&format!("trial {i}")),
            state: RecordState::Complete,
            costs: f(&params),
            ..Record::default()
        };
        history.upsert(record, || params);
    }
    history
}

fn number(params: &Params, name: &str) -> f64 {
    params.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

fn first_cost(_: u64, costs: &[f64]) -> Option<f64> {
    costs.first().copied()
}

fn surrogate(sample: &Sample) -> Surrogate<'_> {
    Surrogate::fit(sample, first_cost).unwrap_or_else(|| unreachable!("enough trials"))
}

#[test]
fn what_matters_is_told_from_what_does_not_and_whiskers_cover_it() {
    let history = study(&square(), 400, 1, |p| vec![(number(p, "x") - 0.3).powi(2) + 0.02 * number(p, "y")]);
    let sample = Sample::of(&history);
    let all = importances(&sample, None, 0.1);
    assert!((all.iter().map(|one| one.share).sum::<f64>() - 1.0).abs() < 1e-9);
    let of =
        |name: &str| all.iter().find(|one| sample.name(one.param) == name).cloned().unwrap_or_else(|| unreachable!());
    let (x, junk) = (of("x"), of("junk"));
    assert_eq!(all[0].param, x.param);
    assert!(x.share > 0.6 && junk.share < 0.1, "{all:?}");
    for one in &all {
        let (low, high) = one.whiskers.unwrap_or((1.0, 0.0));
        assert!(low <= one.share && one.share <= high && high - low < 0.5, "{one:?}");
    }
    // They are apart where the parameters are.
    assert!(x.whiskers.map(|w| w.0) > junk.whiskers.map(|w| w.1));
    assert_eq!(all, importances(&Sample::of(&history.clone()), None, 0.1));
}

#[test]
fn the_best_trials_are_told_by_ranges_choices_and_rules() {
    let space = space(json!([
        {"name": "lr", "type": "float", "low": 1e-5, "high": 1.0, "log": true},
        {"name": "opt", "type": "categorical", "choices": ["sgd", "adam", "lion", "rms"]},
        {"name": "junk", "type": "int", "low": 1, "high": 9}
    ]));
    let history = study(&space, 500, 1, |p| {
        let right = p["opt"] == "adam" || p["opt"] == "lion";
        vec![(number(p, "lr").log10() + 2.0).abs() + if right { 0.0 } else { 3.0 }]
    });
    let sample = Sample::of(&history);
    let all = importances(&sample, None, 0.1);
    let of = |name: &str| all.iter().find(|one| sample.name(one.param) == name).and_then(|one| one.best.clone());
    assert_eq!(of("junk"), None);
    let Some(Best { range: Some((low, high)), of_best, of_all, .. }) = of("lr") else { unreachable!("{all:?}") };
    let (low, high) = (low.as_f64().unwrap_or(0.0), high.as_f64().unwrap_or(0.0));
    assert!(low > 1e-3 && low < 1e-2 && high > 1e-2 && high < 1e-1, "{low} {high}");
    assert!(of_best >= 0.8 && of_all < 0.3);
    let mut choices = of("opt").map(|best| best.choices).unwrap_or_default();
    choices.sort_by_key(Value::to_string);
    assert_eq!(choices, [json!("adam"), json!("lion")]);
    let params: Vec<usize> = all.iter().map(|one| one.param).collect();
    let rules = rules(&sample, &params, None, 0.1);
    let said = |name: &str| rules[0].conditions.iter().find(|c| sample.name(c.param) == name).cloned();
    assert!(said("opt").is_some_and(|c| c.one_of == [json!("adam"), json!("lion")]), "{rules:?}");
    assert!(said("lr").is_some_and(|c| c.at_least.is_some() || c.at_most.is_some()), "{rules:?}");
    assert!(said("junk").is_none() && rules[0].of_best > 0.7 && rules[0].good > 0.4, "{rules:?}");
}

#[test]
fn variance_is_taken_apart_as_it_was_put_together() {
    // A sum has no interaction, and each part its share: var(2x) = 4 var(y).
    let history = study(&square(), 1500, 1, |p| vec![2.0 * number(p, "x") + number(p, "y")]);
    let sample = Sample::of(&history);
    let found = surrogate(&sample).pairs(&[0, 1, 2]);
    let share = |i: usize| found.alone[i].1;
    assert!((share(0) - 0.8).abs() < 0.06 && (share(1) - 0.2).abs() < 0.06 && share(2) < 0.01, "{found:?}");
    assert!(found.pairs.iter().all(|pair| pair.share < 0.02), "{found:?}");
    // A product of centred parameters is nothing but interaction.
    let history =
        study(&square(), 1500, 1, |p| vec![if (number(p, "x") < 0.5) == (number(p, "y") < 0.5) { 1.0 } else { 0.0 }]);
    let sample = Sample::of(&history);
    let found = surrogate(&sample).pairs(&[0, 1, 2]);
    assert_eq!(found.pairs[0].params, (0, 1));
    assert!(found.pairs[0].share > 0.8 && found.pairs[1].share < 0.05, "{found:?}");
    assert!(found.alone.iter().all(|(_, share)| *share < 0.05), "{found:?}");
}

#[test]
fn curves_follow_the_function_in_its_own_units() {
    let history =
        study(&square(), 800, 1, |p| vec![100.0 + 40.0 * (number(p, "x") - 0.3).powi(2) + 5.0 * number(p, "y")]);
    let sample = Sample::of(&history);
    let curve = surrogate(&sample).curve(0);
    assert!(curve.len() >= 20);
    for point in &curve {
        let x = point.x.as_f64().unwrap_or(f64::NAN);
        let exact = 102.5 + 40.0 * (x - 0.3).powi(2);
        assert!((point.mean - exact).abs() < 1.5, "{x}: {} for {exact}", point.mean);
        assert!(point.low <= point.mean && point.mean <= point.high && point.deviation < 2.0, "{point:?}");
        // The tenth percentiles of what is left: y is even on [0, 1].
        assert!((2.0..5.5).contains(&(point.high - point.low)), "{point:?}");
    }
    let plane = surrogate(&sample).plane(0, 2);
    assert_eq!((plane.means.len(), plane.means[0].len()), (plane.ys.len(), plane.xs.len()));
    assert!(plane.means.iter().flatten().all(Option::is_some));
    // Few trials far out don't hide the rest.
    let history = study(&square(), 300, 1, |p| vec![if number(p, "y") > 0.97 { 1e12 } else { number(p, "x") }]);
    let sample = Sample::of(&history);
    let curve = surrogate(&sample).curve(0);
    assert!(curve[0].mean < 0.4 && curve[curve.len() - 1].mean > 0.6 && curve[0].mean > -0.1, "{curve:?}");
}

#[test]
fn conditional_parameters_are_judged_where_they_are_active() {
    let space = space(json!([
        {"name": "opt", "type": "categorical", "choices": ["sgd", "adam"]},
        {"name": "momentum", "type": "float", "low": 0.0, "high": 1.0, "when": {"opt": ["sgd"]}},
        {"name": "beta", "type": "float", "low": 0.0, "high": 1.0, "when": {"opt": ["adam"]}}
    ]));
    let history = study(&space, 400, 1, |p| {
        vec![if p["opt"] == "sgd" { 4.0 * (number(p, "momentum") - 0.9).abs() } else { 5.0 }]
    });
    let sample = Sample::of(&history);
    let all = importances(&sample, None, 0.1);
    let params: Vec<usize> = all.iter().map(|one| one.param).collect();
    assert!(all.iter().any(|one| one.param == 1 && one.share > 0.3) && all[2].param == 2, "{all:?}");
    let surrogate = surrogate(&sample);
    let curve = surrogate.curve(1);
    assert!(curve[0].mean > 3.0 && curve[35].mean < 0.8, "{curve:?}");
    let opt = surrogate.curve(0);
    assert!(opt.len() == 2 && (opt[1].mean - 5.0).abs() < 0.2 && (opt[0].mean - 1.64).abs() < 0.4, "{opt:?}");
    // Never active together: nothing to say, and nothing said.
    assert!(surrogate.plane(1, 2).means.iter().flatten().all(Option::is_none));
    let plane = surrogate.plane(0, 1);
    assert!(plane.means.iter().all(|row| row[0].is_some() && row[1].is_none()));
    let pairs = surrogate.pairs(&[0, 1, 2]);
    assert!(pairs.pairs.iter().all(|pair| pair.share < 0.01), "{pairs:?}");
    assert!(pairs.alone[0].1 > 0.5 && pairs.alone[1].1 > 0.1 && pairs.alone[2].1 < 0.02, "{pairs:?}");
    let rules = rules(&sample, &params, None, 0.1);
    let momentum = rules[0].conditions.iter().find(|c| c.param == 1);
    assert!(momentum.is_some_and(|c| c.active == Some(true) && c.at_least.is_some()), "{rules:?}");
}

#[test]
fn one_of_several_objectives_may_be_asked_about() {
    let history = study(&square(), 300, 2, |p| vec![number(p, "x"), number(p, "y")]);
    let sample = Sample::of(&history);
    let first = |objective| importances(&sample, objective, 0.1)[0].clone();
    assert_eq!((first(Some(0)).param, first(Some(1)).param), (0, 1));
    assert!(first(Some(1)).share > 0.8 && first(None).share < 0.8);
}

#[test]
fn studies_that_say_nothing_are_answered() {
    let params = [0, 1, 2];
    for n in [0, 9] {
        let history = study(&square(), n, 1, |p| vec![number(p, "x")]);
        let sample = Sample::of(&history);
        assert!(importances(&sample, None, 0.1).is_empty() && rules(&sample, &params, None, 0.1).is_empty());
        assert!(Surrogate::fit(&sample, first_cost).is_none());
    }
    let costs: [fn(&Params) -> Vec<f64>; 4] = [
        |_| vec![1.0],
        |_| vec![f64::INFINITY],
        |p| vec![number(p, "x").mul_add(2.0, -1.0) * f64::MAX],
        |_| vec![-0.0],
    ];
    for f in costs {
        for n in [10, 60] {
            let history = study(&square(), n, 1, f);
            let sample = Sample::of(&history);
            let all = importances(&sample, None, 0.1);
            assert!((all.iter().map(|one| one.share).sum::<f64>() - 1.0).abs() < 1e-9, "{all:?}");
            assert_eq!(all.iter().filter(|one| one.whiskers.is_some()).count(), if n < 50 { 0 } else { 3 });
            rules(&sample, &params, None, 0.1);
            let Some(surrogate) = Surrogate::fit(&sample, first_cost) else { continue };
            assert!(surrogate.curve(0).iter().all(|p| p.mean.is_finite() && p.deviation.is_finite()));
            assert!(surrogate.pairs(&params).pairs.iter().all(|pair| pair.share.is_finite() && pair.share < 2.0));
        }
    }
    let one = space(json!([{"name": "c", "type": "categorical", "choices": ["only"]}]));
    let history = study(&one, 20, 1, |_| vec![1.0]);
    let sample = Sample::of(&history);
    assert_eq!(importances(&sample, None, 0.1)[0].share, 1.0);
    assert_eq!(surrogate(&sample).curve(0).len(), 1);
}
