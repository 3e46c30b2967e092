//! What every request passes: names, origins, tokens, rates, time, and the headers of every answer.
//!
//! Owns: who gets as far as a handler. Must not: read bodies.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, HttpBody},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use metaopt_api::ProblemKind;
use metaopt_schema::AttemptKey;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{
    App,
    auth::{self, Scope},
    problem::{Answer, ApiError},
};

/// Longest that an ordinary request may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Ordinary requests handled at once.
const AT_ONCE: usize = 512;
/// Event and log streams open at once.
const STREAMS: usize = 256;
/// Calls of one attempt a second; its tokens are its script's, which may run wild.
const OF_ONE_ATTEMPT: f64 = 500.0;
/// Calls of one attempt handled at once.
const OF_ONE_ATTEMPT_AT_ONCE: usize = 16;
/// Attempts whose calls are counted; beyond, those that called longest ago are forgotten.
const ATTEMPTS: usize = 4096;
/// Bodies past a few KiB that are handled at once: JSON takes up to a hundred times its size in memory.
const LARGE_AT_ONCE: usize = 8;
/// Calls of other members handled at once.
const OF_MEMBERS: usize = 256;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Limits shared by all requests.
pub struct Gates {
    /// Calls of anyone who knows a token.
    calls: Bucket,
    /// Wrong tokens.
    strangers: Bucket,
    /// Calls with the tokens of trials.
    attempts: Mutex<BTreeMap<AttemptKey, Arc<OfAttempt>>>,
    at_once: Semaphore,
    large: Arc<Semaphore>,
    members: Arc<Semaphore>,
    pub(super) streams: Arc<Semaphore>,
}

/// What one attempt may do, so that it leaves room for the others and for people.
struct OfAttempt {
    calls: Bucket,
    at_once: Arc<Semaphore>,
}

impl OfAttempt {
    fn new() -> Self {
        let calls = Bucket::new(OF_ONE_ATTEMPT, 2.0 * OF_ONE_ATTEMPT);
        Self { calls, at_once: Arc::new(Semaphore::new(OF_ONE_ATTEMPT_AT_ONCE)) }
    }
}

/// Goes with a request to where its body is read: a large one is handled when there is room for it.
#[derive(Clone)]
pub(super) struct Room {
    gate: Arc<Semaphore>,
    held: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Room {
    /// Waits for room; it is given back when the request has been answered.
    pub(super) async fn take(&self) {
        // never closed
        if let Ok(permit) = Arc::clone(&self.gate).acquire_owned().await {
            *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(permit);
        }
    }
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            calls: Bucket::new(50_000.0, 50_000.0),
            strangers: Bucket::new(20.0, 100.0),
            attempts: Mutex::default(),
            at_once: Semaphore::new(AT_ONCE),
            large: Arc::new(Semaphore::new(LARGE_AT_ONCE)),
            members: Arc::new(Semaphore::new(OF_MEMBERS)),
            streams: Arc::new(Semaphore::new(STREAMS)),
        }
    }
}

impl Gates {
    fn of(&self, key: &AttemptKey) -> Arc<OfAttempt> {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        if attempts.len() >= ATTEMPTS && !attempts.contains_key(key) {
            let quiet = attempts.iter().min_by_key(|(_, one)| one.calls.last()).map(|(key, _)| key.clone());
            attempts.remove(&quiet.unwrap_or_else(|| key.clone()));
        }
        Arc::clone(attempts.entry(key.clone()).or_insert_with(|| Arc::new(OfAttempt::new())))
    }
}

/// A token bucket.
pub struct Bucket {
    rate: f64,
    burst: f64,
    state: Mutex<(f64, Instant)>,
}

impl Bucket {
    fn new(rate: f64, burst: f64) -> Self {
        Self { rate, burst, state: Mutex::new((burst, Instant::now())) }
    }

    /// When it was last asked.
    fn last(&self) -> Instant {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Takes one.
    ///
    /// # Errors
    /// 429 when there is none left.
    pub fn take(&self, what: &str) -> Answer<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let filled = (state.0 + now.duration_since(state.1).as_secs_f64() * self.rate).min(self.burst);
        *state = (filled, now);
        if filled < 1.0 {
            return Err(ApiError::busy(1, format!("more than {} {what} a second", self.rate)));
        }
        state.0 -= 1.0;
        Ok(())
    }
}

