//! One connection to an address: name, TCP, TLS, greeting.
//!
//! Owns: the time each may take. Must not: try twice, or choose the address.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsStream;

use super::{
    greet::{Next, Role, Unmet, Wire, greet},
    inner::Inner,
    tls::{LINK, Peer},
};

/// Most addresses of one name that are tried.
const ADDRESSES: usize = 8;

/// Why nobody was greeted.
#[derive(Debug)]
pub(super) enum Failed {
    /// Nobody answers there; what the operating system says.
    Unreachable(String),
    /// Somebody answers, and it isn't a node.
    Strange(String),
    /// A node answers.
    Unmet(Peer, Unmet),
}

/// A node that was greeted.
pub(super) struct Reached {
    pub peer: Peer,
    pub wire: Wire,
    pub next: Next,
}

/// Connects to `HOST:PORT`. The name is resolved anew each time.
///
/// # Errors
/// What the last of its addresses said.
pub(super) async fn connect(inner: &Inner, address: &str) -> io::Result<TcpStream> {
    let connecting = async {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for to in lookup_host(address).await?.take(ADDRESSES) {
            match TcpStream::connect(to).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    };
    let stream = timeout(inner.limits().connect, connecting)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer")))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Connects, and shows who is there.
///
/// # Errors
/// As the operating system or TLS says; the flag tells that it was TLS.
pub(super) async fn secure(
    inner: &Inner,
    address: &str,
    protocol: &[u8],
) -> Result<(TlsStream<TcpStream>, Peer), (bool, io::Error)> {
    let stream = connect(inner, address).await.map_err(|error| (false, error))?;
    let late = |_| Err(io::Error::new(io::ErrorKind::TimedOut, "it is silent"));
    let secured = timeout(inner.limits().handshake, inner.tls.connect(stream, protocol)).await;
    secured.unwrap_or_else(late).map_err(|error| (true, error))
}

/// Connects and greets.
pub(super) async fn reach(inner: &Arc<Inner>, address: &str, role: Role) -> Result<Reached, Failed> {
    let (stream, peer) = match secure(inner, address, LINK).await {
        Ok(secured) => secured,
        Err((false, error)) => return Err(Failed::Unreachable(error.to_string())),
        Err((true, error)) => {
            return Err(Failed::Strange(format!(
                "what listens there is no metaopt node, or it has too many connections just now: {error}"
            )));
        }
    };
    let remote: SocketAddr = match stream.get_ref().0.peer_addr() {
        Ok(remote) => remote,
        Err(error) => return Err(Failed::Unreachable(error.to_string())),
    };
    let greeting = greet(inner, Wire::new(stream), &peer, role, remote, address);
    match timeout(inner.limits().handshake, greeting).await {
        Ok(Ok((wire, next))) => Ok(Reached { peer, wire, next }),
        Ok(Err(unmet)) => Err(Failed::Unmet(peer, unmet)),
        Err(_) => Err(Failed::Unmet(peer, Unmet::Broken("it is silent".into()))),
    }
}
