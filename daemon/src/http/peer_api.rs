//! What other members may call here: archives, and what they were asked of trials whose files or attempts are here.
//!
//! Owns: that list, which is all there is. Must not: offer anything that manages the cluster, studies or nodes; each node
//! does that for its own callers.

use std::time::Duration;

use axum::{
    Router,
    extract::{Request, State},
    http::Method,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use metaopt_api::ProblemKind;
use tower_http::catch_panic::CatchPanicLayer;

use super::{
    App, ask,
    auth::Scope,
    blobs, files, guard, logs, places,
    problem::{self, Answer, ApiError},
};
use crate::{driver::CallError, peer::Caller};

/// Longest until a call is answered, except for uploads.
const TIMEOUT: Duration = Duration::from_secs(60);

/// All routes for members. Requests carry a [`Caller`], set by the links.
pub fn peer_router(app: App) -> Router {
    Router::new()
        .route("/peer/v1/blobs/{hash}", get(blobs::get).put(blobs::put))
        .route("/peer/v1/want/{hash}", post(blobs::want))
        .route("/peer/v1/studies/{study}", get(places::here))
        .route("/peer/v1/api/trials/{trial}/logs", get(logs::get))
        .route("/peer/v1/api/trials/{trial}/artifacts", get(files::list))
        .route("/peer/v1/api/trials/{trial}/artifacts/{name}", get(files::get).put(files::put))
        .route("/peer/v1/api/trials/{trial}/reports", post(ask::report))
        .route("/peer/v1/api/trials/{trial}/complete", post(ask::complete))
        .route("/peer/v1/api/trials/{trial}/heartbeat", post(ask::heartbeat))
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_verb)
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(middleware::from_fn_with_state(app.clone(), member))
        .with_state(app)
}

/// Lets members in, and nobody else.
async fn member(State(app): State<App>, request: Request, next: Next) -> Response {
    match admitted(&app, request, next).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn admitted(app: &App, mut request: Request, next: Next) -> Answer<Response> {
    // The links ask the same; one that was removed a moment ago may still have a connection.
    let caller = request.extensions().get::<Caller>().map(|caller| caller.0.clone());
    let caller = caller.filter(|caller| app.shell().read(|node, _| node.is_member(caller)));
    let Some(caller) = caller else {
        return Err(ApiError::new(ProblemKind::Forbidden, "members of this cluster alone may call this"));
    };
    if app.stopping().is_cancelled() && *request.method() != Method::GET {
        return Err(CallError::Stopping.into());
    }
    let _permit = guard::of_members(app)?;
    request.extensions_mut().insert(Scope::Member(caller));
    if *request.method() == Method::PUT {
        return Ok(next.run(request).await);
    }
    let late = |_| ApiError::new(ProblemKind::TimedOut, format!("not done after {} s", TIMEOUT.as_secs()));
    tokio::time::timeout(TIMEOUT, next.run(request)).await.map_err(late)
}
