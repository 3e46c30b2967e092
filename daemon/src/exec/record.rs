//! The files of an attempt's directory, through which daemon and supervisor talk across each other's deaths.
//!
//! Owns: their names, formats and version marker. Must not: run anything.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use metaopt_core::launch::{ExitReport, Launch, StopWhy};
use metaopt_schema::{AttemptKey, AttemptNo, StudyId, TrialId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::enclose::Enclosure;
use crate::platform::{Process, files};

/// Version of every file here; a newer one is not read.
pub const VERSION: u32 = 1;

/// Starts the names of directories that are being removed.
pub const DONE: &str = ".done-";

/// Beside a prepared tree once it is complete; its time is that of the last use.
pub const READY: &str = "ready.json";

/// Beside a trial's checkpoints and output.
pub const OWNER: &str = "owner.json";

/// Where things lie beneath the data directory.
#[derive(Clone, Debug)]
pub struct Layout {
    data: PathBuf,
}

impl Layout {
    /// Beneath this data directory.
    pub fn new(data_dir: &Path) -> Self {
        Self { data: data_dir.to_owned() }
    }
    /// All of it.
    pub fn data(&self) -> &Path {
        &self.data
    }
    /// All attempts that are not finished.
    pub fn attempts(&self) -> PathBuf {
        self.data.join("attempts")
    }
    /// One attempt.
    pub fn attempt(&self, key: &AttemptKey) -> AttemptDir {
        AttemptDir(self.attempts().join(stem(key)))
    }
    /// Where an attempt's directory goes to be removed.
    pub fn done(&self, key: &AttemptKey) -> PathBuf {
        self.attempts().join(format!("{DONE}{}", stem(key)))
    }
    /// Attempts that no document knows.
    pub fn unknown_all(&self) -> PathBuf {
        self.data.join("unknown")
    }
    /// One of them.
    pub fn unknown(&self, key: &AttemptKey) -> PathBuf {
        self.unknown_all().join(stem(key))
    }
    /// Unpacked snapshots, set up.
    pub fn prepared(&self) -> PathBuf {
        self.data.join("prepared")
    }
    /// All trials.
    pub fn trials(&self) -> PathBuf {
        self.data.join("trials")
    }
    /// Logs of finished attempts.
    pub fn logs(&self) -> PathBuf {
        self.data.join("logs")
    }
    /// Where a trial's checkpoints lie; they survive its attempts.
    pub fn checkpoints(&self, trial: &TrialId) -> PathBuf {
        self.trials().join(file_name(trial.as_str())).join("checkpoint")
    }
    /// Where a trial's output lies.
    pub fn output(&self, trial: &TrialId) -> PathBuf {
        self.trials().join(file_name(trial.as_str())).join("output")
    }
    /// Says whose trial's directory it is.
    pub fn owner(&self, trial: &TrialId) -> PathBuf {
        self.trials().join(file_name(trial.as_str())).join(OWNER)
    }
    /// A finished attempt's log and its tail.
    pub fn kept_log(&self, key: &AttemptKey) -> (PathBuf, PathBuf) {
        let logs = self.logs();
        (logs.join(format!("{}.log", stem(key))), logs.join(format!("{}.log.tail", stem(key))))
    }
    /// Checkpoints as archives, for other nodes or from them.
    pub fn checkpoint_archives(&self) -> PathBuf {
        self.data.join("checkpoints")
    }
    /// Snapshots as received.
    pub fn snapshots(&self) -> PathBuf {
        self.data.join("snapshots")
    }
}

fn stem(key: &AttemptKey) -> String {
    format!("{}-{}", file_name(key.trial.as_str()), key.attempt)
}

/// An opaque ID as one plain path component, different for different IDs.
fn file_name(id: &str) -> String {
    let mut out = String::with_capacity(id.len());
    for (at, byte) in id.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => out.push(char::from(byte)),
            b'.' | b'-' if at > 0 => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02x}")),
        }
    }
    out
}

/// The ID that [`file_name`] made this component of; none: it made none such.
pub fn id_of(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some(c) = rest.bytes().next() {
        if c == b'%' {
            bytes.push(u8::from_str_radix(rest.get(1..3)?, 16).ok()?);
            rest = &rest[3..];
        } else {
            bytes.push(c);
            rest = rest.get(1..)?;
        }
    }
    String::from_utf8(bytes).ok().filter(|id| file_name(id) == name)
}

/// The attempt that a directory or log of this name (without its ending) belongs to.
pub fn attempt_of(stem: &str) -> Option<(TrialId, AttemptNo)> {
    let (trial, attempt) = stem.rsplit_once('-')?;
    Some((TrialId::new(id_of(trial)?), attempt.parse().ok()?))
}

