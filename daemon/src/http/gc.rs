//! `/gc`: collecting what is no longer kept, on this node.

use axum::extract::State;
use metaopt_api::gc::{CollectedKind, Collection, CollectionFailure, Gc};
use metaopt_schema::shape::{Field, Kind as Shaped, may};

use super::{
    App,
    body::{Json, Shape},
    problem::{Answer, ApiError},
    render,
};
use crate::gc::{Item, Kind, Policy, Standing, Sweep};

impl Shape for Gc {
    const WHAT: &'static str = "a request to collect";
    const FIELDS: &'static [Field] = &[may("dry_run", Shaped::Flag)];
}

/// POST: collects, and answers when it is done.
pub async fn post(State(app): State<App>, Json(body): Json<Gc>) -> Answer<axum::Json<Collection>> {
    let gc = app.0.gc.clone();
    let swept = tokio::task::spawn_blocking(move || gc.sweep(body.dry_run)).await.map_err(ApiError::internal)?;
    Ok(axum::Json(collection(&swept, app.0.gc.policy())))
}

fn collection(swept: &Sweep, policy: &Policy) -> Collection {
    Collection {
        dry_run: swept.dry_run,
        kinds: Kind::ALL.into_iter().map(|kind| row(swept, policy, kind)).collect(),
        removed: swept.freed.len() as u64,
        freed_bytes: swept.bytes(),
        failed: swept
            .failed
            .iter()
            .map(|(path, detail)| CollectionFailure { path: path.clone(), detail: detail.clone() })
            .collect(),
        notes: swept.notes.clone(),
        disk_free_bytes: swept.disk.map(|(free, _)| free),
        disk_total_bytes: swept.disk.map(|(_, total)| total),
    }
}

fn row(swept: &Sweep, policy: &Policy, kind: Kind) -> CollectedKind {
    let all = || swept.items.iter().filter(|item| item.kind == kind);
    let gone = || swept.freed.iter().map(|freed| &swept.items[freed.item]).filter(|item| item.kind == kind);
    let held = |item: &&Item| kind == Kind::Corrupt || matches!(item.standing, Standing::Needed | Standing::Best);
    let limit = policy.limit(kind);
    CollectedKind {
        kind: kind.as_str().to_owned(),
        count: all().count() as u64,
        bytes: all().map(|item| item.bytes).sum(),
        oldest: all().map(|item| item.modified_ms).filter(|ms| *ms > 0).min().map(render::time),
        held: all().filter(held).count() as u64,
        keep_s: limit.age.map(|age| age.as_secs_f64()),
        quota_bytes: limit.quota,
        removed: gone().count() as u64,
        freed_bytes: gone().map(|item| item.bytes).sum(),
    }
}
