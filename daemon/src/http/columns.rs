//! `/studies/{study}/columns`: trials in columns, bounded whatever the study's size.
//!
//! Owns: how a trial becomes numbers. Must not: choose which are worth showing; all come, newest first.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

use axum::extract::State;
use indexmap::IndexMap;
use metaopt_api::columns::{Columns, DEFAULT_ROWS, MAX_CELLS, MAX_ROWS, MORE_METRICS};
use metaopt_core::Node;
use metaopt_schema::{
    Stamp, TrialId,
    space::Domain,
    trial::TrialState,
    view::{StudyView, TrialView},
};
use serde_json::Value;

use super::{
    App,
    problem::{Answer, ApiError},
    query::{In, Query, seal},
    render,
};

/// Trials looked at for the names of metrics, evenly spread.
const LOOKED_AT: usize = 1000;

/// GET.
pub async fn get(State(app): State<App>, In(study): In<String>, query: Query) -> Answer<axum::Json<Columns>> {
    query.only(&["limit", "cursor"])?;
    let limit = query.whole("limit", 1, MAX_ROWS as u64)?.map_or(DEFAULT_ROWS, |n| n as usize);
    let after: Option<(Stamp, TrialId)> = query.cursor()?;
    let shell = app.shell().clone();
    let read = move || {
        shell.read(|node, _| Ok::<_, ApiError>(columns(node, node.study(&study)?, after.as_ref(), limit, MAX_CELLS)))
    };
    Ok(axum::Json(tokio::task::spawn_blocking(read).await.map_err(ApiError::internal)??))
}

/// Words, each with its position.
struct Words<K>(IndexMap<K, u32>);

impl<K: Hash + Eq> Words<K> {
    fn code(&mut self, word: K) -> u32 {
        let next = self.0.len() as u32;
        *self.0.entry(word).or_insert(next)
    }
}

pub(super) fn columns(
    node: &Node,
    study: &StudyView,
    after: Option<&(Stamp, TrialId)>,
    limit: usize,
    most_cells: usize,
) -> Columns {
    let metrics = metrics(study);
    let width = study.space.params.len() + metrics.len();
    let limit = limit.min(most_cells / width.max(1)).max(1);
    let all = study.trials();
    // One that is gone, or came since, moves no other: the cursor is a place in the order.
    let below = after.map_or(all.len(), |(at, id)| all.before((at, id)));
    let from = below.saturating_sub(limit);
    let rows: Vec<&TrialView> = all.from(from).take(below - from).rev().collect();
    let mut out = Columns {
        study: study.name.clone(),
        total: all.len() as u64,
        count: rows.len() as u64,
        next_cursor: rows.last().filter(|_| from > 0).map(|last| seal(&last.key())),
        states: TrialState::ALL.map(|state| state.as_str().to_owned()).into(),
        ..Columns::default()
    };
    let mut params: Vec<Vec<Option<f64>>> = vec![vec![None; rows.len()]; study.space.params.len()];
    let at: HashMap<&str, usize> = study.space.params.iter().enumerate().map(|(i, p)| (p.name.as_str(), i)).collect();
    let choices: Vec<Choices> = study.space.params.iter().map(|p| Choices::of(&p.domain)).collect();
    let mut values: Vec<Vec<Option<f64>>> = vec![vec![None; rows.len()]; metrics.len()];
    let (mut nodes, mut reasons) = (Words(IndexMap::new()), Words(IndexMap::new()));
    for (row, trial) in rows.iter().enumerate() {
        let shown = trial.shown();
        out.id.push(trial.place.id.to_string());
        out.label.push(trial.label());
        out.number.push((below - 1 - row) as u64);
        out.state.push(TrialState::ALL.iter().position(|state| *state == trial.state).unwrap_or(0) as u32);
        out.node.push(shown.map(|attempt| nodes.code(attempt.node.clone())));
        out.reason.push(trial.end().map(|end| reasons.code(render::reason_word(end.reason))));
        out.last_step.push(trial.last_step());
        out.created_ms.push(trial.spec.at.ms);
        out.started_ms.push(trial.started_at());
        out.finished_ms.push(trial.finished_at());
        for (name, value) in trial.spec.params.iter() {
            if let Some(&column) = at.get(name) {
                params[column][row] = choices[column].number(&value);
            }
        }
        let until = shown.and_then(|attempt| attempt.claim.as_ref()).map_or(0, |claim| claim.until);
        for (column, _) in choices.iter().enumerate().filter(|(_, choices)| until > 0 && choices.is_fidelity()) {
            params[column][row] = Some(until as f64);
        }
        let own = trial.values();
        for (column, metric) in metrics.iter().enumerate() {
            values[column][row] = own.get(metric).copied().filter(|value| value.is_finite());
        }
    }
    out.nodes = nodes.0.keys().map(|id| render::node_name(node, id)).collect();
    out.reasons = reasons.0.into_keys().collect();
    out.params = study.space.params.iter().map(|p| p.name.clone()).zip(params).collect();
    out.values = metrics.into_iter().zip(values).collect();
    out
}

/// Objectives, constraints, and of the others those that most trials have.
fn metrics(study: &StudyView) -> Vec<String> {
    let mut names: Vec<String> = study.record.def.metrics().into_iter().map(str::to_owned).collect();
    let mut others: BTreeMap<String, usize> = BTreeMap::new();
    let stride = study.trials().len().div_ceil(LOOKED_AT).max(1);
    for trial in study.trials().iter().rev().step_by(stride) {
        for name in trial.values().names().filter(|name| !names.iter().any(|known| **known == ***name)) {
            *others.entry(name.to_string()).or_default() += 1;
        }
    }
    let mut others: Vec<(String, usize)> = others.into_iter().collect();
    others.sort_by(|(a, most), (b, more)| more.cmp(most).then_with(|| a.cmp(b)));
    names.extend(others.into_iter().take(MORE_METRICS).map(|(name, _)| name));
    names
}

/// How a parameter's values are told as numbers.
enum Choices {
    Number,
    Fidelity,
    /// By the text of each choice as JSON, which may be anything.
    Listed(HashMap<String, usize>),
}

impl Choices {
    fn of(domain: &Domain) -> Self {
        match domain {
            Domain::Categorical { choices, .. } | Domain::Ordinal { choices, .. } => {
                Self::Listed(choices.iter().enumerate().map(|(i, choice)| (choice.to_string(), i)).collect())
            }
            Domain::Fidelity { .. } => Self::Fidelity,
            _ => Self::Number,
        }
    }

    fn is_fidelity(&self) -> bool {
        matches!(self, Self::Fidelity)
    }

    fn number(&self, value: &Value) -> Option<f64> {
        match self {
            Self::Listed(places) => places.get(&value.to_string()).map(|place| *place as f64),
            _ => value.as_f64().or_else(|| value.as_bool().map(f64::from)),
        }
    }
}
