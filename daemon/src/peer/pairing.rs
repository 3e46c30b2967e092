//! Pairing: two nodes that don't know each other become members of one cluster.
//!
//! Owns: the steps of both sides. Must not: let either add the other's key before that one proved the secret.
//!
//! | step | from | what |
//! | --- | --- | --- |
//! | 1 | joiner | it knows the secret: HMAC over the session's exporter and both keys |
//! | 2 | inviter | the same in the other direction |
//! | 3 | joiner | it is convinced; its name |
//! | 4 | inviter | it has written the joiner down; the cluster's tag, its own name and addresses |

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use metaopt_core::{
    About,
    wire::{Frame, Intent},
};
use metaopt_schema::NodeId;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;

use super::{
    Newcomer, Standing,
    addresses::on_link,
    greet::{Unmet, Wire, clean, unexpected},
    inner::Inner,
    invites::{Refusal, WRONG_PER_INVITE},
    proof::{ADMITTED, CONFIRM, INVITER, JOINER, NO_KEY, Session},
    tls::{Key, Peer, exported},
};

/// All that is said of a code that lets nobody in.
pub(super) const WRONG: &str = "wrong, used or expired code";
/// Before the seconds to wait.
pub(super) const TOO_MANY: &str = "too many wrong codes; try again in seconds: ";
pub(super) const NOT_OPEN: &str = "nobody is let in without a code now";
const OFF_LINK: &str =
    "without a code only nodes of this node's own network are let in: get a code with `metaopt invite`";
const JOINED: &str =
    "this node has joined another cluster itself meanwhile: get a code from a node of the one that you mean";
const EXPELLED: &str =
    "this node was removed from its cluster, and lets nobody into it: get a code from a member with `metaopt invite`";
const WRONG_FLEET: &str =
    "the cluster keys differ: give all nodes the same METAOPT_CLUSTER_KEY_FILE, or join with a code";
/// Most addresses that are taken from an inviter, and their longest.
const ADDRESSES: (usize, usize) = (8, 256);

#[derive(Clone, Copy)]
enum How {
    Code(u64),
    Open,
    Fleet,
}

/// Somebody has proved that it may come in.
pub(super) struct Invited {
    session: Session,
    key: [u8; 32],
    how: How,
    /// This node's cluster then.
    tag: [u8; 16],
}

impl Invited {
    /// It comes through the open door.
    pub(super) fn knows_nothing(&self) -> bool {
        matches!(self.how, How::Open)
    }
}

fn session(wire: &Wire, joiner: Key, inviter: Key) -> Result<Session, Unmet> {
    let exported = exported(&wire.stream).map_err(|error| Unmet::Broken(error.to_string()))?;
    Ok(Session { exported, joiner, inviter })
}

async fn proof(wire: &mut Wire, step: u8) -> Result<Vec<u8>, Unmet> {
    match wire.next().await? {
        Frame::Proof(sent, bytes) if sent == step => Ok(bytes),
        other => Err(unexpected(&other)),
    }
}

fn pack(record: &impl Serialize) -> Result<Vec<u8>, Unmet> {
    postcard::to_allocvec(record).map_err(|error| Unmet::Broken(error.to_string()))
}

fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unmet> {
    // A later metaopt may say more.
    postcard::take_from_bytes(bytes).map(|(record, _)| record).map_err(|error| Unmet::Broken(error.to_string()))
}

