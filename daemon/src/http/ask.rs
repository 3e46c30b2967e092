//! Ask and tell: `suggest`, reports, `complete`, heartbeats.

use std::time::{Duration, Instant};

use axum::{
    Extension,
    extract::State,
    response::{IntoResponse, Response},
};
use metaopt_api::trial::{self as dto, MAX_COUNT, MAX_LEASE_S, MAX_REPORTS};
use metaopt_core::{
    commands::{Action, Completion, Report, SuggestRequest, Suggested, Told},
    node::MAX_METRICS,
};
use metaopt_schema::{
    Fields, Named,
    problem::token,
    shape::{self, Field, Kind, may, need, opt},
    trial::Values,
};
use serde_json::{Value, json};

use super::{
    App,
    auth::Scope,
    body::{Json, Loose, Shape},
    problem::{Answer, ApiError},
    query::In,
    trials::rendered,
};

/// Trials drawn while nobody else is served.
const DRAWN_AT_ONCE: u64 = 4;
/// After this long what was drawn is answered, though it be fewer than were asked for.
const LONGEST_DRAW: Duration = Duration::from_secs(20);

impl Shape for dto::Suggest {
    const WHAT: &'static str = "a request for trials";
    const FIELDS: &'static [Field] =
        &[may("count", Kind::Count), opt("client_id", Kind::Text), may("lease_s", Kind::Number)];
}

/// POST suggest.
pub async fn suggest(
    State(app): State<App>,
    In(study): In<String>,
    Json(body): Json<dto::Suggest>,
) -> Answer<axum::Json<dto::Suggested>> {
    let mut errors = Fields::new();
    if !(1..=MAX_COUNT).contains(&body.count) {
        errors.add("/count", format!("must be from 1 to {MAX_COUNT}, not {}", body.count));
    }
    if !(1.0..=MAX_LEASE_S).contains(&body.lease_s) {
        errors.add("/lease_s", format!("must be from 1 to {MAX_LEASE_S} seconds (7 days), not {}", body.lease_s));
    }
    if body.client_id.as_ref().is_some_and(|id| id.is_empty() || id.chars().count() > 256) {
        errors.add("/client_id", "must have 1 to 256 characters; leave it out for none");
    }
    if !errors.0.is_empty() {
        return Err(ApiError::fields(errors.0));
    }
    let found = drawn(&app, &study, &body).await?;
    let items = app
        .shell()
        .read(|node, _| found.trials.iter().map(|id| rendered(node, id.as_str())).collect::<Result<_, _>>())?;
    let reason = found.reason.map(|r| r.as_str().to_owned());
    Ok(axum::Json(dto::Suggested { items, reason, retry_after_s: found.retry_after_s }))
}

