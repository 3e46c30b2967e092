//! `/studies/{study}/plots/timeline`: who ran what when, at most [`MAX_BARS`] attempts whatever the study's size.
//!
//! Owns: which attempts are shown. Must not: arrange them.

use std::cmp::Reverse;

use metaopt_api::plot::{Bar, MAX_BARS, Plot, Timeline};
use metaopt_core::Node;
use metaopt_schema::view::{AttemptView, StudyView, TrialView};

use super::{
    App,
    problem::{Answer, ApiError},
    query::Query,
    render,
};

/// The plot's data.
pub(super) async fn get(app: &App, study: &str, query: &Query) -> Answer<Plot> {
    query.only(&["from", "to", "most"])?;
    let from = query.whole("from", 0, u64::MAX)?.unwrap_or(0);
    let to = query.whole("to", 0, u64::MAX)?.unwrap_or(u64::MAX);
    let most = query.whole("most", 1, MAX_BARS as u64)?.map_or(MAX_BARS, |n| n as usize);
    let (shell, study) = (app.shell().clone(), study.to_owned());
    let read = move || shell.read(|node, _| Ok::<_, ApiError>(timeline(node, node.study(&study)?, from..=to, most)));
    tokio::task::spawn_blocking(read).await.map_err(ApiError::internal)?.map(Plot::Timeline)
}

/// Of the attempts that ran at some time within `span` (milliseconds) the `most` that started last.
fn timeline(node: &Node, study: &StudyView, span: std::ops::RangeInclusive<u64>, most: usize) -> Timeline {
    let mut found: Vec<(u64, u64, &TrialView, usize)> = Vec::new();
    // What was imported ran elsewhere, when nobody knows.
    let own = study.trials().iter().enumerate().filter(|(_, trial)| trial.imported_as().is_none());
    for (number, trial) in own {
        for (place, attempt) in trial.attempts.iter().enumerate() {
            let Some(started) = attempt.claim.as_ref().map(|claim| claim.at.ms) else { continue };
            let ended = ended(attempt, started);
            if started <= *span.end() && ended.is_none_or(|ended| ended >= *span.start()) {
                found.push((started, number as u64, trial, place));
            }
        }
    }
    let total = found.len() as u64;
    let key = |(started, number, _, place): &(u64, u64, &TrialView, usize)| Reverse((*started, *number, *place));
    if found.len() > most {
        found.select_nth_unstable_by_key(most, key);
        found.truncate(most);
    }
    found.sort_unstable_by_key(|bar| key(bar).0);
    let bar = |(started_ms, number, trial, place): (u64, u64, &TrialView, usize)| {
        let attempt = &trial.attempts[place];
        Bar {
            trial: trial.place.id.to_string(),
            label: trial.label(),
            number,
            state: trial.state.as_str().to_owned(),
            attempt: attempt.attempt,
            node: render::node_name(node, &attempt.node),
            slots: attempt.claim.as_ref().map(|claim| claim.slots.clone()).unwrap_or_default(),
            started_ms,
            ended_ms: ended(attempt, started_ms),
            reason: attempt.effective_end().map(|end| render::reason_word(end.reason)),
            resume_step: attempt.claim.as_ref().map_or(0, |claim| claim.resume_step),
            counted: trial.counted == Some(place),
        }
    };
    Timeline { study: study.name.clone(), total, bars: found.into_iter().map(bar).collect() }
}

/// When an attempt ended; another node's clock, which may be slow, doesn't end it before it started.
fn ended(attempt: &AttemptView, started: u64) -> Option<u64> {
    attempt.effective_end().map(|end| end.at.ms.max(started))
}
