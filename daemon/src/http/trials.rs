//! `/studies/{study}/trials` and `/trials/{trial}`: reading, annotating, acting on them.

use std::cmp::Ordering;

use axum::{Extension, extract::State, http::StatusCode};
use metaopt_api::{Page, ProblemKind, trial as dto};
use metaopt_core::{Node, Refusal, commands::TrialAction};
use metaopt_schema::{
    Stamp, TrialId,
    shape::{Field, Kind, may, need},
    trial::TrialState,
    view::{StudyView, TrialView},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    App,
    auth::Scope,
    body::{Json, Nothing, Shape},
    predict,
    problem::{Answer, ApiError},
    query::{In, Query, bad_cursor, page, seal},
    render,
};

/// Most trials that a list may name.
const MOST_NAMED: usize = 100;
/// What lists may be ordered by.
const SORTS: [&str; 12] = [
    "number",
    "-number",
    "created_at",
    "-created_at",
    "started_at",
    "-started_at",
    "finished_at",
    "-finished_at",
    "last_step",
    "-last_step",
    "value",
    "-value",
];

/// A trial's place in an ordered list.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Spot {
    /// The order it belongs to.
    sort: String,
    /// What is compared first; trials without it come last.
    by: Option<f64>,
    at: Stamp,
    id: TrialId,
}

impl Spot {
    fn of(study: &StudyView, trial: &TrialView, sort: &str) -> Self {
        let ms = |t: Option<u64>| t.map(|t| t as f64);
        let by = match sort.trim_start_matches('-') {
            "started_at" => ms(trial.started_at()),
            "finished_at" => ms(trial.finished_at()),
            "last_step" => Some(trial.last_step() as f64),
            "value" => study.record.def.objectives.first().and_then(|o| trial.values().get(&o.metric).copied()),
            _ => None, // the canonical order itself
        };
        Self { sort: sort.to_owned(), by, at: trial.spec.at.clone(), id: trial.place.id.clone() }
    }

