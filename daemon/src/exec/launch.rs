//! One attempt from launch to end, as the daemon sees it.
//!
//! Owns: the attempt's directory until the supervisor has it. Must not: block a worker thread on the disk for long.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use metaopt_core::launch::{AttemptEvent, ExitReport, Launch, StopWhy};
use metaopt_schema::{
    study::Workdir,
    template::{self, TrialVars},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::watch,
};

use super::{
    Inner, adopt, environment,
    prepare::{PrepareError, Prepared},
    record::{self, AttemptDir, ExitRecord, LaunchRecord, Plan, SecretEnv, SupervisorRecord, VERSION},
    supervisor, tree,
};
use crate::platform::{files, now_ms};

pub(super) async fn run(inner: Arc<Inner>, launch: Launch, mut stop: watch::Receiver<Option<StopWhy>>) {
    let key = launch.key.clone();
    let dir = inner.layout.attempt(&key);
    let record = match start(&inner, &launch, &dir, &mut stop).await {
        Ok(mut child) => {
            inner.tell(&key, AttemptEvent::Started).await;
            let _ = child.wait().await;
            adopt::conclude(&inner, &launch.key, &dir).await;
            return;
        }
        Err(NotStarted::Stopped(why)) => {
            ExitRecord::of(ExitReport { stopped: Some(why), ended_at: now_ms(), ..ExitReport::default() })
        }
        Err(NotStarted::Supervised) => {
            adopt::conclude(&inner, &launch.key, &dir).await;
            return;
        }
        Err(NotStarted::Setup(text)) => {
            ExitRecord { setup_failed: Some(text), ..ExitRecord::of(ExitReport::default()) }
        }
        Err(NotStarted::Failed(text)) => {
            ExitRecord { launch_failed: Some(text), ..ExitRecord::of(ExitReport::default()) }
        }
    };
    // On disk too, so that a daemon that dies before the node has recorded it tells it again.
    if let Err(error) = record::write(&dir.exit(), &record, true) {
        tracing::warn!(trial = %key.trial, %error, "could not write down how the attempt ended");
    }
    inner.tell_end(&key, adopt::event(record)).await;
}

enum NotStarted {
    /// Asked to stop before it began.
    Stopped(StopWhy),
    /// The setup command failed.
    Setup(String),
    /// It can't be started.
    Failed(String),
    /// The supervisor ended before it said "started"; its exit record says why.
    Supervised,
}

impl NotStarted {
    fn io(what: &Path) -> impl FnOnce(io::Error) -> Self {
        let what = what.display().to_string();
        move |error| Self::Failed(format!("{what}: {error}"))
    }
}

async fn start(
    inner: &Arc<Inner>,
    launch: &Launch,
    dir: &AttemptDir,
    stop: &mut watch::Receiver<Option<StopWhy>>,
) -> Result<Child, NotStarted> {
    clear(dir)?;
    let (checkpoints, output) = (inner.layout.checkpoints(&launch.key.trial), inner.layout.output(&launch.key.trial));
    for path in [&dir.0, &dir.results(), &checkpoints, &output] {
        fs::create_dir_all(path).map_err(NotStarted::io(path))?;
    }
    record::write_owner(&inner.layout, &launch.key.trial, &launch.study)
        .map_err(NotStarted::io(&inner.layout.owner(&launch.key.trial)))?;
    let record = LaunchRecord { version: VERSION, launch: launch.clone() };
    record::write(&dir.launch(), &record, false).map_err(NotStarted::io(&dir.launch()))?;

    let brought = tokio::select! {
        brought = super::checkpoint::bring(inner, launch) => brought,
        Ok(asked) = stop.wait_for(Option::is_some) => {
            return Err(NotStarted::Stopped((*asked).unwrap_or(StopWhy::Cancelled)));
        }
    };
    let mut launch = launch.clone();
    // A checkpoint may have been collected between an end and a retry: a step without one can't be gone on from.
    let gone = || launch.resume_step > 0 && !super::results::has_checkpoint(&checkpoints);
    let note = brought.err().or_else(|| {
        gone().then(|| format!("began anew: its checkpoint of step {} is gone from this node", launch.resume_step))
    });
    if let Some(note) = &note {
        tracing::warn!(trial = %launch.key.trial, "{note}");
        launch.resume_step = 0;
    }
    let launch = &launch;

    // Preparing goes on for other trials when this one is stopped.
    let preparing = super::prepare::prepare(Arc::clone(inner), launch.run.clone());
    let prepared = tokio::select! {
        prepared = preparing => prepared.map_err(|error| match error {
            PrepareError::Setup(text) => NotStarted::Setup(text),
            PrepareError::Other(text) => NotStarted::Failed(text),
        })?,
        Ok(asked) = stop.wait_for(Option::is_some) => {
            return Err(NotStarted::Stopped((*asked).unwrap_or(StopWhy::Cancelled)));
        }
    };
    let vars = TrialVars {
        id: launch.key.trial.to_string(),
        label: launch.label.clone(),
        checkpoint_dir: checkpoints.to_string_lossy().into_owned(),
        output_dir: output.to_string_lossy().into_owned(),
    };
    let argv = template::expand(&launch.run.command, &launch.params, &launch.space_names, &vars)
        .map_err(|error| NotStarted::Failed(format!("the command can't be filled in: {error}")))?;
    let shared = prepared.tree.clone();
    let cwd = {
        let (launch, dir) = (launch.clone(), dir.clone());
        tokio::task::spawn_blocking(move || working_directory(&prepared, &launch, &dir, &vars))
            .await
            .map_err(|error| NotStarted::Failed(error.to_string()))?
            .map_err(NotStarted::Failed)?
    };
    // `cwd` is the private copy, or in place somewhere else; `shared` holds what setup made, which the copy links to
    let kept = [cwd.clone(), shared, dir.results(), checkpoints.clone(), output];
    let linked = linked(inner, launch);
    let enclosure = inner.enclosure.clone().keeping(kept.iter().chain(&linked).map(PathBuf::as_path));
    write_plan(
        inner,
        launch,
        dir,
        Plan { argv, cwd, checkpoint_dir: checkpoints, enclosure, note, ..Plan::default() },
    )?;
    if let Some(why) = *stop.borrow() {
        return Err(NotStarted::Stopped(why));
    }
    supervise(inner, launch, dir).await
}

