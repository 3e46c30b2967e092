//! One link: reading, writing and pinging, until it ends.
//!
//! Owns: a link's queue and what is known of it. Must not: decide that it may be.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use metaopt_core::wire::{Decoder, Frame, Greeting, Queue, encode};
use metaopt_schema::NodeId;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, watch},
    time::{Instant, interval, timeout},
};
use tokio_rustls::TlsStream;
use tokio_util::sync::CancellationToken;

use super::{
    LinkInfo, Up,
    greet::{clean, unexpected},
    inner::Inner,
    links::Links,
    tls::Peer,
};

/// How long a link that is being closed may take to send what waits.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Bytes that are read at once.
const READ: usize = 64 << 10;

/// What waits to be sent.
struct Outgoing {
    queue: Queue,
    /// Outside the queue, so that neither a full one nor a peer that pings without end is in their way.
    ping: Option<u64>,
    pong: Option<u64>,
    /// Nothing more is taken: what waits are its last words.
    closing: bool,
}

/// A link.
pub(super) struct Link {
    pub node: NodeId,
    pub boot: u64,
    pub remote: SocketAddr,
    pub number: u64,
    name: String,
    version: String,
    address: String,
    since: SystemTime,
    outbound: bool,
    out: Mutex<Outgoing>,
    more: Notify,
    pub end: CancellationToken,
    /// Cancelled by [`Self::close`].
    closing: CancellationToken,
    /// The number of the last ping, and when it was asked for.
    pings: Mutex<(u64, Instant)>,
    pong: watch::Sender<u64>,
    /// Microseconds; 0: not known yet.
    round_trip: AtomicU64,
}

impl Link {
    pub(super) fn new(
        inner: &Inner,
        peer: &Peer,
        theirs: &Greeting,
        remote: SocketAddr,
        address: &str,
        outbound: bool,
    ) -> Self {
        Self {
            node: peer.node.clone(),
            boot: theirs.boot,
            remote,
            number: inner.links.number(),
            name: clean(&theirs.name, 100),
            version: clean(&theirs.version, 100),
            address: address.to_owned(),
            since: SystemTime::now(),
            outbound,
            out: Mutex::new(Outgoing {
                queue: Queue::new(inner.limits().queue),
                ping: None,
                pong: None,
                closing: false,
            }),
            more: Notify::new(),
            end: inner.stopping.child_token(),
            closing: CancellationToken::new(),
            pings: Mutex::new((0, Instant::now())),
            pong: watch::Sender::new(0),
            round_trip: AtomicU64::new(0),
        }
    }

    /// False: its queue is full.
    pub(super) fn send(&self, frame: &Arc<[u8]>) -> bool {
        let taken = self.outgoing(|out| !out.closing && out.queue.push(Arc::clone(frame)));
        self.more.notify_one();
        taken
    }

    /// Takes nothing more, neither from the node nor from the peer; ends when what waits is sent, or after a moment: a peer
    /// that is removed should learn of it.
    pub(super) fn close(&self) {
        self.outgoing(|out| out.closing = true);
        self.closing.cancel();
        self.more.notify_one();
    }

    pub(super) fn up(&self) -> Up {
        Up { node: self.node.clone(), boot: self.boot, version: self.version.clone() }
    }

    pub(super) fn info(&self) -> LinkInfo {
        let micros = self.round_trip.load(Relaxed);
        LinkInfo {
            node: self.node.clone(),
            name: self.name.clone(),
            version: self.version.clone(),
            address: self.address.clone(),
            since: self.since,
            outbound: self.outbound,
            round_trip_ms: (micros > 0).then_some(micros as f64 / 1000.0),
        }
    }

    /// Where it was dialled.
    pub(super) fn dialled(&self) -> Option<&str> {
        self.outbound.then_some(&*self.address)
    }

    /// Whether it answers within this time.
    pub(super) async fn is_alive(&self, within: Duration) -> bool {
        let mut pongs = self.pong.subscribe();
        let number = self.ping();
        tokio::select! {
            () = self.end.cancelled() => false,
            answered = timeout(within, pongs.wait_for(|pong| *pong >= number)) => matches!(answered, Ok(Ok(_))),
        }
    }

    fn ping(&self) -> u64 {
        let number = {
            let mut pings = self.pings.lock().unwrap_or_else(PoisonError::into_inner);
            *pings = (pings.0 + 1, Instant::now());
            pings.0
        };
        self.outgoing(|out| out.ping = Some(number));
        self.more.notify_one();
        number
    }

