//! The first frames of a connection: who is there, and whether it comes in.
//!
//! Owns: their order and words, what is told to whom before both sides accepted, and its bounds. Must not: run links.
//!
//! A stranger is told nothing: neither this node's name nor its run, and of the reasons against it one sentence. The
//! node with the smaller ID speaks its verdict last, and so decides alone which of two crossing connections stays.

use std::{net::SocketAddr, sync::Arc};

use metaopt_core::wire::{Decoder, Frame, Greeting, HEADER, Hello, Intent, WireError, encode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsStream;

use super::{
    Standing,
    inner::Inner,
    link::{Link, Seat},
    pairing::Invited,
    tls::Peer,
};

/// Bytes that a peer may send before it is accepted.
const MOST: usize = 64 << 10;
/// How long a refused peer is given to read why.
const LINGER: std::time::Duration = std::time::Duration::from_secs(1);
/// The verdict on a second connection: no trouble.
const ALREADY: &str = "linked already";

/// Why there is no link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unmet {
    #[error("the connection broke off: {0}")]
    Broken(String),
    #[error("{0}")]
    Version(String),
    /// The other side's words.
    #[error("the other side says: {0}")]
    Refused(String),
    /// What this side tells the other.
    #[error("this node refused it, and said: {0}")]
    Here(String),
    /// The same, where two machines run as one node.
    #[error("this node refused it, and said: {0}")]
    Twins(String),
    /// This side can't write down that the other is a member.
    #[error("it can't be written down here that it is a member: {0}")]
    Unwritten(String),
    /// This node is in another cluster by now.
    #[error("{0}")]
    Bound(String),
    #[error("it is linked already")]
    Already,
    #[error("it is this node itself")]
    Myself,
    /// It claimed to know the secret, and doesn't.
    #[error(
        "the other side could not prove that it knows the secret: it is another node than was meant, or somebody is in between"
    )]
    NotProven,
}

