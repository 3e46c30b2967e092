//! `/studies/{study}/plots/{kind}`: data of plots, at most [`MAX_POINTS`] points whatever the study's size.
//!
//! Owns: what is left out of a large study, so that a plot still says the same. Must not: draw.

use axum::extract::State;
use metaopt_api::plot::{
    Curve, Curves, Head, History, HistoryPoint, MAX_POINTS, Parallel, ParallelLine, ParamSlice, Plot, Slice, SlicePoint,
};
use metaopt_schema::{
    StudyId, TrialId, shape,
    study::Direction,
    trial::{Point, TrialState},
    view::{StudyView, TrialView},
};
use serde_json::Value;

use super::{
    App, marginals,
    problem::{Answer, ApiError},
    query::{In, Query},
    thin::{even, improvements, telling},
    timeline,
};
use crate::driver::Shell;

const KINDS: [&str; 7] = ["history", "curves", "parallel", "slice", "marginal", "contour", "timeline"];
/// Trials looked at for the names of metrics.
const LOOKED_AT: usize = 100;
/// Most points of a study's sparkline.
const MAX_SPARK: usize = 32;
/// Most curves of one plot.
const CURVES: usize = 40;

/// GET one plot's data.
pub async fn get(
    State(app): State<App>,
    In((study, kind)): In<(String, String)>,
    query: Query,
) -> Answer<axum::Json<Plot>> {
    if !KINDS.contains(&kind.as_str()) {
        return Err(ApiError::not_found(shape::unknown("plot", &kind, &KINDS)));
    }
    if matches!(kind.as_str(), "marginal" | "contour") {
        return marginals::get(&app, &study, &kind, &query).await.map(axum::Json);
    }
    if kind == "timeline" {
        return timeline::get(&app, &study, &query).await.map(axum::Json);
    }
    query.only(&["metric"])?;
    let shell = app.shell().clone();
    let work = move || {
        let (id, metric) = shell.read(|node, _| {
            let study = node.study(&study)?;
            Ok::<_, ApiError>((study.id.clone(), head(study, query.get("metric")).0.metric))
        })?;
        if kind == "curves" {
            return curves(&shell, &id, &metric).map(Plot::Curves);
        }
        shell.read(|node, _| {
            let study = node.study(id.as_str())?;
            known(study, &metric)?;
            let (head, direction) = head(study, Some(&metric));
            Ok::<_, ApiError>(match kind.as_str() {
                "history" => Plot::History(history(study, head, direction)),
                "parallel" => Plot::Parallel(parallel(study, head, direction)),
                _ => Plot::Slice(slice(study, head, direction)),
            })
        })
    };
    Ok(axum::Json(tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)??))
}

/// What every plot says first, of the metric asked for or else the first objective.
pub(super) fn head(study: &StudyView, metric: Option<&str>) -> (Head, Option<Direction>) {
    let first = study.record.def.objectives.first().map_or("", |o| o.metric.as_str());
    let metric = metric.unwrap_or(first);
    let direction = study.record.def.objectives.iter().find(|o| o.metric == metric).map(|o| o.direction);
    let word = |d| if d == Direction::Minimize { "minimize" } else { "maximize" };
    let direction_word = direction.map(|d| word(d).to_owned());
    let head = Head { study: study.name.clone(), metric: metric.to_owned(), direction: direction_word, total: 0 };
    (head, direction)
}

/// # Errors
/// No complete trial has a value of this metric, and no objective is named so.
pub(super) fn known(study: &StudyView, metric: &str) -> Answer<()> {
    let mut names: Vec<String> = study.record.def.metrics().into_iter().map(str::to_owned).collect();
    if names.iter().any(|name| name == metric) || !valued(study, metric).is_empty() {
        return Ok(());
    }
    let seen = study
        .trials()
        .iter()
        .rev()
        .take(LOOKED_AT)
        .flat_map(|trial| trial.values().names().cloned().collect::<Vec<_>>());
    names.extend(seen.map(|name| name.to_string()));
    names.sort();
    names.dedup();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Err(ApiError::field("?metric", shape::unknown("metric", metric, &names)))
}

