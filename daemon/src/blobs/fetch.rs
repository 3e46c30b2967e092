//! One fetch: asks who has it, takes chunks from several, and goes on where it was when somebody went away.
//!
//! Owns: rounds, their pace, and who is blamed for wrong bytes. Must not: outlive those who wait for it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, atomic::AtomicU64, atomic::Ordering},
    time::{Duration, Instant},
};

use axum::http::{Method, StatusCode, header};
use bytes::BytesMut;
use futures_util::{StreamExt, future::join_all};
use metaopt_schema::NodeId;
use tokio::sync::{Notify, watch};

use super::{
    FetchError, Fetcher, Unsettled, Want,
    ask::{self, Member, Said},
    lock,
    part::{Part, span},
};
use crate::snapshot::{Form, human};

/// Peers that chunks are taken from at once.
const PEERS: usize = 3;
/// A peer that says nothing for this long has gone.
const SILENCE: Duration = Duration::from_secs(15);
/// A chunk that takes longer is no progress (4 MiB over a slow modem).
const LONGEST_CHUNK: Duration = Duration::from_secs(600);
/// A member that packs for longer than this does not end.
const LONGEST_PACKING: Duration = Duration::from_secs(3600);
/// Between two rounds: at first, and at most.
const SOONEST: Duration = Duration::from_millis(500);
const LATEST: Duration = Duration::from_secs(15);
/// How often those who wait look whether their patience is at an end.
const LOOK: Duration = Duration::from_millis(200);

/// One fetch, shared by all who wait for it.
pub(super) struct Job {
    began: Instant,
    /// When something last came, in milliseconds since it began.
    came: AtomicU64,
    /// When a chunk last was whole, or could first have come.
    whole: AtomicU64,
    /// Chunks that came.
    chunks: AtomicU64,
    /// When somebody first said that it packs it; 0: nobody did.
    packing: AtomicU64,
    /// Since when it waits for other fetches; 0: it doesn't.
    queued: AtomicU64,
    /// Bytes here, and in all.
    have: AtomicU64,
    size: AtomicU64,
    said: Mutex<String>,
    /// Somebody new waits: it is tried at once.
    again: Notify,
    done: watch::Sender<Option<Result<(), FetchError>>>,
}

impl Job {
    fn new(want: &Want) -> Self {
        Self {
            began: Instant::now(),
            came: AtomicU64::new(0),
            whole: AtomicU64::new(0),
            chunks: AtomicU64::new(0),
            packing: AtomicU64::new(0),
            queued: AtomicU64::new(0),
            have: AtomicU64::new(0),
            size: AtomicU64::new(0),
            said: Mutex::new(format!("{} {} is looked for", want.kind.word(), want.hash)),
            again: Notify::new(),
            done: watch::Sender::new(None),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn something_came(&self, bytes: u64) {
        self.have.fetch_add(bytes, Ordering::Relaxed);
        // Bytes that never make a chunk are no progress.
        let now = self.now();
        if now.saturating_sub(self.whole.load(Ordering::Relaxed)) < LONGEST_CHUNK.as_millis() as u64 {
            self.came.store(now, Ordering::Relaxed);
        }
    }

    fn chunk_came(&self) {
        self.chunks.fetch_add(1, Ordering::Relaxed);
        self.whole.store(self.now(), Ordering::Relaxed);
    }

    /// Somebody packs it: what takes long is known, and goes on.
    fn is_packed(&self) {
        let now = self.now().max(1);
        let first = match self.packing.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => now,
            Err(first) => first,
        };
        if now.saturating_sub(first) < LONGEST_PACKING.as_millis() as u64 {
            self.came.store(now, Ordering::Relaxed);
            self.whole.store(now, Ordering::Relaxed);
        }
    }

    /// Waits for its turn among fetches. That time is nobody's silence.
    async fn turn<T>(&self, turn: impl Future<Output = T>) -> T {
        let since = self.now().max(1);
        self.queued.store(since, Ordering::Relaxed);
        let turn = turn.await;
        let waited = self.now().saturating_sub(since);
        self.came.fetch_add(waited, Ordering::Relaxed);
        self.whole.fetch_add(waited, Ordering::Relaxed);
        self.queued.store(0, Ordering::Relaxed);
        turn
    }

    fn silent(&self) -> Duration {
        let until = match self.queued.load(Ordering::Relaxed) {
            0 => self.now(),
            since => since,
        };
        Duration::from_millis(until.saturating_sub(self.came.load(Ordering::Relaxed)))
    }

    /// How it stands.
    pub fn words(&self) -> String {
        let said = lock(&self.said).clone();
        match (self.have.load(Ordering::Relaxed), self.size.load(Ordering::Relaxed)) {
            (0, _) | (_, 0) => said,
            (have, size) => format!("{said}; {} of {} has come", human(have.min(size)), human(size)),
        }
    }

    fn say(&self, words: String) {
        *lock(&self.said) = words;
    }
}

/// Waits for a fetch, which begins if it isn't under way.
pub(super) async fn wait(fetcher: &Arc<Fetcher>, want: Want, patience: Duration) -> Result<(), FetchError> {
    let (job, mut done) = {
        let mut jobs = lock(&fetcher.jobs);
        match jobs.get(&want.hash) {
            Some(job) => {
                job.again.notify_one();
                (Arc::clone(job), job.done.subscribe())
            }
            None => {
                let job = Arc::new(Job::new(&want));
                let done = job.done.subscribe();
                jobs.insert(want.hash.clone(), Arc::clone(&job));
                tokio::spawn(run(Arc::clone(fetcher), want, Arc::clone(&job)));
                (job, done)
            }
        }
    };
    let since = Instant::now();
    loop {
        if let Some(outcome) = done.borrow_and_update().clone() {
            return outcome;
        }
        tokio::select! {
            changed = done.changed() => if changed.is_err() { return Err(FetchError::Stopping) },
            () = tokio::time::sleep(LOOK) => {
                if since.elapsed() >= patience && job.silent() >= patience {
                    return Err(FetchError::NotHad(job.words()));
                }
            }
        }
    }
}

async fn run(fetcher: Arc<Fetcher>, want: Want, job: Arc<Job>) {
    let mut pause = SOONEST;
    let mut round = Round::default();
    loop {
        {
            // Under the lock by which others join, so that nobody joins what ends.
            let mut jobs = lock(&fetcher.jobs);
            if job.done.receiver_count() == 0 {
                jobs.remove(&want.hash);
                fetcher.close(&want.hash);
                return;
            }
        }
        let before = job.chunks.load(Ordering::Relaxed);
        round.packs = false;
        match round.run(&fetcher, &want, &job).await {
            Ok(()) => break,
            Err(words) => job.say(words),
        }
        let goes_on = round.packs || job.chunks.load(Ordering::Relaxed) > before;
        pause = if goes_on { SOONEST } else { (pause * 2).min(LATEST) };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = job.again.notified() => {}
        }
    }
    fetcher.close(&want.hash);
    lock(&fetcher.jobs).remove(&want.hash);
    job.done.send_replace(Some(Ok(())));
}

