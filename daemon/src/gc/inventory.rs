//! What lies beneath the data directory, found without following a link.
//!
//! Owns: reading directories and names. Must not: remove anything, or know what things belong to.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, DirEntry, Metadata},
    io,
    path::Path,
    time::UNIX_EPOCH,
};

use metaopt_schema::{StudyId, TrialId};

use super::policy::Kind;
use crate::{
    blobs,
    exec::record::{self, Layout, OwnerRecord},
};

/// Starts the names of things that are being removed by us.
pub const GONE: &str = ".gone-";
const INCOMING: &str = ".incoming-";

/// What something belongs to, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    /// A trial.
    Trial(TrialId),
    /// Whatever names this snapshot (64 digits).
    Snapshot(String),
    /// A trial that goes on from the checkpoint of this archive (64 digits).
    Checkpoint(String),
    /// Whatever runs in this environment.
    Environment(String),
    /// Nothing.
    Nothing,
}

/// One thing that can be removed as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Beneath the data directory, with `/`.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// With all that is in it.
    pub bytes: u64,
    /// The latest change within it, in milliseconds since 1970.
    pub modified_ms: u64,
    /// What it belongs to.
    pub of: Of,
}

/// Everything found.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// In order of their paths.
    pub found: Vec<Found>,
    /// Trials with an attempt that isn't finished on disk, whatever the node thinks.
    pub alive: BTreeSet<TrialId>,
    /// Environments that such attempts run in, or are about to.
    pub used: BTreeSet<String>,
    /// The studies of trials, as their directories say.
    pub owners: BTreeMap<TrialId, StudyId>,
    /// What could not be looked at, in words.
    pub notes: Vec<String>,
}

impl Inventory {
    /// Looks at a data directory. Blocking; as long as there are files.
    pub fn take(data: &Path) -> Self {
        let mut out = Self::default();
        out.attempts(data);
        out.logs(data);
        out.trials(data);
        out.archives(data, "snapshots", Kind::Snapshots, Of::Snapshot);
        out.archives(data, "checkpoints", Kind::Checkpoints, Of::Checkpoint);
        out.environments(data);
        out.databases(data);
        out.found.sort_by(|a, b| a.path.cmp(&b.path));
        out
    }