    fn cmp(&self, other: &Self) -> Ordering {
        let turned = |order: Ordering| if self.sort.starts_with('-') { order.reverse() } else { order };
        let by = match (self.by, other.by) {
            (Some(a), Some(b)) => turned(a.total_cmp(&b)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        let canonical = (&self.at, &self.id).cmp(&(&other.at, &other.id));
        let by_number = matches!(self.sort.trim_start_matches('-'), "number" | "created_at");
        by.then(if by_number { turned(canonical) } else { canonical })
    }
}

/// GET: a study's trials.
pub async fn list(State(app): State<App>, In(study): In<String>, query: Query) -> Answer<axum::Json<Page<Value>>> {
    if query.get("ids").is_some() {
        return named(&app, &study, &query).map(axum::Json);
    }
    query.only(&["limit", "cursor", "state", "node", "sort", "fields", "ids"])?;
    let limit = query.limit()?;
    let states = query.words("state", &TrialState::ALL.map(TrialState::as_str))?;
    let fields = fields(&query)?;
    let sort = query.word("sort", &SORTS)?.unwrap_or("number");
    let after: Option<Spot> = query.cursor()?;
    if after.as_ref().is_some_and(|a| a.sort != sort) {
        return Err(bad_cursor());
    }
    foretell(&app, &study, fields.as_deref())?;
    let page = app.shell().read(|node, _| {
        let study = node.study(&study)?;
        let wanted = |t: &&TrialView| {
            states.as_ref().is_none_or(|s| s.contains(&t.state.as_str()))
                && query.get("node").is_none_or(|wanted| {
                    t.shown().is_some_and(|a| a.node.as_str() == wanted || render::node_name(node, &a.node) == wanted)
                })
        };
        let found = page_of(study, sort, after.as_ref(), limit + 1, wanted);
        let items = found.iter().take(limit).map(|t| projected(node, study, t, fields.as_deref())).collect();
        let next_cursor = (found.len() > limit).then(|| seal(&Spot::of(study, found[limit - 1], sort)));
        Ok::<_, ApiError>(Page { items, next_cursor })
    })?;
    Ok(axum::Json(page))
}

/// The trials of `ids`, in that order; what isn't one of this study's is left out.
fn named(app: &App, study: &str, query: &Query) -> Answer<Page<Value>> {
    query.only(&["ids", "fields"])?;
    let ids: Vec<&str> = query.get("ids").unwrap_or_default().split(',').filter(|id| !id.is_empty()).collect();
    if ids.len() > MOST_NAMED {
        return Err(ApiError::field("?ids", format!("names {} trials; {MOST_NAMED} at most", ids.len())));
    }
    let fields = fields(query)?;
    foretell(app, study, fields.as_deref())?;
    let items = app.shell().read(|node, _| {
        let study = node.study(study)?;
        let found = ids.into_iter().filter_map(|id| study.trial(&TrialId::new(id)));
        Ok::<_, ApiError>(found.map(|trial| projected(node, study, trial, fields.as_deref())).collect())
    })?;
    Ok(Page { items, next_cursor: None })
}

fn fields(query: &Query) -> Answer<Option<Vec<&'static str>>> {
    query.words("fields", &dto::TRIAL_FIELDS[..dto::TRIAL_FIELDS.len() - 1])
}

/// Sees to it that `predicted` is there soon, where it is asked for.
fn foretell(app: &App, study: &str, fields: Option<&[&str]>) -> Answer<()> {
    if fields.is_none_or(|fields| fields.contains(&"predicted")) {
        predict::soon(app, app.shell().read(|node, _| node.study(study).map(|study| study.id.clone()))?);
    }
    Ok(())
}

/// The first `most` of the trials wanted that come after `after`. In canonical order only those are looked at.
fn page_of<'a>(
    study: &'a StudyView,
    sort: &str,
    after: Option<&Spot>,
    most: usize,
    wanted: impl Fn(&&'a TrialView) -> bool,
) -> Vec<&'a TrialView> {
    let all = study.trials();
    let place = after.map(|spot| (all.before((&spot.at, &spot.id)), spot));
    match sort {
        "number" | "created_at" => {
            let from = all.from(place.map_or(0, |(place, _)| place));
            from.filter(|t| after.is_none_or(|a| t.key() > (&a.at, &a.id))).filter(wanted).take(most).collect()
        }
        "-number" | "-created_at" => {
            let rest = all.iter().rev().skip(place.map_or(0, |(place, _)| all.len() - place));
            rest.filter(|t| after.is_none_or(|a| t.key() < (&a.at, &a.id))).filter(wanted).take(most).collect()
        }
        _ => {
            let spots = all.iter().filter(wanted).map(|t| (Spot::of(study, t, sort), t));
            let mut found: Vec<(Spot, &TrialView)> =
                spots.filter(|(spot, _)| after.is_none_or(|a| spot.cmp(a) == Ordering::Greater)).collect();
            if found.len() > most {
                found.select_nth_unstable_by(most, |(a, _), (b, _)| a.cmp(b));
                found.truncate(most);
            }
            found.sort_by(|(a, _), (b, _)| a.cmp(b));
            found.into_iter().map(|(_, t)| t).collect()
        }
    }
}

fn projected(node: &Node, study: &StudyView, trial: &TrialView, fields: Option<&[&str]>) -> Value {
    let mut value = serde_json::to_value(render::trial(node, study, trial)).unwrap_or_default();
    if let (Some(fields), Some(map)) = (fields, value.as_object_mut()) {
        map.retain(|key, _| fields.contains(&key.as_str()));
    }
    value
}

impl Shape for dto::Enqueue {
    const WHAT: &'static str = "a trial to enqueue";
    const FIELDS: &'static [Field] = &[need("params", Kind::Object), may("user_attrs", Kind::Object)];
}

/// POST: enqueue.
pub async fn enqueue(
    State(app): State<App>,
    In(study): In<String>,
    Json(body): Json<dto::Enqueue>,
) -> Answer<(StatusCode, axum::Json<dto::Trial>)> {
    let answer = app
        .shell()
        .call(move |node, now| {
            let id = node.enqueue(now, &study, body.params, body.user_attrs)?;
            rendered(node, id.as_str())
        })
        .await?;
    Ok((StatusCode::CREATED, axum::Json(answer)))
}

/// The trial as it is now.
pub(super) fn rendered(node: &Node, trial: &str) -> Result<dto::Trial, Refusal> {
    let (study, trial) = node.trial(trial)?;
    Ok(render::trial(node, study, trial))
}

