//! A trial's files: its log, and its artifacts.
//!
//! Owns: how they are sent so that a browser can't be made to run them. Must not: find them on disk; `exec` does.

use std::{collections::VecDeque, convert::Infallible, io, sync::Arc};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{StreamExt, stream};
use metaopt_api::{Page, trial::Artifact};
use metaopt_schema::{AttemptKey, TrialId};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::ReaderStream;

use super::{
    App,
    body::{ARTIFACT_LIMIT, Chunks},
    events::{KEEP_ALIVE, stream_permit},
    problem::{Answer, ApiError, disk},
    query::{In, Query},
    render,
};
use crate::exec::{logs, outputs};

/// GET logs: text, or with `follow=true` server-sent events: `data` is a line, `id` the position after it, `end` the last event.
pub async fn logs(
    State(app): State<App>,
    In(trial): In<String>,
    headers: axum::http::HeaderMap,
    query: Query,
) -> Answer<Response> {
    query.only(&["follow", "attempt"])?;
    let follow = query.flag("follow")?;
    let attempt = query.whole("attempt", 1, u64::from(u32::MAX))?;
    let (key, label, asked) = app.shell().read(|node, _| {
        let (_, view) = node.trial(&trial)?;
        let found = match attempt {
            Some(n) => view.attempts.iter().find(|a| u64::from(a.attempt) == n),
            None => view.running().or_else(|| view.latest()),
        };
        let label = view.label();
        let Some(found) = found else {
            return Err(ApiError::not_found(match attempt {
                Some(n) => format!("trial {label} has no attempt {n}"),
                None => format!("trial {label} was not started yet: there is no log"),
            }));
        };
        let asked = found.claim.as_ref().is_none_or(|c| c.asked);
        Ok((AttemptKey { trial: view.place.id.clone(), attempt: found.attempt }, label, asked))
    })?;
    let none = if asked {
        format!("trial {label} was run by a client: its log is not kept here")
    } else {
        format!("attempt {} of trial {label} has no log (yet, or any more)", key.attempt)
    };
    if follow {
        if asked {
            return Err(ApiError::not_found(none));
        }
        let from = headers.get("last-event-id").and_then(|v| v.to_str().ok()?.parse().ok()).unwrap_or(0);
        return follow_log(app, key, from);
    }
    let (executor, gc) = (app.0.executor.clone(), app.0.gc.clone());
    let read = tokio::task::spawn_blocking(move || {
        let text = logs::read(&executor, &key)?;
        let collected = if text.is_none() { gc.log_collected(&key) } else { None };
        Ok::<_, io::Error>((text, collected))
    });
    match read.await.map_err(ApiError::internal)?.map_err(ApiError::internal)? {
        (Some(text), _) => Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()),
        (None, Some(collected)) => Err(ApiError::not_found(format!("the log of trial {label} {collected}"))),
        (None, None) => Err(ApiError::not_found(none)),
    }
}

/// Turns the bytes of a log into whole lines, each with the position after it.
#[derive(Default)]
struct Lines {
    part: Vec<u8>,
    end: u64,
}

/// A line without an end is sent once it is this long.
const LONGEST: usize = 64 * 1024;

impl Lines {
    fn push(&mut self, chunk: &logs::Chunk) -> Vec<(u64, String)> {
        let mut out = Vec::new();
        if chunk.left_out > 0 {
            out.extend(self.rest());
            out.push((chunk.position, format!("[metaopt: {} bytes of the log left out here]", chunk.left_out)));
        }
        self.end = chunk.position;
        for byte in &chunk.bytes {
            self.end += 1;
            if *byte == b'\n' || self.part.len() >= LONGEST {
                if *byte != b'\n' {
                    self.part.push(*byte);
                }
                out.extend(self.take());
            } else {
                self.part.push(*byte);
            }
        }
        out
    }

    fn take(&mut self) -> Option<(u64, String)> {
        let bytes = std::mem::take(&mut self.part);
        // A carriage return would split the event; progress bars end each state with one.
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches('\r');
        Some((self.end, text.rsplit('\r').next().unwrap_or(text).to_owned()))
    }

    fn rest(&mut self) -> Option<(u64, String)> {
        if self.part.is_empty() { None } else { self.take() }
    }
}

