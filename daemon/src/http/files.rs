//! A trial's artifacts, on whichever nodes they lie.
//!
//! Owns: how they are sent so that a browser can't be made to run them. Must not: find them on disk; `exec` does.

use std::{collections::BTreeMap, io, sync::Arc};

use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::future::join_all;
use metaopt_api::{Page, trial::Artifact};
use metaopt_schema::{NodeId, StudyId, TrialId};
use tokio::io::AsyncWriteExt;

use super::{
    App,
    auth::Scope,
    body::{ARTIFACT_LIMIT, Chunks},
    elsewhere::{Away, Passed},
    problem::{Answer, ApiError, disk},
    query::{In, Query},
    ranged, render,
};
use crate::{blobs::escaped, exec::outputs};

/// Largest list that is taken from another node (bytes).
const LARGEST_LIST: usize = 16 << 20;

/// Where a trial's files lie.
struct Places {
    study: StudyId,
    trial: TrialId,
    label: String,
    me: NodeId,
    /// Nodes that ran attempts of it, this node too. What the first has is the trial's; files that only a later one has
    /// are of other attempts.
    nodes: Vec<NodeId>,
}

impl Places {
    fn find(app: &App, scope: &Scope, trial: &str) -> Answer<Self> {
        let passes_on = app.passes_on(scope);
        Ok(app.shell().read(|node, _| {
            let (study, view) = node.trial(trial)?;
            let me = node.id().clone();
            let mut nodes: Vec<NodeId> = Vec::new();
            let ran = view.shown().into_iter().chain(view.attempts.iter().rev()).map(|attempt| &attempt.node);
            for id in ran.filter(|_| passes_on).chain([&me]) {
                if !nodes.contains(id) {
                    nodes.push(id.clone());
                }
            }
            Ok::<_, metaopt_core::Refusal>(Self {
                study: study.id.clone(),
                trial: view.place.id.clone(),
                label: view.label(),
                me,
                nodes,
            })
        })?)
    }

    fn away(&self, app: &App, away: Away) -> ApiError {
        away.in_words(app, &format!("the files of trial {} are", self.label))
    }
}

fn artifact(file: outputs::Artifact) -> Artifact {
    Artifact {
        name: file.name,
        size: file.size,
        modified_at: Some(render::time(file.modified_at)),
        blake3: file.blake3,
    }
}

/// GET artifacts. With `hashes=true` each has its BLAKE3 hash, which takes as long as reading them all for the first time.
pub async fn list(
    State(app): State<App>,
    Extension(scope): Extension<Scope>,
    In(trial): In<String>,
    query: Query,
) -> Answer<axum::Json<Page<Artifact>>> {
    query.only(&["hashes"])?;
    let hashes = query.flag("hashes")?;
    let places = Places::find(&app, &scope, &trial)?;
    let lists = places.nodes.iter().map(|node| async {
        if *node == places.me {
            Ok(list_here(&app, &places.trial, hashes).await?)
        } else {
            list_at(&app, &places, node, hashes).await
        }
    });
    let mut all: BTreeMap<String, Artifact> = BTreeMap::new();
    for (nth, files) in join_all(lists).await.into_iter().enumerate() {
        match files {
            Ok(files) => {
                for file in files {
                    all.entry(file.name.clone()).or_insert(file);
                }
            }
            Err(error) if nth == 0 => return Err(error),
            // an earlier attempt's node: it may never come back
            Err(_) => {}
        }
    }
    Ok(axum::Json(Page::whole(all.into_values().collect())))
}

async fn list_here(app: &App, trial: &TrialId, hashes: bool) -> Answer<Vec<Artifact>> {
    let (outputs, trial) = (app.0.outputs.clone(), trial.clone());
    let found = tokio::task::spawn_blocking(move || match hashes {
        true => outputs.list_hashed(&trial),
        false => outputs.list(&trial),
    });
    let files = found.await.map_err(ApiError::internal)?.map_err(ApiError::internal)?;
    Ok(files.into_iter().map(artifact).collect())
}

