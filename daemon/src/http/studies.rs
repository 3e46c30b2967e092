//! `/studies` and `/studies/{study}`.

use axum::{extract::State, http::StatusCode};
use metaopt_api::{Page, study as dto};
use metaopt_core::{
    Node, Now, Refusal,
    commands::{StudyAction, StudyPatch},
};
use metaopt_schema::{
    Fields, Stamp, StudyId, TrialId,
    shape::{Field, Kind, may, need},
    space::Space,
    study::{Budget, StudyDef, validate::parse_study},
};
use serde_json::Value;

use super::{
    App,
    body::{Json, Loose, Nothing, Shape},
    plots,
    problem::{Answer, ApiError},
    query::{In, Query, page},
    render,
};

const STATES: [&str; 5] = ["running", "paused", "complete", "cancelled", "archived"];

/// GET: all, oldest first.
pub async fn list(State(app): State<App>, query: Query) -> Answer<axum::Json<Page<dto::Study>>> {
    query.only(&["limit", "cursor", "state", "spark"])?;
    let spark = query.flag("spark")?;
    let state = query.word("state", &STATES)?;
    let page = app.shell().read(|node, now| {
        let wanted = |s: &&metaopt_schema::view::StudyView| {
            state.is_none_or(|w| serde_json::to_value(node.state_of(s, now)).is_ok_and(|is| is == w))
        };
        let key = |s: &&metaopt_schema::view::StudyView| -> (Stamp, StudyId) { (s.record.at.clone(), s.id.clone()) };
        let found = page(&query, node.studies().filter(wanted), key)?;
        let one = |s: &&metaopt_schema::view::StudyView| dto::Study {
            spark: spark.then(|| plots::spark(s)),
            ..render::study(node, s, now)
        };
        let items = found.items.iter().map(one).collect();
        Ok::<_, ApiError>(Page { items, next_cursor: found.next_cursor })
    })?;
    Ok(axum::Json(page))
}

/// POST: create, or answer the one of that name.
pub async fn create(State(app): State<App>, body: Loose) -> Answer<(StatusCode, axum::Json<dto::Study>)> {
    let mut value = body.finite()?;
    let load = match value.as_object_mut().and_then(|map| map.remove("load_if_exists")) {
        None => false,
        Some(Value::Bool(load)) => load,
        Some(other) => {
            let detail = format!("must be true or false, not {}", metaopt_schema::shape::describe(&other));
            return Err(ApiError::field("/load_if_exists", detail));
        }
    };
    let from = match value.as_object_mut().and_then(|map| map.remove("from")) {
        None | Some(Value::Null) => None,
        Some(Value::String(from)) => Some(from),
        Some(other) => {
            let detail = format!("must be a study's name or ID, not {}", metaopt_schema::shape::describe(&other));
            return Err(ApiError::field("/from", detail));
        }
    };
    let def = parse_study(&value).map_err(ApiError::fields)?;
    if let Some(from) = from {
        let name = def.name.clone();
        let loaded = load && app.shell().read(|node, _| node.studies().any(|study| study.name == name));
        if !loaded {
            return started(&app, def, from).await;
        }
    }
    let (study, created) = app
        .shell()
        .call(move |node, now| {
            let (id, created) = node.create_study(now, def, load)?;
            Ok((rendered(node, now, id.as_str())?, created))
        })
        .await?;
    Ok((if created { StatusCode::CREATED } else { StatusCode::OK }, axum::Json(study)))
}

/// A new study that starts from the results of another.
async fn started(app: &App, def: StudyDef, from: String) -> Answer<(StatusCode, axum::Json<dto::Study>)> {
    let started = app
        .shell()
        .call(move |node, now| {
            let started = node.create_study_from(now, def, &from)?;
            // Its first draws are to know of them.
            node.copy_trials(now, &started.study, first(&started.fitting)).map(|()| started)
        })
        .await?;
    copy(app, &started.study, &started.fitting).await?;
    let warm = dto::WarmStart {
        study: started.origin,
        taken: started.fitting.len() as u64,
        left_out: started.left_out.into_iter().map(|(why, trials)| dto::LeftOut { why, trials }).collect(),
    };
    let id = started.study;
    let mut study = app.shell().call(move |node, now| rendered(node, now, id.as_str())).await?;
    study.warm_start = Some(warm);
    Ok((StatusCode::CREATED, axum::Json(study)))
}

/// Trials copied into a study in one go: others are served in between.
const COPIED_AT_ONCE: usize = 100;

fn first(trials: &[TrialId]) -> &[TrialId] {
    &trials[..trials.len().min(COPIED_AT_ONCE)]
}

/// Copies what comes after the first ones into a study.
async fn copy(app: &App, study: &StudyId, trials: &[TrialId]) -> Answer<()> {
    for some in trials[first(trials).len()..].chunks(COPIED_AT_ONCE) {
        let (id, some) = (study.clone(), some.to_vec());
        if let Err(error) = app.shell().call(move |node, now| node.copy_trials(now, &id, &some)).await {
            // One with a part of the history would pass for the whole.
            let id = study.clone();
            let _ = app.shell().call(move |node, now| node.delete_study(now, id.as_str())).await;
            return Err(error.into());
        }
    }
    Ok(())
}

/// GET one.
pub async fn get(State(app): State<App>, In(study): In<String>, query: Query) -> Answer<axum::Json<dto::Study>> {
    query.only(&[])?;
    Ok(axum::Json(app.shell().read(|node, now| rendered(node, now, &study))?))
}

fn rendered(node: &Node, now: Now, study: &str) -> Result<dto::Study, Refusal> {
    Ok(render::study(node, node.study(study)?, now))
}