/// An attempt's number is never used twice, so what lies in its place is of no use; unless it lives.
fn clear(dir: &AttemptDir) -> Result<(), NotStarted> {
    let alive = record::read::<SupervisorRecord>(&dir.supervisor())
        .ok()
        .flatten()
        .is_some_and(|record| record.supervisor.is_alive());
    if alive {
        return Err(NotStarted::Failed("this attempt is running already, under an earlier supervisor".to_owned()));
    }
    match fs::remove_dir_all(&dir.0) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(NotStarted::io(&dir.0)(error)),
        _ => Ok(()),
    }
}

/// Files of trials that the study's links name. The links may name nothing else of the data directory.
fn linked(inner: &Inner, launch: &Launch) -> Vec<PathBuf> {
    let targets = launch.run.links.iter().filter_map(|link| tree::link_target(&launch.run, link).ok());
    let real = targets.filter_map(|(target, _)| target.canonicalize().ok());
    real.filter(|target| target.starts_with(inner.layout.trials())).collect()
}

/// Adds to a plan what is the same for every attempt, and writes it.
fn write_plan(inner: &Inner, launch: &Launch, dir: &AttemptDir, plan: Plan) -> Result<(), NotStarted> {
    let mut secrets = vec![("METAOPT_TOKEN".to_owned(), (inner.config.token)(&launch.key))];
    for name in &launch.run.secret_env {
        let value = inner.config.secrets.get(name).ok_or_else(|| {
            NotStarted::Failed(format!(
                "the secret `{name}` is not set on this node; `metaopt secret set {name}` sets it"
            ))
        })?;
        secrets.push((name.clone(), value));
    }
    let url = inner.config.api_url.borrow().clone();
    let plan = Plan {
        version: VERSION,
        env: environment::of_attempt(launch, &inner.layout, dir, &url),
        timeout_s: launch.run.timeout_s,
        grace_s: launch.grace_s,
        metrics: launch.metrics.clone(),
        gpus: launch.gpus.clone(),
        gpu_share: launch.run.gpus.filter(|share| *share > 0.0 && *share < 1.0).unwrap_or(1.0),
        gpu_ledger: (!launch.gpus.is_empty()).then(|| inner.gpu_ledger.clone()),
        // the whole path, since other daemons of this machine write there too
        gpu_owner: dir.0.to_string_lossy().into_owned(),
        log_limit: inner.log_limit,
        ..plan
    };
    record::write(&dir.plan(), &plan, false).map_err(NotStarted::io(&dir.plan()))?;
    let secrets = SecretEnv { version: VERSION, env: secrets };
    record::write(&dir.secrets(), &secrets, false).map_err(NotStarted::io(&dir.secrets()))
}

/// Makes the private copy; answers where the script is to run. Blocking.
fn working_directory(
    prepared: &Prepared,
    launch: &Launch,
    dir: &AttemptDir,
    vars: &TrialVars,
) -> Result<PathBuf, String> {
    let run = &launch.run;
    if run.workdir == Workdir::InPlace {
        if let Some(file) = run.templates.first() {
            return Err(format!(
                "the template {file} can't be filled in for each trial with --in-place; submit a snapshot"
            ));
        }
        return Ok(prepared.tree.clone());
    }
    let work = dir.work();
    tree::copy(&prepared.tree, &prepared.own, &work).map_err(|error| format!("{}: {error}", work.display()))?;
    tree::link(&work, run)?;
    for file in &run.templates {
        tree::fill(&work, file, |text| template::expand_text(text, &launch.params, &launch.space_names, vars))?;
    }
    Ok(work)
}

/// Starts the supervisor and waits until it says that the script runs.
async fn supervise(inner: &Inner, launch: &Launch, dir: &AttemptDir) -> Result<Child, NotStarted> {
    let log = files::create_private(&dir.supervisor_log()).map_err(NotStarted::io(&dir.supervisor_log()))?;
    let exe = &inner.config.supervisor_exe;
    // Its environment can be read for as long as it takes to start: nothing of the daemon's own goes into it.
    let environment = environment::base(environment::ambient(), []);
    let mut child = Command::new(exe)
        .env_clear()
        .envs(environment)
        .arg("supervise")
        .arg(&dir.0)
        .current_dir(&dir.0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(NotStarted::io(exe))?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        // ends without a line when the supervisor does
        let _ = BufReader::new(stdout).read_line(&mut line).await;
    }
    if line.trim_end() == supervisor::STARTED {
        match record::read::<SupervisorRecord>(&dir.supervisor()) {
            Ok(Some(record)) => inner.supervised(&launch.key, record.supervisor),
            other => tracing::warn!(trial = %launch.key.trial, ?other, "the supervisor did not say who it is"),
        }
        return Ok(child);
    }
    let _ = child.wait().await;
    if dir.exit().is_file() {
        return Err(NotStarted::Supervised);
    }
    let said = fs::read_to_string(dir.supervisor_log()).unwrap_or_default();
    Err(NotStarted::Failed(format!("the supervisor did not start: {}", said.trim())))
}
