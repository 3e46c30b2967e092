//! Accepts connections: so many and no more, none that only waits, none that keeps others out.
//!
//! Owns: connections, from accept to close. Must not: know what is asked on them.
//!
//! Any program of this machine may connect, so the token protects nothing here. When all places are taken, the
//! connection that has waited longest without asking anything makes room for the new one.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    response::Response,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

/// Longest that a connection may take to ask something whole, also when it has asked before.
const SILENCE: Duration = Duration::from_secs(30);
/// Largest request line and headers (bytes), and size of a connection's buffers.
const HEAD: usize = 32 * 1024;
/// Most headers of a request.
const HEADERS: usize = 64;
/// Most connections, where the limit on open files allows as many.
const MOST: usize = 1024;
/// How long open connections may take to finish when the daemon stops.
const LEAVE: Duration = Duration::from_secs(10);
/// Pause after the system had no descriptor for a new connection.
const PAUSE: Duration = Duration::from_millis(100);

/// What is allowed of connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most at once.
    pub most: usize,
    /// Longest that one may take to ask something whole.
    pub silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { most: most(), silence: SILENCE }
    }
}

/// Connections that are open.
struct Places {
    most: usize,
    /// Those that wait for a request, in the order in which they began to wait.
    waiting: Mutex<(u64, BTreeMap<u64, CancellationToken>)>,
    open: AtomicUsize,
}

impl Places {
    /// Notes that a connection waits; the number under which it does.
    fn wait(&self, close: &CancellationToken) -> u64 {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.0 += 1;
        let number = waiting.0;
        waiting.1.insert(number, close.clone());
        number
    }

    fn busy(&self, number: u64) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&number);
    }

    /// Takes a place, from the one that waits longest if need be; `false` when all are busy.
    fn take(&self) -> bool {
        if self.open.load(Relaxed) >= self.most {
            let longest = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).1.pop_first();
            let Some((_, close)) = longest else { return false };
            close.cancel();
        }
        self.open.fetch_add(1, Relaxed);
        true
    }
}

/// A connection's place, given back when dropped.
struct Place {
    places: Arc<Places>,
    close: CancellationToken,
    waits: Mutex<Option<u64>>,
}

impl Place {
    fn new(places: &Arc<Places>) -> Arc<Self> {
        let close = CancellationToken::new();
        let waits = Mutex::new(Some(places.wait(&close)));
        Arc::new(Self { places: Arc::clone(places), close, waits })
    }

    fn set(&self, waits: bool) {
        let mut now = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = now.take() {
            self.places.busy(number);
        }
        if waits {
            *now = Some(self.places.wait(&self.close));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.set(false);
        self.places.open.fetch_sub(1, Relaxed);
    }
}

/// Serves `router` until `stopping`, then lets open requests finish for a while.
pub async fn serve(listener: TcpListener, router: Router, stopping: CancellationToken, limits: Limits) {
    let places = Arc::new(Places { most: limits.most, waiting: Mutex::default(), open: AtomicUsize::new(0) });
    let tasks = TaskTracker::new();
    let mut said: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            () = stopping.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            // Whoever it was has gone again.
            Err(error) if is_of_the_connection(&error) => continue,
            Err(error) => {
                // Out of descriptors, most likely: those that wait give theirs back, and the loop must live on.
                if let Some((_, close)) = places.waiting.lock().unwrap_or_else(PoisonError::into_inner).1.pop_first() {
                    close.cancel();
                }
                if said.is_none_or(|at| at.elapsed() > Duration::from_secs(60)) {
                    said = Some(Instant::now());
                    tracing::warn!(%error, "a connection can't be accepted");
                }
                sleep(PAUSE).await;
                continue;
            }
        };
        if !places.take() {
            refuse(&stream);
            continue;
        }
        tasks.spawn(connection(stream, router.clone(), Place::new(&places), stopping.clone(), limits));
    }
    drop(listener);
    tasks.close();
    // What isn't done by then is cut off with the runtime.
    let _ = timeout(LEAVE, tasks.wait()).await;
}

