//! The log of an attempt, whichever node holds it.
//!
//! Owns: how it is cut into events. Must not: find it on disk; `exec` does.

use std::{collections::VecDeque, convert::Infallible, io};

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{Method, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{StreamExt, stream};
use metaopt_schema::AttemptKey;
use serde_json::json;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    App,
    auth::Scope,
    elsewhere::Passed,
    events::{KEEP_ALIVE, stream_permit},
    problem::{Answer, ApiError},
    query::{In, Query},
};
use crate::exec::logs;

/// GET logs: text, or with `follow=true` server-sent events: `data` is a line, `id` the position after it, `end` the last event.
pub async fn get(
    State(app): State<App>,
    Extension(scope): Extension<Scope>,
    In(trial): In<String>,
    headers: axum::http::HeaderMap,
    query: Query,
) -> Answer<Response> {
    query.only(&["follow", "attempt"])?;
    let follow = query.flag("follow")?;
    let attempt = query.whole("attempt", 1, u64::from(u32::MAX))?;
    let (key, label, asked, holder) = app.shell().read(|node, _| {
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
        let holder = (found.node != *node.id()).then(|| found.node.clone());
        Ok((AttemptKey { trial: view.place.id.clone(), attempt: found.attempt }, label, asked, holder))
    })?;
    if let Some(holder) = holder.filter(|_| !asked && app.passes_on(&scope)) {
        let permit = if follow { Some(stream_permit(&app)?) } else { None };
        let rest = format!("logs?attempt={}&follow={follow}", key.attempt);
        let call = Passed::new(Method::GET, &key.trial, &rest).with_headers(&headers);
        let what = format!("the log of attempt {} of trial {label} is", key.attempt);
        let response = app.pass_on(&holder, call).await.map_err(|away| away.in_words(&app, &what))?;
        return Ok(response.map(|body| {
            // The place among the streams is given back with the stream.
            Body::from_stream(body.into_data_stream().map(move |piece| {
                let _held = &permit;
                piece
            }))
        }));
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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