impl Inner {
    /// The first proof of somebody who wants to join.
    pub(super) async fn invited(
        &self,
        wire: &mut Wire,
        peer: &Peer,
        intent: Intent,
        remote: SocketAddr,
    ) -> Result<Invited, Unmet> {
        if self.is_removed() {
            return Err(Unmet::Here(EXPELLED.into()));
        }
        let session = session(wire, peer.key, self.tls.key)?;
        if intent == Intent::JoinOpen {
            if !self.invites().is_open(Instant::now()) {
                return Err(Unmet::Here(NOT_OPEN.into()));
            }
            if !on_link(remote.ip()) {
                return Err(Unmet::Here(OFF_LINK.into()));
            }
            let sent = proof(wire, JOINER).await?;
            return if session.proves(JOINER, &NO_KEY, &sent) {
                Ok(Invited { session, key: NO_KEY, how: How::Open, tag: self.tag() })
            } else {
                Err(Unmet::Here(WRONG.into()))
            };
        }
        let sent = proof(wire, JOINER).await?;
        let checked = self.invites().check(&session, &sent, &peer.node, remote.ip(), Instant::now());
        match checked {
            Ok((number, key)) => Ok(Invited { session, key, how: How::Code(number), tag: self.tag() }),
            Err(Refusal::Nothing) => Err(Unmet::Here(WRONG.into())),
            Err(Refusal::Wrong(closed)) => {
                tracing::warn!(source = %remote.ip(), "a wrong code came");
                if closed > 0 {
                    self.announce.notify_one();
                    self.say(format!(
                        "{closed} invitation(s) closed: {WRONG_PER_INVITE} wrong codes came, the last from {}. Somebody may be \
                         guessing; `metaopt invite` makes another",
                        remote.ip()
                    ));
                }
                Err(Unmet::Here(WRONG.into()))
            }
            Err(Refusal::TooMany(wait)) => Err(Unmet::Here(format!("{TOO_MANY}{}", wait.as_secs().max(1)))),
        }
    }

    /// The first proof of a node with a cluster key.
    pub(super) async fn of_the_fleet(
        &self,
        wire: &mut Wire,
        peer: &Peer,
        key: &[u8; 32],
        remote: SocketAddr,
    ) -> Result<Invited, Unmet> {
        if self.is_removed() {
            return Err(Unmet::Here(EXPELLED.into()));
        }
        let session = session(wire, peer.key, self.tls.key)?;
        let sent = proof(wire, JOINER).await?;
        let checked = self.invites().check_key(&session, key, &sent, remote.ip(), Instant::now());
        match checked {
            Ok(()) => Ok(Invited { session, key: *key, how: How::Fleet, tag: self.tag() }),
            Err(Refusal::TooMany(wait)) => Err(Unmet::Here(format!(
                "{WRONG_FLEET}. Too many wrong keys came from this address: the right one is heard in {} seconds",
                wait.as_secs().max(1)
            ))),
            Err(_) => Err(Unmet::Here(WRONG_FLEET.into())),
        }
    }
}

/// The inviter's steps 2 to 4. Refusals are told to the other side.
pub(super) async fn let_in(
    inner: &Arc<Inner>,
    mut wire: Wire,
    peer: &Peer,
    invited: Invited,
    remote: SocketAddr,
) -> Result<(), Unmet> {
    match invite(inner, &mut wire, peer, &invited, remote).await {
        Err(Unmet::Here(words)) => {
            wire.refuse(&words).await;
            Err(Unmet::Here(words))
        }
        other => other,
    }
}

async fn invite(
    inner: &Arc<Inner>,
    wire: &mut Wire,
    peer: &Peer,
    invited: &Invited,
    remote: SocketAddr,
) -> Result<(), Unmet> {
    wire.send(&Frame::Proof(INVITER, invited.session.prove(INVITER, &invited.key))).await?;
    let name: String = unpack(&proof(wire, CONFIRM).await?)?;
    let name = clean(&name, 100);
    match invited.how {
        // Its invitations were closed then; this says why. `admit` looks again.
        How::Code(_) | How::Open if inner.tag() != invited.tag => return Err(Unmet::Here(JOINED.into())),
        How::Code(number) if !inner.invites().take(number, &peer.node) => return Err(Unmet::Here(WRONG.into())),
        How::Open if !inner.invites().is_open(Instant::now()) => return Err(Unmet::Here(NOT_OPEN.into())),
        _ => {}
    }
    let newcomer = Newcomer { node: peer.node.clone(), public_key: peer.public_key(), name };
    // Not ended by what ends this connection: nobody becomes a member unsaid.
    let admitted = inner.tasks.spawn(admit(Arc::clone(inner), newcomer, invited.how, invited.tag, remote.ip()));
    if let Err(words) = admitted.await.unwrap_or_else(|error| Err(error.to_string())) {
        if let How::Code(number) = invited.how {
            inner.invites().give_back(number);
        }
        return Err(Unmet::Here(words));
    }
    inner.announce.notify_one();
    let (tag, ours, addresses) = (inner.tag(), inner.config.name.clone(), inner.addresses());
    wire.send(&Frame::Proof(ADMITTED, pack(&(tag, ours, addresses))?)).await?;
    let _ = tokio::io::AsyncWriteExt::shutdown(&mut wire.stream).await;
    Ok(())
}