async fn connection(stream: TcpStream, router: Router, place: Arc<Place>, stopping: CancellationToken, limits: Limits) {
    let _ = stream.set_nodelay(true);
    let service = service_fn({
        let place = Arc::clone(&place);
        move |request| answer(router.clone(), request, Arc::clone(&place))
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.silence).max_buf_size(HEAD).max_headers(HEADERS);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let mut leaving = false;
    loop {
        tokio::select! {
            // Ends also by the other side's faults, which are theirs to know.
            _ = connection.as_mut() => return,
            () = place.close.cancelled() => return,
            () = stopping.cancelled(), if !leaving => {
                leaving = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn answer(router: Router, request: hyper::Request<Incoming>, place: Arc<Place>) -> Result<Response, Infallible> {
    place.set(false);
    let busy = Busy(place);
    let response = router.oneshot(request.map(Body::new)).await?;
    Ok(response.map(|body| Body::new(Answering { body, _busy: busy })))
}

/// A request is being answered.
struct Busy(Arc<Place>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

/// An answer's body; its connection is busy until its last byte.
struct Answering {
    body: Body,
    _busy: Busy,
}

impl http_body::Body for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// All places are taken by requests that are being answered: says so, if that can be said at once.
fn refuse(stream: &TcpStream) {
    let answer =
        b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let _ = stream.try_write(answer);
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Half of the files that may be open: the other half is for the database, logs, uploads and jobs.
fn most() -> usize {
    #[cfg(unix)]
    if let Some(files) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        return usize::try_from(files / 2).unwrap_or(MOST).clamp(16, MOST);
    }
    MOST
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    struct Bench {
        address: std::net::SocketAddr,
        stopping: CancellationToken,
        served: tokio::task::JoinHandle<()>,
    }

    impl Bench {
        async fn new(most: usize, silence: Duration) -> Self {
            let router = Router::new()
                .route("/", get(|| async { "hello" }))
                .route("/slow", get(|| async { sleep(Duration::from_millis(600)).await }))
                .route(
                    "/stream",
                    get(|| async { Body::from_stream(futures_util::stream::pending::<io::Result<Bytes>>()) }),
                );
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (address, stopping) = (listener.local_addr().unwrap(), CancellationToken::new());
            let served = tokio::spawn(serve(listener, router, stopping.clone(), Limits { most, silence }));
            Self { address, stopping, served }
        }

        async fn open(&self, text: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            stream
        }

        async fn ask(&self, path: &str) -> TcpStream {
            self.open(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await
        }
    }

    /// What comes, until the end or until nothing has come for a second.
    async fn heard(stream: &mut TcpStream) -> (String, bool) {
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match timeout(Duration::from_secs(1), stream.read(&mut buffer)).await {
                Err(_) => return (String::from_utf8_lossy(&all).into_owned(), true),
                Ok(Ok(0) | Err(_)) => return (String::from_utf8_lossy(&all).into_owned(), false),
                Ok(Ok(read)) => all.extend_from_slice(&buffer[..read]),
            }
        }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn who_never_finishes_asking_is_cut_off() {
        let bench = Bench::new(10, Duration::from_millis(300)).await;
        for start in ["", "GET / HTTP/1.1\r\nhost: x\r\n", "GET / HTTP/1.1\r\nhost: x\r\n\r\n"] {
            let mut stream = bench.open(start).await;
            let began = Instant::now();
            // one header now and then doesn't help
            for _ in 0..2 {
                sleep(Duration::from_millis(100)).await;
                let _ = stream.write_all(if start.ends_with("\r\n\r\n") { b"" } else { b"x" }).await;
            }
            let (_, open) = heard(&mut stream).await;
            assert!(!open && began.elapsed() < Duration::from_secs(2), "{start:?}");
        }
    }

    #[tokio::test]
    async fn the_one_that_waits_longest_makes_room() {
        let bench = Bench::new(4, LONG).await;
        let mut idle = Vec::new();
        for _ in 0..40 {
            idle.push(bench.open("").await);
        }
        let mut mine = bench.ask("/").await;
        let (text, open) = heard(&mut mine).await;
        assert!(text.ends_with("hello") && text.contains("content-length: 5") && open, "{text}");
        let (first, last) = (idle.first_mut().unwrap(), 39);
        assert!(!heard(first).await.1, "the oldest went");
        assert!(heard(&mut idle[last]).await.1, "the newest stayed");
    }

    #[tokio::test]
    async fn who_is_being_answered_is_not_sent_away() {
        let bench = Bench::new(3, LONG).await;
        let mut streams = Vec::new();
        for _ in 0..3 {
            streams.push(bench.ask("/stream").await);
        }
        sleep(Duration::from_millis(200)).await;
        let mut late = bench.ask("/").await;
        let (text, open) = heard(&mut late).await;
        assert!(text.starts_with("HTTP/1.1 503") && text.contains("retry-after: 1") && !open, "{text}");
        assert!(heard(&mut streams[0]).await.1, "a stream that is open stays so");
        drop(streams.pop());
        sleep(Duration::from_millis(200)).await;
        assert!(heard(&mut bench.ask("/").await).await.0.ends_with("hello"));
    }

    #[tokio::test]
    async fn what_was_asked_before_the_end_is_still_answered() {
        let bench = Bench::new(3, LONG).await;
        let (mut slow, idle) = (bench.ask("/slow").await, bench.open("").await);
        sleep(Duration::from_millis(100)).await;
        bench.stopping.cancel();
        assert!(heard(&mut slow).await.0.starts_with("HTTP/1.1 200"));
        timeout(Duration::from_secs(3), bench.served).await.expect("idle connections delay no end").unwrap();
        drop(idle);
    }
}
