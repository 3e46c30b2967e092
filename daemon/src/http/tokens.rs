//! `/tokens`: tokens of dashboards, which do what the node's own does but for this, and can be ended.
//!
//! Owns: who may make and end them. Must not: keep one.

use std::io;

use axum::{Extension, extract::State, http::StatusCode};
use metaopt_api::{
    ProblemKind,
    token::{Issued, Revoked},
};

use super::{
    App,
    auth::Scope,
    body::{Json, Nothing},
    problem::{self, Answer, ApiError},
};
use crate::dashboards::Dashboards;

/// A token that was found in a browser is not to outlive its end by another that it made.
fn owner(scope: &Scope) -> Answer<()> {
    match scope {
        Scope::Node => Ok(()),
        _ => Err(ApiError::new(
            ProblemKind::Forbidden,
            "only the node's own token makes and ends tokens: `metaopt open`",
        )),
    }
}

async fn at_the_disk<T: Send + 'static>(app: App, work: fn(&Dashboards) -> io::Result<T>) -> Answer<T> {
    let done = move || work(app.dashboards()).map_err(|error| problem::disk(app.dashboards().path(), &error));
    tokio::task::spawn_blocking(done).await.map_err(ApiError::internal)?
}

/// POST: a new one.
pub async fn issue(
    State(app): State<App>,
    Extension(scope): Extension<Scope>,
    _: Json<Nothing>,
) -> Answer<(StatusCode, axum::Json<Issued>)> {
    owner(&scope)?;
    let token = at_the_disk(app, Dashboards::issue).await?;
    Ok((StatusCode::CREATED, axum::Json(Issued { token })))
}

/// DELETE: all of them.
pub async fn revoke(
    State(app): State<App>,
    Extension(scope): Extension<Scope>,
    _: Json<Nothing>,
) -> Answer<axum::Json<Revoked>> {
    owner(&scope)?;
    let revoked = at_the_disk(app, Dashboards::revoke).await?;
    Ok(axum::Json(Revoked { revoked: revoked as u64 }))
}
