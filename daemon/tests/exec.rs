//! Attempts as real processes under real supervisors: how they end, what they leave, how they are stopped and found
//! again.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use metaopt_core::launch::{AttemptEvent, Checkpoint, ExitReport, Launch, StopWhy};
use metaopt_daemon::{
    exec::{ExecConfig, Executor, Packed, enclose, logs, outputs::Outputs},
    platform::{Process, Signal},
    secrets::Secrets,
    snapshot::{PackOptions, pack},
};
use metaopt_schema::{
    AttemptKey, NodeId, StudyId, TrialId,
    study::{RunSpec, Workdir},
    trial::Values,
};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt;

type Events = mpsc::Receiver<(AttemptKey, AttemptEvent)>;

struct Bench {
    dir: tempfile::TempDir,
    secrets: Arc<Secrets>,
    setup_timeout: Duration,
    allow_root: bool,
    hide: bool,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let secrets = Arc::new(Secrets::open(dir.path()).unwrap());
        // As the daemon does: hidden wherever the system can.
        let exe = Path::new(env!("CARGO_BIN_EXE_metaopt-test-supervisor"));
        let hide = enclose::check(exe, dir.path()).is_ok();
        Self { dir, secrets, setup_timeout: Duration::from_secs(60), allow_root: true, hide }
    }

    fn data(&self) -> &Path {
        self.dir.path()
    }

    fn executor(&self) -> (Arc<Executor>, Events) {
        let (sender, events) = mpsc::channel(100);
        let config = ExecConfig {
            data_dir: self.data().to_owned(),
            api_url: watch::channel("http://127.0.0.1:1".to_owned()).1,
            pause_grace: Duration::from_secs(20),
            allow_root: self.allow_root,
            token: Arc::new(|key| format!("token-of-{}-{}", key.trial, key.attempt)),
            supervisor_exe: PathBuf::from(env!("CARGO_BIN_EXE_metaopt-test-supervisor")),
            setup_timeout: self.setup_timeout,
            secrets: Arc::clone(&self.secrets),
        };
        let executor = Executor::new(config, sender).unwrap();
        let executor = executor.with_gpu_ledger(&self.data().join("gpus")).with_log_limit(4096);
        (Arc::new(executor.with_enclosure(self.hide, None)), events)
    }

    fn attempt(&self, key: &AttemptKey) -> PathBuf {
        self.data().join("attempts").join(format!("{}-{}", key.trial, key.attempt))
    }

    /// What an earlier attempt would have left to go on from.
    fn checkpoint(&self) {
        let dir = self.data().join("trials/node.7/checkpoint");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("weights"), "x").unwrap();
    }

    fn supervisor(&self, key: &AttemptKey) -> (Process, Process) {
        let record: serde_json::Value =
            serde_json::from_slice(&fs::read(self.attempt(key).join("supervisor.json")).unwrap()).unwrap();
        let process = |name: &str| serde_json::from_value(record[name].clone()).unwrap();
        (process("supervisor"), process("child"))
    }
}

fn shell(script: &str) -> RunSpec {
    RunSpec {
        command: vec!["sh".into(), "-c".into(), script.replace('{', "{{").replace('}', "}}")],
        ..RunSpec::default()
    }
}

fn launch(run: RunSpec) -> Launch {
    Launch {
        key: AttemptKey { trial: TrialId::new("node.7"), attempt: 1 },
        label: "gpu1-7".into(),
        study: StudyId::new("s"),
        study_name: "mnist".into(),
        params: [("lr".to_owned(), json!(0.01)), ("opt".to_owned(), json!("sgd"))].into_iter().collect(),
        space_names: vec!["lr".into(), "opt".into(), "momentum".into()],
        metrics: vec!["loss".into()],
        run,
        resume_step: 3,
        checkpoint: None,
        gpus: Vec::new(),
        grace_s: 10.0,
        at: 0,
    }
}

async fn next(events: &mut Events) -> AttemptEvent {
    tokio::time::timeout(Duration::from_secs(60), events.recv()).await.expect("an event in time").unwrap().1
}

async fn report(events: &mut Events) -> ExitReport {
    loop {
        match next(events).await {
            AttemptEvent::Started => (),
            AttemptEvent::Exited(report) => return report,
            other => panic!("{other:?}"),
        }
    }
}

/// Runs a script to its end.
async fn run(script: &str) -> (Bench, Arc<Executor>, ExitReport) {
    let bench = Bench::new();
    let (executor, mut events) = bench.executor();
    executor.launch(launch(shell(script)));
    let report = report(&mut events).await;
    (bench, executor, report)
}

fn key() -> AttemptKey {
    launch(RunSpec::default()).key
}