async fn list_at(app: &App, places: &Places, node: &NodeId, hashes: bool) -> Answer<Vec<Artifact>> {
    let call = Passed::new(Method::GET, &places.trial, &format!("artifacts?hashes={hashes}"));
    let answer = app.pass_on(node, call).await.map_err(|away| places.away(app, away))?;
    let broke = |why: String| places.away(app, Away { node: node.clone(), why });
    match answer.status() {
        StatusCode::OK => {}
        // it hasn't heard of the trial yet
        StatusCode::NOT_FOUND => return Ok(Vec::new()),
        other => return Err(broke(format!("it answered {other}"))),
    }
    let bytes = axum::body::to_bytes(answer.into_body(), LARGEST_LIST).await.map_err(|e| broke(e.to_string()))?;
    let page: Page<Artifact> = serde_json::from_slice(&bytes).map_err(|e| broke(e.to_string()))?;
    Ok(page.items)
}

fn trouble(name: &str, error: &io::Error) -> ApiError {
    match error.kind() {
        io::ErrorKind::NotFound => ApiError::not_found(format!("there is no artifact `{name}`")),
        io::ErrorKind::InvalidInput => ApiError::field("", error.to_string()),
        _ => disk(std::path::Path::new(name), error),
    }
}

/// GET one artifact: an attachment that no browser runs; raster images may be shown.
pub async fn get(
    State(app): State<App>,
    Extension(scope): Extension<Scope>,
    In((trial, name)): In<(String, String)>,
    headers: HeaderMap,
    query: Query,
) -> Answer<Response> {
    query.only(&[])?;
    let places = Places::find(&app, &scope, &trial)?;
    let mut missing = None;
    for (nth, node) in places.nodes.iter().enumerate() {
        if *node == places.me {
            match get_here(&app, &places.trial, &name, &headers).await {
                Err(error) if error.is_not_found() => missing = Some(error),
                done => return done,
            }
            continue;
        }
        let rest = format!("artifacts/{}", escaped(&name));
        match app.pass_on(node, Passed::new(Method::GET, &places.trial, &rest).with_headers(&headers)).await {
            Ok(answer) if answer.status() != StatusCode::NOT_FOUND => return Ok(answer),
            Err(away) if nth == 0 => return Err(places.away(&app, away)),
            Ok(_) | Err(_) => {}
        }
    }
    Err(missing.unwrap_or_else(|| ApiError::not_found(format!("there is no artifact `{name}`"))))
}

async fn get_here(app: &App, trial: &TrialId, name: &str, headers: &HeaderMap) -> Answer<Response> {
    let (outputs, gc, id, wanted) = (app.0.outputs.clone(), app.0.gc.clone(), trial.clone(), name.to_owned());
    let open = move || {
        outputs.open(&id, &wanted).map_err(|error| match gc.artifact_collected(&id, &wanted) {
            Some(why) if error.kind() == io::ErrorKind::NotFound => {
                ApiError::not_found(format!("the artifact `{wanted}` {why}"))
            }
            _ => trouble(&wanted, &error),
        })
    };
    let (file, size) = tokio::task::spawn_blocking(open).await.map_err(ApiError::internal)??;
    let modified = file.metadata().and_then(|meta| meta.modified()).ok();
    let modified = modified.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
    // Tells whether it is still the same, for those who go on where they were.
    let tag = format!("{size:x}-{:x}", modified.as_nanos());
    let mut response = ranged::send(headers, file, size, Some(&tag))?;
    let image = raster(name);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(image.unwrap_or("application/octet-stream")));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    headers.insert(header::CONTENT_DISPOSITION, disposition(image.is_some(), name));
    Ok(response)
}

/// The type of a raster image, by its name; with `nosniff` a file that only claims to be one is just broken.
fn raster(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        _ => return None,
    })
}

