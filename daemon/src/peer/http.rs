//! HTTP between members, over TLS as links are.
//!
//! Owns: who may ask, and where a member is asked. Must not: know what is asked.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderValue, Request, Response, Uri, header::HOST},
};
use hyper::{body::Incoming, client::conn::http1 as client, server::conn::http1 as server, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use metaopt_schema::NodeId;
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::Semaphore, time::timeout};
use tokio_rustls::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{CallError, Caller, Standing, inner::Inner, reach::secure, tls::HTTP};

/// Longest that a member may take to ask.
const ASK: Duration = Duration::from_secs(10);
/// Largest request line and headers (bytes).
const HEAD: usize = 32 << 10;
/// Most headers.
const HEADERS: usize = 64;
/// Most connections of members at once.
pub(super) const CONNECTIONS: usize = 256;
/// Connections to one member that are being made at once: fewer than its places for strangers.
const AT_ONCE: usize = 4;
/// How often an address is tried that closes at once: it had no place for a stranger's connection just then.
const ATTEMPTS: u32 = 4;
/// Before each further attempt.
const PAUSE: Duration = Duration::from_millis(150);

const NOT_A_MEMBER: &[u8] = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const NO_PLACE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// What ends the HTTP connections of each member, in both directions. Members alone have one.
#[derive(Default)]
pub(super) struct Ends(Mutex<BTreeMap<NodeId, CancellationToken>>);

impl Ends {
    fn of(&self, node: &NodeId) -> CancellationToken {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(node.clone()).or_default().clone()
    }

    /// Ends all connections of a node that is no member any more.
    pub(super) fn cut(&self, node: &NodeId) {
        if let Some(end) = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(node) {
            end.cancel();
        }
    }

    /// The same of all of whom this doesn't hold.
    pub(super) fn keep(&self, is_member: impl Fn(&NodeId) -> bool) {
        let nodes: Vec<NodeId> = self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        nodes.iter().filter(|node| !is_member(node)).for_each(|node| self.cut(node));
    }
}

/// Answers a member; a stranger hears that it is none.
pub(super) async fn serve(inner: &Arc<Inner>, mut stream: TlsStream<TcpStream>, node: NodeId, member: bool) {
    let place = inner.http.clone().try_acquire_owned();
    let (Some(router), Ok(_place), true) = (inner.router.get().cloned(), place, member) else {
        let answer = if member { NO_PLACE } else { NOT_A_MEMBER };
        let _ = timeout(Duration::from_secs(1), async {
            stream.write_all(answer).await?;
            stream.shutdown().await
        })
        .await;
        return;
    };
    let end = inner.ends.of(&node);
    let service = service_fn(move |request: Request<Incoming>| {
        let (router, caller) = (router.clone(), Caller(node.clone()));
        // A member that was removed meanwhile asks nothing more on a connection that it still has.
        let still = inner.host.standing(&caller.0) == Standing::Member;
        async move {
            if !still {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = axum::http::StatusCode::FORBIDDEN;
                return Ok::<_, Infallible>(response);
            }
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(caller);
            router.oneshot(request).await
        }
    });
    let mut builder = server::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(ASK).max_buf_size(HEAD).max_headers(HEADERS);
    tokio::select! {
        () = end.cancelled() => {}
        // Ends also by the other side's faults, which are theirs to know.
        _ = builder.serve_connection(TokioIo::new(stream), service) => {}
    }
}

/// Asks a member.
pub(super) async fn call(
    inner: &Arc<Inner>,
    node: &NodeId,
    mut request: Request<Body>,
) -> Result<Response<Incoming>, CallError> {
    let member = inner.host.members().into_iter().find(|member| member.node == *node);
    let member = member.ok_or_else(|| CallError::NotAMember(node.clone()))?;
    let link = inner.links.get(node);
    let mut addresses: Vec<String> = link.and_then(|link| Some(link.dialled()?.to_owned())).into_iter().collect();
    addresses.extend(inner.dials.known(node));
    addresses.extend(member.addresses.into_iter().take(8));
    let stream = {
        let _turn = inner.turn(node).acquire_owned().await;
        connect(inner, node, addresses).await?
    };

    let broke = |error: hyper::Error| CallError::BrokeOff { node: node.clone(), error: error.to_string() };
    let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await.map_err(broke)?;
    let (stopping, end) = (inner.stopping.clone(), inner.ends.of(node));
    inner.tasks.spawn(async move {
        tokio::select! {
            () = stopping.cancelled() => {}
            () = end.cancelled() => {}
            _ = connection => {}
        }
    });
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().unwrap_or_else(|_| Uri::from_static("/"));
    request.headers_mut().entry(HOST).or_insert(HeaderValue::from_static("metaopt"));
    sender.send_request(request).await.map_err(broke)
}

impl Inner {
    fn turn(&self, node: &NodeId) -> Arc<Semaphore> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(turns.entry(node.clone()).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))))
    }
}

/// A connection to this node and no other.
async fn connect(inner: &Inner, node: &NodeId, mut addresses: Vec<String>) -> Result<TlsStream<TcpStream>, CallError> {
    let mut seen = std::collections::BTreeSet::new();
    addresses.retain(|address| seen.insert(address.clone()));
    if addresses.is_empty() {
        return Err(CallError::NoAddress(node.clone()));
    }
    let mut last = String::new();
    for address in &addresses {
        for attempt in 0..ATTEMPTS {
            tokio::time::sleep(PAUSE * attempt).await;
            match secure(inner, address, HTTP).await {
                Ok((stream, peer)) if peer.node == *node => return Ok(stream),
                Ok((_, peer)) => last = format!("{address}: another node ({}) answers there", peer.node),
                Err((true, error)) if error.kind() != std::io::ErrorKind::TimedOut => {
                    last = format!("{address}: {error}");
                    continue;
                }
                Err((_, error)) => last = format!("{address}: {error}"),
            }
            break;
        }
    }
    Err(CallError::Unreachable { node: node.clone(), error: last })
}
