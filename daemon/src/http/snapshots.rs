//! `/snapshots/{hash}`: the submitted directories, by their content.

use axum::{
    extract::{Request, State},
    http::StatusCode,
};

use super::{
    App,
    body::{Chunks, SNAPSHOT_LIMIT},
    files::write_body,
    problem::{Answer, ApiError, disk},
    query::In,
};

/// HEAD: is it here?
pub async fn head(State(app): State<App>, In(hash): In<String>) -> Answer<StatusCode> {
    crate::snapshot::digits(&hash)?;
    if app.0.executor.snapshots().reserve(&hash) {
        Ok(StatusCode::OK)
    } else {
        Err(ApiError::not_found(format!("snapshot {hash} is not on this node")))
    }
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
        return Ok(StatusCode::OK);
    }
    let temp = store.temp()?;
    let path = temp.path().to_owned();
    let file = temp.as_file().try_clone().map_err(|e| disk(&path, &e))?;
    write_body(&mut chunks, file).await.map_err(|e| e.unwrap_or_else(|io| disk(&path, &io)))?;
    let fresh = tokio::task::spawn_blocking(move || store.keep(&hash, temp)).await.map_err(ApiError::internal)??;
    Ok(if fresh { StatusCode::CREATED } else { StatusCode::OK })
}
