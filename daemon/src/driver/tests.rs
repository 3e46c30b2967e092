//! The node's thread on a disk that fails: what is answered, told and started is stored first, whatever happens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeMap, fs, path::Path, sync::OnceLock, thread::JoinHandle};

use metaopt_core::{
    NodeConfig, RefusalKind,
    commands::{Completion, SuggestRequest, Told},
    launch::ExitReport,
    node::META_COUNTER,
    read_doc,
};
use metaopt_schema::{
    DocId, NodeId, TrialId,
    facts::{Hardware, SlotKind},
    study::validate::parse_study,
    trial::TrialState,
};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::*;
use crate::{
    exec::ExecConfig,
    secrets::Secrets,
    store::{
        Reader,
        tests::disk::{Disk, Fault},
    },
};

/// A daemon without its API.
struct Bench {
    dir: tempfile::TempDir,
    disk: Disk,
    shell: Shell,
    thread: Option<JoinHandle<()>>,
    stored: Reader,
    boots: u64,
}

fn boot(dir: &Path, disk: &Disk, boots: u64, executor: Option<Arc<Executor>>) -> (Shell, JoinHandle<()>, Reader) {
    let opened = crate::store::Store::open_on(dir, disk.opener()).unwrap();
    assert_eq!(opened.moved_aside, None);
    let store = opened.store;
    let config = NodeConfig {
        id: NodeId::new("n"),
        public_key: String::new(),
        hardware: Hardware { name: "box".into(), ..Hardware::default() },
        boot: boots,
        entropy: [boots as u8; 32],
        grace_s: 1.0,
        pause_grace_s: 1.0,
        timing: metaopt_core::Timing::default(),
        curve_bytes: 1 << 20,
    };
    let clock = Clock::default();
    let counter = store.meta(META_COUNTER).unwrap().map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
    let actor = config.actor();
    let stored: Vec<_> = store.load().unwrap().into_iter().map(|doc| read_doc(&actor, doc)).collect();
    let reader = store.reader().clone();
    let node = Node::load(config, clock.now(), stored, Arc::new(reader.clone()), counter).unwrap();
    let (shell, thread) = Shell::start(node, store, executor, clock, EventHub::new("boot")).unwrap();
    shell.slots(vec![(SlotSpec { id: "cpu-0".into(), kind: SlotKind::Cpu }, None)]);
    shell.adopted(Vec::new());
    (shell, thread, reader)
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| None)
    }

    fn with(executor: impl FnOnce(&Path) -> Option<Arc<Executor>>) -> Self {
        let (dir, disk) = (tempfile::tempdir().unwrap(), Disk::new());
        let (shell, thread, stored) = boot(dir.path(), &disk, 1, executor(dir.path()));
        Self { dir, disk, shell, thread: Some(thread), stored, boots: 1 }
    }

    /// The machine goes down and comes back.
    fn power_cut(&mut self) {
        self.disk.break_down();
        self.shell.quit();
        self.thread.take().unwrap().join().unwrap();
        self.disk.power_cut();
        let _ = fs::remove_file(self.dir.path().join("metaopt.redb.unsynced"));
        self.boots += 1;
        let (shell, thread, stored) = boot(self.dir.path(), &self.disk, self.boots, None);
        (self.shell, self.thread, self.stored) = (shell, Some(thread), stored);
    }

    async fn study(&self, name: &str, more: Value) -> Result<StudyId, CallError> {
        let mut body = json!({"name": name, "space": [{"name": "x", "type": "float", "low": 0.0, "high": 1.0}],
            "objectives": [{"metric": "loss", "direction": "minimize"}], "sampler": {"name": "random", "seed": 1}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let def = parse_study(&body).unwrap();
        self.shell.call(move |node, now| node.create_study(now, def, true)).await.map(|(id, _)| id)
    }

    async fn ask(&self, study: &str, lease_s: f64) -> Result<Option<TrialId>, CallError> {
        let study = study.to_owned();
        let request = SuggestRequest { count: 1, client_id: None, lease_s };
        self.shell
            .call(move |node, now| node.suggest(now, &study, request))
            .await
            .map(|found| found.trials.into_iter().next())
    }

    async fn tell(&self, trial: &TrialId, loss: f64) -> Result<(), CallError> {
        let trial = trial.to_string();
        let told = Told::Complete([("loss".to_owned(), loss)].into_iter().collect());
        let completion = Completion { told, detail: None, attempt: None };
        self.shell.call(move |node, now| node.complete(now, &trial, completion)).await.map(drop)
    }

    fn loss(&self, trial: &TrialId) -> Option<f64> {
        self.shell.read(|node, _| node.trial(trial.as_str()).ok()?.1.values().get("loss").copied())
    }

    fn state(&self, trial: &TrialId) -> TrialState {
        self.shell.read(|node, _| node.trial(trial.as_str()).unwrap().1.state)
    }

    /// A study that this node runs, and the attempt that is started first. `Probed` comes from nobody else here.
    async fn running(&self) -> AttemptKey {
        let study =
            self.study("runs", json!({"run": {"command": ["true"]}, "budget": {"max_trials": 1}})).await.unwrap();
        self.shell.sender.send(Message::Probed(study, Ok(()))).unwrap();
        eventually("an attempt", || self.shell.read(|node, _| node.running().next().cloned())).await
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.shell.quit();
    }
}

async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn exited(loss: f64) -> AttemptEvent {
    let result = Some(Ok([("loss".to_owned(), loss)].into_iter().collect()));
    AttemptEvent::Exited(ExitReport { exit_code: Some(0), result, ..ExitReport::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_sync_is_told_and_nothing_acknowledged_is_lost_with_the_power() {
    let mut bench = Bench::new();
    bench.study("s", json!({})).await.unwrap();
    let mut ledger = BTreeMap::new();
    let mut refused = 0;
    for round in 0..4_u32 {
        bench.disk.plan(Fault::Sync(bench.disk.operations() + 10 + u64::from(round) * 7));
        for n in 0..8 {
            let loss = f64::from(round * 8 + n);
            let trial = loop {
                match bench.ask("s", 3600.0).await {
                    Ok(trial) => break trial.unwrap(),
                    Err(CallError::Storage(_)) => refused += 1,
                    Err(other) => panic!("{other}"),
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            };
            // A client that was refused says it again; what was kept of the first time is the same.
            while let Err(error) = bench.tell(&trial, loss).await {
                assert!(matches!(error, CallError::Storage(_)), "{error}");
                refused += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            ledger.insert(trial, loss);
        }
        bench.power_cut();
        for (trial, loss) in &ledger {
            assert_eq!(bench.loss(trial), Some(*loss), "round {round}: {trial}");
        }
    }
    assert!(bench.disk.refused() >= 4 && refused >= 4, "{} {refused}", bench.disk.refused());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_comes_while_the_disk_is_down_is_held_told_to_nobody_and_stored_when_it_is_back() {
    let mut bench = Bench::new();
    let key = bench.running().await;
    let from = bench.shell.events().newest();
    let told = |bench: &Bench| match bench.shell.events().after(from) {
        crate::events::After::Events(events) => events.into_iter().filter(|e| e.kind.starts_with("trial.")).collect(),
        _ => Vec::new(),
    };
    bench.disk.break_down();
    bench.shell.attempt(key.clone(), exited(0.25));
    eventually("the result", || bench.loss(&key.trial)).await;
    let asked = Instant::now();
    let error = bench.study("another", json!({})).await.unwrap_err();
    assert!(matches!(error, CallError::Storage(_)), "{error}");
    assert!(asked.elapsed() < Duration::from_millis(900), "refused at the door: {:?}", asked.elapsed());
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let early = told(&bench);
    assert!(early.is_empty(), "told before it was stored: {early:?}");
    bench.disk.free();
    let event = eventually("the event", || told(&bench).into_iter().next()).await;
    assert!(event.text.contains(key.trial.as_str()), "{}", event.text);
    bench.power_cut();
    assert_eq!((bench.loss(&key.trial), bench.state(&key.trial)), (Some(0.25), TrialState::Complete));
    assert!(bench.disk.refused() > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_stored_at_the_latest_when_the_daemon_ends() {
    let mut bench = Bench::new();
    let key = bench.running().await;
    bench.disk.break_down();
    bench.shell.attempt(key.clone(), exited(0.5));
    eventually("the result", || bench.loss(&key.trial)).await;
    eventually("the refusal", || (bench.disk.refused() > 0).then_some(())).await;
    // Back, but within the pause between two attempts.
    bench.disk.free();
    bench.shell.quit();
    bench.thread.take().unwrap().join().unwrap();
    bench.disk.power_cut();
    let (shell, thread, stored) = boot(bench.dir.path(), &bench.disk, 2, None);
    (bench.shell, bench.thread, bench.stored) = (shell, Some(thread), stored);
    assert_eq!(bench.loss(&key.trial), Some(0.5));
}

fn executor(dir: &Path) -> Option<Arc<Executor>> {
    static URL: OnceLock<watch::Sender<String>> = OnceLock::new();
    let config = ExecConfig {
        data_dir: dir.to_owned(),
        api_url: URL.get_or_init(|| watch::channel(String::new()).0).subscribe(),
        pause_grace: Duration::from_secs(1),
        allow_root: true,
        token: Arc::new(|_| String::new()),
        supervisor_exe: "/nonexistent/supervisor".into(),
        setup_timeout: Duration::from_secs(1),
        secrets: Arc::new(Secrets::open(dir).unwrap()),
    };
    Some(Arc::new(Executor::new(config, mpsc::channel(64).0).unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_is_started_only_when_its_claim_would_survive_a_power_cut() {
    let mut bench = Bench::with(executor);
    let path = bench.dir.path().to_string_lossy().into_owned();
    let run = json!({"run": {"command": ["true"], "workdir": "in_place", "path": path}, "budget": {"max_trials": 1}});
    bench.disk.slow_down(Duration::from_millis(400));
    let study = bench.study("runs", run).await.unwrap();
    let attempts = bench.dir.path().join("attempts");
    let claimed = || bench.shell.read(|node, _| node.running().next().is_some());
    eventually("the claim", || claimed().then_some(())).await;
    let early = fs::read_dir(&attempts).unwrap().count();
    let name = eventually("the launch", || fs::read_dir(&attempts).unwrap().flatten().next()).await.file_name();
    bench.power_cut();
    assert_eq!(early, 0, "started while the claim was being stored");
    let trial = bench.shell.read(|node, _| node.study(study.as_str()).unwrap().trials()[0].clone());
    assert_eq!(name.to_string_lossy(), format!("{}-1", trial.place.id));
    assert_eq!(trial.attempts.len(), 1, "the claim was stored before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_holds_up_no_reader_and_costs_no_client_its_lease() {
    let bench = Bench::new();
    bench.study("s", json!({})).await.unwrap();
    let trial = bench.ask("s", 1.0).await.unwrap().unwrap();
    bench.disk.slow_down(Duration::from_secs(2));
    let began = Instant::now();
    let slow = bench.study("slow", json!({}));
    let reads = async {
        let mut worst = Duration::ZERO;
        while began.elapsed() < Duration::from_millis(1800) {
            let before = Instant::now();
            assert_eq!(bench.state(&trial), TrialState::Running);
            worst = worst.max(before.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        worst
    };
    let (made, worst) = tokio::join!(slow, reads);
    made.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(2), "the disk was slow");
    assert!(worst < Duration::from_millis(500), "a reader waited {worst:?}");
    bench.disk.slow_down(Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(bench.state(&trial), TrialState::Running, "nobody could renew it meanwhile");
    // But it is a lease all the same.
    eventually("its end", || (bench.state(&trial) == TrialState::Waiting).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_disk_costs_no_client_its_lease_either() {
    let bench = Bench::new();
    bench.study("s", json!({})).await.unwrap();
    let trial = bench.ask("s", 1.0).await.unwrap().unwrap();
    bench.disk.break_down();
    assert!(bench.study("other", json!({})).await.is_err());
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let id = trial.to_string();
    let beat = |shell: &Shell| {
        let (id, shell) = (id.clone(), shell.clone());
        async move { shell.call(move |node, now| node.heartbeat(now, &id, None)).await }
    };
    assert!(matches!(beat(&bench.shell).await, Err(CallError::Storage(_))));
    bench.disk.free();
    let end = Instant::now() + Duration::from_secs(5);
    while beat(&bench.shell).await.is_err() {
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(bench.state(&trial), TrialState::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_turns_out_corrupt_is_filled_again_from_memory() {
    let mut bench = Bench::new();
    bench.study("s", json!({})).await.unwrap();
    let mut ledger = BTreeMap::new();
    for n in 0..20 {
        let trial = bench.ask("s", 3600.0).await.unwrap().unwrap();
        bench.tell(&trial, f64::from(n)).await.unwrap();
        ledger.insert(trial, f64::from(n));
    }
    for at in 0..400 {
        bench.disk.flip(|length| (at * length / 400, 3));
    }
    bench.disk.break_down();
    let open = bench.ask("s", 3600.0).await;
    assert!(matches!(open, Err(CallError::Storage(_))), "{open:?}");
    bench.disk.free();
    let end = Instant::now() + Duration::from_secs(10);
    let trial = loop {
        match bench.ask("s", 3600.0).await {
            Ok(trial) => break trial.unwrap(),
            Err(error) => assert!(Instant::now() < end, "never came back: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    bench.tell(&trial, -1.0).await.unwrap();
    ledger.insert(trial, -1.0);
    let why = bench.shell.read(|node, now| node.nodes(now)[0].why.clone()).unwrap();
    assert!(why.contains("corrupt") && why.contains("metaopt.redb.corrupt-"), "{why}");
    bench.power_cut();
    for (trial, loss) in &ledger {
        assert_eq!(bench.loss(trial), Some(*loss));
    }
    let names: Vec<_> = fs::read_dir(bench.dir.path()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(names.iter().filter(|n| n.to_string_lossy().contains("corrupt")).count(), 1, "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_deleted_study_leaves_behind_on_a_failing_disk_goes_later_at_the_latest_after_the_next_start() {
    for restart in [false, true] {
        let mut bench = Bench::new();
        let trials = |bench: &Bench| {
            let ids = bench.stored.ids().ok()?;
            Some(ids.iter().filter(|id| matches!(id, DocId::Trials { .. })).count())
        };
        for study in ["goes", "stays"] {
            bench.study(study, json!({})).await.unwrap();
            let trial = bench.ask(study, 3600.0).await.unwrap().unwrap();
            bench.tell(&trial, 1.0).await.unwrap();
        }
        assert_eq!(trials(&bench), Some(2));
        // It is answered when the deletion is stored; the documents go after that, and this takes a while.
        bench.disk.slow_down(Duration::from_millis(500));
        bench.shell.call(|node, now| node.delete_study(now, "goes")).await.unwrap();
        bench.disk.break_down();
        eventually("the failure", || (bench.disk.refused() > 0).then_some(())).await;
        bench.disk.slow_down(Duration::ZERO);
        if restart {
            bench.power_cut();
        } else {
            bench.disk.free();
        }
        eventually("its end", || (trials(&bench)? == 1).then_some(())).await;
        let left = bench.shell.read(|node, _| node.studies().map(|study| study.name.clone()).collect::<Vec<_>>());
        assert_eq!(left, ["stays"]);
        assert!(bench.ask("stays", 3600.0).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_nothing_new_starts_and_what_runs_is_taken() {
    let bench = Bench::new();
    bench.study("s", json!({})).await.unwrap();
    let trial = bench.ask("s", 3600.0).await.unwrap().unwrap();
    let key = bench.running().await;
    let run = json!({"run": {"command": ["true"]}, "budget": {"max_trials": 1}});
    bench.shell.room(Some("the disk is full".into()));
    eventually("the word", || bench.shell.read(|node, _| node.held().map(str::to_owned))).await;
    let error = bench.ask("s", 3600.0).await.unwrap_err();
    assert!(matches!(&error, CallError::Refused(r) if r.kind == RefusalKind::NoRoom), "{error:?}");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    bench.tell(&trial, 1.0).await.unwrap();
    bench.shell.attempt(key.clone(), exited(2.0));
    eventually("the result", || (bench.state(&key.trial) == TrialState::Complete).then_some(())).await;
    let waiting = bench.study("waits", run).await.unwrap();
    bench.shell.sender.send(Message::Probed(waiting.clone(), Ok(()))).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (count, why) = bench.shell.read(|node, now| {
        let study = node.study(waiting.as_str()).unwrap();
        (node.running().count(), node.why_idle(study, now))
    });
    assert_eq!((count, why.as_deref()), (0, Some("box: the disk is full")));
    bench.shell.room(None);
    eventually("the start", || bench.shell.read(|node, _| node.running().next().cloned())).await;
    bench.ask("s", 3600.0).await.unwrap().unwrap();
}