/// One attempt's directory.
#[derive(Clone, Debug)]
pub struct AttemptDir(pub PathBuf);

impl AttemptDir {
    /// The [`Launch`] it was made for.
    pub fn launch(&self) -> PathBuf {
        self.0.join("launch.json")
    }
    /// What the supervisor is to do; no secrets.
    pub fn plan(&self) -> PathBuf {
        self.0.join("plan.json")
    }
    /// Secret environment; the supervisor removes it as it reads it.
    pub fn secrets(&self) -> PathBuf {
        self.0.join("secrets.json")
    }
    /// Whoever creates this file first has the say: the supervisor, to start; an adopting daemon, to forbid it.
    pub fn claim(&self) -> PathBuf {
        self.0.join("claim")
    }
    /// Who supervises.
    pub fn supervisor(&self) -> PathBuf {
        self.0.join("supervisor.json")
    }
    /// What the supervisor itself had to complain about.
    pub fn supervisor_log(&self) -> PathBuf {
        self.0.join("supervisor.log")
    }
    /// The request to stop.
    pub fn stop(&self) -> PathBuf {
        self.0.join("stop.json")
    }
    /// How it ended.
    pub fn exit(&self) -> PathBuf {
        self.0.join("exit.json")
    }
    /// The log's beginning.
    pub fn log(&self) -> PathBuf {
        self.0.join("log")
    }
    /// The log's end, past the beginning's limit.
    pub fn log_tail(&self) -> PathBuf {
        self.0.join("log.tail")
    }
    /// The private copy.
    pub fn work(&self) -> PathBuf {
        self.0.join("work")
    }
    /// Where the script leaves its result and its undelivered calls.
    pub fn results(&self) -> PathBuf {
        self.0.join("results")
    }
    /// `METAOPT_RESULTS_PATH`
    pub fn results_file(&self) -> PathBuf {
        self.results().join("results.json")
    }
    /// Undelivered calls.
    pub fn spool(&self) -> PathBuf {
        self.results().join("spool.jsonl")
    }
}

/// `owner.json`: a deleted study's trials are forgotten, so that their files must say themselves whose they are.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerRecord {
    /// [`VERSION`]
    pub version: u32,
    /// The trial's study.
    pub study: StudyId,
}

/// `launch.json`
#[derive(Debug, Serialize, Deserialize)]
pub struct LaunchRecord {
    /// [`VERSION`]
    pub version: u32,
    /// As the node gave it.
    pub launch: Launch,
}

/// `plan.json`: all that the supervisor needs, so that it reads nothing else.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Plan {
    /// [`VERSION`]
    pub version: u32,
    /// Program and arguments, filled in.
    pub argv: Vec<String>,
    /// Working directory.
    pub cwd: PathBuf,
    /// The whole environment but the secrets.
    pub env: Vec<(String, String)>,
    /// Seconds one attempt may take.
    pub timeout_s: Option<f64>,
    /// Seconds between SIGTERM and SIGKILL where no stop request says otherwise.
    pub grace_s: f64,
    /// The objectives' metrics.
    pub metrics: Vec<String>,
    /// Checkpoint directory.
    pub checkpoint_dir: PathBuf,
    /// GPUs whose shares the supervisor holds, by UUID.
    pub gpus: Vec<String>,
    /// The share of each.
    pub gpu_share: f64,
    /// The ledger of shares; none in tests without one.
    pub gpu_ledger: Option<PathBuf>,
    /// Under which name the shares are held.
    pub gpu_owner: String,
    /// Bytes kept of the log's beginning and, again, of its end.
    pub log_limit: u64,
    /// What people should know of how it begins: the log's first line, and part of its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What the program finds when it starts.
    #[serde(default)]
    pub enclosure: Enclosure,
}

/// `secrets.json` of an attempt.
#[derive(Serialize, Deserialize)]
pub struct SecretEnv {
    /// [`VERSION`]
    pub version: u32,
    /// Name and value.
    pub env: Vec<(String, String)>,
}

/// `supervisor.json`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupervisorRecord {
    /// [`VERSION`]
    pub version: u32,
    /// The supervisor.
    pub supervisor: Process,
    /// The script's process, which leads a group of its own; none until it is started.
    pub child: Option<Process>,
}

/// `stop.json`
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StopRecord {
    /// [`VERSION`]
    pub version: u32,
    /// What for.
    pub why: StopWhy,
    /// Seconds until SIGKILL.
    pub grace_s: f64,
}

