//! Gives submitted directories away: a machine that runs nothing itself (a laptop) may be closed a minute later, and often
//! can't be called by others. So it brings what was submitted on it to members that run trials.
//!
//! Owns: to whom, and how often it is tried. Must not: give away what no client submitted and no study names.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use metaopt_schema::{
    NodeId,
    study::{StudyState, Workdir},
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{Fetcher, Kind, Want, ask, ask::Member, close_idle, lock, span};

/// Members that get it: one may break.
const COPIES: usize = 2;
/// Between two looks for something to give away.
const LOOK: Duration = Duration::from_secs(15);
/// What was submitted and is named by no study after this long isn't given away any more.
const FRESH: Duration = Duration::from_secs(3600);
/// Longest that a member may take for one part, or to say what it lacks.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often a member is asked what it still lacks.
const ASKED: usize = 4;
/// Most bytes of such an answer: the numbers of all chunks of the largest snapshot are far fewer.
const ANSWER: usize = 64 << 10;

/// What is offered to a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// BLAKE3 of the compressed archive, hexadecimal.
    pub digest: String,
    /// Its size.
    pub size: u64,
}

/// What a member lacks of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lacks {
    /// It has all of it.
    pub have: bool,
    /// Numbers of the chunks that it lacks.
    pub missing: Vec<u32>,
}

/// What is to be given away, and who has it.
#[derive(Debug, Default)]
pub(super) struct Spread {
    submitted: BTreeMap<String, Instant>,
    given: BTreeMap<String, BTreeSet<NodeId>>,
}

impl Fetcher {
    /// A client submitted this here.
    pub fn submitted(&self, hash: &str) {
        lock(&self.spread).submitted.insert(hash.to_owned(), Instant::now());
        self.news.notify_one();
    }

