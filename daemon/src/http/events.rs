//! `/events`: every change, as server-sent events.
//!
//! Owns: how events are written. Must not: number or keep them; the hub does.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::HeaderMap,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use metaopt_schema::StudyId;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, broadcast};

use super::{
    App,
    problem::{Answer, ApiError},
    query::Query,
};
use crate::events::Numbered;

/// Comments are sent this often where nothing happens, so that both sides notice a dead link.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Takes a place among the open streams.
///
/// # Errors
/// 429 when all are taken.
pub(super) fn stream_permit(app: &App) -> Answer<OwnedSemaphorePermit> {
    app.0
        .gates
        .streams
        .clone()
        .try_acquire_owned()
        .map_err(|_| ApiError::busy(5, "too many event and log streams are open already"))
}

struct Following {
    app: App,
    _permit: OwnedSemaphorePermit,
    study: Option<StudyId>,
    last: String,
    ready: VecDeque<Event>,
    live: broadcast::Receiver<Numbered>,
}

/// GET events.
pub async fn follow(State(app): State<App>, headers: HeaderMap, query: Query) -> Answer<Response> {
    query.only(&["study"])?;
    let study = match query.get("study") {
        Some(text) => Some(app.shell().read(|node, _| node.study(text).map(|s| s.id.clone()))?),
        None => None,
    };
    let permit = stream_permit(&app)?;
    let last = headers.get("last-event-id").and_then(|v| v.to_str().ok()).filter(|v| !v.is_empty());
    let start = app.shell().events().follow(last);
    let mut following =
        Following { app, _permit: permit, study, last: start.newest.clone(), ready: VecDeque::new(), live: start.live };
    if start.reset {
        following.reset();
    } else if last.is_none() {
        // An ID without data: a follower that is cut off before the first event still knows where it was.
        following.ready.push_back(Event::default().id(start.newest));
    }
    for missed in start.missed {
        following.push(&missed);
    }
    let events = stream::unfold(following, |mut f| async move { Some((Ok::<_, Infallible>(f.next().await?), f)) });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

impl Following {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            let stopping = self.app.stopping();
            let received = tokio::select! {
                () = stopping.cancelled() => return None,
                received = self.live.recv() => received,
            };
            match received {
                Ok(event) => self.push(&event),
                Err(broadcast::error::RecvError::Closed) => return None,
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    // The hub keeps more than a receiver does: often nothing is lost.
                    let again = self.app.shell().events().follow(Some(&self.last));
                    self.live = again.live;
                    if again.reset {
                        self.last = again.newest;
                        self.reset();
                    }
                    for missed in again.missed {
                        self.push(&missed);
                    }
                }
            }
        }
    }

    fn reset(&mut self) {
        let data = json!({"reason": "events since the last one seen are no longer kept: read everything anew"});
        self.ready.push_back(Event::default().event("reset").id(&self.last).data(data.to_string()));
    }

    fn push(&mut self, numbered: &Numbered) {
        self.last.clone_from(&numbered.id);
        let event = &numbered.event;
        if self.study.is_some() && self.study != event.study {
            return;
        }
        let data = json!({"type": event.kind, "study_id": event.study, "trial_id": event.trial, "data": event.data});
        self.ready.push_back(Event::default().event(event.kind).id(&numbered.id).data(data.to_string()));
    }
}
