//! The supervisor: one process per attempt, `metaoptd supervise ATTEMPT_DIR`, that outlives the daemon.
//!
//! Owns: the script's process group, its log, its time limit and its exit record. Must not: talk to the network, or
//! read anything of the daemon's but its attempt's directory.
//!
//! Order matters: it claims the attempt before it starts anything, says who it is before it says "started", and
//! writes the exit record last, when the whole group is gone.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::Duration,
};

use metaopt_core::launch::{ExitReport, StopWhy};
use process_wrap::tokio::{ChildWrapper, CommandWrap};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{ChildStderr, ChildStdout},
    time::{Instant, sleep_until},
};

use super::{
    log_file::LogFile,
    output::{Output, Stream},
    record::{self, AttemptDir, ExitRecord, Plan, SecretEnv, StopRecord, SupervisorRecord, VERSION},
    redact::Redactor,
    results,
};
use crate::{
    gpu::{Ledger, Share},
    platform::{self, Exited, Process, Signal, StopSignal, files, now_ms, signal_group},
};

/// How long what is left in the pipes is read once the whole group is dead.
const DRAIN: Duration = Duration::from_secs(2);

/// Pause before an exit record is written again that a full or failing disk refused.
const AGAIN: Duration = Duration::from_millis(500);

/// What the supervisor prints, as its only line, once the script runs.
pub const STARTED: &str = "started";

/// Runs the attempt whose directory is given; returns when it is over and its exit record written.
pub fn main(dir: &Path) -> ExitCode {
    platform::protect();
    platform::prepare_supervisor();
    let outcome = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))
        .and_then(|runtime| runtime.block_on(supervise(&AttemptDir(dir.to_owned()))));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // standard error is the attempt's supervisor.log
            use std::io::Write;
            let _ = writeln!(io::stderr(), "{}: {message}", dir.display());
            ExitCode::FAILURE
        }
    }
}

async fn supervise(dir: &AttemptDir) -> Result<(), String> {
    let at = |path: PathBuf| move |error: io::Error| format!("{}: {error}", path.display());
    // From here on a request to stop is heard, not obeyed by dying.
    let stop = StopSignal::listen().map_err(|error| format!("no signals: {error}"))?;
    let plan: Plan = record::read(&dir.plan()).map_err(at(dir.plan()))?.ok_or("there is no plan.json here")?;
    let secrets: Vec<(String, String)> =
        record::read::<SecretEnv>(&dir.secrets()).map_err(at(dir.secrets()))?.map_or_else(Vec::new, |file| file.env);
    let _ = fs::remove_file(dir.secrets());
    files::create_private(&dir.claim()).map_err(|error| format!("the attempt is not to be started: {error}"))?;
    let me = Process::current().ok_or("can't find this process's own start time")?;
    let mut who = SupervisorRecord { version: VERSION, supervisor: me.clone(), child: None };
    record::write(&dir.supervisor(), &who, false).map_err(at(dir.supervisor()))?;

    let shares = match hold_gpus(&plan, &me) {
        Ok(shares) => shares,
        Err(message) => return finish(dir, failed(message)).await,
    };
    let mut log = LogFile::create(&dir.log(), &dir.log_tail(), plan.log_limit).map_err(at(dir.log()))?;
    if let Some(note) = &plan.note {
        // no reason not to start where it can't be written
        let _ = log.write(format!("[metaopt: {note}]\n").as_bytes());
    }
    let redactor = Redactor::new(secrets.iter().map(|(_, value)| value));
    let output = Output::new(log, redactor.clone());
    // asked to stop before it was started
    if let Some(request) = read_stop(dir) {
        let report = ExitReport { stopped: Some(request.why), ended_at: now_ms(), ..ExitReport::default() };
        return finish(dir, ExitRecord::of(report)).await;
    }
    let mut child = match spawn(&plan, &secrets).await {
        Ok(child) => child,
        Err(error) => {
            let program = plan.argv.first().map_or("", String::as_str);
            let why = format!("`{program}` could not be started in {}: {error}", plan.cwd.display());
            return finish(dir, failed(why)).await;
        }
    };
    // The secrets are in the child's environment now and nowhere else of ours.
    drop(secrets);
    let pid = child.id().ok_or("the script has no process id")?;
    who.child = Process::of(pid);
    if let Err(error) = record::write(&dir.supervisor(), &who, false) {
        // Nobody could find the script again, and the daemon would start it elsewhere: it must not run on.
        signal_group(pid, Signal::Kill);
        let _ = child.wait().await;
        platform::kill_strays();
        return finish(dir, failed(format!("{}: {error}", dir.supervisor().display()))).await;
    }
    say_started();

    let mut run = Run {
        dir,
        plan: &plan,
        child,
        pid,
        output,
        redactor,
        stop,
        stopped: None,
        timed_out: false,
        kill_at: None,
        killed: false,
    };
    let report = run.until_over(who.child.as_ref()).await?;
    if let Some(broken) = run.output.broken() {
        use std::io::Write;
        let _ = writeln!(io::stderr(), "the log is not whole: {broken}");
    }
    for (ledger, uuid) in shares {
        let _ = ledger.release(&uuid, &plan.gpu_owner);
    }
    finish(dir, ExitRecord::of(report)).await
}

