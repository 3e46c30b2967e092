//! Runs attempts: prepares their working directory, starts a supervisor process for each, watches and stops them,
//! and finds them again after the daemon was away.
//!
//! Owns: everything beneath `DATA/attempts`, `DATA/prepared`, `DATA/trials` and `DATA/logs`.
//! Must not: decide what runs where or what an end means; it reports [`AttemptEvent`]s and the node decides.

use std::{path::PathBuf, sync::Arc, time::Duration};

use metaopt_core::launch::{AttemptEvent, Launch, StopWhy};
use metaopt_schema::{AttemptKey, study::RunSpec};
use tokio::sync::{mpsc, watch};

use crate::secrets::Secrets;

/// Mints the token that one attempt's process gets; good for its trial only.
pub type MintToken = Arc<dyn Fn(&AttemptKey) -> String + Send + Sync>;

/// What an executor needs to know of its daemon.
#[derive(Clone)]
pub struct ExecConfig {
    /// The daemon's data directory.
    pub data_dir: PathBuf,
    /// `METAOPT_URL` of the processes; the daemon updates it when its port is known.
    pub api_url: watch::Receiver<String>,
    /// Time between SIGTERM and SIGKILL before a pause (other stops use the launch's own grace).
    pub pause_grace: Duration,
    /// Run jobs although the daemon is root.
    pub allow_root: bool,
    /// Mints `METAOPT_TOKEN`.
    pub token: MintToken,
    /// The program that is started as `EXE supervise ATTEMPT_DIR`; normally `metaoptd` itself.
    pub supervisor_exe: PathBuf,
    /// Longest run of a `setup` command.
    pub setup_timeout: Duration,
    /// This node's secrets.
    pub secrets: Arc<Secrets>,
}

/// Runs attempts as processes.
pub struct Executor {
    config: ExecConfig,
    events: mpsc::Sender<(AttemptKey, AttemptEvent)>,
}

impl Executor {
    /// Creates its directories; starts nothing. Call [`Executor::adopt`] once afterwards, inside a tokio runtime.
    pub fn new(config: ExecConfig, events: mpsc::Sender<(AttemptKey, AttemptEvent)>) -> std::io::Result<Self> {
        Ok(Self { config, events })
    }

    /// Whether this node can run it at all; the text names what is missing and what to do. Spends no attempt; does
    /// file system look-ups only, so it may be called often.
    pub fn probe(&self, run: &RunSpec) -> Result<(), String> {
        let _ = (run, &self.config);
        Ok(())
    }

    /// Prepares and starts an attempt in a task of its own; what becomes of it is told by events.
    pub fn launch(&self, launch: Launch) {
        let _ = (launch, &self.events);
    }

    /// Asks an attempt to end: SIGTERM to its group, SIGKILL after the grace. Repeating it may only hasten the end.
    pub fn stop(&self, key: &AttemptKey, why: StopWhy) {
        let _ = (key, why);
    }

    /// Finds the attempts of an earlier daemon in `DATA/attempts`; their `Started`, `Exited` or `Vanished` follows as
    /// an event. Returns every attempt found, so that the node can compare with what it believes.
    pub fn adopt(&self) -> Vec<Launch> {
        Vec::new()
    }

    /// The node has recorded the attempt's end durably: its private copy goes, its log stays in `DATA/logs`.
    pub fn finish(&self, key: &AttemptKey) {
        let _ = key;
    }

    /// Attempts that were launched or adopted and whose end was not yet told.
    pub fn running(&self) -> Vec<AttemptKey> {
        Vec::new()
    }

    /// The supervisors' process ids, for telling our GPU processes from others'.
    pub fn supervisor_pids(&self) -> Vec<u32> {
        Vec::new()
    }

    /// `--stop-jobs`: stops every attempt and waits until all are over.
    pub async fn stop_all(&self) {}
}
