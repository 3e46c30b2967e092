//! Asking other members what they have, and saying in words why nobody gave it.
//!
//! Owns: whom to ask, in which order, and those words. Must not: move bytes.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    body::Body,
    http::{HeaderName, Method, Request, StatusCode, header},
};
use futures_util::{StreamExt, stream};
use metaopt_schema::NodeId;

use super::{Fetcher, Kind, Want, lock};
use crate::{
    peer::CallError,
    snapshot::{Form, human},
};

/// Marks the answer of a node that has a checkpoint and is still packing it.
pub const PACKING: HeaderName = HeaderName::from_static("metaopt-packing");

/// Longest that a peer may take to say whether it has something: it may have to read all of it first.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long others are still waited for when one has it.
const OTHERS: Duration = Duration::from_millis(500);
/// Peers asked at once.
const AT_ONCE: usize = 8;

/// A member as somebody to ask.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub node: NodeId,
    pub name: String,
    /// `alive`, `suspect`, …
    pub state: &'static str,
    /// For how long it hasn't been heard of; none: not since this node started.
    pub silent: Option<Duration>,
    pub slots: usize,
}

/// What a member answered.
#[derive(Clone, Debug)]
pub(super) enum Said {
    Has(Form),
    Lacks,
    /// It has it, and is packing it.
    Packs,
    /// It was not asked, or its answer is of no use; in words that follow its name.
    Not(String),
}

impl Fetcher {
    /// All other members, those that are heard of first.
    pub(super) fn others(&self) -> Vec<Member> {
        self.shell.read(|all, now| {
            let me = all.id().clone();
            let nodes = all.nodes(now).into_iter().filter(|node| node.id != me);
            let silent = |seen: u64| Duration::from_millis(now.wall_ms.saturating_sub(seen));
            let mut members: Vec<Member> = nodes
                .map(|node| Member {
                    name: if node.name.is_empty() { node.id.to_string() } else { node.name },
                    node: node.id,
                    state: node.state,
                    silent: node.last_seen.map(silent),
                    slots: node.slots.len(),
                })
                .collect();
            members.sort_by_key(|member| (member.state == "lost", member.state == "suspect"));
            members
        })
    }

    /// Whether there is nobody to ask.
    pub fn is_alone(&self) -> bool {
        self.others().is_empty()
    }

    /// Asks all members, who is likeliest to have it first. Who is silent keeps nobody waiting once somebody has it.
    pub(super) async fn ask(&self, want: &Want) -> Vec<(Member, Said)> {
        let mut members = self.others();
        members.sort_by_key(|member| want.near.as_ref().is_none_or(|(node, _)| *node != member.node));
        let mut said: Vec<Option<Said>> = vec![None; members.len()];
        let asked = members.clone().into_iter().enumerate();
        let asked = asked.map(|(at, member)| async move { (at, self.ask_one(want, &member).await) });
        let mut answers = std::pin::pin!(stream::iter(asked).buffer_unordered(AT_ONCE));
        let mut until = None;
        loop {
            let next = match until {
                None => answers.next().await,
                Some(until) => tokio::time::timeout_at(until, answers.next()).await.unwrap_or(None),
            };
            let Some((at, one)) = next else { break };
            if matches!(one, Said::Has(_)) {
                until.get_or_insert_with(|| tokio::time::Instant::now() + OTHERS);
            }
            said[at] = Some(one);
        }
        let late = || Said::Not("had not answered when others had it".to_owned());
        members.into_iter().zip(said.into_iter().map(|said| said.unwrap_or_else(late))).collect()
    }

    async fn ask_one(&self, want: &Want, member: &Member) -> Said {
        if lock(&self.liars).contains(&(want.hash.clone(), member.node.clone())) {
            return Said::Not("served wrong bytes and isn't asked again".to_owned());
        }
        let Ok(request) = request(Method::HEAD, want).body(Body::empty()) else {
            return Said::Not("could not be asked".to_owned());
        };
        let answer = match tokio::time::timeout(PATIENCE, self.elsewhere.call(&member.node, request)).await {
            Err(_) => return Said::Not(format!("did not answer within {} s", PATIENCE.as_secs())),
            Ok(Err(error)) => return Said::Not(unreachable(member, &error)),
            Ok(Ok(answer)) => answer,
        };
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Said::Lacks,
            StatusCode::SERVICE_UNAVAILABLE if answer.headers().contains_key(PACKING) => return Said::Packs,
            other => return Said::Not(format!("answered {other}")),
        }
        let text = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let size = text(header::CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
        let digest =
            text(header::ETAG).map(|text| text.trim_matches('"').to_owned()).filter(|digest| is_digest(digest));
        match (digest, size) {
            (Some(digest), Some(size)) if size > 0 && size <= want.kind.limit() => Said::Has(Form { digest, size }),
            (_, Some(size)) if size > want.kind.limit() => {
                Said::Not(format!("offers one of {}, and the limit is {}", human(size), human(want.kind.limit())))
            }
            _ => Said::Not("did not say what it has".to_owned()),
        }
    }
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A request about an archive.
pub(super) fn request(method: Method, want: &Want) -> axum::http::request::Builder {
    let path = match &want.kind {
        Kind::Snapshot => format!("/peer/v1/blobs/{}", want.hash),
        Kind::Checkpoint(trial) => format!("/peer/v1/blobs/{}?trial={}", want.hash, escaped(trial.as_str())),
    };
    Request::builder().method(method).uri(path)
}

/// As one part of a path or query.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Why a member can't be called, after its name: that it is away says more than how a connection failed.
fn unreachable(member: &Member, error: &CallError) -> String {
    match member.state {
        "suspect" | "lost" => last_heard(member.silent),
        _ => match error {
            CallError::NoAddress(_) => "only dials out, and can't be asked from here".to_owned(),
            CallError::NotAMember(_) => "is no member any more".to_owned(),
            CallError::Unreachable { error, .. } | CallError::BrokeOff { error, .. } => {
                format!("can't be reached ({error})")
            }
        },
    }
}

/// `was last heard 3 min ago`
pub fn last_heard(silent: Option<Duration>) -> String {
    match silent {
        None => "was not heard of since this node started".to_owned(),
        Some(silent) => format!("was last heard {} ago", ago(silent)),
    }
}

fn ago(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// `no reachable node has snapshot b3:…: gpu1 (submitted it) was last heard 3 min ago; gpu2 doesn't have it`
pub(super) fn nobody(want: &Want, said: &[(Member, Said)], more: &BTreeMap<NodeId, String>) -> String {
    let what = format!("no reachable node has {} {}", want.kind.word(), want.hash);
    let mut all = Vec::new();
    for (member, said) in said {
        let near = want.near.as_ref().filter(|(node, _)| *node == member.node);
        let name = near.map_or_else(|| member.name.clone(), |(_, why)| format!("{} ({why})", member.name));
        let text = match (more.get(&member.node), said) {
            (Some(why), _) => why.clone(),
            (None, Said::Lacks) => "doesn't have it".to_owned(),
            (None, Said::Packs) => "is packing it".to_owned(),
            (None, Said::Not(why)) => why.clone(),
            (None, Said::Has(_)) => continue,
        };
        all.push(format!("{name} {text}"));
    }
    // A cluster of hundreds would fill the screen.
    const MOST: usize = 8;
    let rest = all.len().saturating_sub(MOST);
    all.truncate(MOST);
    if rest > 0 {
        all.push(format!("{rest} more"));
    }
    if all.is_empty() {
        format!("{what}: this node has no others to ask")
    } else {
        format!("{what}: {}", all.join("; "))
    }
}
