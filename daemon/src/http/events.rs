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
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::{
    App,
    problem::{Answer, ApiError},
    query::Query,
};
use crate::events::{After, Numbered};

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
    last: u64,
    ready: VecDeque<Event>,
    news: watch::Receiver<u64>,
}

/// GET events.
pub async fn follow(State(app): State<App>, headers: HeaderMap, query: Query) -> Answer<Response> {
    query.only(&["study"])?;
    let study = match query.get("study") {
        Some(text) => Some(app.shell().read(|node, _| node.study(text).map(|s| s.id.clone()))?),
        None => None,
    };
    let permit = stream_permit(&app)?;
    let asked = headers.get("last-event-id").and_then(|v| v.to_str().ok()).filter(|v| !v.is_empty());
    let hub = app.shell().events();
    let (news, newest) = (hub.listen(), hub.newest());
    let known = asked.map(|id| hub.seq(id));
    let last = known.flatten().unwrap_or(newest);
    let mut following = Following { app, _permit: permit, study, last, ready: VecDeque::new(), news };
    match known {
        Some(Some(_)) => {}
        Some(None) => following.reset(),
        // An ID without data: a follower that is cut off before the first event still knows where it was.
        None => following.ready.push_back(Event::default().id(following.id())),
    }
    let events = stream::unfold(following, |mut f| async move { Some((Ok::<_, Infallible>(f.next().await?), f)) });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

impl Following {
    async fn next(&mut self) -> Option<Event> {
        let stopping = self.app.stopping();
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            // before the look, so that what comes after the look is heard
            self.news.mark_unchanged();
            match self.app.shell().events().after(self.last) {
                After::Events(events) => events.into_iter().for_each(|event| self.push(&event)),
                After::Reset(newest) => {
                    self.last = newest;
                    self.reset();
                }
                After::Nothing => tokio::select! {
                    () = stopping.cancelled() => return None,
                    changed = self.news.changed() => changed.ok()?,
                },
            }
        }
    }

    fn id(&self) -> String {
        self.app.shell().events().id(self.last)
    }

    fn reset(&mut self) {
        let data = json!({"reason": "events since the last one seen are no longer kept: read everything anew"});
        self.ready.push_back(Event::default().event("reset").id(self.id()).data(data.to_string()));
    }

    fn push(&mut self, event: &Numbered) {
        self.last = event.seq;
        if self.study.is_none() || self.study == event.study {
            self.ready.push_back(Event::default().event(event.kind).id(self.id()).data(&event.text));
        }
    }
}
