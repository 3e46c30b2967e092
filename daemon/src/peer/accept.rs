//! Connections from outside, until it is known whose they are.
//!
//! Owns: how many of these there are, and for how long. Must not: touch links that are up.
//!
//! A node that is a member leaves the places of strangers as soon as TLS has told who it is, and who joins by a code or a
//! cluster key as soon as it has proved that. Who waits longest makes room for who comes, so that connections on which nothing happens keep nobody out.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    Limits, Standing,
    greet::{Next, Role, Unmet, Wire, greet},
    http,
    inner::Inner,
    invites::one_machine,
    link, pairing,
    tls::{HTTP, Peer},
};

/// Pause after the system had no descriptor for a new connection.
const PAUSE: Duration = Duration::from_millis(100);
/// Between warnings about that.
const QUIET: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Taken {
    by: BTreeMap<u64, (IpAddr, Instant, CancellationToken)>,
    count: u64,
}

/// The places of connections whose other end isn't known yet.
pub(super) struct Places {
    taken: Mutex<Taken>,
    most: usize,
    per_source: usize,
    patience: Duration,
}

impl Places {
    pub(super) fn new(limits: &Limits) -> Self {
        let (most, per_source) = (limits.strangers, limits.strangers_per_source);
        Self { taken: Mutex::default(), most, per_source, patience: limits.patience }
    }

    /// None: all are taken, and none of them for long.
    fn take(self: &Arc<Self>, ip: IpAddr) -> Option<Place> {
        let (ip, now) = (one_machine(ip), Instant::now());
        let mut taken = self.taken();
        let of_it: Vec<u64> = taken.by.iter().filter(|(_, place)| place.0 == ip).map(|(number, _)| *number).collect();
        let longest = if of_it.len() >= self.per_source {
            of_it.first().copied()
        } else if taken.by.len() >= self.most {
            taken.by.keys().next().copied()
        } else {
            None
        };
        if let Some(number) = longest {
            if taken.by.get(&number).is_some_and(|(_, since, _)| now - *since < self.patience) {
                return None;
            }
            if let Some((.., close)) = taken.by.remove(&number) {
                close.cancel();
            }
        }
        taken.count += 1;
        let (number, close) = (taken.count, CancellationToken::new());
        taken.by.insert(number, (ip, now, close.clone()));
        Some(Place { places: Arc::clone(self), number, close })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them, given back when dropped.
struct Place {
    places: Arc<Places>,
    number: u64,
    close: CancellationToken,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().by.remove(&self.number);
    }
}

/// Accepts until the node stops.
pub(super) async fn accept(inner: Arc<Inner>, listener: TcpListener) {
    let places = Arc::new(Places::new(inner.limits()));
    let mut said: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            () = inner.stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, remote)) => {
                if let Some(place) = places.take(remote.ip()) {
                    inner.tasks.spawn(connection(Arc::clone(&inner), stream, remote, place));
                }
            }
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                if said.is_none_or(|at| at.elapsed() > QUIET) {
                    said = Some(Instant::now());
                    tracing::warn!(%error, "a peer's connection can't be accepted");
                }
                sleep(PAUSE).await;
            }
        }
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection(inner: Arc<Inner>, stream: TcpStream, remote: SocketAddr, place: Place) {
    let stopping = inner.stopping.clone();
    tokio::select! {
        () = stopping.cancelled() => {}
        () = known(inner, stream, remote, place) => {}
    }
}

async fn known(inner: Arc<Inner>, stream: TcpStream, remote: SocketAddr, place: Place) {
    let deadline = Instant::now() + inner.limits().handshake;
    let close = place.close.clone();
    let _ = stream.set_nodelay(true);
    let accepted = tokio::select! {
        () = close.cancelled() => return,
        accepted = timeout_at(deadline, inner.tls.accept(stream)) => accepted,
    };
    let Ok(Ok((stream, peer))) = accepted else { return };
    let member = inner.host.standing(&peer.node) == Standing::Member;
    if stream.get_ref().1.alpn_protocol() == Some(HTTP) {
        drop(place);
        return http::serve(&inner, stream, peer.node, member).await;
    }
    if stream.get_ref().1.alpn_protocol().is_none() {
        return;
    }
    let place = (!member).then_some(place);
    let address = remote.to_string();
    let met = tokio::select! {
        () = close.cancelled(), if !member => return,
        met = timeout_at(deadline, greet(&inner, Wire::new(stream), &peer, Role::Accepts, remote, &address)) => met,
    };
    let unmet = match met {
        Ok(Ok((wire, Next::Up(seat)))) => {
            drop(place);
            let run = link::run(Arc::clone(&inner), wire.stream, seat);
            inner.tasks.spawn(run);
            return;
        }
        Ok(Ok((wire, Next::Invited(invited)))) => {
            // Who knows a secret leaves the places of strangers too. Through the open door everybody comes.
            let place = place.filter(|_| invited.knows_nothing());
            let paired = pairing::let_in(&inner, wire, &peer, invited, remote);
            let paired = tokio::select! {
                () = close.cancelled(), if place.is_some() => return,
                paired = tokio::time::timeout(inner.limits().pairing, paired) => paired,
            };
            match paired {
                Ok(Ok(())) => return inner.dials.wake(),
                Ok(Err(unmet)) => unmet,
                Err(_) => Unmet::Broken("pairing took too long".into()),
            }
        }
        Ok(Ok((_, Next::Join(_)))) => return,
        Ok(Err(unmet)) => unmet,
        Err(_) => Unmet::Broken("it was silent".into()),
    };
    note(&inner, &peer, remote, &unmet);
}

/// What is worth telling of a connection that came to nothing.
fn note(inner: &Inner, peer: &Peer, remote: SocketAddr, unmet: &Unmet) {
    let from = remote.ip();
    match unmet {
        Unmet::Already | Unmet::Myself | Unmet::Twins(_) => {}
        _ if inner.is_twin(&peer.node, unmet) => {}
        _ if inner.host.standing(&peer.node) == Standing::Member => {
            inner.troubles.set(Some(&peer.node), None, format!("it dialled from {from}: {unmet}"));
        }
        Unmet::Broken(_) => {}
        _ => {
            let text = format!("node {} dialled from there: {unmet}", peer.node);
            inner.troubles.stranger(&from.to_string(), &peer.node, text);
        }
    }
}