    /// Gives away what is to be given away, until `stopping`; nothing on a node that runs trials itself.
    pub async fn keep_spreading(self: Arc<Self>, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = self.news.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
            tokio::select! {
                () = stopping.cancelled() => return,
                () = self.spread() => {}
            }
        }
    }

    async fn spread(&self) {
        close_idle(&mut lock(&self.parts));
        if self.runs_trials() {
            return;
        }
        let wanted = self.to_spread();
        let members: BTreeSet<NodeId> = self.others().into_iter().map(|member| member.node).collect();
        lock(&self.spread).given.retain(|hash, given| {
            given.retain(|node| members.contains(node));
            wanted.iter().any(|(wanted, _)| wanted == hash)
        });
        for (hash, fit) in wanted {
            let mut given = lock(&self.spread).given.get(&hash).cloned().unwrap_or_default();
            // Who got it and is away or can't run it is no help now.
            let mut copies = fit.iter().filter(|member| given.contains(&member.node)).count();
            for member in fit {
                if copies >= COPIES {
                    break;
                }
                if given.contains(&member.node) {
                    continue;
                }
                match self.give(&hash, &member).await {
                    Ok(()) => {
                        tracing::info!(%hash, node = %member.node, name = %member.name, "has the snapshot");
                        given.insert(member.node.clone());
                        copies += 1;
                    }
                    Err(why) => tracing::info!(%hash, name = %member.name, %why, "could not be given the snapshot"),
                }
            }
            lock(&self.spread).given.insert(hash, given);
        }
    }

    fn runs_trials(&self) -> bool {
        self.shell.read(|all, now| {
            let me = all.id().clone();
            all.nodes(now).iter().any(|node| node.id == me && !node.slots.is_empty())
        })
    }

    /// Snapshots that are here and wanted, and for each the members that could run from it, in an order that spreads them;
    /// once for each set of nodes that studies with this snapshot name.
    fn to_spread(&self) -> Vec<(String, Vec<Member>)> {
        let mut spread = lock(&self.spread);
        spread.submitted.retain(|_, at| at.elapsed() < FRESH);
        let submitted: Vec<String> = spread.submitted.keys().cloned().collect();
        drop(spread);
        let mut wanted: BTreeMap<String, BTreeSet<Option<Vec<String>>>> = BTreeMap::new();
        self.shell.read(|all, _| {
            for study in all.studies().filter(|study| study.wanted == StudyState::Running) {
                let run = study.record.def.run.as_ref().filter(|run| run.workdir == Workdir::Snapshot);
                if let Some((hash, nodes)) = run.and_then(|run| Some((run.snapshot.clone()?, run.nodes.clone()))) {
                    wanted.entry(hash).or_default().insert(nodes);
                }
            }
        });
        for hash in submitted {
            wanted.entry(hash).or_insert_with(|| BTreeSet::from([None]));
        }
        let members: Vec<Member> =
            self.others().into_iter().filter(|member| member.slots > 0 && member.state == "alive").collect();
        let fits = |member: &Member, nodes: &Option<Vec<String>>| {
            nodes.as_ref().is_none_or(|nodes| nodes.iter().any(|n| *n == member.name || n == member.node.as_str()))
        };
        let here = wanted.into_iter().filter(|(hash, _)| self.snapshots.has(hash));
        here.flat_map(|(hash, all)| all.into_iter().map(move |nodes| (hash.clone(), nodes)))
            .map(|(hash, nodes)| {
                let mut fit: Vec<Member> = members.iter().filter(|member| fits(member, &nodes)).cloned().collect();
                fit.sort_by_key(|member| *blake3::hash(format!("{hash} {}", member.node).as_bytes()).as_bytes());
                (hash, fit)
            })
            .collect()
    }

    /// Brings a snapshot to a member, part by part: only what it lacks.
    async fn give(&self, hash: &str, member: &Member) -> Result<(), String> {
        let (store, name) = (Arc::clone(&self.snapshots), hash.to_owned());
        let form = tokio::task::spawn_blocking(move || store.form(&name)).await.map_err(|error| error.to_string())?;
        let form = form.map_err(|error| error.to_string())?.ok_or("it is no longer here")?;
        let offer = Offer { digest: form.digest.clone(), size: form.size };
        for _ in 0..ASKED {
            let lacks = self.offer(hash, member, &offer).await?;
            if lacks.have {
                return Ok(());
            }
            for chunk in lacks.missing {
                let (from, length) = span(form.size, chunk);
                if length == 0 {
                    return Err("it asked for what isn't there".to_owned());
                }
                let path = self.snapshots.path(hash).map_err(|error| error.to_string())?;
                let bytes = tokio::task::spawn_blocking(move || read(&path, from, length)).await;
                let bytes = bytes.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
                let want = Want { hash: hash.to_owned(), kind: Kind::Snapshot, near: None };
                let request = ask::request(Method::PUT, &want)
                    .header(header::CONTENT_RANGE, format!("bytes {from}-{}/{}", from + length - 1, form.size))
                    .header(header::IF_MATCH, format!("\"{}\"", form.digest))
                    .header(header::CONTENT_LENGTH, length)
                    .body(Body::from(bytes));
                self.send(member, request).await?;
            }
        }
        Err("it still lacks parts of it".to_owned())
    }

    async fn offer(&self, hash: &str, member: &Member, offer: &Offer) -> Result<Lacks, String> {
        let body = serde_json::to_vec(offer).map_err(|error| error.to_string())?;
        let request = Request::post(format!("/peer/v1/want/{hash}")).header(header::CONTENT_TYPE, "application/json");
        let answer = self.send(member, request.body(Body::from(body))).await?;
        serde_json::from_slice(&answer).map_err(|error| format!("its answer can't be read: {error}"))
    }

    /// Sends one request, and answers the body of a success.
    async fn send(
        &self,
        member: &Member,
        request: Result<Request<Body>, axum::http::Error>,
    ) -> Result<Vec<u8>, String> {
        let request = request.map_err(|error| error.to_string())?;
        let sent = async {
            let answer = self.elsewhere.call(&member.node, request).await.map_err(|error| error.to_string())?;
            let status = answer.status();
            let body = axum::body::to_bytes(answer.into_body(), ANSWER).await.map_err(|error| error.to_string())?;
            let text = String::from_utf8_lossy(&body);
            if status.is_success() || status == StatusCode::ACCEPTED {
                Ok(body.to_vec())
            } else {
                Err(format!("it answered {status}: {text}"))
            }
        };
        tokio::time::timeout(PATIENCE, sent)
            .await
            .map_err(|_| format!("it took longer than {} s", PATIENCE.as_secs()))?
    }
}

fn read(path: &std::path::Path, from: u64, length: u64) -> std::io::Result<Vec<u8>> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = std::fs::File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = vec![0; usize::try_from(length).map_err(std::io::Error::other)?];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