/// Writes it down, and says so.
async fn admit(inner: Arc<Inner>, newcomer: Newcomer, how: How, tag: [u8; 16], ip: IpAddr) -> Result<(), String> {
    let (node, name) = (newcomer.node.clone(), newcomer.name.clone());
    let _admitting = inner.admitting.lock().await;
    if !matches!(how, How::Fleet) && inner.tag() != tag {
        return Err(JOINED.into());
    }
    // Who repeats the last step was told of.
    let new = inner.host.standing(&node) != Standing::Member;
    let written = inner.host.admit(newcomer).await;
    written.map_err(|error| format!("it can't be written down that you are a member: {error}; try again"))?;
    match how {
        How::Code(_) => tracing::info!(%node, name, source = %ip, "a node joined with a code"),
        How::Fleet => tracing::info!(%node, name, source = %ip, "a node joined with the cluster key"),
        How::Open if new => inner.tell(
            About::Newcomer(node.clone()),
            format!(
                "{name} ({node}) joined from {ip} without a code, because of `invite --open`; if it isn't yours: \
                 metaopt node remove {node}"
            ),
        ),
        How::Open => {}
    }
    Ok(())
}

/// Why this node may not join the cluster of `with`, by now. Nodes of a fleet belong together, whatever they are in.
fn bound(inner: &Inner, with: &NodeId, fleet: bool) -> Result<(), Unmet> {
    if fleet || inner.host.standing(with) == Standing::Member {
        return Ok(());
    }
    inner.host.bound().map_or(Ok(()), |why| Err(Unmet::Bound(why)))
}

/// The joiner's steps: when it answers with the inviter's name, both are members for each other. With a code, or without,
/// a node that is in a cluster with others by now is no joiner any more.
pub(super) async fn join(
    inner: &Arc<Inner>,
    wire: &mut Wire,
    peer: &Peer,
    key: &[u8; 32],
    address: &str,
    fleet: bool,
) -> Result<String, Unmet> {
    let session = session(wire, inner.tls.key, peer.key)?;
    wire.send(&Frame::Proof(JOINER, session.prove(JOINER, key))).await?;
    let sent = proof(wire, INVITER).await?;
    if !session.proves(INVITER, key, &sent) {
        return Err(Unmet::NotProven);
    }
    bound(inner, &peer.node, fleet)?;
    wire.send(&Frame::Proof(CONFIRM, pack(&inner.config.name)?)).await?;
    let (tag, name, addresses): ([u8; 16], String, Vec<String>) = unpack(&proof(wire, ADMITTED).await?)?;
    let name = clean(&name, 100);
    let newcomer = Newcomer { node: peer.node.clone(), public_key: peer.public_key(), name: name.clone() };
    {
        let _admitting = inner.admitting.lock().await;
        bound(inner, &peer.node, fleet)?;
        inner.host.admit(newcomer).await.map_err(Unmet::Unwritten)?;
        inner.take_tag(tag);
    }
    let told = addresses.iter().filter(|told| told.len() <= ADDRESSES.1 && !told.contains(char::is_whitespace));
    let told = told.map(|told| clean(told, ADDRESSES.1));
    let addresses: Vec<String> = std::iter::once(address.to_owned()).chain(told).take(ADDRESSES.0).collect();
    inner.hint(&peer.node, &addresses);
    inner.announce.notify_one();
    Ok(name)
}
