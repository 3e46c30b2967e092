//! `/metrics`: counters in Prometheus's text format, without anybody's names.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use metaopt_schema::{facts::SlotKind, study::StudyState, trial::TrialState};

use super::App;

/// Requests so far.
#[derive(Default)]
pub struct Counters {
    in_flight: AtomicI64,
    by_class: [AtomicU64; 6],
}

/// A request being handled.
pub struct InFlight<'a>(&'a AtomicI64);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Counters {
    /// Counts a request in, until the guard is dropped.
    pub fn begin(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(&self.in_flight)
    }

    /// Counts an answer.
    pub fn answered(&self, status: StatusCode) {
        if let Some(count) = self.by_class.get(usize::from(status.as_u16() / 100)) {
            count.fetch_add(1, Relaxed);
        }
    }
}

/// GET metrics.
pub async fn metrics(State(app): State<App>) -> Response {
    let mut out = String::new();
    let mut family = |name: &str, kind: &str, help: &str, rows: &[(String, f64)]| {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in rows {
            let _ = writeln!(out, "{name}{labels} {value}");
        }
    };
    let label = |name: &str, value: &str| format!("{{{name}=\"{value}\"}}");
    let version = env!("CARGO_PKG_VERSION");
    family("metaopt_build_info", "gauge", "The daemon's version.", &[(label("version", version), 1.0)]);
    let uptime = app.0.started.elapsed().as_secs_f64();
    family("metaopt_uptime_seconds", "gauge", "Time since the daemon started.", &[(String::new(), uptime)]);
    let (trials, studies, slots, skipped) = app.shell().read(|node, now| {
        let mut trials = [0_u64; 8];
        let mut studies = [0_u64; 5];
        for study in node.studies() {
            for state in TrialState::ALL {
                trials[state as usize] += study.count(state);
            }
            studies[node.state_of(study, now) as usize] += 1;
        }
        let mut slots = [[0_u64; 2]; 2];
        for status in node.nodes(now).iter().filter(|n| n.id == *node.id()) {
            for slot in &status.slots {
                let busy = slot.foreign.is_some() || !slot.used.is_empty();
                slots[usize::from(slot.spec.kind == SlotKind::Gpu)][usize::from(busy)] += 1;
            }
        }
        (trials, studies, slots, node.skipped_facts())
    });
    let rows: Vec<_> =
        TrialState::ALL.iter().map(|s| (label("state", s.as_str()), trials[*s as usize] as f64)).collect();
    family("metaopt_trials", "gauge", "Trials by state, over all studies.", &rows);
    let states = [
        (StudyState::Running, "running"),
        (StudyState::Paused, "paused"),
        (StudyState::Complete, "complete"),
        (StudyState::Cancelled, "cancelled"),
        (StudyState::Archived, "archived"),
    ];
    let rows: Vec<_> = states.iter().map(|(s, word)| (label("state", word), studies[*s as usize] as f64)).collect();
    family("metaopt_studies", "gauge", "Studies by state.", &rows);
    let mut rows = Vec::new();
    for (kind, counts) in ["cpu", "gpu"].iter().zip(slots) {
        for (state, count) in ["free", "busy"].iter().zip(counts) {
            rows.push((format!("{{kind=\"{kind}\",state=\"{state}\"}}"), count as f64));
        }
    }
    family("metaopt_slots", "gauge", "Slots of this node.", &rows);
    family(
        "metaopt_skipped_facts",
        "counter",
        "Facts that this version can't read.",
        &[(String::new(), skipped as f64)],
    );
    let counters = &app.0.counters;
    let rows: Vec<_> = (2..6)
        .map(|class| (label("class", &format!("{class}xx")), counters.by_class[class].load(Relaxed) as f64))
        .collect();
    family("metaopt_http_responses_total", "counter", "Answers by class of status.", &rows);
    let in_flight = counters.in_flight.load(Relaxed) as f64;
    family("metaopt_http_requests_in_flight", "gauge", "Requests being handled.", &[(String::new(), in_flight)]);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], out).into_response()
}
