//! What came of a study: the best trial, the Pareto front.

use axum::extract::State;
use metaopt_api::{Page, ProblemKind, trial as dto};
use metaopt_schema::{TrialId, trial::TrialState};

use super::{
    App,
    problem::{Answer, ApiError},
    query::{In, Query, page},
    render,
};
use crate::pareto::front;

/// GET best.
pub async fn best(State(app): State<App>, In(study): In<String>, query: Query) -> Answer<axum::Json<dto::Trial>> {
    query.only(&[])?;
    let best = app.shell().read(|node, _| {
        let study = node.study(&study)?;
        let objectives = study.record.def.objectives.len();
        if objectives != 1 {
            return Err(ApiError::new(
                ProblemKind::Conflict,
                format!(
                    "the study has {objectives} objectives, so that no trial is best: see /api/v1/studies/{}/pareto",
                    study.id
                ),
            ));
        }
        match study.best() {
            Some(trial) => Ok(render::trial(node, study, trial)),
            None if study.count(TrialState::Complete) > 0 => {
                Err(ApiError::not_found(format!("no complete trial of `{}` meets its constraints yet", study.name)))
            }
            None => Err(ApiError::not_found(format!("no trial of `{}` is complete yet", study.name))),
        }
    })?;
    Ok(axum::Json(best))
}

/// GET pareto: complete feasible trials that no other such trial beats in all objectives.
pub async fn pareto(
    State(app): State<App>,
    In(study): In<String>,
    query: Query,
) -> Answer<axum::Json<Page<dto::Trial>>> {
    query.only(&["limit", "cursor"])?;
    let shell = app.shell().clone();
    let work = move || {
        // The comparisons are quadratic: they are made on a copy of the costs, while nobody waits for the lock.
        let (id, costs) = shell.read(|node, _| {
            let study = node.study(&study)?;
            let done = study.trials().iter().filter(|t| t.state == TrialState::Complete && study.violation(t) <= 0.0);
            let costs: Vec<(TrialId, Vec<f64>)> =
                done.filter_map(|t| Some((t.place.id.clone(), study.costs(t)?))).collect();
            Ok::<_, ApiError>((study.id.clone(), costs))
        })?;
        let front = front(costs);
        shell.read(|node, _| {
            let study = node.study(id.as_str())?;
            let trials = front.iter().filter_map(|id| study.trial(id));
            let found = page(&query, trials, |t| (t.spec.at.clone(), t.place.id.clone()))?;
            let items = found.items.iter().map(|t| render::trial(node, study, t)).collect();
            Ok::<_, ApiError>(Page { items, next_cursor: found.next_cursor })
        })
    };
    Ok(axum::Json(tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)??))
}