/// `exit.json`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// [`VERSION`]
    pub version: u32,
    /// How it ended; default when it could not be started.
    pub report: ExitReport,
    /// Why it could not be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch_failed: Option<String>,
    /// What the setup command said when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup_failed: Option<String>,
}

impl ExitRecord {
    /// It ran.
    pub fn of(report: ExitReport) -> Self {
        Self { version: VERSION, report, launch_failed: None, setup_failed: None }
    }
}

/// Reads one of these files; `Ok(None)` when it isn't there.
pub fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    #[derive(Deserialize)]
    struct Marker {
        version: u32,
    }
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()));
    let Marker { version } = serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
    if version > VERSION {
        return Err(invalid(format!("written by a newer metaopt (format {version})")));
    }
    serde_json::from_slice(&bytes).map(Some).map_err(|error| invalid(error.to_string()))
}

/// Notes whose trial's directory it is, once.
pub fn write_owner(layout: &Layout, trial: &TrialId, study: &StudyId) -> io::Result<()> {
    let path = layout.owner(trial);
    if path.is_file() {
        return Ok(());
    }
    write(&path, &OwnerRecord { version: VERSION, study: study.clone() }, false)
}

/// Writes one of these files whole; `durable` waits for the disk.
pub fn write<T: Serialize>(path: &Path, value: &T, durable: bool) -> io::Result<()> {
    let bytes = serde_json::to_vec(value)?;
    if durable { files::write_private(path, &bytes) } else { files::write_private_lazily(path, &bytes) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_plain_components_and_stay_different() {
        assert_eq!(file_name("abc.12"), "abc.12");
        for (bad, good) in [("..", "%2e."), ("../x", "%2e.%2fx"), ("a/b", "a%2fb"), ("a%2fb", "a%252fb")] {
            assert_eq!(file_name(bad), good);
            assert_eq!(id_of(good).as_deref(), Some(bad), "and back");
        }
        for never_made in ["%2e.%2", "%zz", "a/b", "..", "%41", "é"] {
            assert_eq!(id_of(never_made), None, "{never_made}");
        }
        assert_eq!(attempt_of("abc.12-3"), Some((TrialId::new("abc.12"), 3)));
        assert_eq!(attempt_of("abc.12"), None);
    }

    #[test]
    fn a_newer_format_is_refused_and_a_missing_file_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stop.json");
        assert_eq!(read::<StopRecord>(&path).unwrap(), None);
        let record = StopRecord { version: VERSION, why: StopWhy::Paused, grace_s: 1.5 };
        write(&path, &record, true).unwrap();
        assert_eq!(read::<StopRecord>(&path).unwrap(), Some(record));
        write(&path, &StopRecord { version: VERSION + 1, ..record }, false).unwrap();
        assert!(read::<StopRecord>(&path).unwrap_err().to_string().contains("newer metaopt"));
    }

    #[test]
    fn records_of_version_1_are_still_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exit.json");
        fs::write(&path, include_str!("golden/exit-v1.json")).unwrap();
        let record: ExitRecord = read(&path).unwrap().unwrap();
        assert_eq!(record.report.exit_code, Some(3));
        assert_eq!(record.report.result, Some(Ok([("loss".to_owned(), 0.39)].into_iter().collect())));
        assert_eq!(record.report.stopped, Some(StopWhy::Pruned));
        assert_eq!(record.report.spooled[0].call, "reports");
        fs::write(&path, include_str!("golden/supervisor-v1.json")).unwrap();
        let record: SupervisorRecord = read(&path).unwrap().unwrap();
        assert_eq!((record.supervisor.pid, record.child.unwrap().start_time), (4711, 99));
        fs::write(&path, include_str!("golden/launch-v1.json")).unwrap();
        let record: LaunchRecord = read(&path).unwrap().unwrap();
        assert_eq!((record.launch.key.attempt, record.launch.params["lr"].as_f64()), (2, Some(0.01)));
        assert_eq!(record.launch.run.setup.as_deref(), Some("make"));
        fs::write(&path, include_str!("golden/plan-v1.json")).unwrap();
        let record: Plan = read(&path).unwrap().unwrap();
        assert_eq!((record.argv[0].as_str(), record.timeout_s, record.gpu_share), ("sh", Some(5.0), 0.5));
        fs::write(&path, include_str!("golden/stop-v1.json")).unwrap();
        assert_eq!(read::<StopRecord>(&path).unwrap().unwrap().why, StopWhy::Superseded);
        fs::write(&path, include_str!("golden/owner-v1.json")).unwrap();
        assert_eq!(read::<OwnerRecord>(&path).unwrap().unwrap().study, StudyId::new("s1"));
    }
}
