//! What another node has, answered from here: calls are passed on to it, and its answers back.
//!
//! Owns: to whom a call goes, what of it is passed on, and what is said when that node is away. Must not: pass a member's
//! call on again: two nodes that disagree about a holder would send it round for ever.
//!
//! The caller's token was checked here; the other node knows the call as this member's ([`Scope::Member`]). Scripts call
//! the node that runs them, which alone knows their tokens, so that a trial's own calls are never passed on.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    response::Response,
};
use futures_util::StreamExt;
use metaopt_api::{ProblemKind, problem::CONTENT_TYPE};
use metaopt_core::commands::Action;
use metaopt_schema::{AttemptNo, NodeId, TrialId};

use super::{
    App,
    auth::Scope,
    problem::{Answer, ApiError},
    render,
};
use crate::blobs::{escaped, last_heard};

/// Longest until the other node begins its answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a node that gets an upload may take.
const PACE: Pace = Pace { taking: Duration::from_secs(30), answering: Duration::from_secs(60) };
/// When it makes sense to come again (seconds).
const AGAIN: u64 = 5;
/// What is passed on of a request.
const ASKED: [HeaderName; 7] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    HeaderName::from_static("last-event-id"),
];
/// What is passed back of an answer: what another node says of connections and pages is none of a browser's business here.
const ANSWERED: [HeaderName; 11] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_DISPOSITION,
    header::CONTENT_RANGE,
    header::CONTENT_SECURITY_POLICY,
    header::X_CONTENT_TYPE_OPTIONS,
    header::ACCEPT_RANGES,
    header::ALLOW,
    header::CACHE_CONTROL,
    header::ETAG,
    header::RETRY_AFTER,
];

/// A node that can't be called now.
#[derive(Debug)]
pub struct Away {
    /// Which.
    pub node: NodeId,
    /// Why, for the log.
    pub why: String,
}

/// A call about a trial, as another node gets it.
pub struct Passed {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Body,
}

impl Passed {
    /// `rest` is what follows the trial in the path.
    pub fn new(method: Method, trial: &TrialId, rest: &str) -> Self {
        let path = format!("/peer/v1/api/trials/{}/{rest}", escaped(trial.as_str()));
        Self { method, path, headers: HeaderMap::new(), body: Body::empty() }
    }

    /// With those of a caller's headers that matter there.
    #[must_use]
    pub fn with_headers(mut self, headers: &HeaderMap) -> Self {
        for name in &ASKED {
            if let Some(value) = headers.get(name) {
                self.headers.insert(name.clone(), value.clone());
            }
        }
        self
    }

    /// With a caller's headers and body, which streams.
    #[must_use]
    pub fn with(self, request: Request) -> Self {
        let (parts, body) = request.into_parts();
        Self { body, ..self.with_headers(&parts.headers) }
    }

    /// With a JSON body.
    #[must_use]
    pub fn with_json(mut self, value: &serde_json::Value) -> Self {
        self.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.body = Body::from(value.to_string());
        self
    }
}

/// How long a node may take over an upload before it counts as away.
#[derive(Clone, Copy)]
struct Pace {
    /// Nothing of the body.
    taking: Duration,
    /// To answer, once it took all there is.
    answering: Duration,
}

/// Where an upload is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The node has something to take.
    Given,
    /// It asks for more than the client has sent. The node that gets it watches the client's pace, and answers.
    Asked,
    /// It took all.
    Ended,
}

/// A body on its way to another node.
struct Upload {
    pace: Pace,
    at: Arc<Mutex<(Stage, Instant)>>,
}

impl Upload {
    fn watch(body: Body, pace: Pace) -> (Body, Self) {
        let at = Arc::new(Mutex::new((Stage::Given, Instant::now())));
        let (noted, mut stream) = (Arc::clone(&at), body.into_data_stream());
        let body = futures_util::stream::poll_fn(move |context| {
            let polled = stream.poll_next_unpin(context);
            let stage = match &polled {
                Poll::Pending => Stage::Asked,
                Poll::Ready(Some(Ok(_))) => Stage::Given,
                Poll::Ready(_) => Stage::Ended,
            };
            let mut at = noted.lock().unwrap_or_else(PoisonError::into_inner);
            if stage == Stage::Given || at.0 != stage {
                *at = (stage, Instant::now());
            }
            polled
        });
        (Body::from_stream(body), Self { pace, at })
    }

