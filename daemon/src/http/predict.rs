//! Forecasts of what open trials come to: made when somebody looks, on a copy, and no more often than anybody can read.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use metaopt_engine::forecast;
use metaopt_schema::StudyId;

use super::App;

/// Forecasts younger than this are not made again.
const FRESH: Duration = Duration::from_secs(2);

/// When the forecasts of studies were begun last.
#[derive(Default)]
pub(super) struct Foreseen(Mutex<HashMap<StudyId, Instant>>);

impl Foreseen {
    /// Whether it is time to make a study's again; then the caller does.
    fn is_due(&self, study: &StudyId) -> bool {
        let mut begun = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        begun.retain(|_, at| at.elapsed() < FRESH);
        let due = !begun.contains_key(study);
        if due {
            begun.insert(study.clone(), Instant::now());
        }
        due
    }
}

/// Makes a study's forecasts, if they are old, for whoever reads next.
pub(super) fn soon(app: &App, study: StudyId) {
    if app.foreseen().is_due(&study) {
        let app = app.clone();
        tokio::spawn(async move { make(&app, &study).await });
    }
}

/// Makes a study's forecasts, if they are old, and waits for them.
pub(super) async fn now(app: &App, study: &StudyId) {
    if app.foreseen().is_due(study) {
        make(app, study).await;
    }
}

async fn make(app: &App, study: &StudyId) {
    let id = study.clone();
    // Whatever fails here, a trial is shown without.
    let Ok(Some(curves)) = app.shell().call(move |node, _| node.open_curves(id.as_str())).await else { return };
    let work = move || {
        let found = forecast(&curves.history, &curves.keys, curves.length);
        let found: BTreeMap<u64, _> =
            curves.keys.iter().copied().zip(found).filter_map(|(k, f)| Some((k, f?))).collect();
        (curves.study, found)
    };
    if let Ok((id, found)) = tokio::task::spawn_blocking(work).await {
        let _ = app
            .shell()
            .call(move |node, _| {
                node.foresee(&id, found);
                Ok(())
            })
            .await;
    }
}