/// The middleware around every route.
pub async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let _in_flight = app.0.counters.begin();
    let room = Room { gate: Arc::clone(&app.0.gates.large), held: Arc::default() };
    request.extensions_mut().insert(room.clone());
    // Asked for before the token is looked at: one that is revoked in between is then known to be.
    let revoked = app.dashboards().revoked();
    let checked = check(&app, &mut request);
    let dashboard = request.extensions().get::<Scope>() == Some(&Scope::Dashboard);
    let mut response = match checked {
        Err(error) => error.into_response(),
        Ok(_permit) if dashboard => {
            let answered = run(&app, request, next).await.unwrap_or_else(IntoResponse::into_response);
            until(answered, revoked)
        }
        Ok(_permit) => run(&app, request, next).await.unwrap_or_else(IntoResponse::into_response),
    };
    drop(room);
    app.0.counters.answered(response.status());
    finish(&mut response, id);
    response
}

/// Ends what goes on, such as a stream of events, when the token that asked for it holds no more.
fn until(response: Response, revoked: CancellationToken) -> Response {
    if HttpBody::size_hint(response.body()).exact().is_some() {
        return response;
    }
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(revoked.cancelled_owned())))
}

/// Lets a request through, or not; a trial's holds one of its trial's places until it is answered.
fn check(app: &App, request: &mut Request) -> Answer<Option<OwnedSemaphorePermit>> {
    let host = host_of(request.headers(), request.uri())?;
    if !is_ours(&host, &app.0.hosts) {
        return Err(ApiError::new(
            ProblemKind::ForeignHost,
            format!("this daemon is not called `{host}`; use 127.0.0.1 or localhost"),
        ));
    }
    for origin in request.headers().get_all(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or("?");
        if !same_origin(origin, &host, &app.0.hosts) {
            return Err(ApiError::new(
                ProblemKind::ForeignOrigin,
                format!("pages of `{origin}` may not call this daemon"),
            ));
        }
    }
    let path = request.uri().path();
    if !path.starts_with("/api/") && path != "/metrics" {
        return Ok(None); // liveness, and paths that don't exist
    }
    let scope = auth::scope_of(request.headers(), &app.0.token, &app.0.secret, app.dashboards());
    let scope = match scope {
        Ok(scope) => scope,
        Err(error) => {
            app.0.gates.strangers.take("wrong tokens")?;
            return Err(error);
        }
    };
    let mut permit = None;
    match &scope {
        Scope::Node | Scope::Dashboard | Scope::Member(_) => app.0.gates.calls.take("calls")?,
        Scope::Trial(key) => {
            let own = app.0.gates.of(key);
            own.calls.take("calls of one trial")?;
            let busy = |_| ApiError::busy(1, format!("{OF_ONE_ATTEMPT_AT_ONCE} calls of this trial are being handled"));
            permit = Some(Arc::clone(&own.at_once).try_acquire_owned().map_err(busy)?);
            allow_trial(app, key, request.method(), path)?;
        }
    }
    if app.0.stopping.is_cancelled() && *request.method() != Method::GET {
        return Err(crate::driver::CallError::Stopping.into());
    }
    request.extensions_mut().insert(scope);
    Ok(permit)
}

/// A member's call takes one of the places that there are for them, as long as it isn't answered.
pub(super) fn of_members(app: &App) -> Answer<OwnedSemaphorePermit> {
    let busy = |_| ApiError::busy(1, format!("{OF_MEMBERS} calls of other nodes are being handled already"));
    Arc::clone(&app.0.gates.members).try_acquire_owned().map_err(busy)
}

/// A trial's token is good for that trial only, by its ID or its label.
fn allow_trial(app: &App, key: &AttemptKey, method: &Method, path: &str) -> Answer<()> {
    let refuse = || {
        let detail =
            format!("this token is good for the reports, result, attributes and artifacts of trial {}", key.trial);
        Err(ApiError::new(ProblemKind::Forbidden, detail))
    };
    let Some(found) = auth::trial_path(path).filter(|p| auth::allowed_to_trial(method, p.rest)) else {
        return refuse();
    };
    let named = percent_decoded(found.trial);
    let own = named == key.trial.as_str()
        || app.shell().read(|node, _| node.trial(&named).is_ok_and(|(_, t)| t.place.id == key.trial));
    if own { Ok(()) } else { refuse() }
}

async fn run(app: &App, request: Request, next: Next) -> Answer<Response> {
    let Ok(_permit) = app.0.gates.at_once.try_acquire() else {
        return Err(ApiError::busy(1, format!("{AT_ONCE} requests are being handled already")));
    };
    // Uploads watch their own pace; streams of answers begin at once; a collection takes as long as there are files.
    let path = request.uri().path();
    if *request.method() == Method::PUT || path.ends_with("/import") || path == "/api/v1/gc" {
        return Ok(next.run(request).await);
    }
    tokio::time::timeout(TIMEOUT, next.run(request)).await.map_err(|_| {
        ApiError::new(ProblemKind::TimedOut, format!("not done after {} s", TIMEOUT.as_secs()))
            .with(header::RETRY_AFTER, HeaderValue::from(5))
    })
}