/// What a fetch remembers from round to round.
#[derive(Default)]
struct Round {
    /// Several gave what is wrong as a whole: they are taken one by one, to tell who it was.
    one_by_one: bool,
    count: usize,
    /// Somebody is packing it.
    packs: bool,
}

impl Round {
    async fn run(&mut self, fetcher: &Arc<Fetcher>, want: &Want, job: &Arc<Job>) -> Result<(), String> {
        self.count += 1;
        if fetcher.store(&want.kind).has(&want.hash) {
            return Ok(());
        }
        let said = fetcher.ask(want).await;
        let mut troubles = BTreeMap::new();
        let Some((form, mut givers)) = choose(fetcher, want, &said) else {
            if let Some((member, _)) = said.iter().find(|(_, said)| matches!(said, Said::Packs)) {
                self.packs = true;
                job.is_packed();
                return Err(format!("{} {} is being packed on {}", want.kind.word(), want.hash, member.name));
            }
            return Err(ask::nobody(want, &said, &troubles));
        };
        if let Some(why) = fetcher.no_room(form.size) {
            return Err(format!("{} {} can't be fetched: {why}", want.kind.word(), want.hash));
        }
        // Only now: whose holder is away keeps nobody waiting.
        job.say(format!("{} {} waits until other fetches are done", want.kind.word(), want.hash));
        let _permit = job.turn(fetcher.at_once.acquire()).await.map_err(|_| FetchError::Stopping.to_string())?;
        if job.done.receiver_count() == 0 {
            return Err("nobody waits for it any more".to_owned());
        }
        if fetcher.store(&want.kind).has(&want.hash) {
            return Ok(());
        }
        if self.one_by_one {
            let first = self.count % givers.len();
            givers.rotate_left(first);
            givers.truncate(1);
        }
        let part = {
            let (fetcher, want, form) = (Arc::clone(fetcher), want.clone(), form.clone());
            blocking(move || fetcher.part(&want.kind, &want.hash, &form).map_err(|error| disk(&want, &error))).await?
        };
        let (missing, have) = {
            let part = lock(&part);
            (part.missing(), part.have())
        };
        job.have.store(have, Ordering::Relaxed);
        job.size.store(form.size, Ordering::Relaxed);
        let names: Vec<&str> = givers.iter().take(PEERS).map(|giver| giver.name.as_str()).collect();
        job.say(format!("fetching {} {} from {}", want.kind.word(), want.hash, names.join(", ")));
        let queue = Mutex::new(VecDeque::from(missing));
        let taking = Taking { fetcher, want, job, form: &form, part: &part, queue: &queue };
        let takers = givers.iter().take(PEERS).map(|giver| taking.take_from(giver));
        for (giver, outcome) in givers.iter().zip(join_all(takers).await) {
            match outcome {
                Ok(()) => {}
                Err(Stop::Giver(why)) => drop(troubles.insert(giver.node.clone(), why)),
                Err(Stop::Disk(why)) => return Err(why),
            }
        }
        let settled = {
            let (fetcher, want) = (Arc::clone(fetcher), want.clone());
            blocking(move || Ok(fetcher.settle(&want.kind, &want.hash))).await?
        };
        match settled {
            Ok(()) => Ok(()),
            Err(Unsettled::NotWhole) => Err(ask::nobody(want, &said, &troubles)),
            Err(Unsettled::Disk(why)) => Err(format!("{} {} can't be kept: {why}", want.kind.word(), want.hash)),
            Err(Unsettled::Wrong { givers, of_one_form, why }) => {
                // Who gave all of it, or promised just these bytes, is wrong; of several any one may be.
                if givers.len() == 1 || of_one_form {
                    givers.iter().for_each(|node| fetcher.blame(&want.hash, node, &why));
                } else {
                    self.one_by_one = true;
                }
                Err(format!("{} {} came damaged ({why}), and is fetched again", want.kind.word(), want.hash))
            }
        }
    }
}

