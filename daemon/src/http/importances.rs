//! `/studies/{study}/importances`: which parameters matter, and where the best trials lie.
//!
//! Owns: how a study's results are copied for what is computed from them. Must not: compute while the node waits.

use axum::extract::State;
use metaopt_api::importance as dto;
use metaopt_engine::importance::{Best, Condition, Importance, Rule, Sample, Surrogate, best_of, importances, rules};
use metaopt_schema::{StudyId, shape};
use serde_json::Value;

use super::{
    App,
    problem::{Answer, ApiError},
    query::{In, Query},
};
use crate::driver::CallError;

/// Shares of trials that may count as the best.
const TOP: (f64, f64) = (0.01, 0.5);

/// GET importances.
pub async fn get(State(app): State<App>, In(study): In<String>, query: Query) -> Answer<axum::Json<dto::Importances>> {
    query.only(&["objective", "top", "pairs"])?;
    let pairs = query.flag("pairs")?;
    let top = match query.get("top").map(|text| (text, text.parse::<f64>())) {
        None => metaopt_engine::importance::TOP,
        Some((_, Ok(top))) if (TOP.0..=TOP.1).contains(&top) => top,
        Some((text, _)) => {
            return Err(ApiError::field("?top", format!("must be a number from {} to {}, not `{text}`", TOP.0, TOP.1)));
        }
    };
    let (id, sample) = sample(&app, &study).await?;
    let metrics = app.shell().read(|node, _| {
        let objectives = &node.study(id.as_str())?.record.def.objectives;
        Ok::<_, ApiError>(objectives.iter().map(|o| o.metric.clone()).collect::<Vec<_>>())
    })?;
    let objective = match query.get("objective") {
        None => (metrics.len() == 1).then_some(0),
        Some(name) => match metrics.iter().position(|metric| metric == name) {
            None => {
                let known: Vec<&str> = metrics.iter().map(String::as_str).collect();
                return Err(ApiError::field("?objective", shape::unknown("objective", name, &known)));
            }
            found => found,
        },
    };
    let work = move || {
        let found = importances(&sample, objective, top);
        let params: Vec<usize> = found.iter().map(|one| one.param).collect();
        let cost = |_: u64, costs: &[f64]| costs.get(objective.unwrap_or(0)).copied();
        let model = if pairs { Surrogate::fit(&sample, cost) } else { None };
        let apart = model.map(|model| model.pairs(&params));
        let alone = |param: usize| apart.as_ref()?.alone.iter().find(|(i, _)| *i == param).map(|(_, share)| *share);
        let (_, trials) = sample.size();
        dto::Importances {
            best: if found.is_empty() { 0 } else { best_of(trials, top) as u64 },
            rules: rules(&sample, &params, objective, top).into_iter().map(|one| rule(&sample, one)).collect(),
            items: found.into_iter().map(|one| item(&sample, alone(one.param), one)).collect(),
            next_cursor: None,
            objective: objective.and_then(|at| metrics.get(at).cloned()),
            trials: trials as u64,
            pairs: apart.as_ref().map(|apart| {
                let pair = |(a, b): (usize, usize)| [a.min(b), a.max(b)].map(|i| sample.name(i).to_owned());
                apart.pairs.iter().map(|one| dto::Pair { params: pair(one.params), share: one.share }).collect()
            }),
        }
    };
    Ok(axum::Json(tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)?))
}

/// A study's ID, and a copy of its results as they are now.
pub(super) async fn sample(app: &App, study: &str) -> Answer<(StudyId, Sample)> {
    let shell = app.shell().clone();
    let named = study.to_owned();
    let id = match shell.call(move |node, _| node.digest_study(&named)).await {
        // Reading goes on while the disk fails: what is known since is left out.
        Err(CallError::Storage(_)) => shell.read(|node, _| node.study(study).map(|s| s.id.clone()))?,
        found => found?,
    };
    let read = move || shell.read(|node, _| node.sample(&id).map(|sample| (id, sample)));
    Ok(tokio::task::spawn_blocking(read).await.map_err(ApiError::internal)??)
}

fn item(sample: &Sample, alone: Option<f64>, one: Importance) -> dto::Importance {
    let best = |best: Best| {
        let (low, high) = best.range.unwrap_or_default();
        dto::BestValues { low, high, choices: best.choices, of_best: best.of_best, of_all: best.of_all }
    };
    dto::Importance {
        name: sample.name(one.param).to_owned(),
        importance: one.share,
        low: one.whiskers.map(|(low, _)| low),
        high: one.whiskers.map(|(_, high)| high),
        best: one.best.map(best),
        alone,
    }
}

fn rule(sample: &Sample, rule: Rule) -> dto::Rule {
    let condition = |one: Condition| dto::RuleCondition {
        param: sample.name(one.param).to_owned(),
        active: one.active,
        at_least: one.at_least.unwrap_or(Value::Null),
        at_most: one.at_most.unwrap_or(Value::Null),
        one_of: one.one_of,
    };
    dto::Rule {
        conditions: rule.conditions.into_iter().map(condition).collect(),
        trials: rule.trials as u64,
        good: rule.good,
        of_best: rule.of_best,
        of_all: rule.of_all,
    }
}
