//! What came of a study: the best trial, the Pareto front, importances.

use axum::extract::State;
use metaopt_api::{Page, ProblemKind, study::Importance, trial as dto};
use metaopt_schema::{TrialId, trial::TrialState};

use super::{
    App,
    problem::{Answer, ApiError},
    query::{In, Query, page},
    render,
};

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

/// Those that nothing dominates (smaller is better), in the given order.
fn front(all: Vec<(TrialId, Vec<f64>)>) -> Vec<TrialId> {
    let dominates = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b);
    // In lexicographic order a trial can only be dominated by an earlier one, so that only the front is compared with.
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&all[a].1, &all[b].1);
        a.iter().zip(b).map(|(a, b)| a.total_cmp(b)).find(|o| o.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    });
    let mut kept: Vec<usize> = Vec::new();
    for i in order {
        if !kept.iter().any(|&k| dominates(&all[k].1, &all[i].1)) {
            kept.push(i);
        }
    }
    kept.sort_unstable();
    kept.into_iter().map(|i| all[i].0.clone()).collect()
}

/// GET importances.
pub async fn importances(
    State(app): State<App>,
    In(study): In<String>,
    query: Query,
) -> Answer<axum::Json<Page<Importance>>> {
    query.only(&[])?;
    let shell = app.shell().clone();
    let found = tokio::task::spawn_blocking(move || shell.read(|node, _| node.importances(&study)));
    let (_, found) = found.await.map_err(ApiError::internal)??;
    let items = found.into_iter().map(|(name, importance)| Importance { name, importance }).collect();
    Ok(axum::Json(Page::whole(items)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_agrees_with_comparing_all_pairs() {
        // A fixed pseudo-random set with ties and duplicates.
        let mut x = 12345_u64;
        let mut next = || {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((x >> 33) % 12) as f64
        };
        let all: Vec<(TrialId, Vec<f64>)> =
            (0..300).map(|i| (TrialId::new(format!("n.{i}")), vec![next(), next(), next()])).collect();
        let naive: Vec<TrialId> = all
            .iter()
            .filter(|(_, b)| {
                !all.iter().any(|(_, a)| a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b))
            })
            .map(|(id, _)| id.clone())
            .collect();
        assert!(naive.len() > 3);
        assert_eq!(front(all), naive);
    }
}
