//! Secrets of this node: a file `secrets.json` (mode 0600) in the data directory, by name. `metaopt secret` writes it
//! while the daemon runs: what has changed is read anew before it is used, so that a secret that was removed is given to
//! no trial from then on.
//!
//! Owns: that file. Must not: log or print a value, or put one in a document; only names are listed.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use crate::platform::files;

const VERSION: u32 = 1;

/// Why a secret could not be read, set or removed.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Not a name an environment variable may have, or one of metaopt's own.
    #[error(
        "`{0}` cannot be a secret's name: use letters, digits and `_`, not starting with a digit and not with `METAOPT_`"
    )]
    BadName(String),
    /// An environment variable can't hold it.
    #[error("the value of `{0}` is empty or holds a NUL byte; an environment variable can't carry that")]
    BadValue(String),
    /// The file is there but unusable.
    #[error("{}: {cause}; mend the file or move it away and set the secrets again", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The disk.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    secrets: BTreeMap<String, String>,
}

/// The secrets of one node.
pub struct Secrets {
    path: PathBuf,
    held: Mutex<Held>,
}

struct Held {
    secrets: BTreeMap<String, String>,
    mark: Mark,
}

/// What tells one state of the file from another; none: there is no file.
type Mark = Option<(Option<SystemTime>, u64, u64)>;

fn mark(path: &Path) -> Mark {
    let meta = std::fs::metadata(path).ok()?;
    // every write makes a new file
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(&meta);
    #[cfg(not(unix))]
    let number = 0;
    Some((meta.modified().ok(), meta.len(), number))
}

// Values must never reach a log through `{:?}`.
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").field("path", &self.path).field("names", &self.names()).finish()
    }
}

impl Secrets {
    /// Reads `DATA/secrets.json`; a missing file holds no secrets.
    pub fn open(data_dir: &Path) -> Result<Self, SecretError> {
        let path = data_dir.join("secrets.json");
        let held = Mutex::new(read(&path)?);
        Ok(Self { path, held })
    }

    /// Names in order; never values.
    pub fn names(&self) -> Vec<String> {
        self.lock().secrets.keys().cloned().collect()
    }

    /// Whether there is a secret of this name.
    pub fn has(&self, name: &str) -> bool {
        self.lock().secrets.contains_key(name)
    }

    /// The value, for a process's environment only.
    pub fn get(&self, name: &str) -> Option<String> {
        self.lock().secrets.get(name).cloned()
    }

    /// Sets or replaces one; on disk when it returns.
    pub fn set(&self, name: &str, value: &str) -> Result<(), SecretError> {
        if !good_name(name) {
            return Err(SecretError::BadName(name.to_owned()));
        }
        if value.is_empty() || value.contains('\0') {
            return Err(SecretError::BadValue(name.to_owned()));
        }
        self.change(|held| {
            held.insert(name.to_owned(), value.to_owned());
        })
    }

    /// Removes one; `false` when there was none.
    pub fn remove(&self, name: &str) -> Result<bool, SecretError> {
        if !self.has(name) {
            return Ok(false);
        }
        self.change(|held| {
            held.remove(name);
        })?;
        Ok(true)
    }

    fn change(&self, edit: impl FnOnce(&mut BTreeMap<String, String>)) -> Result<(), SecretError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // from the file itself: one that can't be read isn't written over
        let mut secrets = read(&self.path)?.secrets;
        edit(&mut secrets);
        let stored = Stored { version: VERSION, secrets };
        let bytes = serde_json::to_vec_pretty(&stored)
            .map_err(|error| SecretError::Io { path: self.path.clone(), source: error.into() })?;
        files::write_private(&self.path, &bytes)
            .map_err(|source| SecretError::Io { path: self.path.clone(), source })?;
        *held = Held { secrets: stored.secrets, mark: mark(&self.path) };
        Ok(())
    }

    /// What is held, as the file says by now.
    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let now = mark(&self.path);
        if now != held.mark {
            match read(&self.path) {
                Ok(read) => *held = read,
                Err(error) => {
                    // Said once. Nothing is given out on the word of a file that can't be read.
                    tracing::error!("{error}; until then this node has no secrets");
                    *held = Held { secrets: BTreeMap::new(), mark: now };
                }
            }
        }
        held
    }
}

fn read(path: &Path) -> Result<Held, SecretError> {
    // before the look: a change meanwhile is seen the next time
    let mark = mark(path);
    let io = |source| SecretError::Io { path: path.to_owned(), source };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Held { secrets: BTreeMap::new(), mark: None });
        }
        Err(source) => return Err(io(source)),
    };
    let unreadable = |cause| SecretError::Unreadable { path: path.to_owned(), cause };
    // serde's own message may quote the value it stumbled over
    let place = |error: serde_json::Error| format!("not valid at line {}, column {}", error.line(), error.column());
    let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| unreadable(place(error)))?;
    if stored.version > VERSION {
        return Err(unreadable(format!("written by a newer metaopt (format {})", stored.version)));
    }
    files::restrict(path).map_err(io)?;
    Ok(Held { secrets: stored.secrets, mark })
}

fn good_name(name: &str) -> bool {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && chars.all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.to_ascii_uppercase().starts_with("METAOPT_")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_survives_reopening_and_only_its_name_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = Secrets::open(dir.path()).unwrap();
        secrets.set("WANDB_API_KEY", "hunter2hunter2").unwrap();
        let again = Secrets::open(dir.path()).unwrap();
        assert_eq!(again.names(), ["WANDB_API_KEY"]);
        assert_eq!(again.get("WANDB_API_KEY").as_deref(), Some("hunter2hunter2"));
        assert!(!format!("{again:?}").contains("hunter2"));
        assert!(again.remove("WANDB_API_KEY").unwrap());
        assert!(!again.remove("WANDB_API_KEY").unwrap());
        assert!(Secrets::open(dir.path()).unwrap().names().is_empty());
    }

    #[test]
    fn what_another_process_sets_or_removes_holds_from_then_on() {
        let dir = tempfile::tempdir().unwrap();
        let (daemon, command) = (Secrets::open(dir.path()).unwrap(), Secrets::open(dir.path()).unwrap());
        command.set("A", "first-value").unwrap();
        assert_eq!(daemon.get("A").as_deref(), Some("first-value"));
        command.set("A", "other-value").unwrap();
        assert_eq!(daemon.get("A").as_deref(), Some("other-value"), "also where the length is the same");
        daemon.set("B", "b").unwrap();
        assert_eq!(command.names(), ["A", "B"], "neither writes over what the other wrote");
        command.remove("A").unwrap();
        assert!(!daemon.has("A") && daemon.has("B"));
        std::fs::write(dir.path().join("secrets.json"), "{").unwrap();
        assert_eq!(daemon.get("B"), None);
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_only_its_owners() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        Secrets::open(dir.path()).unwrap().set("A", "b").unwrap();
        let mode = std::fs::metadata(dir.path().join("secrets.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn names_that_are_no_variable_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = Secrets::open(dir.path()).unwrap();
        for name in ["", "1A", "A-B", "A=B", "METAOPT_TOKEN", "metaopt_url"] {
            assert!(matches!(secrets.set(name, "x"), Err(SecretError::BadName(_))), "{name}");
        }
        assert!(matches!(secrets.set("A", "x\0y"), Err(SecretError::BadValue(_))));
    }

    #[test]
    fn a_broken_file_is_named_without_quoting_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("secrets.json"), r#"{"version":1,"secrets":{"A":"topsecret"},}"#).unwrap();
        let error = Secrets::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("secrets.json") && !error.contains("topsecret"), "{error}");
    }
}