/// The daemon waits for this line; if it is gone by now nobody does.
fn say_started() {
    use std::io::Write;
    let mut out = io::stdout();
    let _ = writeln!(out, "{STARTED}").and_then(|()| out.flush());
}

fn failed(message: String) -> ExitRecord {
    let report = ExitReport { ended_at: now_ms(), ..ExitReport::default() };
    ExitRecord { launch_failed: Some(message), ..ExitRecord::of(report) }
}

/// Writes the exit record, however long the disk has no room for it: it is all that is left of the result.
async fn finish(dir: &AttemptDir, record: ExitRecord) -> Result<(), String> {
    loop {
        match record::write(&dir.exit(), &record, true) {
            Ok(()) => return Ok(()),
            // The directory was removed: nobody waits for it any more.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(format!("{}: {error}", dir.exit().display()));
            }
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}

fn read_stop(dir: &AttemptDir) -> Option<StopRecord> {
    record::read(&dir.stop()).ok().flatten()
}

/// Takes over the shares that the daemon holds in this attempt's name, so that they outlive the daemon.
fn hold_gpus(plan: &Plan, me: &Process) -> Result<Vec<(Ledger, String)>, String> {
    let Some(path) = &plan.gpu_ledger else { return Ok(Vec::new()) };
    let mut held = Vec::new();
    for uuid in &plan.gpus {
        let ledger = Ledger::open(path).map_err(|error| format!("the ledger of GPU shares: {error}"))?;
        let share = Share { owner: plan.gpu_owner.clone(), share: plan.gpu_share, process: me.clone() };
        ledger.acquire(uuid, share).map_err(|error| error.to_string())?;
        held.push((ledger, uuid.clone()));
    }
    Ok(held)
}

fn command(plan: &Plan) -> io::Result<(PathBuf, &[String])> {
    let (program, arguments) =
        plan.argv.split_first().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"))?;
    Ok((resolve(program, plan), arguments))
}

/// Starts this program as `enclose`, which becomes the script; returns once it has.
#[cfg(unix)]
async fn spawn(plan: &Plan, secrets: &[(String, String)]) -> io::Result<Box<dyn ChildWrapper>> {
    let (program, arguments) = command(plan)?;
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    let mut command = CommandWrap::with_new(platform::own_program()?, |command| {
        command.args(plan.enclosure.arguments(&plan.cwd, true, &program, arguments)).env_clear();
        command.envs(plan.env.iter().map(|(name, value)| (name, value)));
        command.envs(secrets.iter().map(|(name, value)| (name, value)));
        command.stdin(std::os::fd::OwnedFd::from(theirs)).stdout(Stdio::piped()).stderr(Stdio::piped());
    });
    command.wrap(process_wrap::tokio::ProcessGroup::leader());
    let mut child = command.spawn()?;
    // it holds their end of the socket
    drop(command);
    ours.set_nonblocking(true)?;
    let mut said = String::new();
    tokio::net::UnixStream::from_std(ours)?.read_to_string(&mut said).await?;
    if said.is_empty() {
        return Ok(child);
    }
    child.wait().await?;
    Err(io::Error::other(said))
}

#[cfg(windows)]
async fn spawn(plan: &Plan, secrets: &[(String, String)]) -> io::Result<Box<dyn ChildWrapper>> {
    let (program, arguments) = command(plan)?;
    let mut command = CommandWrap::with_new(program, |command| {
        command.args(arguments).current_dir(&plan.cwd).env_clear();
        command.envs(plan.env.iter().map(|(name, value)| (name, value)));
        command.envs(secrets.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    });
    command.wrap(process_wrap::tokio::JobObject);
    command.spawn()
}

/// `./run.sh` and `bin/tool` mean the working directory's, whatever the platform makes of relative programs.
fn resolve(program: &str, plan: &Plan) -> PathBuf {
    let path = Path::new(program);
    if path.is_relative() && path.components().count() > 1 || program.starts_with("./") {
        plan.cwd.join(path)
    } else {
        path.to_owned()
    }
}

struct Run<'a> {
    dir: &'a AttemptDir,
    plan: &'a Plan,
    child: Box<dyn ChildWrapper>,
    pid: u32,
    output: Output,
    redactor: Redactor,
    stop: StopSignal,
    stopped: Option<StopWhy>,
    timed_out: bool,
    kill_at: Option<Instant>,
    killed: bool,
}

impl Run<'_> {
    async fn until_over(&mut self, process: Option<&Process>) -> Result<ExitReport, String> {
        let started = Instant::now();
        let ooms = platform::oom_kills();
        // none: it is over already (a zombie has no start time)
        let exited =
            process.map(Exited::watch).transpose().map_err(|error| format!("can't watch the script: {error}"))?;
        let mut out = Pipe::new(self.child.stdout().take());
        let mut err = Pipe::new(self.child.stderr().take());
        let mut time_limit =
            self.plan.timeout_s.and_then(|limit| Duration::try_from_secs_f64(limit).ok()).map(|limit| started + limit);
        let mut reap = tokio::time::interval(Duration::from_secs(30));
        // a request that came between the look at stop.json and now has also come as a signal
        loop {
            tokio::select! {
                () = over(exited.as_ref()) => break,
                bytes = out.read() => self.output.push(Stream::Out, bytes),
                bytes = err.read() => self.output.push(Stream::Err, bytes),
                () = self.stop.recv() => self.asked_to_stop(),
                () = until(time_limit) => {
                    time_limit = None;
                    // a stop asked for before decides the reason
                    self.timed_out = self.stopped.is_none();
                    self.terminate(self.plan.grace_s);
                }
                () = until(self.kill_at) => {
                    self.kill_at = None;
                    self.killed = true;
                    signal_group(self.pid, Signal::Kill);
                }
                _ = reap.tick() => platform::reap_strays(self.pid),
            }
        }
        // The script's own process is over but not reaped, so its group's name can't have passed to anyone else.
        signal_group(self.pid, Signal::Kill);
        let status = self.child.wait().await.map_err(|error| format!("can't wait for the script: {error}"))?;
        platform::kill_strays();
        self.drain(&mut out, &mut err).await;
        self.output.finish();

        let exit_code = status.code();
        let signal = signal_of(status);
        let killed_by_another = signal == Some(9) && !self.killed;
        // 137: a shell between us and the script says so
        let looks_oom = killed_by_another || (exit_code == Some(137) && !self.killed);
        let kernel_killed = matches!((ooms, platform::oom_kills()), (Some(before), Some(after)) if after > before);
        let found = results::find(&self.dir.results_file(), self.output.result_line(), &self.plan.metrics);
        // What is quoted from a script's result goes into a document, and documents are for ever.
        let found = found.map_text(|text| self.redactor.whole(text));
        Ok(ExitReport {
            exit_code,
            signal,
            timed_out: self.timed_out,
            oom: looks_oom && kernel_killed,
            stopped: self.stopped,
            result: found.result,
            seen: found.seen,
            has_checkpoint: results::has_checkpoint(&self.plan.checkpoint_dir),
            checkpoint_step: results::checkpoint_step(&self.plan.checkpoint_dir),
            checkpoint_at: results::checkpoint_at(&self.plan.checkpoint_dir),
            checkpoint: None,
            note: self.plan.note.clone(),
            spooled: results::spooled(&self.dir.spool()),
            ended_at: now_ms(),
            tail: self.output.tail(),
        })
    }

    fn asked_to_stop(&mut self) {
        let Some(request) = read_stop(self.dir) else {
            // Not the daemon's doing: the machine is going down, or a person signalled us.
            if cfg!(unix) {
                self.stopped.get_or_insert(StopWhy::Preempted);
                self.terminate(self.plan.grace_s);
            }
            return;
        };
        if self.timed_out {
            return;
        }
        self.stopped = Some(request.why);
        self.terminate(request.grace_s);
    }

    /// SIGTERM once, and SIGKILL at the earliest of the times asked for.
    fn terminate(&mut self, grace_s: f64) {
        let grace = Duration::try_from_secs_f64(grace_s.max(0.0)).unwrap_or(Duration::from_secs(86_400));
        let at = Instant::now() + grace;
        match self.kill_at {
            Some(before) => self.kill_at = Some(before.min(at)),
            None if self.killed => (),
            None => {
                self.kill_at = Some(at);
                signal_group(self.pid, Signal::Term);
            }
        }
    }

    /// What the dead left in the pipes. A process that got away could hold one open for ever: hence the limit.
    async fn drain(&mut self, out: &mut Pipe<ChildStdout>, err: &mut Pipe<ChildStderr>) {
        let until = Instant::now() + DRAIN;
        while out.is_open() || err.is_open() {
            tokio::select! {
                bytes = out.read() => self.output.push(Stream::Out, bytes),
                bytes = err.read() => self.output.push(Stream::Err, bytes),
                () = sleep_until(until) => return,
            }
        }
    }
}

#[cfg(unix)]
fn signal_of(status: std::process::ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal_of(_status: std::process::ExitStatus) -> Option<i32> {
    None
}

async fn over(exited: Option<&Exited>) {
    if let Some(exited) = exited {
        exited.wait().await;
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// One stream of the script; once ended it never becomes ready again.
struct Pipe<R> {
    from: Option<R>,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Pipe<R> {
    fn new(from: Option<R>) -> Self {
        Self { from, buffer: vec![0; 32 * 1024] }
    }

    fn is_open(&self) -> bool {
        self.from.is_some()
    }

    async fn read(&mut self) -> &[u8] {
        let length = match &mut self.from {
            Some(from) => from.read(&mut self.buffer).await.unwrap_or(0),
            None => std::future::pending().await,
        };
        if length == 0 {
            self.from = None;
        }
        &self.buffer[..length]
    }
}