    fn ponged(&self, number: u64) {
        let (last, asked) = *self.pings.lock().unwrap_or_else(PoisonError::into_inner);
        if number == last {
            self.round_trip.store((asked.elapsed().as_micros() as u64).max(1), Relaxed);
        }
        self.pong.send_replace(number);
    }

    fn outgoing<T>(&self, with: impl FnOnce(&mut Outgoing) -> T) -> T {
        with(&mut self.out.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn pop(&self) -> Option<Arc<[u8]>> {
        self.outgoing(|out| {
            let pong = out.pong.take().map(Frame::Pong);
            let beat = pong.or_else(|| out.ping.take().map(Frame::Ping));
            // Numbers are always within the limits of a frame.
            beat.and_then(|frame| encode(&frame).ok()).or_else(|| out.queue.pop())
        })
    }
}

/// A link that holds its node's place in the table. Dropped before it ran, it gives that back.
pub(super) struct Seat {
    pub links: Arc<Links>,
    pub link: Arc<Link>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.links.unreserve(&self.link);
    }
}

/// Runs a link that both sides accepted, from `up` to `down`.
pub(super) async fn run(inner: Arc<Inner>, stream: TlsStream<TcpStream>, seat: Seat) {
    let link = Arc::clone(&seat.link);
    inner.links.install(&link, &inner.host);
    inner.troubles.settled(&link.node);
    tracing::info!(node = %link.node, name = link.name, address = link.address, "linked");
    let (reading, writing) = tokio::io::split(stream);
    let ended = tokio::select! {
        ended = read_until_closed(&inner, &link, reading) => Some(ended),
        ended = write(&link, writing) => Some(ended),
        () = beat(&link, inner.limits().ping) => None,
        () = link.end.cancelled() => None,
    };
    link.end.cancel();
    inner.links.end(&link, &inner.host);
    drop(seat);
    inner.dials.lost(&link.node, inner.limits());
    if let Some(why) = ended {
        tracing::info!(node = %link.node, name = link.name, why, "the link is gone");
        if why == CLOSED {
            return;
        }
        inner.troubles.set(
            Some(&link.node),
            None,
            format!("the link to {} ended: {why}; it is dialled again", link.name),
        );
    }
}

async fn beat(link: &Link, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        link.ping();
    }
}

const CLOSED: &str = "it was removed from the cluster";

/// Why it ended. What comes on a link that is being closed is thrown away, until the other side has closed it too: an
/// unread byte would make the system drop what that side has not read yet.
async fn read_until_closed(inner: &Inner, link: &Link, mut stream: impl AsyncReadExt + Unpin) -> String {
    tokio::select! {
        ended = read(inner, link, &mut stream) => return ended,
        () = link.closing.cancelled() => {}
    }
    let _ = timeout(LAST_WORDS, tokio::io::copy(&mut stream, &mut tokio::io::sink())).await;
    CLOSED.into()
}

/// Why it ended.
async fn read(inner: &Inner, link: &Link, stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut decoder = Decoder::new();
    let mut buffer = vec![0; READ];
    loop {
        let silence = inner.limits().silence;
        let read = match timeout(silence, stream.read(&mut buffer)).await {
            Err(_) => return format!("nothing came for {} seconds", silence.as_secs_f32()),
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => 0,
            Ok(Err(error)) => return error.to_string(),
            Ok(Ok(read)) => read,
        };
        if read == 0 {
            return "the other side closed it".into();
        }
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            rest = &rest[decoder.push(rest)..];
            loop {
                match decoder.next_frame() {
                    Ok(None) => break,
                    Ok(Some(Frame::Ping(number))) => {
                        link.outgoing(|out| out.pong = Some(number));
                        link.more.notify_one();
                    }
                    Ok(Some(Frame::Pong(number))) => link.ponged(number),
                    Ok(Some(frame @ (Frame::Hello(_) | Frame::Greeting(_) | Frame::Verdict(_) | Frame::Proof(..)))) => {
                        return unexpected(&frame).to_string();
                    }
                    Ok(Some(frame)) => inner.host.frame(&link.node, frame).await,
                    Err(error) => return error.to_string(),
                }
            }
        }
    }
}

async fn write(link: &Link, mut stream: impl AsyncWriteExt + Unpin) -> String {
    loop {
        // Nothing is queued from then on.
        let closing = link.outgoing(|out| out.closing);
        while let Some(frame) = link.pop() {
            if let Err(error) = stream.write_all(&frame).await {
                return error.to_string();
            }
        }
        if let Err(error) = stream.flush().await {
            return error.to_string();
        }
        if closing {
            let _ = stream.shutdown().await;
            return std::future::pending().await;
        }
        link.more.notified().await;
    }
}