impl From<std::io::Error> for Unmet {
    fn from(error: std::io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<WireError> for Unmet {
    fn from(error: WireError) -> Self {
        Self::Broken(error.to_string())
    }
}

/// What a connection is for, and who opened it.
#[derive(Clone, Copy)]
pub(super) enum Role {
    /// This node did, to link.
    Dials,
    /// This node did, to join with a code's key (none: without a code).
    Joins(Option<[u8; 32]>),
    /// The other side did.
    Accepts,
}

/// How it goes on.
pub(super) enum Next {
    /// Both accepted.
    Up(Seat),
    /// This node joins, proving this key.
    Join([u8; 32]),
    /// The other side has proved that it may come in.
    Invited(Invited),
}

/// Frames, one by one and bounded.
pub(super) struct Wire {
    pub stream: TlsStream<TcpStream>,
    left: usize,
}

impl Wire {
    pub(super) fn new(stream: TlsStream<TcpStream>) -> Self {
        Self { stream, left: MOST }
    }

    pub(super) async fn send(&mut self, frame: &Frame) -> Result<(), Unmet> {
        self.stream.write_all(&encode(frame)?).await?;
        Ok(self.stream.flush().await?)
    }

    /// The next frame that is known. A refusal in place of it is an error.
    pub(super) async fn next(&mut self) -> Result<Frame, Unmet> {
        loop {
            let mut bytes = vec![0; HEADER];
            self.stream.read_exact(&mut bytes).await?;
            let length = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
            // What is compressed is bulk, and nobody sends bulk yet.
            if bytes[6] != 0 || length + HEADER > self.left {
                return Err(Unmet::Broken("it sent more than is allowed before it is accepted".into()));
            }
            self.left -= length + HEADER;
            bytes.resize(HEADER + length, 0);
            self.stream.read_exact(&mut bytes[HEADER..]).await?;
            let mut decoder = Decoder::new();
            decoder.push(&bytes);
            match decoder.next_frame()? {
                Some(Frame::Verdict(Some(words))) if words == ALREADY => return Err(Unmet::Already),
                Some(Frame::Verdict(Some(words))) => return Err(Unmet::Refused(clean(&words, 500))),
                Some(frame) => return Ok(frame),
                None => {}
            }
        }
    }

    /// Says why not, and gives the other side a moment to read it.
    pub(super) async fn refuse(mut self, words: &str) {
        let said = async {
            self.send(&Frame::Verdict(Some(words.into()))).await?;
            self.stream.shutdown().await?;
            let mut rest = [0; 1024];
            // What is unread when a socket is closed takes along what was sent.
            while self.left > 0 && self.stream.read(&mut rest).await? > 0 {
                self.left = self.left.saturating_sub(rest.len());
            }
            Ok::<_, Unmet>(())
        };
        let _ = timeout(LINGER, said).await;
    }
}

/// Text of others, as it may be shown: no control characters, and not too long.
pub(super) fn clean(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

pub(super) fn unexpected(frame: &Frame) -> Unmet {
    let name = format!("{frame:?}");
    let name = name.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned();
    Unmet::Broken(format!("it sent a frame out of turn ({name})"))
}

/// From the first byte to where both accepted, or one of them has to prove something. Refusals are told to the other side.
pub(super) async fn greet(
    inner: &Arc<Inner>,
    mut wire: Wire,
    peer: &Peer,
    role: Role,
    remote: SocketAddr,
    address: &str,
) -> Result<(Wire, Next), Unmet> {
    match meet(inner, &mut wire, peer, role, remote, address).await {
        Ok(next) => Ok((wire, next)),
        Err(unmet @ (Unmet::Here(_) | Unmet::Twins(_))) => {
            let (Unmet::Here(words) | Unmet::Twins(words)) = &unmet else { return Err(unmet) };
            wire.refuse(words).await;
            Err(unmet)
        }
        Err(Unmet::Already) => {
            wire.refuse(ALREADY).await;
            Err(Unmet::Already)
        }
        Err(unmet) => {
            let _ = timeout(LINGER, wire.stream.shutdown()).await;
            Err(unmet)
        }
    }
}

async fn meet(
    inner: &Arc<Inner>,
    wire: &mut Wire,
    peer: &Peer,
    role: Role,
    remote: SocketAddr,
    address: &str,
) -> Result<Next, Unmet> {
    let ours = Hello::ours();
    wire.send(&Frame::Hello(ours)).await?;
    let theirs = match wire.next().await? {
        Frame::Hello(hello) => hello,
        other => return Err(unexpected(&other)),
    };
    ours.agree(theirs).map_err(|_| Unmet::Version(update(ours, theirs)))?;

    let own = peer.node == inner.config.node;
    let standing = inner.host.standing(&peer.node);
    let known = own || standing == Standing::Member;
    let told = |text: &str| if known { text.to_owned() } else { String::new() };
    let boot = inner.host.boot();
    wire.send(&Frame::Greeting(Greeting {
        boot: if known { boot } else { 0 },
        name: told(&inner.config.name),
        version: told(&inner.config.version),
        intent: match role {
            Role::Joins(Some(_)) => Intent::Join,
            Role::Joins(None) => Intent::JoinOpen,
            Role::Dials | Role::Accepts => Intent::Link,
        },
        fleet: inner.fleet.is_some(),
    }))
    .await?;
    let theirs = match wire.next().await? {
        Frame::Greeting(greeting) => greeting,
        other => return Err(unexpected(&other)),
    };

    if own {
        if theirs.boot == boot {
            return Err(Unmet::Myself);
        }
        return Err(Unmet::Twins(inner.cloned(&peer.node, &[remote.ip()])));
    }
    if standing == Standing::Removed {
        return Err(Unmet::Here(REMOVED.into()));
    }
    if let Some(words) = inner.links.quarantined(&peer.node) {
        return Err(Unmet::Twins(words));
    }
    let strange = standing == Standing::Stranger || theirs.boot == 0;
    match (role, theirs.intent, inner.fleet) {
        (Role::Joins(key), _, _) => Ok(Next::Join(key.unwrap_or(super::proof::NO_KEY))),
        (Role::Accepts, Intent::Join | Intent::JoinOpen, _) => {
            inner.invited(wire, peer, theirs.intent, remote).await.map(Next::Invited)
        }
        (Role::Dials, _, Some((key, _))) if theirs.fleet && strange => Ok(Next::Join(key)),
        (Role::Accepts, _, Some((key, _))) if theirs.fleet && strange => {
            inner.of_the_fleet(wire, peer, &key, remote).await.map(Next::Invited)
        }
        _ if standing == Standing::Stranger => Err(Unmet::Here(STRANGER.into())),
        _ => verdicts(inner, wire, peer, &theirs, remote, address, matches!(role, Role::Dials)).await,
    }
}

const STRANGER: &str = "not a member of this cluster: join it with `metaopt join CODE`; a member's `metaopt invite` prints a code. \
     A new member is known everywhere within seconds";
const REMOVED: &str = "this node was removed from the cluster, for ever: to come back as a new one, `metaopt leave` there, then \
     `metaopt join CODE`";

/// Both know each other as members.
async fn verdicts(
    inner: &Arc<Inner>,
    wire: &mut Wire,
    peer: &Peer,
    theirs: &Greeting,
    remote: SocketAddr,
    address: &str,
    outbound: bool,
) -> Result<Next, Unmet> {
    let mut old = inner.links.get(&peer.node);
    if let Some(link) = old.take_if(|link| theirs.boot != 0 && link.boot != theirs.boot) {
        if link.is_alive(inner.limits().probe).await {
            let words = inner.cloned(&peer.node, &[link.remote.ip(), remote.ip()]);
            inner.links.quarantine(&peer.node, words.clone(), inner.limits().quarantine);
            return Err(Unmet::Twins(words));
        }
        inner.links.end(&link, &inner.host);
    }
    let accepted = |frame| match frame {
        Frame::Verdict(None) if theirs.boot != 0 => Ok(()),
        other => Err(unexpected(&other)),
    };
    let link = Arc::new(Link::new(inner, peer, theirs, remote, address, outbound));
    if inner.config.node > peer.node {
        wire.send(&Frame::Verdict(None)).await?;
        accepted(wire.next().await?)?;
        return Ok(Next::Up(inner.links.seat(link)));
    }
    accepted(wire.next().await?)?;
    if let Some(link) = old {
        if link.is_alive(inner.limits().probe).await {
            return Err(Unmet::Already);
        }
        inner.links.end(&link, &inner.host);
    }
    let seat = inner.links.reserve(link).ok_or(Unmet::Already)?;
    wire.send(&Frame::Verdict(None)).await?;
    Ok(Next::Up(seat))
}

/// Which side is to be updated.
fn update(ours: Hello, theirs: Hello) -> String {
    let (who, old, new) =
        if theirs.oldest > ours.newest { ("this node", ours, theirs) } else { ("the other node", theirs, ours) };
    format!(
        "no common version: update metaopt on {who}, which speaks versions {} to {} of the protocol where {} to {} are spoken",
        old.oldest, old.newest, new.oldest, new.newest
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_side_is_the_one_to_update() {
        let hello = |oldest, newest| Hello { oldest, newest };
        assert!(update(hello(1, 1), hello(2, 3)).contains("metaopt on this node, which speaks versions 1 to 1"));
        assert!(update(hello(2, 3), hello(1, 1)).contains("metaopt on the other node, which speaks versions 1 to 1"));
    }

    #[test]
    fn what_others_say_can_be_shown() {
        assert_eq!(clean("a\x1b[31mb\n\u{9b}c", 5), "a[31m");
    }
}