/// The form to fetch, and who has it: what is half here if anybody has that, else what most have.
fn choose(fetcher: &Fetcher, want: &Want, said: &[(Member, Said)]) -> Option<(Form, Vec<Member>)> {
    let mut forms: Vec<(Form, Vec<Member>)> = Vec::new();
    for (member, said) in said {
        let Said::Has(form) = said else { continue };
        match forms.iter_mut().find(|(known, _)| known == form) {
            Some((_, members)) => members.push(member.clone()),
            None => forms.push((form.clone(), vec![member.clone()])),
        }
    }
    let digits = crate::snapshot::digits(&want.hash).ok()?;
    let half = Part::form(fetcher.store(&want.kind).dir(), digits);
    forms.into_iter().max_by_key(|(form, members)| (half.as_ref() == Some(form), members.len()))
}

fn disk(want: &Want, error: &std::io::Error) -> String {
    format!("{} {} can't be kept: {error}", want.kind.word(), want.hash)
}

async fn blocking<T: Send + 'static>(f: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    tokio::task::spawn_blocking(f).await.map_err(|error| error.to_string())?
}

/// Why no more is taken from a giver.
enum Stop {
    /// It is to blame, or its link; in words that follow its name.
    Giver(String),
    /// This node's disk.
    Disk(String),
}

struct Taking<'a> {
    fetcher: &'a Fetcher,
    want: &'a Want,
    job: &'a Job,
    form: &'a Form,
    part: &'a Arc<Mutex<Part>>,
    queue: &'a Mutex<VecDeque<u32>>,
}

impl Taking<'_> {
    /// Takes chunks that nobody takes yet, until there are none.
    async fn take_from(&self, giver: &Member) -> Result<(), Stop> {
        loop {
            let next = lock(self.queue).pop_front();
            let Some(chunk) = next else { return Ok(()) };
            let outcome = self.chunk(&giver.node, chunk).await;
            if outcome.is_err() {
                // for the others, or the next round
                lock(self.queue).push_front(chunk);
            }
            outcome?;
        }
    }

    async fn chunk(&self, node: &NodeId, chunk: u32) -> Result<(), Stop> {
        let (from, length) = span(self.form.size, chunk);
        let request = ask::request(Method::GET, self.want)
            .header(header::RANGE, format!("bytes={from}-{}", from + length - 1))
            .header(header::IF_MATCH, format!("\"{}\"", self.form.digest))
            .body(axum::body::Body::empty())
            .map_err(|error| Stop::Giver(format!("could not be asked ({error})")))?;
        let broke = |why: String| Stop::Giver(format!("broke off ({why})"));
        let silent = |_| Stop::Giver(format!("said nothing for {} s", SILENCE.as_secs()));
        let answer = tokio::time::timeout(SILENCE, self.fetcher.elsewhere.call(node, request));
        let answer = answer.await.map_err(silent)?.map_err(|error| broke(error.to_string()))?;
        let whole = length == self.form.size && answer.status() == StatusCode::OK;
        let range = answer.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
        let expected = format!("bytes {from}-{}/{}", from + length - 1, self.form.size);
        if !whole && (answer.status() != StatusCode::PARTIAL_CONTENT || range != Some(expected.as_str())) {
            return Err(Stop::Giver(format!("gave no part of it ({})", answer.status())));
        }
        let mut stream = answer.into_body().into_data_stream();
        let mut bytes = BytesMut::with_capacity(length as usize);
        while let Some(piece) = tokio::time::timeout(SILENCE, stream.next()).await.map_err(silent)? {
            let piece = piece.map_err(|error| broke(error.to_string()))?;
            if bytes.len() as u64 + piece.len() as u64 > length {
                return Err(Stop::Giver("sent more than it was asked for".to_owned()));
            }
            self.job.something_came(piece.len() as u64);
            bytes.extend_from_slice(&piece);
        }
        if bytes.len() as u64 != length {
            return Err(broke(format!("{} of {length} bytes of a part came", bytes.len())));
        }
        let (part, node) = (Arc::clone(self.part), node.clone());
        let put = tokio::task::spawn_blocking(move || lock(&part).put(chunk, &bytes, &node));
        let put = put.await.map_err(|error| Stop::Disk(error.to_string()))?;
        put.map_err(|error| Stop::Disk(disk(self.want, &error)))?;
        self.job.chunk_came();
        Ok(())
    }
}
