//! `/snapshots/{hash}`: the submitted directories, by their content.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};

use super::{
    App,
    body::{Chunks, SNAPSHOT_LIMIT},
    files::write_body,
    problem::{Answer, ApiError, disk},
    query::In,
    ranged,
};
use crate::blobs::{Kind, Want};

/// How long nothing of a snapshot may come that somebody waits for. Who is there and has it says so in far less.
const PATIENCE: Duration = Duration::from_secs(5);

/// HEAD: is it here?
pub async fn head(State(app): State<App>, In(hash): In<String>) -> Answer<StatusCode> {
    crate::snapshot::digits(&hash)?;
    if app.0.executor.snapshots().reserve(&hash) {
        Ok(StatusCode::OK)
    } else {
        Err(ApiError::not_found(format!("snapshot {hash} is not on this node")))
    }
}

/// GET: the archive itself, brought here first if it isn't.
pub async fn get(State(app): State<App>, In(hash): In<String>, headers: HeaderMap) -> Answer<Response> {
    crate::snapshot::digits(&hash)?;
    let store = app.0.executor.snapshots().clone();
    if !store.has(&hash)
        && let Some(fetcher) = app.fetcher()
        && !fetcher.is_alone()
    {
        let want = Want { hash: hash.clone(), kind: Kind::Snapshot, near: None };
        fetcher.clone().fetch(want, PATIENCE).await.map_err(|error| ApiError::not_found(error.to_string()))?;
    }
    let found = tokio::task::spawn_blocking(move || {
        let form = store.form(&hash)?.ok_or_else(|| crate::snapshot::SnapshotError::Missing(hash.clone()))?;
        let path = store.path(&hash)?;
        let file = std::fs::File::open(&path);
        file.map(|file| (file, form)).map_err(|source| crate::snapshot::SnapshotError::Io { path, source })
    });
    let (file, form) = found.await.map_err(ApiError::internal)??;
    let mut response = ranged::send(&headers, file, form.size, Some(&form.digest))?;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zstd"));
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    Ok(response)
}

/// PUT: kept only if it is what its name says.
pub async fn put(State(app): State<App>, In(hash): In<String>, request: Request) -> Answer<StatusCode> {
    crate::snapshot::digits(&hash)?;
    app.room()?;
    let store = app.0.executor.snapshots().clone();
    let (parts, body) = request.into_parts();
    let mut chunks = Chunks::open(&parts.headers, body, SNAPSHOT_LIMIT).await?;
    if store.reserve(&hash) {
        // The sender is let finish: an answer in the middle of a body looks like a broken link to many clients.
        while chunks.next().await?.is_some() {}
        submitted(&app, &hash);
        return Ok(StatusCode::OK);
    }
    let temp = store.temp()?;
    let path = temp.path().to_owned();
    let file = temp.as_file().try_clone().map_err(|e| disk(&path, &e))?;
    write_body(&mut chunks, file).await.map_err(|e| e.unwrap_or_else(|io| disk(&path, &io)))?;
    let kept = hash.clone();
    let fresh = tokio::task::spawn_blocking(move || store.keep(&kept, temp)).await.map_err(ApiError::internal)??;
    submitted(&app, &hash);
    Ok(if fresh { StatusCode::CREATED } else { StatusCode::OK })
}

/// Where nothing runs, others are given it.
fn submitted(app: &App, hash: &str) {
    if let Some(fetcher) = app.fetcher() {
        fetcher.submitted(hash);
    }
}