/// Complete trials with a value of the metric, in canonical order.
pub(super) fn valued<'a>(study: &'a StudyView, metric: &str) -> Vec<(&'a TrialView, f64)> {
    let done = study.trials().iter().filter(|t| t.state == TrialState::Complete);
    done.filter_map(|t| Some((t, *t.values().get(metric)?))).collect()
}

pub(super) fn cost(direction: Option<Direction>, value: f64) -> f64 {
    direction.unwrap_or(Direction::Minimize).cost(value)
}

/// Positions to keep out of `n`: those that must be, and of the others evenly many, `most` in all.
fn thinned(n: usize, must: &[usize], most: usize) -> Vec<usize> {
    if n <= most {
        return (0..n).collect();
    }
    let mut keep: Vec<usize> = even(must, most);
    let kept: std::collections::HashSet<usize> = keep.iter().copied().collect();
    let others: Vec<usize> = (0..n).filter(|i| !kept.contains(i)).collect();
    keep.extend(even(&others, most - keep.len()));
    keep.sort_unstable();
    keep
}

fn history(study: &StudyView, mut head: Head, direction: Option<Direction>) -> History {
    let all = valued(study, &head.metric);
    head.total = all.len() as u64;
    let (bests, improvements) = bests(study, &all, direction);
    let point = |i: usize| {
        let (trial, value) = &all[i];
        HistoryPoint { number: study.number(trial), trial: trial.place.id.to_string(), value: *value, best: bests[i] }
    };
    let values: Vec<f64> = all.iter().map(|(_, value)| *value).collect();
    let points = telling(&values, &improvements, MAX_POINTS).into_iter().map(point).collect();
    History { head, points }
}

/// The best value up to each trial, and which of them are better than all before. What breaks a constraint is no best.
fn bests(study: &StudyView, all: &[(&TrialView, f64)], direction: Option<Direction>) -> (Vec<Option<f64>>, Vec<usize>) {
    let of = |(trial, value): &(&TrialView, f64)| {
        direction.filter(|_| study.violation(trial) <= 0.0).map(|direction| direction.cost(*value))
    };
    let better = improvements(all.iter().map(of));
    let mut bests = vec![None; all.len()];
    for (i, &from) in better.iter().enumerate() {
        let to = better.get(i + 1).copied().unwrap_or(all.len());
        bests[from..to].fill(Some(all[from].1));
    }
    (bests, better)
}

/// The best so far of the only objective, after evenly spread numbers of results; empty before the first.
pub(super) fn spark(study: &StudyView) -> Vec<f64> {
    let [objective] = study.record.def.objectives.as_slice() else { return Vec::new() };
    let all = valued(study, &objective.metric);
    let bests: Vec<f64> = bests(study, &all, Some(objective.direction)).0.into_iter().flatten().collect();
    let shown: Vec<usize> = (0..bests.len()).collect();
    even(&shown, MAX_SPARK).into_iter().map(|i| bests[i]).filter(|best| best.is_finite()).collect()
}

/// The trials that a bounded plot should show: half the best, half the latest; running ones first where asked for.
fn chosen(all: Vec<(&TrialView, f64)>, direction: Option<Direction>, most: usize) -> Vec<(&TrialView, f64)> {
    if all.len() <= most {
        return all;
    }
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by(|&a, &b| cost(direction, all[a].1).total_cmp(&cost(direction, all[b].1)));
    order.truncate(most / 2);
    let must = order;
    thinned(all.len(), &must, most).into_iter().map(|i| all[i]).collect()
}