impl Shape for dto::StudyPatch {
    const WHAT: &'static str = "an edit of a study";
    const FIELDS: &'static [Field] = &[
        may("name", Kind::Text),
        may("budget", Kind::Object),
        may("note", Kind::Text),
        may("user_attrs", Kind::Object),
        may("space", Kind::List),
    ];
}

const BUDGET: &[Field] = &[
    metaopt_schema::shape::opt("max_trials", Kind::Count),
    metaopt_schema::shape::opt("max_parallel", Kind::Count),
    metaopt_schema::shape::opt("timeout_s", Kind::Number),
    may("strict", Kind::Flag),
    may("priority", Kind::Whole),
];

/// The budget with the given fields changed; null takes a limit away.
fn changed(old: &Budget, edit: &Value) -> Result<Budget, Refusal> {
    let mut errors = Fields::new();
    let clean = metaopt_schema::shape::object(edit, "/budget", "a budget", BUDGET, false, &mut errors);
    for (field, least) in [("max_parallel", 1.0), ("timeout_s", f64::MIN_POSITIVE)] {
        if edit.get(field).and_then(Value::as_f64).is_some_and(|v| v < least) {
            errors.add(format!("/budget/{field}"), format!("`{field}` must be above 0, or null for no limit"));
        }
    }
    if !errors.0.is_empty() || clean.is_none() {
        return Err(Refusal::invalid(errors.0));
    }
    let mut all = serde_json::to_value(old).unwrap_or_default();
    if let (Some(all), Some(edit)) = (all.as_object_mut(), edit.as_object()) {
        for (key, value) in edit {
            let clean = clean.as_ref().and_then(|c| c.get(key)).unwrap_or(value);
            all.insert(key.clone(), clean.clone());
        }
    }
    serde_json::from_value(all).map_err(|error| Refusal::field("/budget", error.to_string()))
}

/// PATCH: absent fields stay.
pub async fn patch(
    State(app): State<App>,
    In(study): In<String>,
    Json(body): Json<dto::StudyPatch>,
) -> Answer<axum::Json<dto::Study>> {
    if let Some(name) = &body.name {
        check_name(name)?;
    }
    let space = body.space.as_ref().map(Space::parse_edit).transpose().map_err(ApiError::fields)?;
    let answer = app
        .shell()
        .call(move |node, now| {
            let budget = body.budget.as_ref().map(|edit| changed(&node.study(&study)?.budget, edit)).transpose()?;
            let patch = StudyPatch { name: body.name, budget, note: body.note, user_attrs: body.user_attrs, space };
            let id = node.patch_study(now, &study, patch)?;
            rendered(node, now, id.as_str())
        })
        .await?;
    Ok(axum::Json(answer))
}

/// DELETE: for good.
pub async fn delete(State(app): State<App>, In(study): In<String>) -> Answer<StatusCode> {
    app.shell().call(move |node, now| node.delete_study(now, &study)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn act(app: App, study: String, action: StudyAction) -> Answer<axum::Json<dto::Study>> {
    let answer = app
        .shell()
        .call(move |node, now| {
            let id = node.study_action(now, &study, action)?;
            rendered(node, now, id.as_str())
        })
        .await?;
    Ok(axum::Json(answer))
}

/// POST pause.
pub async fn pause(State(app): State<App>, In(study): In<String>, _: Json<Nothing>) -> Answer<axum::Json<dto::Study>> {
    act(app, study, StudyAction::Pause).await
}

/// POST resume.
pub async fn resume(State(app): State<App>, In(study): In<String>, _: Json<Nothing>) -> Answer<axum::Json<dto::Study>> {
    act(app, study, StudyAction::Resume).await
}

/// POST cancel.
pub async fn cancel(State(app): State<App>, In(study): In<String>, _: Json<Nothing>) -> Answer<axum::Json<dto::Study>> {
    act(app, study, StudyAction::Cancel).await
}

/// POST archive.
pub async fn archive(
    State(app): State<App>,
    In(study): In<String>,
    _: Json<Nothing>,
) -> Answer<axum::Json<dto::Study>> {
    act(app, study, StudyAction::Archive).await
}

fn check_name(name: &str) -> Answer<()> {
    match metaopt_schema::shape::bad_name(name) {
        Some(why) => Err(ApiError::field("/name", why)),
        None => Ok(()),
    }
}

impl Shape for dto::Fork {
    const WHAT: &'static str = "a fork";
    const FIELDS: &'static [Field] = &[need("name", Kind::Text), may("add", Kind::List)];
}

/// POST fork.
pub async fn fork(
    State(app): State<App>,
    In(study): In<String>,
    Json(body): Json<dto::Fork>,
) -> Answer<(StatusCode, axum::Json<dto::Study>)> {
    check_name(&body.name)?;
    let below_add = |mut errors: Vec<metaopt_schema::FieldError>| {
        for error in &mut errors {
            error.pointer = error.pointer.replacen("/space", "/add", 1);
        }
        errors
    };
    let add = match &body.add {
        None => None,
        Some(add) => Some(Space::parse_edit(add).map_err(|errors| ApiError::fields(below_add(errors)))?),
    };
    let forked = app
        .shell()
        .call(move |node, now| {
            let forked =
                node.fork_study(now, &study, body.name, add).map_err(|refusal| match refusal.errors.is_empty() {
                    true => refusal,
                    false => Refusal::invalid(below_add(refusal.errors)),
                })?;
            node.copy_trials(now, &forked.study, first(&forked.finished)).map(|()| forked)
        })
        .await?;
    copy(&app, &forked.study, &forked.finished).await?;
    let id = forked.study;
    let answer = app.shell().call(move |node, now| rendered(node, now, id.as_str())).await?;
    Ok((StatusCode::CREATED, axum::Json(answer)))
}