    /// Entries of `dir` beneath the data directory: name, itself, and what it is (not what it leads to).
    fn entries(&mut self, data: &Path, dir: &str) -> Vec<(String, DirEntry, Metadata)> {
        let path = data.join(dir);
        let is_dir = fs::symlink_metadata(&path).map(|meta| meta.is_dir());
        let entries = match is_dir {
            Ok(true) => fs::read_dir(&path),
            Ok(false) => Err(io::Error::other("is no directory (links are not followed)")),
            Err(error) => Err(error),
        };
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                self.notes.push(format!("{}: {error}; nothing in there is collected", path.display()));
                return Vec::new();
            }
        };
        let mut all = Vec::new();
        for entry in entries.flatten() {
            // What is not Unicode is none of ours.
            if let (Ok(name), Ok(meta)) = (entry.file_name().into_string(), entry.metadata()) {
                all.push((name, entry, meta));
            }
        }
        all
    }

    fn add(&mut self, path: String, kind: Kind, (bytes, modified_ms): (u64, u64), of: Of) {
        self.found.push(Found { path, kind, bytes, modified_ms, of });
    }

    /// Ours, half removed when the daemon ended, or half fetched by one that went on with others.
    fn leftover(&mut self, dir: &str, name: &str, entry: &DirEntry, meta: &Metadata) -> bool {
        let part = name.ends_with(blobs::PART) || name.ends_with(blobs::JOURNAL);
        let left = part || name.starts_with(GONE) || name.starts_with(INCOMING) || name.starts_with(record::DONE);
        if left {
            let size = weigh(&entry.path(), meta);
            // Nobody but the collection makes these, and it is the collection that asks.
            let modified = if name.starts_with(GONE) { 0 } else { size.1 };
            self.add(format!("{dir}/{name}"), Kind::Leftovers, (size.0, modified), Of::Nothing);
        }
        left
    }

    fn attempts(&mut self, data: &Path) {
        for (name, entry, meta) in self.entries(data, "attempts") {
            if self.leftover("attempts", &name, &entry, &meta) {
                continue;
            }
            if let Some((trial, _)) = record::attempt_of(&name) {
                self.alive.insert(trial);
            }
            match record::read::<record::LaunchRecord>(&record::AttemptDir(entry.path()).launch()) {
                Ok(Some(record)) => {
                    self.used.extend(crate::exec::environment_key(&record.launch.run));
                    self.alive.insert(record.launch.key.trial);
                }
                Ok(None) => {}
                Err(error) => self.notes.push(format!("{error}; its trial is left alone")),
            }
        }
    }

    fn logs(&mut self, data: &Path) {
        for (name, entry, meta) in self.entries(data, "logs") {
            if self.leftover("logs", &name, &entry, &meta) {
                continue;
            }
            let stem = name.strip_suffix(".log").or_else(|| name.strip_suffix(".log.tail"));
            if let Some((trial, _)) = stem.and_then(record::attempt_of)
                && meta.is_file()
            {
                self.add(format!("logs/{name}"), Kind::Logs, weigh(&entry.path(), &meta), Of::Trial(trial));
            }
        }
    }

    fn trials(&mut self, data: &Path) {
        let layout = Layout::new(data);
        for (name, entry, meta) in self.entries(data, "trials") {
            if self.leftover("trials", &name, &entry, &meta) || !meta.is_dir() {
                continue;
            }
            let Some(trial) = record::id_of(&name).map(TrialId::new) else { continue };
            match record::read::<OwnerRecord>(&layout.owner(&trial)) {
                Ok(Some(owner)) => drop(self.owners.insert(trial.clone(), owner.study)),
                Ok(None) => {}
                Err(error) => self.notes.push(error.to_string()),
            }
            for (part, kind) in [("checkpoint", Kind::Checkpoints), ("output", Kind::Outputs)] {
                let path = entry.path().join(part);
                if let Ok(meta) = fs::symlink_metadata(&path) {
                    let size = weigh(&path, &meta);
                    self.add(format!("trials/{name}/{part}"), kind, size, Of::Trial(trial.clone()));
                }
            }
        }
    }

    fn archives(&mut self, data: &Path, dir: &str, kind: Kind, of: fn(String) -> Of) {
        for (name, entry, meta) in self.entries(data, dir) {
            if self.leftover(dir, &name, &entry, &meta) {
                continue;
            }
            if let Some(digits) = name.strip_suffix(".tar.zst")
                && meta.is_file()
            {
                self.add(format!("{dir}/{name}"), kind, weigh(&entry.path(), &meta), of(digits.to_owned()));
            }
        }
    }

    fn environments(&mut self, data: &Path) {
        for (name, entry, meta) in self.entries(data, "prepared") {
            if self.leftover("prepared", &name, &entry, &meta) {
                continue;
            }
            let (bytes, changed) = weigh(&entry.path(), &meta);
            // Its last use; files in there may be as new or as old as a package's build.
            let used = fs::symlink_metadata(entry.path().join(record::READY)).map_or(changed, |meta| modified(&meta));
            self.add(format!("prepared/{name}"), Kind::Environments, (bytes, used), Of::Environment(name));
        }
    }

    fn databases(&mut self, data: &Path) {
        for (name, entry, meta) in self.entries(data, ".") {
            if name.contains(".corrupt-") {
                self.add(name, Kind::Corrupt, weigh(&entry.path(), &meta), Of::Nothing);
            }
        }
    }
}

/// Milliseconds since 1970 of the last change.
pub fn modified(meta: &Metadata) -> u64 {
    let since = meta.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Bytes and latest change of a file, or of a directory with all that is in it. Links count as themselves.
fn weigh(path: &Path, meta: &Metadata) -> (u64, u64) {
    let mut sum = (if meta.is_file() { meta.len() } else { 0 }, modified(meta));
    if !meta.is_dir() {
        return sum;
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if let Ok(meta) = entry.metadata() {
            let (bytes, modified) = weigh(&entry.path(), &meta);
            sum = (sum.0.saturating_add(bytes), sum.1.max(modified));
        }
    }
    sum
}