/// `Content-Disposition` (RFC 6266), the name also percent-encoded (RFC 8187) for what ASCII can't say.
fn disposition(inline: bool, name: &str) -> HeaderValue {
    let file = name.rsplit('/').next().unwrap_or(name);
    let plain: String =
        file.chars().map(|c| if c.is_ascii_alphanumeric() || "-_. ()+,".contains(c) { c } else { '_' }).collect();
    let mut encoded = String::new();
    for byte in file.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    let kind = if inline { "inline" } else { "attachment" };
    HeaderValue::from_str(&format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}"))
        .unwrap_or(HeaderValue::from_static("attachment"))
}

/// PUT one artifact: written aside as it comes, named when it is whole. It goes to the node that runs or ran the trial.
pub async fn put(
    State(app): State<App>,
    Extension(scope): Extension<Scope>,
    In((trial, name)): In<(String, String)>,
    request: Request,
) -> Answer<Response> {
    let places = Places::find(&app, &scope, &trial)?;
    if let Some(node) = places.nodes.first().filter(|node| **node != places.me) {
        let call = Passed::new(Method::PUT, &places.trial, &format!("artifacts/{}", escaped(&name))).with(request);
        return app.pass_on(node, call).await.map_err(|away| places.away(&app, away));
    }
    let Places { study, trial: id, .. } = places;
    let outputs = Arc::new(app.0.outputs.clone());
    let (parts, body) = request.into_parts();
    let mut chunks = Chunks::open(&parts.headers, body, ARTIFACT_LIMIT).await?;
    let temp = outputs.temp(&study, &id, &name).map_err(|e| trouble(&name, &e))?;
    let file = temp.as_file().try_clone().map_err(|e| trouble(&name, &e))?;
    write_body(&mut chunks, file).await.map_err(|e| e.unwrap_or_else(|io| trouble(&name, &io)))?;
    let kept = tokio::task::spawn_blocking({
        let (outputs, id, name) = (outputs.clone(), id.clone(), name.clone());
        move || {
            let known = outputs.open(&id, &name).is_ok();
            outputs.keep(&id, &name, temp)?;
            Ok::<_, io::Error>((known, outputs.list(&id)?.into_iter().find(|a| a.name == name)))
        }
    });
    let (known, found) = kept.await.map_err(ApiError::internal)?.map_err(|e| trouble(&name, &e))?;
    let found = found.map_or(Artifact { name, size: 0, modified_at: None, blake3: None }, artifact);
    let status = if known { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, axum::Json(found)).into_response())
}

/// Why a body was not written: it did not come, or the disk did not take it.
pub(super) enum WriteError {
    Api(ApiError),
    Disk(io::Error),
}

impl WriteError {
    pub(super) fn unwrap_or_else(self, disk: impl FnOnce(io::Error) -> ApiError) -> ApiError {
        match self {
            Self::Api(error) => error,
            Self::Disk(error) => disk(error),
        }
    }
}

/// Writes a body to a file as it comes.
pub(super) async fn write_body(chunks: &mut Chunks, file: std::fs::File) -> Result<(), WriteError> {
    let mut file = tokio::fs::File::from_std(file);
    while let Some(bytes) = chunks.next().await.map_err(WriteError::Api)? {
        file.write_all(&bytes).await.map_err(WriteError::Disk)?;
    }
    file.flush().await.map_err(WriteError::Disk)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_not_break_out_of_its_header() {
        let text = disposition(false, "dir/a\"b\r\nX: é.png");
        let text = text.to_str().unwrap();
        assert_eq!(text, "attachment; filename=\"a_b__X_ _.png\"; filename*=UTF-8''a%22b%0D%0AX%3A%20%C3%A9.png");
    }

    #[test]
    fn only_raster_images_are_shown() {
        assert_eq!(raster("a.PNG"), Some("image/png"));
        for name in ["a.svg", "a.html", "png", "a.png.html", "a.pdf"] {
            assert_eq!(raster(name), None, "{name}");
        }
    }
}