/// Draws a few at a time, so that others are served in between; fewer than were asked for where that would take too long.
async fn drawn(app: &App, study: &str, body: &dto::Suggest) -> Answer<Suggested> {
    let begin = Instant::now();
    let mut all = Suggested { trials: Vec::new(), reason: None, retry_after_s: None };
    while (all.trials.len() as u64) < body.count && all.reason.is_none() && begin.elapsed() < LONGEST_DRAW {
        let known = all.trials.len() as u64;
        let more = (body.count - known).min(DRAWN_AT_ONCE);
        // A client that says who it is gets what it holds first.
        let count = if body.client_id.is_some() { known + more } else { more };
        let request = SuggestRequest { count, client_id: body.client_id.clone(), lease_s: body.lease_s };
        let id = study.to_owned();
        match app.shell().call(move |node, now| node.suggest(now, &id, request)).await {
            Ok(found) => {
                if body.client_id.is_some() {
                    all.trials.clear();
                }
                all.trials.extend(found.trials);
                (all.reason, all.retry_after_s) = (found.reason, found.retry_after_s);
            }
            // What was lent already must not be lost.
            Err(_) if known > 0 => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(all)
}

const REPORT: &[Field] = &[need("step", Kind::Count), need("values", Kind::Object), opt("attempt", Kind::Count)];

/// Metric values by name: finite numbers, or, from a process, null where one was not finite.
fn metrics(value: Option<&Value>, at: &str, nulls: bool, errors: &mut Fields) -> Named<Option<f64>> {
    let mut read = Named::new();
    if value.and_then(Value::as_object).is_some_and(|map| map.len() > MAX_METRICS) {
        errors.add(at, format!("more than {MAX_METRICS} metrics; report those you compare trials by"));
        return read;
    }
    for (name, value) in value.and_then(Value::as_object).into_iter().flatten() {
        let here = format!("{at}/{}", token(name));
        if let Some(why) = shape::bad_name(name) {
            errors.add(&here, format!("the metric's name {why}"));
        } else if let Some(number) = value.as_f64() {
            read.insert(name.as_str(), Some(number));
        } else if value.is_null() && nulls {
            read.insert(name.as_str(), None);
        } else {
            errors.add(&here, format!("`{name}` must be a finite number, not {}", shape::describe(value)));
        }
    }
    read
}

/// The attempt named in a body.
fn attempt_in(map: &serde_json::Map<String, Value>, at: &str, errors: &mut Fields) -> Option<u32> {
    let n = map.get("attempt")?.as_u64()?;
    match u32::try_from(n) {
        Ok(n @ 1..) => Some(n),
        _ => {
            errors.add(format!("{at}/attempt"), format!("attempts are numbered from 1 up, not {n}"));
            None
        }
    }
}

fn read_report(value: &Value, at: &str, nulls: bool, errors: &mut Fields) -> Option<Report> {
    let map = shape::object(value, at, "a report", REPORT, false, errors)?;
    let values = metrics(map.get("values"), &format!("{at}/values"), nulls, errors);
    let step = map.get("step").and_then(Value::as_u64).unwrap_or(0);
    if step == 0 {
        errors.add(format!("{at}/step"), "steps are completed units of work, from 1 up");
    }
    if map.get("values").and_then(Value::as_object).is_some_and(serde_json::Map::is_empty) {
        errors.add(format!("{at}/values"), "needs at least one metric, such as {\"loss\": 0.4}");
    }
    Some(Report { step, values, attempt: attempt_in(&map, at, errors) })
}

/// A process may send what isn't finite; everyone else is told.
fn value_of(body: Loose, scope: &Scope) -> Answer<Value> {
    if scope.is_process() { Ok(body.value) } else { body.finite() }
}

/// POST reports: one or a list.
pub async fn report(
    State(app): State<App>,
    Extension(scope): Extension<Scope>,
    In(trial): In<String>,
    body: Loose,
) -> Answer<Response> {
    let value = value_of(body, &scope)?;
    let mut errors = Fields::new();
    let nulls = scope.is_process();
    let mut reports: Vec<Report> = match &value {
        Value::Array(items) if items.is_empty() => {
            return Err(ApiError::field("", "an empty list: send at least one report"));
        }
        Value::Array(items) if items.len() > MAX_REPORTS => {
            return Err(ApiError::field("", format!("{} reports; send at most {MAX_REPORTS} at once", items.len())));
        }
        Value::Array(items) => {
            let read = |(i, item)| read_report(item, &format!("/{i}"), nulls, &mut errors);
            items.iter().enumerate().filter_map(read).collect()
        }
        one => read_report(one, "", nulls, &mut errors).into_iter().collect(),
    };
    if !errors.0.is_empty() {
        return Err(ApiError::fields(errors.0));
    }
    for report in &mut reports {
        report.attempt = scope.attempt(report.attempt)?;
    }
    let attempt = reports.iter().filter_map(|report| report.attempt).max();
    if let Some(held) = app.held_elsewhere(&scope, &trial, attempt)? {
        return match held.ask(&app, "reports", &value).await {
            Ok(answer) => Ok(answer),
            Err(away) => held.meanwhile(&app, away).map(verdict),
        };
    }
    let action = app.shell().call(move |node, now| node.report(now, &trial, reports)).await?;
    Ok(verdict(action))
}

fn verdict(action: Action) -> Response {
    let action = match action {
        Action::Continue => dto::Action::Continue,
        Action::Stop => dto::Action::Stop,
        Action::Pause => dto::Action::Pause,
    };
    axum::Json(dto::Verdict { action }).into_response()
}

const COMPLETE: &[Field] =
    &[opt("state", Kind::Text), opt("values", Kind::Object), opt("detail", Kind::Text), opt("attempt", Kind::Count)];

/// POST complete: values, or a state and a detail.
pub async fn complete(
    State(app): State<App>,
    Extension(scope): Extension<Scope>,
    In(trial): In<String>,
    body: Loose,
) -> Answer<Response> {
    let value = value_of(body, &scope)?;
    let mut completion = read_completion(&value, scope.is_process())?;
    completion.attempt = scope.attempt(completion.attempt)?;
    // A result is never refused for want of its holder: told here it is as good, and the holder learns of it. Told twice,
    // where the holder took it and its answer was lost, it is the same.
    if scope.is_user()
        && let Some(held) = app.held_elsewhere(&scope, &trial, completion.attempt)?
    {
        match held.ask(&app, "complete", &value).await {
            Ok(answer) if !answer.status().is_server_error() => return Ok(answer),
            Ok(answer) => tracing::info!(node = %held.node, status = %answer.status(), "a result is taken here"),
            Err(away) => tracing::info!(node = %away.node, why = %away.why, "a result is taken here"),
        }
    }
    let answer = app
        .shell()
        .call(move |node, now| {
            let id = node.complete(now, &trial, completion)?;
            rendered(node, id.as_str())
        })
        .await?;
    Ok(axum::Json(answer).into_response())
}

fn read_completion(value: &Value, nulls: bool) -> Answer<Completion> {
    let mut errors = Fields::new();
    let map = shape::object(value, "", "a result", COMPLETE, false, &mut errors);
    let Some(map) = map else { return Err(ApiError::fields(errors.0)) };
    // A process's non-finite value is no value: the objective is then missing, and the node says so.
    let read = metrics(map.get("values"), "/values", nulls, &mut errors);
    let values: Values = read.into_iter().filter_map(|(name, v)| Some((name, v?))).collect();
    let given = map.contains_key("values");
    let state = map.get("state").and_then(Value::as_str).unwrap_or("complete");
    let told = match state {
        "complete" => {
            if !given {
                errors.add(
                    "/values",
                    "a result needs `values`, such as {\"loss\": 0.39}; or a `state`: fail, pruned or infeasible",
                );
            }
            Told::Complete(values)
        }
        "fail" | "pruned" | "infeasible" if given => {
            let fix = "report them as a step before, or leave `state` out";
            errors.add("/values", format!("a trial told `{state}` has no final values: {fix}"));
            Told::Fail
        }
        "fail" => Told::Fail,
        "pruned" => Told::Pruned,
        "infeasible" => Told::Infeasible,
        other => {
            errors.add("/state", shape::unknown("state", other, &["complete", "fail", "pruned", "infeasible"]));
            Told::Fail
        }
    };
    let attempt = attempt_in(&map, "", &mut errors);
    let detail = map.get("detail").and_then(Value::as_str).map(str::to_owned);
    if errors.0.is_empty() { Ok(Completion { told, detail, attempt }) } else { Err(ApiError::fields(errors.0)) }
}

impl Shape for dto::Heartbeat {
    const WHAT: &'static str = "a heartbeat";
    const FIELDS: &'static [Field] = &[opt("attempt", Kind::Count)];
}

/// POST heartbeat.
pub async fn heartbeat(
    State(app): State<App>,
    Extension(scope): Extension<Scope>,
    In(trial): In<String>,
    Json(body): Json<dto::Heartbeat>,
) -> Answer<Response> {
    let attempt = scope.attempt(body.attempt)?;
    if let Some(held) = app.held_elsewhere(&scope, &trial, attempt)? {
        return match held.ask(&app, "heartbeat", &json!({"attempt": attempt})).await {
            Ok(answer) => Ok(answer),
            Err(away) => held.meanwhile(&app, away).map(verdict),
        };
    }
    let action = app.shell().call(move |node, now| node.heartbeat(now, &trial, attempt)).await?;
    Ok(verdict(action))
}