/// GET one.
pub async fn get(State(app): State<App>, In(trial): In<String>, query: Query) -> Answer<axum::Json<dto::Trial>> {
    query.only(&[])?;
    let study = app.shell().read(|node, _| node.trial(&trial).map(|(study, _)| study.id.clone()))?;
    predict::now(&app, &study).await;
    let answer = app.shell().read(|node, now| {
        let (study, trial) = node.trial(&trial)?;
        Ok::<_, Refusal>(dto::Trial { why: node.why_waits(study, trial, now), ..render::trial(node, study, trial) })
    })?;
    Ok(axum::Json(answer))
}

impl Shape for dto::TrialPatch {
    const WHAT: &'static str = "an edit of a trial";
    const FIELDS: &'static [Field] = &[may("note", Kind::Text), may("user_attrs", Kind::Object)];
}

/// PATCH: note and attributes.
pub async fn patch(
    State(app): State<App>,
    Extension(scope): Extension<Scope>,
    In(trial): In<String>,
    Json(body): Json<dto::TrialPatch>,
) -> Answer<axum::Json<dto::Trial>> {
    if scope.is_process() && body.note.is_some() {
        return Err(ApiError::new(ProblemKind::Forbidden, "a trial's own token may set `user_attrs`, not `note`"));
    }
    let answer = app
        .shell()
        .call(move |node, now| {
            let id = node.patch_trial(now, &trial, body.note, body.user_attrs)?;
            rendered(node, id.as_str())
        })
        .await?;
    Ok(axum::Json(answer))
}

/// GET reports.
pub async fn reports(
    State(app): State<App>,
    In(trial): In<String>,
    query: Query,
) -> Answer<axum::Json<Page<dto::Report>>> {
    query.only(&["limit", "cursor", "after_step"])?;
    let after = query.whole("after_step", 0, u64::MAX)?.unwrap_or(0);
    // A curve that rests is read from its document, which may take some milliseconds.
    let shell = app.shell().clone();
    let read = move || {
        let curve = shell.read(|node, _| {
            let (study, trial) = node.trial(&trial)?;
            node.curve(study, trial)
        })?;
        let found = page(&query, curve.into_iter().filter(|p| p.step > after), |p| p.step)?;
        let items = found.items.iter().map(render::report).collect();
        Ok::<_, ApiError>(Page { items, next_cursor: found.next_cursor })
    };
    Ok(axum::Json(tokio::task::spawn_blocking(read).await.map_err(ApiError::internal)??))
}

/// GET explain.
pub async fn explain(State(app): State<App>, In(trial): In<String>, query: Query) -> Answer<axum::Json<Value>> {
    query.only(&[])?;
    // Drawing again may take a while: not on a thread that serves others.
    let shell = app.shell().clone();
    let answer = tokio::task::spawn_blocking(move || shell.read(|node, _| node.explain(&trial)));
    Ok(axum::Json(answer.await.map_err(ApiError::internal)??))
}

async fn act(app: App, trial: String, action: TrialAction) -> Answer<axum::Json<dto::Trial>> {
    let answer = app
        .shell()
        .call(move |node, now| {
            let id = node.trial_action(now, &trial, action)?;
            rendered(node, id.as_str())
        })
        .await?;
    Ok(axum::Json(answer))
}

/// POST cancel, or stop.
pub async fn cancel(State(app): State<App>, In(trial): In<String>, _: Json<Nothing>) -> Answer<axum::Json<dto::Trial>> {
    act(app, trial, TrialAction::Cancel).await
}

/// POST retry.
pub async fn retry(State(app): State<App>, In(trial): In<String>, _: Json<Nothing>) -> Answer<axum::Json<dto::Trial>> {
    act(app, trial, TrialAction::Retry).await
}

/// POST pause.
pub async fn pause(State(app): State<App>, In(trial): In<String>, _: Json<Nothing>) -> Answer<axum::Json<dto::Trial>> {
    act(app, trial, TrialAction::Pause).await
}

/// POST resume.
pub async fn resume(State(app): State<App>, In(trial): In<String>, _: Json<Nothing>) -> Answer<axum::Json<dto::Trial>> {
    act(app, trial, TrialAction::Resume).await
}