fn values(pairs: &[(&str, f64)]) -> Option<Result<Values, String>> {
    Some(Ok(pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()))
}

async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn exit_codes_and_signals_are_told() {
    let (_bench, executor, report) = run("echo to stderr >&2; exit 3").await;
    assert_eq!((report.exit_code, report.signal, report.stopped), (Some(3), None, None));
    assert_eq!(report.tail, "to stderr\n");
    assert!(report.result.is_none() && !report.timed_out && !report.oom && !report.has_checkpoint);
    assert!(report.ended_at > 1_600_000_000_000);
    assert_eq!(executor.running(), []);
    let (_bench, _executor, report) = run("kill -9 $$").await;
    assert_eq!((report.exit_code, report.signal, report.oom), (None, Some(9), false));
}

#[tokio::test]
async fn results_come_from_the_file_or_the_line() {
    let (_bench, _executor, report) = run(r#"echo '{"loss": 0.39, "acc": 1}' > "$METAOPT_RESULTS_PATH""#).await;
    assert_eq!(report.result, values(&[("loss", 0.39), ("acc", 1.0)]));
    let orion = r#"echo '[{"name":"objective","type":"objective","value":0.5}]' > "$METAOPT_RESULTS_PATH"; exit 1"#;
    let (_bench, _executor, report) = run(orion).await;
    assert_eq!((report.exit_code, report.result), (Some(1), values(&[("loss", 0.5)])));
    let (_bench, _executor, report) = run("echo metaopt: loss=1; echo metaopt: loss=0.25 acc=2; echo bye").await;
    assert_eq!(report.result, values(&[("loss", 0.25), ("acc", 2.0)]));
    let (_bench, _executor, report) = run("echo metaopt: acc=2").await;
    assert_eq!(report.seen, ["acc"]);
}

#[tokio::test]
async fn what_the_script_spooled_and_committed_is_collected() {
    let script = r#"echo '{"call":"reports","body":{"step":4}}' > "$(dirname "$METAOPT_RESULTS_PATH")/spool.jsonl"
        echo x > "$METAOPT_CHECKPOINT_DIR/m.tmp"; mv "$METAOPT_CHECKPOINT_DIR/m.tmp" "$METAOPT_CHECKPOINT_DIR/m.pt"
        echo out > "$METAOPT_OUTPUT_DIR/o.txt""#;
    let (bench, executor, report) = run(script).await;
    assert_eq!(report.spooled.len(), 1);
    assert_eq!(report.spooled[0].body, json!({"step": 4}));
    assert!(report.has_checkpoint);
    executor.finish(&key());
    eventually("the attempt's files go", || !bench.attempt(&key()).exists()).await;
    let list = Outputs::new(bench.data()).list(&key().trial).unwrap();
    assert_eq!(list.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["o.txt"], "outputs stay");
}

#[tokio::test]
async fn a_trial_whose_checkpoint_is_gone_begins_anew_and_says_so() {
    let (bench, executor, report) = run("echo from $METAOPT_RESUME_STEP").await;
    let note = report.note.unwrap();
    assert_eq!(note, "began anew: its checkpoint of step 3 is gone from this node");
    assert_eq!(logs::read(&executor, &key()).unwrap().unwrap(), format!("[metaopt: {note}]\nfrom 0\n"));
    let owner = fs::read_to_string(bench.data().join("trials/node.7/owner.json")).unwrap();
    assert_eq!(owner, r#"{"version":1,"study":"s"}"#, "its files say whose they are");
}

#[tokio::test]
async fn a_trial_whose_checkpoint_another_node_keeps_begins_anew_and_says_so() {
    let bench = Bench::new();
    bench.checkpoint(); // of an attempt before that one
    let (executor, mut events) = bench.executor();
    let checkpoint = Some(Checkpoint { node: NodeId::new("other"), hash: None });
    let script = "ls \"$METAOPT_CHECKPOINT_DIR\"; echo resume $METAOPT_RESUME_STEP";
    executor.launch(Launch { checkpoint, ..launch(shell(script)) });
    let report = report(&mut events).await;
    let note = report.note.unwrap();
    assert!(note.starts_with("began anew: its checkpoint of step 3 could not be had ("), "{note}");
    let log = metaopt_daemon::exec::logs::read(&executor, &key()).unwrap().unwrap();
    assert_eq!(log, format!("[metaopt: {note}]\nresume 0\n"), "nothing of the earlier attempt is left");
}

#[tokio::test]
async fn a_checkpoint_is_named_where_another_node_may_go_on_from_it() {
    for (code, named) in [(0, false), (1, true)] {
        let script = format!("echo weights > \"$METAOPT_CHECKPOINT_DIR/model\"; exit {code}");
        let (bench, executor, report) = run(&script).await;
        assert!(report.has_checkpoint);
        assert_eq!(report.checkpoint.is_some(), named, "{report:?}");
        let Some(hash) = report.checkpoint else { continue };
        // Packed when it is asked for, and only what was named.
        assert!(!executor.checkpoints().has(&hash));
        let other = format!("b3:{}", "0".repeat(64));
        assert_eq!(executor.checkpoint(&key().trial, &other).await.unwrap(), Packed::Not);
        let to = bench.data().join("unpacked");
        assert_eq!(executor.checkpoint(&key().trial, &hash).await.unwrap(), Packed::Here);
        executor.checkpoints().unpack(&hash, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("model")).unwrap(), "weights\n");
    }
}

#[tokio::test]
async fn the_process_gets_the_contract_s_environment_and_nothing_else_of_ours() {
    let bench = Bench::new();
    bench.secrets.set("WANDB_API_KEY", "hunter2hunter2").unwrap();
    let (executor, mut events) = bench.executor();
    let mut spec = shell(
        "env -0 | tr '\\0' '\\n' > \"$METAOPT_OUTPUT_DIR/env\"; tr '\\0' ' ' < /proc/$PPID/cmdline > \"$METAOPT_OUTPUT_DIR/parent\"; echo key $WANDB_API_KEY token $METAOPT_TOKEN",
    );
    spec.secret_env = vec!["WANDB_API_KEY".into()];
    spec.env =
        [("FOO".to_owned(), "bar".to_owned()), ("METAOPT_SNEAKY".to_owned(), "x".to_owned())].into_iter().collect();
    bench.checkpoint();
    executor.launch(launch(spec));
    report(&mut events).await;
    let out = bench.data().join("trials/node.7/output");
    let env = fs::read_to_string(out.join("env")).unwrap();
    let has = |line: &str| env.lines().any(|one| one == line);
    for line in [
        "METAOPT_URL=http://127.0.0.1:1",
        "METAOPT_TOKEN=token-of-node.7-1",
        "METAOPT_TRIAL_ID=node.7",
        "METAOPT_STUDY=mnist",
        "METAOPT_ATTEMPT=1",
        r#"METAOPT_PARAMS={"lr":0.01,"opt":"sgd"}"#,
        "METAOPT_RESUME_STEP=3",
        "CUDA_VISIBLE_DEVICES=",
        "HIP_VISIBLE_DEVICES=",
        "PYTHONUNBUFFERED=1",
        "FOO=bar",
        "WANDB_API_KEY=hunter2hunter2",
    ] {
        assert!(has(line), "{line} is missing from\n{env}");
    }
    assert!(!env.contains("METAOPT_SNEAKY") && !env.contains("CARGO_"), "{env}");
    let parent = fs::read_to_string(out.join("parent")).unwrap();
    assert!(parent.contains("supervise") && !parent.contains("token-of") && !parent.contains("hunter2"), "{parent}");
    let log = logs::read(&executor, &key()).unwrap().unwrap();
    assert_eq!(log, "key [redacted] token [redacted]\n");
    assert!(!bench.attempt(&key()).join("secrets.json").exists(), "the supervisor removes it");
    for entry in fs::read_dir(bench.attempt(&key())).unwrap().flatten() {
        let bytes = fs::read(entry.path()).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"), "{:?} holds a secret", entry.path());
    }
}

#[tokio::test]
async fn placeholders_are_filled_and_inactive_ones_left_out() {
    let bench = Bench::new();
    let (executor, mut events) = bench.executor();
    let words = ["sh", "-c", "echo \"$@\"", "x", "--lr={lr}", "--momentum", "{momentum}", "{trial.label}", "{{}}"];
    executor.launch(launch(RunSpec { command: words.map(str::to_owned).into(), ..RunSpec::default() }));
    assert_eq!(report(&mut events).await.tail, "--lr=0.01 gpu1-7 {}\n");
}

#[tokio::test]
async fn a_time_limit_ends_it() {
    let bench = Bench::new();
    let (executor, mut events) = bench.executor();
    let mut spec = launch(RunSpec { timeout_s: Some(0.2), ..shell("trap '' TERM; while :; do sleep 0.1; done") });
    spec.grace_s = 0.3;
    executor.launch(spec);
    let began = Instant::now();
    let report = report(&mut events).await;
    assert!(report.timed_out && report.stopped.is_none(), "{report:?}");
    assert_eq!(report.signal, Some(9), "it ignored SIGTERM");
    assert!(began.elapsed() >= Duration::from_millis(450) && began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn stopping_is_polite_first_and_says_why() {
    let bench = Bench::new();
    let (executor, mut events) = bench.executor();
    executor.launch(launch(shell("trap 'echo saved; exit 0' TERM; echo ready; while :; do sleep 0.05; done")));
    assert_eq!(next(&mut events).await, AttemptEvent::Started);
    eventually("the script traps", || logs::read(&executor, &key()).unwrap().is_some_and(|log| log.contains("ready")))
        .await;
    assert_eq!(executor.running(), [key()]);
    assert_eq!(executor.supervisor_pids().len(), 1);
    executor.stop(&key(), StopWhy::Pruned);
    let report = report(&mut events).await;
    assert_eq!((report.stopped, report.exit_code, report.signal), (Some(StopWhy::Pruned), Some(0), None));
    let log = logs::read(&executor, &key()).unwrap().unwrap();
    assert!(log.contains("saved\n"), "what it says in its last moments is kept: {log}");
}

#[tokio::test]
async fn a_cancel_hastens_a_pause() {
    let bench = Bench::new();
    let (executor, mut events) = bench.executor();
    let mut spec = launch(shell("trap '' TERM; echo ready; while :; do sleep 0.05; done"));
    spec.grace_s = 0.2;
    executor.launch(spec);
    assert_eq!(next(&mut events).await, AttemptEvent::Started);
    eventually("the script traps", || logs::read(&executor, &key()).unwrap().is_some_and(|log| log.contains("ready")))
        .await;
    executor.stop(&key(), StopWhy::Paused);
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(executor.running(), [key()], "a pause has its own, longer grace");
    executor.stop(&key(), StopWhy::Cancelled);
    let report = report(&mut events).await;
    assert_eq!((report.stopped, report.signal), (Some(StopWhy::Cancelled), Some(9)));
}

#[tokio::test]
async fn the_whole_group_dies_and_what_got_away_too() {
    let bench = Bench::new();
    let (executor, mut events) = bench.executor();
    // one grandchild ignores SIGTERM, one leaves for a session of its own as an orphan
    let script = r#"sh -c 'trap "" TERM; echo $$ > "$METAOPT_OUTPUT_DIR/a"; while :; do sleep 0.05; done' &
        (setsid sh -c 'trap "" TERM; echo $$ > "$METAOPT_OUTPUT_DIR/b"; while :; do sleep 0.05; done' &)
        trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done"#;
    let mut spec = launch(shell(script));
    spec.grace_s = 0.3;
    executor.launch(spec);
    let out = bench.data().join("trials/node.7/output");
    let pid = |name: &str| fs::read_to_string(out.join(name)).ok().and_then(|text| text.trim().parse::<u32>().ok());
    eventually("both run", || pid("a").is_some() && pid("b").is_some()).await;
    let processes = ["a", "b"].map(|name| Process::of(pid(name).unwrap()).expect("it runs"));
    executor.stop(&key(), StopWhy::Cancelled);
    let report = report(&mut events).await;
    assert_eq!(report.exit_code, Some(0));
    for process in processes {
        assert!(!process.is_alive(), "{process:?} lives on");
    }
}

#[tokio::test]
async fn a_process_left_in_the_background_does_not_delay_the_end() {
    let began = Instant::now();
    let (_bench, _executor, report) = run("sleep 300 & echo metaopt: loss=1").await;
    assert_eq!(report.result, values(&[("loss", 1.0)]));
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn the_log_keeps_its_head_and_its_end() {
    let script = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; echo last";
    let (bench, executor, _) = run(script).await;
    for finished in [false, true] {
        if finished {
            executor.finish(&key());
            eventually("the log is kept", || !bench.attempt(&key()).exists()).await;
            assert!(bench.data().join("logs/node.7-1.log.tail").is_file());
        }
        let log = logs::read(&executor, &key()).unwrap().unwrap();
        assert!(log.contains("]\nline 0\nline 1\n") && log.ends_with("line 2999\nlast\n"));
        assert!(log.contains("bytes of the log left out here]") && log.len() < 9000, "{}", log.len());
    }
    assert_eq!(logs::read(&executor, &AttemptKey { attempt: 9, ..key() }).unwrap(), None);
}

#[tokio::test]
async fn a_log_can_be_followed_to_its_end() {
    let bench = Bench::new();
    let (executor, mut events) = bench.executor();
    executor.launch(Launch { resume_step: 0, ..launch(shell("for i in 1 2 3; do echo $i; sleep 0.2; done")) });
    let mut stream = logs::follow(&executor, &key(), 0);
    let mut text = Vec::new();
    let mut pieces = 0;
    while let Some(chunk) = tokio::time::timeout(Duration::from_secs(20), stream.next()).await.unwrap() {
        text.extend(chunk.unwrap().bytes);
        pieces += 1;
    }
    assert_eq!(text, b"1\n2\n3\n");
    assert!(pieces > 1, "it came as it was written");
    report(&mut events).await;
    let mut later = logs::follow(&executor, &key(), 2);
    assert_eq!(later.next().await.unwrap().unwrap().bytes, b"2\n3\n");
    assert!(later.next().await.is_none());
}

#[tokio::test]
async fn a_trial_outlives_its_daemon_and_is_adopted() {
    let bench = Bench::new();
    let (executor, mut events) = bench.executor();
    let script = r#"echo ready; while [ ! -e "$METAOPT_OUTPUT_DIR/go" ]; do sleep 0.02; done; echo metaopt: loss=0.5"#;
    executor.launch(launch(shell(script)));
    assert_eq!(next(&mut events).await, AttemptEvent::Started);
    drop(executor);
    drop(events);
    let (executor, mut events) = bench.executor();
    let adopted = executor.adopt();
    assert_eq!(adopted, [launch(shell(script))]);
    assert_eq!(next(&mut events).await, AttemptEvent::Started);
    assert_eq!(executor.running(), [key()]);
    fs::write(bench.data().join("trials/node.7/output/go"), "").unwrap();
    assert_eq!(report(&mut events).await.result, values(&[("loss", 0.5)]));
}

#[tokio::test]
async fn an_adopted_attempt_can_be_stopped() {
    let bench = Bench::new();
    let (executor, mut events) = bench.executor();
    executor.launch(launch(shell("sleep 300")));
    assert_eq!(next(&mut events).await, AttemptEvent::Started);
    drop(executor);
    let (executor, mut events) = bench.executor();
    assert_eq!(executor.adopt().len(), 1);
    executor.stop_all().await;
    let report = report(&mut events).await;
    assert_eq!((report.stopped, report.signal), (Some(StopWhy::Preempted), Some(15)));
}

#[tokio::test]
async fn an_end_that_nobody_saw_is_told_until_it_is_finished() {
    let bench = Bench::new();
    let (executor, mut events) = bench.executor();
    executor.launch(launch(shell("sleep 0.3; exit 4")));
    assert_eq!(next(&mut events).await, AttemptEvent::Started);
    drop(executor);
    eventually("it ends alone", || bench.attempt(&key()).join("exit.json").exists()).await;
    for _ in 0..2 {
        let (executor, mut events) = bench.executor();
        assert_eq!(executor.adopt().len(), 1);
        assert_eq!(report(&mut events).await.exit_code, Some(4));
    }
    let (executor, mut events) = bench.executor();
    executor.adopt();
    report(&mut events).await;
    executor.finish(&key());
    eventually("it is cleaned up", || !bench.attempt(&key()).exists()).await;
    assert_eq!(bench.executor().0.adopt(), []);
}

#[tokio::test]
async fn finishing_a_running_attempt_waits_for_its_end() {
    let bench = Bench::new();
    let (executor, mut events) = bench.executor();
    executor.launch(launch(shell("sleep 0.3; echo still here")));
    assert_eq!(next(&mut events).await, AttemptEvent::Started);
    executor.finish(&key());
    assert_eq!(report(&mut events).await.tail, "still here\n");
    eventually("it is cleaned up", || !bench.attempt(&key()).exists()).await;
}

#[tokio::test]
async fn a_killed_supervisor_is_noticed_and_its_script_ended() {
    let bench = Bench::new();
    let (executor, mut events) = bench.executor();
    executor.launch(launch(shell("trap '' TERM; (sleep 301 & sleep 302) & sleep 303")));
    assert_eq!(next(&mut events).await, AttemptEvent::Started);
    let (supervisor, child) = bench.supervisor(&key());
    assert!(supervisor.signal(Signal::Kill));
    let AttemptEvent::Vanished(why) = next(&mut events).await else { panic!("not vanished") };
    assert!(why.contains("supervisor was killed"), "{why}");
    assert!(!child.is_alive());
    let entry = format!("METAOPT_RESULTS_PATH={}", bench.attempt(&key()).join("results/results.json").display());
    assert_eq!(metaopt_daemon::platform::with_environment(&entry), [], "nothing of it runs on");
}

#[tokio::test]
async fn a_supervisor_killed_while_the_daemon_was_away_is_noticed_too() {
    let bench = Bench::new();
    let (executor, mut events) = bench.executor();
    executor.launch(launch(shell("sleep 300")));
    assert_eq!(next(&mut events).await, AttemptEvent::Started);
    drop(executor);
    let (supervisor, child) = bench.supervisor(&key());
    assert!(supervisor.signal(Signal::Kill));
    eventually("it dies", || !supervisor.is_alive()).await;
    assert!(child.is_alive(), "the script itself lives on, unwatched");
    let (executor, mut events) = bench.executor();
    assert_eq!(executor.adopt().len(), 1);
    assert!(matches!(next(&mut events).await, AttemptEvent::Vanished(_)));
    assert!(!child.is_alive());
    assert_eq!(executor.running(), []);
}

#[tokio::test]
async fn a_record_of_another_process_with_the_same_pid_is_not_signalled() {
    let bench = Bench::new();
    let (executor, mut events) = bench.executor();
    executor.launch(launch(shell("sleep 300")));
    assert_eq!(next(&mut events).await, AttemptEvent::Started);
    drop(executor);
    let (supervisor, child) = bench.supervisor(&key());
    let mut bystander = std::process::Command::new("sleep").arg("300").spawn().unwrap();
    let me = Process::of(bystander.id()).unwrap();
    let wrong = Process { start_time: me.start_time - 1, ..me.clone() };
    let record = json!({"version": 1, "supervisor": wrong, "child": wrong});
    fs::write(bench.attempt(&key()).join("supervisor.json"), record.to_string()).unwrap();
    let (executor, mut events) = bench.executor();
    executor.adopt();
    executor.stop(&key(), StopWhy::Cancelled);
    assert!(matches!(next(&mut events).await, AttemptEvent::Vanished(_)));
    assert!(me.is_alive(), "a later process with that pid is left alone");
    bystander.kill().unwrap();
    bystander.wait().unwrap();
    assert!(!child.is_alive(), "the script was found by its environment all the same");
    let _ = supervisor.signal(Signal::Kill);
}

#[tokio::test]
async fn an_attempt_that_never_began_never_begins() {
    let bench = Bench::new();
    let (executor, _events) = bench.executor();
    drop(executor);
    let dir = bench.attempt(&key());
    fs::create_dir_all(&dir).unwrap();
    let record = json!({"version": 1, "launch": launch(shell("true"))});
    fs::write(dir.join("launch.json"), record.to_string()).unwrap();
    let (executor, mut events) = bench.executor();
    assert_eq!(executor.adopt().len(), 1);
    let AttemptEvent::Vanished(why) = next(&mut events).await else { panic!("not vanished") };
    assert!(why.contains("before the script was started"), "{why}");
    // a supervisor that comes late finds its claim taken
    let plan = json!({"version": 1, "argv": ["touch", "began"], "cwd": dir, "env": [], "timeout_s": null, "grace_s": 1.0,
        "metrics": [], "checkpoint_dir": dir, "gpus": [], "gpu_share": 1.0, "gpu_ledger": null, "gpu_owner": "x", "log_limit": 100});
    fs::write(dir.join("plan.json"), plan.to_string()).unwrap();
    let exe = env!("CARGO_BIN_EXE_metaopt-test-supervisor");
    let status =
        std::process::Command::new(exe).arg("supervise").arg(&dir).stderr(std::process::Stdio::null()).status();
    assert!(!status.unwrap().success());
    assert!(!dir.join("began").exists());
}

#[tokio::test]
async fn what_cannot_be_started_says_so() {
    let bench = Bench::new();
    let (executor, mut events) = bench.executor();
    executor.launch(launch(RunSpec { command: vec!["metaopt-no-such-program".into()], ..RunSpec::default() }));
    let AttemptEvent::LaunchFailed(why) = next(&mut events).await else { panic!("it started") };
    assert!(why.contains("metaopt-no-such-program"), "{why}");
    let mut second = launch(RunSpec { secret_env: vec!["NOT_SET".into()], ..shell("true") });
    second.key.attempt = 2;
    executor.launch(second);
    let AttemptEvent::LaunchFailed(why) = next(&mut events).await else { panic!("it started") };
    assert!(why.contains("metaopt secret set NOT_SET"), "{why}");
    assert_eq!(executor.running(), []);
}

fn project(files: &[(&str, &str, u32)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text, mode) in files {
        let full = dir.path().join(path);
        fs::create_dir_all(full.parent().unwrap()).unwrap();
        fs::write(&full, text).unwrap();
        fs::set_permissions(&full, fs::Permissions::from_mode(*mode)).unwrap();
    }
    dir
}

fn submit(executor: &Executor, project: &Path) -> String {
    let packed = pack(project, &PackOptions::default()).unwrap();
    executor.snapshots().put(&packed.hash, packed.body.reopen().unwrap()).unwrap();
    packed.hash
}

#[tokio::test]
async fn each_attempt_has_a_private_copy_and_setup_runs_once() {
    let bench = Bench::new();
    let (executor, mut events) = bench.executor();
    let project = project(&[
        ("run.sh", "#!/bin/sh\ncat conf/c.json built/x data.txt\necho mine >> conf/c.json\n", 0o755),
        ("conf/c.json", "{\"lr\": {lr}}\n", 0o644),
    ]);
    let outside = tempfile::tempdir().unwrap();
    let data = outside.path().join("data.txt");
    fs::write(&data, "linked\n").unwrap();
    let count = outside.path().join("count");
    let spec = RunSpec {
        command: vec!["./run.sh".into()],
        setup: Some(format!("echo once >> {}; mkdir built; echo built > built/x", count.display())),
        snapshot: Some(submit(&executor, project.path())),
        links: vec![data.to_str().unwrap().into()],
        templates: vec!["conf/c.json".into()],
        ..RunSpec::default()
    };
    assert_eq!(executor.probe(&spec), Ok(()));
    for attempt in 1..=3 {
        let mut one = launch(spec.clone());
        one.key.attempt = attempt;
        executor.launch(one);
    }
    for _ in 0..3 {
        let report = report(&mut events).await;
        assert_eq!((report.exit_code, report.tail.as_str()), (Some(0), "{\"lr\": 0.01}\nbuilt\nlinked\n"));
    }
    assert_eq!(fs::read_to_string(count).unwrap(), "once\n");
    assert!(bench.attempt(&key()).join("work/built").is_symlink(), "what setup made is shared");
}

#[tokio::test]
async fn a_failing_setup_tells_its_last_words_and_is_not_repeated_for_each_trial() {
    let bench = Bench::new();
    bench.secrets.set("PIP_TOKEN", "hunter2hunter2").unwrap();
    let (executor, mut events) = bench.executor();
    let outside = tempfile::tempdir().unwrap();
    let count = outside.path().join("count");
    let setup = format!("echo x >> {}; echo no such package $PIP_TOKEN >&2; exit 7", count.display());
    for attempt in 1..=2 {
        let mut one =
            launch(RunSpec { setup: Some(setup.clone()), secret_env: vec!["PIP_TOKEN".into()], ..shell("true") });
        one.key.attempt = attempt;
        executor.launch(one);
        let AttemptEvent::SetupFailed(why) = next(&mut events).await else { panic!("it started") };
        assert!(why.contains("no such package [redacted]") && why.contains('7'), "{why}");
    }
    assert_eq!(fs::read_to_string(count).unwrap(), "x\n");
}

#[tokio::test]
async fn setup_has_a_time_limit_and_a_trial_that_waits_for_it_can_be_stopped() {
    let mut bench = Bench::new();
    bench.setup_timeout = Duration::from_millis(700);
    let (executor, mut events) = bench.executor();
    let spec = RunSpec { setup: Some("sleep 304 & sleep 305".into()), ..shell("true") };
    executor.launch(launch(spec.clone()));
    executor.stop(&key(), StopWhy::Cancelled);
    assert_eq!(report(&mut events).await.stopped, Some(StopWhy::Cancelled));
    let mut second = launch(spec);
    second.key.attempt = 2;
    executor.launch(second);
    let AttemptEvent::SetupFailed(why) = next(&mut events).await else { panic!("it started") };
    assert!(why.contains("longer than 0.7 s"), "{why}");
}

#[tokio::test]
async fn in_place_runs_where_it_was_submitted() {
    let bench = Bench::new();
    let (executor, mut events) = bench.executor();
    let project = project(&[("train.sh", "pwd > here\n", 0o644)]);
    let path = fs::canonicalize(project.path()).unwrap();
    let run = RunSpec { workdir: Workdir::InPlace, path: Some(path.to_str().unwrap().into()), ..RunSpec::default() };
    executor.launch(launch(RunSpec { command: vec!["sh".into(), "train.sh".into()], ..run }));
    report(&mut events).await;
    assert_eq!(fs::read_to_string(path.join("here")).unwrap().trim(), path.to_str().unwrap());
}

#[tokio::test]
async fn gpus_are_shown_and_held_until_the_end() {
    let bench = Bench::new();
    let (executor, mut events) = bench.executor();
    let with_gpu = |attempt, script: &str| {
        let mut one = launch(RunSpec { gpus: Some(0.5), ..shell(script) });
        one.key.attempt = attempt;
        one.gpus = vec!["GPU-a".into()];
        one
    };
    let wait = "echo $CUDA_VISIBLE_DEVICES; while [ ! -e \"$METAOPT_OUTPUT_DIR/go\" ]; do sleep 0.02; done";
    executor.launch(with_gpu(1, wait));
    executor.launch(with_gpu(2, wait));
    assert_eq!(next(&mut events).await, AttemptEvent::Started);
    assert_eq!(next(&mut events).await, AttemptEvent::Started);
    // a second daemon, or this one after a crash: the supervisors still hold their halves
    executor.launch(with_gpu(3, "true"));
    let AttemptEvent::LaunchFailed(why) = next(&mut events).await else { panic!("it started") };
    assert!(why.contains("GPU-a has 0 left"), "{why}");
    fs::write(bench.data().join("trials/node.7/output/go"), "").unwrap();
    assert_eq!(report(&mut events).await.tail, "GPU-a\n");
    report(&mut events).await;
    executor.launch(with_gpu(4, "true"));
    assert_eq!(report(&mut events).await.exit_code, Some(0));
}

#[tokio::test]
async fn a_probe_names_what_is_missing() {
    let mut bench = Bench::new();
    let (executor, _events) = bench.executor();
    let project = project(&[("run.sh", "#!/bin/sh\n", 0o755)]);
    let hash = submit(&executor, project.path());
    let no = |run: RunSpec| executor.probe(&run).unwrap_err();
    let command =
        |program: &str| RunSpec { command: vec![program.into()], snapshot: Some(hash.clone()), ..RunSpec::default() };
    assert_eq!(executor.probe(&command("sh")), Ok(()));
    assert_eq!(executor.probe(&command("/bin/sh")), Ok(()));
    assert_eq!(executor.probe(&command("./run.sh")), Ok(()));
    assert!(no(command("metaopt-nothing")).contains("not on this node's PATH"));
    assert!(no(command("/nowhere/python")).contains("does not exist on this node"));
    assert!(no(command("/etc/passwd")).contains("can't be executed"));
    assert!(no(command(".venv/bin/python")).contains("not in the study's snapshot"));
    assert_eq!(executor.probe(&RunSpec { setup: Some("make".into()), ..command(".venv/bin/python") }), Ok(()));
    assert!(no(RunSpec { links: vec!["/nowhere/data".into()], ..command("sh") }).contains("/nowhere/data"));
    assert!(no(RunSpec { secret_env: vec!["X".into()], ..command("sh") }).contains("metaopt secret set X"));
    assert!(
        no(RunSpec { snapshot: Some(format!("b3:{}", "0".repeat(64))), ..command("sh") }).contains("not on this node")
    );
    let in_place = RunSpec { workdir: Workdir::InPlace, path: Some("/nowhere".into()), ..command("sh") };
    assert!(no(in_place).contains("/nowhere"));
    drop(executor);
    bench.allow_root = false;
    let (executor, _events) = bench.executor();
    match executor.probe(&command("sh")) {
        Ok(()) => assert!(!metaopt_daemon::platform::is_root()),
        Err(why) => assert!(why.contains("--allow-root"), "{why}"),
    }
}

#[tokio::test]
async fn a_trial_costs_little_beyond_its_own_time() {
    let (mut open, mut hidden) = (Bench::new(), Bench::new());
    (open.hide, hidden.hide) = (false, hidden.hide);
    // The aim is 50 ms on an idle machine with an optimized build; this only notices an added sleep or poll.
    for (bench, what) in [(open, "data directory in sight"), (hidden, "data directory hidden where it can be")] {
        let median = median_overhead(&bench).await;
        println!("median overhead of a trial: {median:?} ({what}; unoptimized build)");
        assert!(median < Duration::from_millis(250), "{median:?}");
    }
}

async fn median_overhead(bench: &Bench) -> Duration {
    let (executor, mut events) = bench.executor();
    let project = project(&[("train.py", "pass", 0o644), ("conf/a.json", "{}", 0o644)]);
    let snapshot = Some(submit(&executor, project.path()));
    let mut times = Vec::new();
    for attempt in 1..=15 {
        let mut one =
            launch(RunSpec { command: vec!["true".into()], snapshot: snapshot.clone(), ..RunSpec::default() });
        one.key.attempt = attempt;
        let key = one.key.clone();
        let began = Instant::now();
        executor.launch(one);
        report(&mut events).await;
        times.push(began.elapsed());
        executor.finish(&key);
    }
    times.sort();
    times[times.len() / 2]
}

/// Needs a control group with a memory limit well below 400 MiB to run in, such as (as root, control groups v2)
/// `systemd-run --scope -p MemoryMax=200M -p MemorySwapMax=0 env METAOPT_TEST_OOM=1 cargo test … out_of_memory`.
#[tokio::test]
async fn being_out_of_memory_is_told_from_being_killed() {
    if std::env::var_os("METAOPT_TEST_OOM").is_none() {
        return;
    }
    let (_bench, _executor, report) = run("exec python3 -c 'x = bytearray(b\"x\") * (400 << 20)'").await;
    assert_eq!((report.signal, report.oom), (Some(9), true));
    let (_bench, _executor, report) = run("python3 -c 'x = bytearray(b\"x\") * (400 << 20)'; exit $?").await;
    assert_eq!((report.exit_code, report.oom), (Some(137), true), "seen through a shell");
    let (_bench, _executor, report) = run("kill -9 $$").await;
    assert_eq!((report.signal, report.oom), (Some(9), false));
}