    /// Ends when nothing moves any more, with why.
    async fn stands_still(&self) -> String {
        loop {
            let (stage, since) = *self.at.lock().unwrap_or_else(PoisonError::into_inner);
            let (longest, what) = match stage {
                Stage::Given => (self.pace.taking, "took nothing of an upload"),
                Stage::Asked => (self.pace.answering, "said nothing of an upload that brings nothing more"),
                Stage::Ended => (self.pace.answering, "did not answer to a whole upload"),
            };
            if since.elapsed() >= longest {
                return format!("{what} for {} s", longest.as_secs());
            }
            tokio::time::sleep_until((since + longest).into()).await;
        }
    }
}

impl App {
    /// Passes a call on. What comes back may be any answer, refusals too.
    ///
    /// # Errors
    /// The node can't be called, or says nothing.
    pub(super) async fn pass_on(&self, node: &NodeId, call: Passed) -> Result<Response, Away> {
        let away = |why: String| Away { node: node.clone(), why };
        let fetcher = self.fetcher().ok_or_else(|| away("this daemon has no links to other nodes".into()))?;
        let uploads = call.method == Method::PUT;
        let (body, upload) = Upload::watch(call.body, PACE);
        let request = Request::builder().method(call.method).uri(call.path).body(body);
        let mut request = request.map_err(|error| away(error.to_string()))?;
        *request.headers_mut() = call.headers;
        let called = fetcher.elsewhere().call(node, request);
        // An upload is answered when it is over.
        let answer = if uploads {
            tokio::select! {
                answer = called => answer,
                why = upload.stands_still() => return Err(away(why)),
            }
        } else {
            let silent = |_| away(format!("said nothing for {} s", PATIENCE.as_secs()));
            tokio::time::timeout(PATIENCE, called).await.map_err(silent)?
        };
        let (parts, body) = answer.map_err(|error| away(error.to_string()))?.into_parts();
        // The links refuse without a word: it doesn't know this node yet, or has no place for another call.
        let is = |wanted: &str| parts.headers.get(header::CONTENT_TYPE).is_some_and(|value| value == wanted);
        if !parts.status.is_success() && !is(CONTENT_TYPE) {
            return Err(away(format!("it answered {}", parts.status)));
        }
        let stopping = self.stopping().cancelled_owned();
        let mut response = Response::new(Body::from_stream(body.into_data_stream().take_until(stopping)));
        *response.status_mut() = parts.status;
        for name in &ANSWERED {
            if let Some(value) = parts.headers.get(name) {
                response.headers_mut().insert(name.clone(), value.clone());
            }
        }
        Ok(response)
    }

    /// Whether a call may be passed on at all.
    pub(super) fn passes_on(&self, scope: &Scope) -> bool {
        scope.is_user() && self.fetcher().is_some()
    }

    /// The attempt that a call is about, where another node holds it.
    ///
    /// # Errors
    /// 503 when this is another node's call already, and this node takes a third one for the holder.
    pub(super) fn held_elsewhere(
        &self,
        scope: &Scope,
        trial: &str,
        attempt: Option<AttemptNo>,
    ) -> Answer<Option<Held>> {
        if scope.is_process() || self.fetcher().is_none() {
            return Ok(None);
        }
        let held = self.shell().read(|node, _| {
            let holder = node.holder(trial, attempt)?;
            let (_, view) = node.trial(trial).ok()?;
            let of = |n: &AttemptNo| view.attempt(*n, &holder);
            let found =
                attempt.as_ref().and_then(of).or_else(|| view.attempts.iter().rev().find(|a| a.node == holder))?;
            Some(Held {
                trial: view.place.id.clone(),
                label: view.label(),
                asked: found.is_asked(),
                given_up: found.given_up().is_some(),
                overtaken: view.state.is_terminal() || view.next_attempt() > found.attempt + 1,
                node: holder,
            })
        });
        match (held, scope) {
            (Some(held), Scope::Member(_)) => {
                let name = self.shell().read(|node, _| render::node_name(node, &held.node));
                let detail = format!("this node takes {name} for the holder of trial {}: ask again", held.label);
                Err(ApiError::new(ProblemKind::Away, detail).with(header::RETRY_AFTER, HeaderValue::from(1)))
            }
            (held, _) => Ok(held),
        }
    }

