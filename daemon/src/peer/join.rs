//! Joining, as a person asks for it.
//!
//! Owns: whom to ask, and which of several failures is told. Must not: ask anybody when this node may not join.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    Code, JoinError, Joined,
    found::Finding,
    greet::{Next, Role, Unmet},
    inner::Inner,
    pairing::{NOT_OPEN, TOO_MANY, WRONG, join as pair},
    reach::{Failed, reach},
    with_port,
};

/// Most nodes that are asked of those that mDNS found.
const ASKED: usize = 32;
/// Asked at once.
const AT_ONCE: usize = 8;
/// After somebody was found who lets others in, others have this long to be found.
const MORE: Duration = Duration::from_millis(700);
/// Between looks at what was found.
const LOOK: Duration = Duration::from_millis(100);

const JOINING: &str =
    "this node is joining a cluster just now: wait until that has come to an end, then ask `metaopt nodes`";

/// See [`super::Peers::join`].
pub(super) async fn join(inner: &Arc<Inner>, code: Option<Code>, peer: Option<String>) -> Result<Joined, JoinError> {
    let Ok(_one) = inner.joining.try_lock() else { return Err(JoinError::Bound(JOINING.into())) };
    if let Some(why) = inner.host.bound() {
        return Err(JoinError::Bound(why));
    }
    let key = code.as_ref().map(Code::key);
    let joined = match peer {
        Some(peer) if peer.trim().is_empty() => Err(JoinError::BadPeer("--peer wants HOST:PORT".into())),
        Some(peer) => ask(inner, &with_port(&peer), key).await,
        None => {
            let found = find(inner, code.is_none()).await?;
            ask_all(inner, found, key).await
        }
    }?;
    inner.dials.wake();
    Ok(joined)
}

/// Waits until somebody is found.
async fn find(inner: &Inner, only_open: bool) -> Result<Vec<Finding>, JoinError> {
    let began = Instant::now();
    let mut found = Vec::new();
    let mut since: Option<Instant> = None;
    while began.elapsed() < inner.limits().find && since.is_none_or(|since| since.elapsed() < MORE) {
        let members = inner.host.members();
        let is_member = |prefix: &str| members.iter().any(|member| member.node.as_str().starts_with(prefix));
        found = inner.found().strangers(&inner.config.node, &is_member, Instant::now());
        if only_open {
            found.retain(|finding| finding.open);
        }
        if since.is_none() && found.iter().any(|finding| finding.open) {
            since = Some(Instant::now());
        }
        sleep(LOOK).await;
    }
    // A node counts what is no code of its own as a guess: those that invite nobody are asked only if nobody does.
    if found.iter().any(|finding| finding.open) {
        found.retain(|finding| finding.open);
    }
    found.truncate(ASKED);
    if found.is_empty() {
        return Err(JoinError::NobodyFound);
    }
    // With a code it is clear which is meant, without one it isn't.
    let tags: std::collections::BTreeSet<&str> = found.iter().map(|finding| &*finding.tag).collect();
    if only_open && tags.len() > 1 {
        let addresses = found.iter().filter_map(|finding| finding.addresses.first());
        return Err(JoinError::Several(addresses.map(ToString::to_string).collect()));
    }
    Ok(found)
}

/// Asks them, those first that let others in, until one has let this node in.
async fn ask_all(inner: &Arc<Inner>, found: Vec<Finding>, key: Option<[u8; 32]>) -> Result<Joined, JoinError> {
    let mut left = found.into_iter();
    let mut asked = JoinSet::new();
    let mut worst: Option<JoinError> = None;
    // Without a code whoever is asked may let this node in: one after the other.
    let at_once = if key.is_some() { AT_ONCE } else { 1 };
    loop {
        while asked.len() < at_once {
            let Some(finding) = left.next() else { break };
            let inner = Arc::clone(inner);
            asked.spawn(async move { ask_one(&inner, &finding, key).await });
        }
        match asked.join_next().await {
            Some(Ok(Ok(joined))) => return Ok(joined),
            Some(Ok(Err(error))) => {
                if worst.as_ref().is_none_or(|worst| weight(&error) > weight(worst)) {
                    worst = Some(error);
                }
            }
            Some(Err(_)) => {}
            None => return Err(worst.unwrap_or(JoinError::NobodyFound)),
        }
    }
}

