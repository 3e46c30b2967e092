//! `/healthz`, which needs no token, and the OpenAPI document.

use std::sync::OnceLock;

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use metaopt_api::node::Health;

use super::{
    App, auth,
    problem::{Answer, ApiError},
    query::Query,
};

/// GET healthz: alive; with a challenge, a proof that this is the daemon whose token the caller knows.
pub async fn health(State(app): State<App>, query: Query) -> Answer<axum::Json<Health>> {
    query.only(&["challenge"])?;
    let proof = match query.get("challenge") {
        None => None,
        // Not slowed down: a proof costs less than a refusal, and whoever could use up the rate would keep others out.
        Some(text) if auth::is_challenge(text) => Some(text),
        Some(_) => return Err(ApiError::field("?challenge", "must be 16 to 128 hexadecimal digits")),
    };
    let here = |text| app.0.address.map(|address| auth::proof_here(&app.0.token, text, address));
    let status = if app.0.stopping.is_cancelled() { "stopping" } else { "ok" };
    Ok(axum::Json(Health {
        status: status.to_owned(),
        node: app.0.node.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        proof_here: proof.and_then(here),
        proof: proof.map(|text| auth::proof(&app.0.token, text)),
    }))
}

/// GET openapi.json.
pub async fn openapi() -> Answer<Response> {
    static TEXT: OnceLock<Result<String, String>> = OnceLock::new();
    match TEXT.get_or_init(|| metaopt_api::openapi::text().map_err(|e| e.to_string())) {
        Ok(text) => {
            Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text.as_str()).into_response())
        }
        Err(error) => Err(ApiError::internal(error)),
    }
}