    /// 503 in words: `what` is on a node that is away; 404 when it won't come back.
    pub(super) fn away(&self, node: &NodeId, what: &str) -> ApiError {
        let (name, removed, silent) = self.shell().read(|all, now| {
            let seen = all.nodes(now).into_iter().find(|n| n.id == *node).and_then(|n| n.last_seen);
            let silent = seen.map(|seen| Duration::from_millis(now.wall_ms.saturating_sub(seen)));
            (render::node_name(all, node), all.is_removed(node), silent)
        });
        if removed {
            return ApiError::not_found(format!("{what} on {name}, which was removed from the cluster"));
        }
        let detail = format!(
            "{what} on {name}, which can't be reached from here (it {}): see that metaoptd runs there, or ask again later",
            last_heard(silent)
        );
        ApiError::new(ProblemKind::Away, detail).with(header::RETRY_AFTER, HeaderValue::from(AGAIN))
    }
}

/// An attempt that another node holds.
#[derive(Debug)]
pub struct Held {
    /// Who.
    pub node: NodeId,
    /// Of which trial.
    pub trial: TrialId,
    /// What people call that.
    pub label: String,
    /// By a client, not a process.
    pub asked: bool,
    /// The holder was taken for dead.
    pub given_up: bool,
    /// The trial is over, or a later attempt goes on with it.
    pub overtaken: bool,
}

impl Held {
    /// Asks the holder.
    ///
    /// # Errors
    /// It is away.
    pub async fn ask(&self, app: &App, rest: &str, body: &serde_json::Value) -> Result<Response, Away> {
        app.pass_on(&self.node, Passed::new(Method::POST, &self.trial, rest).with_json(body)).await
    }

    /// What a client does whose report or heartbeat can't be brought to its holder: it waits while the holder may come
    /// back; of one that was given up it goes on, as long as nobody took its place, and its result is taken anywhere.
    ///
    /// # Errors
    /// 503, to come again.
    pub fn meanwhile(&self, app: &App, away: Away) -> Answer<Action> {
        match (self.asked && self.given_up, self.overtaken) {
            (true, true) => Ok(Action::Stop),
            (true, false) => Ok(Action::Continue),
            (false, _) => Err(away.in_words(app, &format!("trial {} is held", self.label))),
        }
    }
}

impl Away {
    /// For the client; the cause goes to the log.
    pub fn in_words(self, app: &App, what: &str) -> ApiError {
        tracing::info!(node = %self.node, why = %self.why, "could not pass a call on");
        app.away(&self.node, what)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_upload_that_nobody_takes_or_answers_comes_to_an_end() {
        let pace = Pace { taking: Duration::from_millis(200), answering: Duration::from_millis(400) };
        let began = Instant::now();
        let (body, upload) = Upload::watch(Body::from("x"), pace);
        assert!(upload.stands_still().await.starts_with("took nothing of an upload"));
        assert!(began.elapsed() < pace.answering);
        // Slow, but it goes on; then nothing is said.
        let mut stream = body.into_data_stream();
        assert!(stream.next().await.unwrap().is_ok() && stream.next().await.is_none());
        assert!(upload.stands_still().await.starts_with("did not answer"));
        assert!(began.elapsed() > pace.taking + pace.answering);
        let (body, upload) =
            Upload::watch(Body::from_stream(futures_util::stream::pending::<Result<String, axum::Error>>()), pace);
        tokio::select! {
            _ = axum::body::to_bytes(body, 1) => unreachable!("it brings nothing"),
            why = upload.stands_still() => assert!(why.starts_with("said nothing"), "{why}"),
        }
    }
}
