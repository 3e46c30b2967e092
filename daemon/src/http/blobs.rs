//! Archives for other members: what is here of them, parts of them, and what they bring.
//!
//! Owns: the requests' forms and their limits. Must not: be called by anybody but members.

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use metaopt_api::ProblemKind;
use metaopt_schema::TrialId;

use super::{
    App,
    body::{Chunks, SNAPSHOT_LIMIT},
    problem::{Answer, ApiError},
    query::{In, Query},
    ranged,
};
use crate::{
    blobs::{BringError, CHUNK, Fetcher, Lacks, Offer, PACKING, span},
    exec::Packed,
    peer::Caller,
    snapshot::{Form, digits},
};

/// Largest offer: it says little.
const OFFER_LIMIT: u64 = 4096;

/// The fetcher, where this daemon has links.
pub(super) fn fetcher(app: &App) -> Answer<&std::sync::Arc<Fetcher>> {
    app.fetcher().ok_or_else(|| ApiError::new(ProblemKind::Conflict, "this daemon has no links to other nodes"))
}

/// GET: an archive, or a part of it; also for HEAD. With `trial=` it is that trial's checkpoint.
pub async fn get(State(app): State<App>, In(hash): In<String>, headers: HeaderMap, query: Query) -> Answer<Response> {
    query.only(&["trial"])?;
    digits(&hash)?;
    let executor = app.0.executor.clone();
    let trial = query.get("trial").map(TrialId::new);
    if let Some(trial) = &trial {
        match executor.checkpoint(trial, &hash).await? {
            Packed::Here => {}
            Packed::Not => return Err(ApiError::not_found(format!("{hash} is not on this node"))),
            Packed::Packing => {
                let soon = ApiError::new(ProblemKind::Away, format!("{hash} is being packed: ask again"));
                return Err(soon.with(header::RETRY_AFTER, 1.into()).with(PACKING, HeaderValue::from_static("true")));
            }
            Packed::Failed => {
                let why = format!("{hash} could not be packed; the log of this node says why");
                return Err(ApiError::new(ProblemKind::Storage, why).with(header::RETRY_AFTER, 60.into()));
            }
        }
    }
    let name = hash.clone();
    let found = tokio::task::spawn_blocking(move || {
        let store = if trial.is_none() { executor.snapshots() } else { executor.checkpoints() };
        let Some(form) = store.form(&name)? else { return Ok(None) };
        let file = std::fs::File::open(store.path(&name)?);
        Ok::<_, crate::snapshot::SnapshotError>(file.ok().map(|file| (file, form)))
    });
    match found.await.map_err(ApiError::internal)?? {
        Some((file, form)) => {
            let mut response = ranged::send(&headers, file, form.size, Some(&form.digest))?;
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, "application/zstd".parse().map_err(ApiError::internal)?);
            Ok(response)
        }
        None => Err(ApiError::not_found(format!("{hash} is not on this node"))),
    }
}

/// POST want: a member offers a snapshot; answers which parts are lacking.
pub async fn want(State(app): State<App>, In(hash): In<String>, request: Request) -> Answer<axum::Json<Lacks>> {
    digits(&hash)?;
    let (parts, body) = request.into_parts();
    let bytes = read(&parts.headers, body, OFFER_LIMIT).await?;
    let offer: Offer = serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::new(ProblemKind::Malformed, format!("no offer: {error}")))?;
    let form = form(&offer.digest, offer.size)?;
    let fetcher = fetcher(&app)?.clone();
    if let Some(why) = fetcher.no_room(form.size) {
        return Err(metaopt_core::Refusal::no_room(why).into());
    }
    let lacks = tokio::task::spawn_blocking(move || fetcher.lacks(&hash, &form));
    let mut lacks =
        lacks.await.map_err(ApiError::internal)?.map_err(|error| super::problem::disk(app.data_dir(), &error))?;
    lacks.missing.truncate(256);
    Ok(axum::Json(lacks))
}

/// PUT: a part of a snapshot that was offered.
pub async fn put(
    State(app): State<App>,
    Extension(Caller(caller)): Extension<Caller>,
    In(hash): In<String>,
    request: Request,
) -> Answer<StatusCode> {
    digits(&hash)?;
    let (parts, body) = request.into_parts();
    let invalid = |why: &str| ApiError::new(ProblemKind::Invalid, why);
    let (from, to, size) = ranged::content_range(&parts.headers).ok_or_else(|| invalid("which part is it?"))?;
    let tag = parts.headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let form = form(tag.trim_matches('"'), size)?;
    let chunk = u32::try_from(from / CHUNK).map_err(|_| invalid("there is no such part"))?;
    if span(size, chunk) != (from, to - from + 1) {
        return Err(invalid("parts begin at whole multiples of 4 MiB, and are as long"));
    }
    let fetcher = fetcher(&app)?.clone();
    if let Some(why) = fetcher.no_room(0) {
        return Err(metaopt_core::Refusal::no_room(why).into());
    }
    let bytes = read(&parts.headers, body, CHUNK).await?;
    let brought = tokio::task::spawn_blocking(move || fetcher.bring(&hash, &form, chunk, &bytes, &caller));
    match brought.await.map_err(ApiError::internal)? {
        Ok(true) => Ok(StatusCode::CREATED),
        Ok(false) => Ok(StatusCode::ACCEPTED),
        Err(BringError::Wrong(why)) => Err(ApiError::new(ProblemKind::Invalid, why)),
        Err(BringError::Disk(why)) => Err(ApiError::new(ProblemKind::Storage, why)),
    }
}

fn form(digest: &str, size: u64) -> Answer<Form> {
    digits(&format!("b3:{digest}"))?;
    if size == 0 || size > SNAPSHOT_LIMIT {
        return Err(ApiError::too_large(SNAPSHOT_LIMIT));
    }
    Ok(Form { digest: digest.to_owned(), size })
}

async fn read(headers: &HeaderMap, body: Body, limit: u64) -> Answer<Vec<u8>> {
    let mut chunks = Chunks::open(headers, body, limit).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