fn finish(response: &mut Response, id: HeaderValue) {
    let headers = response.headers_mut();
    let defaults = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in defaults {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.insert(REQUEST_ID, id);
}

/// The caller's own, if it is short and plain; else one of ours.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let plain = |v: &&HeaderValue| {
        (1..=128).contains(&v.len()) && v.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(b))
    };
    if let Some(given) = headers.get(REQUEST_ID).filter(plain) {
        return given.clone();
    }
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let n = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    HeaderValue::from_str(&format!("r{n}")).unwrap_or(HeaderValue::from_static("r0"))
}

fn host_of(headers: &HeaderMap, uri: &axum::http::Uri) -> Answer<String> {
    let mut all = headers.get_all(header::HOST).iter();
    let host = match (all.next(), all.next()) {
        (Some(one), None) => one.to_str().ok().map(str::to_owned),
        (None, _) => uri.authority().map(|a| a.as_str().to_owned()),
        _ => None,
    };
    // What the request line names is what is asked, whatever the header says (RFC 9112, 3.2.2): they must agree.
    let agreed = |host: &String| uri.authority().is_none_or(|named| named.as_str().eq_ignore_ascii_case(host));
    host.filter(|h| !h.is_empty()).filter(agreed).ok_or_else(|| {
        ApiError::new(ProblemKind::ForeignHost, "the request needs one Host header, such as 127.0.0.1:7878")
    })
}

/// Host and port; an IPv6 address keeps its brackets.
fn split_port(host: &str) -> (&str, Option<u16>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.ends_with(':') && (!name.contains(':') || name.ends_with(']')) => {
            (name, port.parse().ok())
        }
        _ => (host, None),
    }
}

fn is_loopback(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    let address = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse::<std::net::IpAddr>().is_ok_and(|a| a.is_loopback())
}

fn is_ours(host: &str, configured: &[String]) -> bool {
    let (name, port) = split_port(host);
    if host.contains('@') || (port.is_none() && host.len() != name.len()) {
        return false;
    }
    is_loopback(name) || configured.iter().any(|c| c.eq_ignore_ascii_case(host) || c.eq_ignore_ascii_case(name))
}

/// A page may call us if it came from us: the same host, or another name of the loopback interface with the same port.
fn same_origin(origin: &str, host: &str, configured: &[String]) -> bool {
    let Some(authority) = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) else {
        return false;
    };
    if authority.eq_ignore_ascii_case(host) {
        return true;
    }
    let ((name, port), (own_name, own_port)) = (split_port(authority), split_port(host));
    let alias = is_loopback(name) && is_loopback(own_name) && port == own_port;
    alias || (is_ours(authority, configured) && !is_loopback(name) && port == own_port)
}

fn percent_decoded(text: &str) -> String {
    let (mut out, bytes) = (Vec::with_capacity(text.len()), text.as_bytes());
    let mut i = 0;
    while i < bytes.len() {
        let hex =
            (bytes[i] == b'%').then(|| text.get(i + 1..i + 3).and_then(|h| u8::from_str_radix(h, 16).ok())).flatten();
        out.push(hex.unwrap_or(bytes[i]));
        i += if hex.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_and_configured_ones_are_ours() {
        let configured = vec!["box.lan".to_owned()];
        for host in [
            "localhost",
            "localhost:7878",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]:80",
            "[::1]",
            "LOCALHOST:3",
            "box.lan:7878",
            "localhost.",
        ] {
            assert!(is_ours(host, &configured), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example:7878",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "0.0.0.0:7878",
            "localhost:x",
            "a@localhost",
            "",
            "[::2]:80",
        ] {
            assert!(!is_ours(host, &configured), "{host}");
        }
    }

    #[test]
    fn pages_of_other_ports_are_foreign() {
        for origin in ["http://127.0.0.1:7878", "http://localhost:7878", "http://[::1]:7878"] {
            assert!(same_origin(origin, "127.0.0.1:7878", &[]), "{origin}");
        }
        for origin in [
            "null",
            "http://evil.example",
            "http://127.0.0.1:8080",
            "http://localhost",
            "file://",
            "http://evil.example:7878",
        ] {
            assert!(!same_origin(origin, "127.0.0.1:7878", &[]), "{origin}");
        }
    }

    #[test]
    fn an_empty_bucket_says_when_to_come_again() {
        let bucket = Bucket::new(0.001, 2.0);
        assert!(bucket.take("x").is_ok() && bucket.take("x").is_ok());
        let response = bucket.take("x").unwrap_err().into_response();
        assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (429, "1"));
    }

    #[test]
    fn paths_are_decoded_as_the_router_does() {
        assert_eq!(percent_decoded("gpu1%2d17"), "gpu1-17");
        assert_eq!(percent_decoded("a%2Fb%zz%"), "a/b%zz%");
    }
}