/// The curves plot: which trials are shown is told by their summaries; their points are then read one trial at a time, so
/// that nobody waits for documents at rest.
fn curves(shell: &Shell, id: &StudyId, metric: &str) -> Answer<Curves> {
    let (head, chosen) = shell.read(|node, _| {
        let study = node.study(id.as_str())?;
        let (mut head, direction) = head(study, Some(metric));
        let mut with: Vec<(&TrialView, f64)> = Vec::new();
        for trial in study.trials() {
            let last = trial.attempts.iter().filter_map(|a| a.curve.last_of(metric)).max_by_key(|(step, _)| *step);
            if let Some((_, last)) = last {
                head.total += trial.attempts.iter().map(|a| a.curve.len()).sum::<u64>();
                with.push((trial, cost(direction, last)));
            }
        }
        let mut order: Vec<usize> = (0..with.len()).collect();
        order.sort_by(|&a, &b| {
            let rank = |i: usize| (with[i].0.state != TrialState::Running, with[i].1);
            let (a, b) = (rank(a), rank(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        });
        order.truncate(CURVES / 2);
        let chosen = thinned(with.len(), &order, CURVES);
        let chosen: Vec<TrialId> = chosen.into_iter().map(|i| with[i].0.place.id.clone()).collect();
        Ok::<_, ApiError>((head, chosen))
    })?;
    let each = MAX_POINTS / chosen.len().max(1);
    let mut curves = Vec::with_capacity(chosen.len());
    for trial in &chosen {
        let curve = shell.read(|node, _| {
            let (study, trial) = node.trial(trial.as_str())?;
            let points = node.curve(study, trial)?;
            let number = |p: &Point| Some((p.step as f64, p.values.get(metric).copied()??));
            let points: Vec<(f64, f64)> = points.iter().filter_map(number).collect();
            Ok::<_, ApiError>(Curve {
                number: study.number(trial),
                trial: trial.place.id.to_string(),
                state: trial.state.as_str().to_owned(),
                points: thinned(points.len(), &extremes(&points), each).into_iter().map(|i| points[i]).collect(),
            })
        })?;
        curves.push(curve);
    }
    Ok(Curves { head, curves })
}

/// Smallest, largest, first and last.
fn extremes(points: &[(f64, f64)]) -> Vec<usize> {
    let by_value = |a: &usize, b: &usize| points[*a].1.total_cmp(&points[*b].1);
    let (low, high) = ((0..points.len()).min_by(by_value), (0..points.len()).max_by(by_value));
    let mut all: Vec<usize> = low.into_iter().chain(high).chain([0, points.len().saturating_sub(1)]).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn parallel(study: &StudyView, mut head: Head, direction: Option<Direction>) -> Parallel {
    let params: Vec<String> = study.space.params.iter().map(|p| p.name.clone()).collect();
    let all = valued(study, &head.metric);
    head.total = all.len() as u64;
    let most = (MAX_POINTS / params.len().max(1)).max(1);
    let line = |(trial, value): (&TrialView, f64)| ParallelLine {
        number: study.number(trial),
        trial: trial.place.id.to_string(),
        params: params.iter().map(|name| trial.spec.params.get(name).unwrap_or(Value::Null)).collect(),
        value,
    };
    let lines = chosen(all, direction, most).into_iter().map(line).collect();
    Parallel { head, params, lines }
}

fn slice(study: &StudyView, mut head: Head, direction: Option<Direction>) -> Slice {
    let all = valued(study, &head.metric);
    head.total = all.len() as u64;
    let most = (MAX_POINTS / study.space.params.len().max(1)).max(1);
    let one = |name: &str| {
        let with = all.iter().filter(|(t, _)| t.spec.params.contains_key(name)).copied().collect();
        let point = |(trial, y): (&TrialView, f64)| {
            Some(SlicePoint { number: study.number(trial), x: trial.spec.params.get(name)?, y })
        };
        ParamSlice {
            param: name.to_owned(),
            points: chosen(with, direction, most).into_iter().filter_map(point).collect(),
        }
    };
    // A study may have more parameters than a plot has points.
    let slices = study.space.params.iter().take(MAX_POINTS).map(|p| one(&p.name)).collect();
    Slice { head, slices }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_what_must_be_kept_and_stays_within_its_bound() {
        assert_eq!(thinned(3, &[1], 5), [0, 1, 2]);
        let kept = thinned(10_000, &[17, 4321], 100);
        assert!(kept.len() == 100 && kept.contains(&17) && kept.contains(&4321), "{kept:?}");
        assert!(kept.windows(2).all(|w| w[0] < w[1]));
        assert!(kept.contains(&0) && kept.contains(&9999));
        let many: Vec<usize> = (0..5000).collect();
        assert_eq!(thinned(10_000, &many, 100).len(), 100);
    }
}