async fn ask_one(inner: &Arc<Inner>, finding: &Finding, key: Option<[u8; 32]>) -> Result<Joined, JoinError> {
    let mut last = JoinError::NobodyFound;
    for address in &finding.addresses {
        match ask(inner, &address.to_string(), key).await {
            Err(error @ (JoinError::Unreachable { .. } | JoinError::BrokeOff { .. })) => last = error,
            other => return other,
        }
    }
    Err(last)
}

/// How much a failure says, where several nodes were asked.
fn weight(error: &JoinError) -> u8 {
    match error {
        JoinError::Bound(_) => 8,
        JoinError::Here { .. } => 7,
        JoinError::TooMany { .. } => 6,
        JoinError::NotProven { .. } => 5,
        JoinError::Incompatible(_) => 4,
        JoinError::WrongCode | JoinError::NotOpen { .. } => 3,
        JoinError::Refused { .. } => 2,
        JoinError::BrokeOff { .. } => 1,
        _ => 0,
    }
}

async fn ask(inner: &Arc<Inner>, address: &str, key: Option<[u8; 32]>) -> Result<Joined, JoinError> {
    let named = || address.to_owned();
    let mut reached = match reach(inner, address, Role::Joins(key)).await {
        Ok(reached) => reached,
        Err(Failed::Unreachable(error)) => return Err(JoinError::Unreachable { address: named(), error }),
        Err(Failed::Strange(error)) => return Err(JoinError::BrokeOff { address: named(), error }),
        Err(Failed::Unmet(_, unmet)) => return Err(told(address, unmet)),
    };
    let Next::Join(key) = reached.next else {
        return Err(JoinError::BrokeOff { address: named(), error: "it went on as if linked".into() });
    };
    let pairing = pair(inner, &mut reached.wire, &reached.peer, &key, address, false);
    let name = timeout(inner.limits().pairing, pairing)
        .await
        .unwrap_or_else(|_| Err(Unmet::Broken("it is silent".into())))
        .map_err(|unmet| told(address, unmet))?;
    // Whoever was invited before was invited into another cluster.
    inner.invites().close();
    inner.announce.notify_one();
    tracing::info!(node = %reached.peer.node, name, address, "joined");
    Ok(Joined { node: reached.peer.node, name, address: named() })
}

fn told(address: &str, unmet: Unmet) -> JoinError {
    let address = address.to_owned();
    match unmet {
        Unmet::Refused(words) if words == WRONG => JoinError::WrongCode,
        Unmet::Refused(words) if words == NOT_OPEN => JoinError::NotOpen { address },
        Unmet::Refused(words) => match words.strip_prefix(TOO_MANY).and_then(|left| left.parse().ok()) {
            Some(seconds) => JoinError::TooMany { retry_after: Duration::from_secs(seconds) },
            None => JoinError::Refused { address, words },
        },
        Unmet::Version(words) => JoinError::Incompatible(words),
        Unmet::NotProven => JoinError::NotProven { address },
        Unmet::Unwritten(error) => JoinError::Here { address, error },
        Unmet::Bound(why) => JoinError::Bound(why),
        Unmet::Here(words) | Unmet::Twins(words) => {
            JoinError::BadPeer(format!("{address} is refused by this node, which says: {words}"))
        }
        Unmet::Myself => JoinError::BadPeer(format!("{address} is this node itself; name another with --peer")),
        other => JoinError::BrokeOff { address, error: other.to_string() },
    }
}
