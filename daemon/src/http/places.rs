//! `/studies/{study}/places`: on which nodes a study is, and which of them could run it now.
//!
//! Owns: what is asked of each node. Must not: decide where it runs; each node does, for itself.

use std::time::Duration;

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
};
use futures_util::future::join_all;
use metaopt_api::{Page, study::Place};
use metaopt_core::Refusal;
use metaopt_schema::{NodeId, study::Workdir};

use super::{
    App,
    auth::Scope,
    problem::Answer,
    query::{In, Query},
    render,
};
use crate::blobs::{escaped, last_heard};

/// Longest that a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer of a node.
const ANSWER: usize = 64 << 10;

/// This node's own.
fn own(app: &App, study: &str) -> Place {
    let snapshots = app.0.executor.snapshots();
    app.shell().read(|node, now| {
        let found = node.study(study).ok();
        let run = found.and_then(|study| study.record.def.run.as_ref());
        let hash = run.filter(|run| run.workdir == Workdir::Snapshot).and_then(|run| run.snapshot.as_deref());
        let me = node.nodes(now).into_iter().find(|status| status.id == *node.id());
        let why = match found {
            None => Some("has not heard of the study yet".to_owned()),
            Some(study) => node.unable(study),
        };
        Place {
            node: node.id().to_string(),
            name: node.name().to_owned(),
            known: found.is_some(),
            snapshot: hash.map(|hash| snapshots.has(hash)),
            slots: me.map_or(0, |me| me.slots.len() as u64),
            ready: why.is_none() && hash.is_none_or(|hash| snapshots.has(hash)),
            why,
        }
    })
}

/// For members: what this node would answer of itself.
pub async fn here(
    State(app): State<App>,
    Extension(_): Extension<Scope>,
    In(study): In<String>,
) -> Answer<axum::Json<Place>> {
    Ok(axum::Json(own(&app, &study)))
}

/// GET places: this node first.
pub async fn get(State(app): State<App>, In(study): In<String>, query: Query) -> Answer<axum::Json<Page<Place>>> {
    query.only(&[])?;
    let (id, others) = app.shell().read(|node, now| {
        let id = node.study(&study)?.id.clone();
        let others = node.nodes(now).into_iter().filter(|status| status.id != *node.id());
        let others = others.map(|status| {
            let silent = status.last_seen.map(|seen| Duration::from_millis(now.wall_ms.saturating_sub(seen)));
            (status.id, status.slots.len() as u64, silent)
        });
        Ok::<_, Refusal>((id, others.collect::<Vec<_>>()))
    })?;
    let mut places = vec![own(&app, id.as_str())];
    let asked = others.into_iter().map(|(node, slots, silent)| {
        let (app, id) = (&app, &id);
        async move {
            ask(app, &node, id.as_str()).await.unwrap_or_else(|| Place {
                name: app.shell().read(|all, _| render::node_name(all, &node)),
                node: node.to_string(),
                known: false,
                snapshot: None,
                slots,
                ready: false,
                why: Some(format!("can't be asked; it {}", last_heard(silent))),
            })
        }
    });
    places.extend(join_all(asked).await);
    Ok(axum::Json(Page::whole(places)))
}

async fn ask(app: &App, node: &NodeId, study: &str) -> Option<Place> {
    let request = Request::get(format!("/peer/v1/studies/{}", escaped(study))).body(Body::empty()).ok()?;
    let called = app.fetcher()?.elsewhere().call(node, request);
    let answer = tokio::time::timeout(PATIENCE, called).await.ok()?.ok()?;
    let bytes = axum::body::to_bytes(answer.into_body(), ANSWER).await.ok()?;
    let place: Place = serde_json::from_slice(&bytes).ok()?;
    // Each speaks for itself.
    (place.node == node.as_str()).then_some(place)
}