fn follow_log(app: App, key: AttemptKey, from: u64) -> Answer<Response> {
    struct Following {
        app: App,
        _permit: tokio::sync::OwnedSemaphorePermit,
        chunks: ReceiverStream<io::Result<logs::Chunk>>,
        lines: Lines,
        ready: VecDeque<Event>,
        over: bool,
    }
    let permit = stream_permit(&app)?;
    let chunks = logs::follow(&app.0.executor, &key, from);
    let start =
        Following { app, _permit: permit, chunks, lines: Lines::default(), ready: VecDeque::new(), over: false };
    let line = |(end, text): (u64, String)| Event::default().id(end.to_string()).data(text);
    let next = move |mut f: Following| async move {
        loop {
            if let Some(event) = f.ready.pop_front() {
                return Some((Ok::<_, Infallible>(event), f));
            }
            if f.over {
                return None;
            }
            let stopping = f.app.stopping();
            let chunk = tokio::select! {
                () = stopping.cancelled() => return None,
                chunk = f.chunks.next() => chunk,
            };
            match chunk {
                Some(Ok(chunk)) => f.ready.extend(f.lines.push(&chunk).into_iter().map(line)),
                Some(Err(error)) => {
                    tracing::warn!(%error, "a log that is followed can't be read");
                    return None;
                }
                None => {
                    f.over = true;
                    f.ready.extend(f.lines.rest().map(line));
                    f.ready.push_back(Event::default().event("end").data(json!({"position": f.lines.end}).to_string()));
                }
            }
        }
    };
    Ok(Sse::new(stream::unfold(start, next)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

fn find(app: &App, trial: &str) -> Answer<TrialId> {
    Ok(app.shell().read(|node, _| node.trial(trial).map(|(_, t)| t.place.id.clone()))?)
}

fn artifact(file: outputs::Artifact) -> Artifact {
    Artifact { name: file.name, size: file.size, modified_at: Some(render::time(file.modified_at)) }
}

/// GET artifacts.
pub async fn list(State(app): State<App>, In(trial): In<String>, query: Query) -> Answer<axum::Json<Page<Artifact>>> {
    query.only(&[])?;
    let id = find(&app, &trial)?;
    let outputs = app.0.outputs.clone();
    let found = tokio::task::spawn_blocking(move || outputs.list(&id));
    let files = found.await.map_err(ApiError::internal)?.map_err(ApiError::internal)?;
    Ok(axum::Json(Page::whole(files.into_iter().map(artifact).collect())))
}

fn trouble(name: &str, error: &io::Error) -> ApiError {
    match error.kind() {
        io::ErrorKind::NotFound => ApiError::not_found(format!("there is no artifact `{name}`")),
        io::ErrorKind::InvalidInput => ApiError::field("", error.to_string()),
        _ => disk(std::path::Path::new(name), error),
    }
}

/// GET one artifact: an attachment that no browser runs; raster images may be shown.
pub async fn get(State(app): State<App>, In((trial, name)): In<(String, String)>, query: Query) -> Answer<Response> {
    query.only(&[])?;
    let id = find(&app, &trial)?;
    let (outputs, gc, wanted) = (app.0.outputs.clone(), app.0.gc.clone(), name.clone());
    let open = move || {
        outputs.open(&id, &wanted).map_err(|error| match gc.artifact_collected(&id, &wanted) {
            Some(why) if error.kind() == io::ErrorKind::NotFound => {
                ApiError::not_found(format!("the artifact `{wanted}` {why}"))
            }
            _ => trouble(&wanted, &error),
        })
    };
    let (file, size) = tokio::task::spawn_blocking(open).await.map_err(ApiError::internal)??;
    // The file may grow while it is sent; what was announced is what is sent.
    let limited = tokio::io::AsyncReadExt::take(tokio::fs::File::from_std(file), size);
    let mut response = Response::new(Body::from_stream(ReaderStream::with_capacity(limited, 64 * 1024)));
    let image = raster(&name);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(image.unwrap_or("application/octet-stream")));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    headers.insert(header::CONTENT_DISPOSITION, disposition(image.is_some(), &name));
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

/// PUT one artifact: written aside as it comes, named when it is whole.
pub async fn put(
    State(app): State<App>,
    In((trial, name)): In<(String, String)>,
    request: Request,
) -> Answer<(StatusCode, axum::Json<Artifact>)> {
    let (study, id) =
        app.shell().read(|node, _| node.trial(&trial).map(|(s, t)| (s.id.clone(), t.place.id.clone())))?;
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
    let found = found.map_or(Artifact { name, size: 0, modified_at: None }, artifact);
    Ok((if known { StatusCode::OK } else { StatusCode::CREATED }, axum::Json(found)))
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

    #[test]
    fn lines_carry_the_position_after_them() {
        let mut lines = Lines::default();
        let chunk =
            |position, left_out, text: &str| logs::Chunk { position, left_out, bytes: text.as_bytes().to_vec() };
        assert_eq!(lines.push(&chunk(0, 0, "one\ntw")), [(4, "one".to_owned())]);
        assert_eq!(lines.push(&chunk(6, 0, "o\n10%\r20%\r\n")), [(8, "two".to_owned()), (17, "20%".to_owned())]);
        let gap = lines.push(&chunk(100, 83, "x"));
        assert_eq!(gap, [(100, "[metaopt: 83 bytes of the log left out here]".to_owned())]);
        assert_eq!(lines.rest(), Some((101, "x".to_owned())));
    }
}
