//! Tokens of dashboards: one for each `metaopt open`, in a file `dashboards.json` (mode 0600) of the data directory. It holds
//! their hashes alone, so that who reads it learns no token.
//!
//! Owns: that file, and which of these tokens hold. Must not: keep or log a token itself.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use metaopt_core::node::base32;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{data_dir::random, platform::files};

const VERSION: u32 = 1;
const FILE: &str = "dashboards.json";
/// How such a token begins, so that people who find one know what it is.
const PREFIX: &str = "md_";
/// Most that hold at once; one more ends the oldest.
const MOST: usize = 64;

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    /// Hashes, oldest first.
    tokens: Vec<String>,
}

/// The tokens of one node's dashboards.
pub struct Dashboards {
    path: PathBuf,
    held: Mutex<Held>,
}

struct Held {
    hashes: Vec<blake3::Hash>,
    /// Cancelled when these tokens hold no more.
    revoked: CancellationToken,
}

impl Dashboards {
    /// Reads `DATA/dashboards.json`. Where that is missing or can't be understood no token holds: pages ask for a new one.
    pub fn open(data_dir: &Path) -> Self {
        let path = data_dir.join(FILE);
        let hashes = read(&path).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "no dashboard that was open may go on: `metaopt open` again");
            Vec::new()
        });
        Self { path, held: Mutex::new(Held { hashes, revoked: CancellationToken::new() }) }
    }

    /// A new token; it holds, and after a restart too, when this returns.
    ///
    /// # Errors
    /// When it can't be drawn or stored.
    pub fn issue(&self) -> io::Result<String> {
        let token = format!("{PREFIX}{}", base32(&random::<20>().map_err(io::Error::other)?));
        let mut held = self.lock();
        let mut hashes = held.hashes.clone();
        hashes.push(hash(&token));
        hashes.drain(..hashes.len().saturating_sub(MOST));
        self.write(&hashes)?;
        held.hashes = hashes;
        Ok(token)
    }

    /// Ends all tokens; how many there were.
    ///
    /// # Errors
    /// When that can't be stored: they hold on.
    pub fn revoke(&self) -> io::Result<usize> {
        let mut held = self.lock();
        self.write(&[])?;
        std::mem::take(&mut held.revoked).cancel();
        Ok(std::mem::take(&mut held.hashes).len())
    }

    /// Whether a token holds.
    pub fn admits(&self, token: &str) -> bool {
        // blake3's comparison takes the same time wherever the difference is.
        token.starts_with(PREFIX) && self.lock().hashes.contains(&hash(token))
    }

    /// Cancelled when the tokens that hold now hold no more.
    pub fn revoked(&self) -> CancellationToken {
        self.lock().revoked.clone()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, hashes: &[blake3::Hash]) -> io::Result<()> {
        let tokens = hashes.iter().map(|hash| hash.to_hex().to_string()).collect();
        files::write_private(&self.path, &serde_json::to_vec(&Stored { version: VERSION, tokens })?)
    }
}

fn hash(token: &str) -> blake3::Hash {
    blake3::hash(token.as_bytes())
}

fn read(path: &Path) -> io::Result<Vec<blake3::Hash>> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    let stored: Stored = serde_json::from_slice(&bytes)?;
    if stored.version != VERSION {
        return Err(io::Error::other(format!("version {} is not one that this metaopt knows", stored.version)));
    }
    stored.tokens.iter().map(|hex| blake3::Hash::from_hex(hex).map_err(io::Error::other)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    /// A file as version 1 writes it, with the token `md_golden`.
    const GOLDEN: &str =
        r#"{"version":1,"tokens":["4937a0eed84bb8c887eb9d84a9a130d887355f1e38d80e5ae8768dbad75d216a"]}"#;

    #[test]
    fn tokens_hold_over_restarts_until_they_are_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let first = Dashboards::open(dir.path());
        let (one, two) = (first.issue().unwrap(), first.issue().unwrap());
        assert_ne!(one, two);
        let again = Dashboards::open(dir.path());
        assert!(again.admits(&one) && again.admits(&two) && !again.admits("md_") && !again.admits(""));
        let held = again.revoked();
        assert!(!held.is_cancelled());
        assert_eq!(again.revoke().unwrap(), 2);
        assert!(held.is_cancelled() && !again.admits(&one) && !again.revoked().is_cancelled());
        let three = again.issue().unwrap();
        let last = Dashboards::open(dir.path());
        assert!(!last.admits(&two) && last.admits(&three));
    }

    #[test]
    fn the_file_is_private_and_holds_no_token() {
        let dir = tempfile::tempdir().unwrap();
        let dashboards = Dashboards::open(dir.path());
        let token = dashboards.issue().unwrap();
        let text = std::fs::read_to_string(dashboards.path()).unwrap();
        assert!(text.contains("\"version\":1") && !text.contains(&token[PREFIX.len()..]), "{text}");
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&dashboards.path().metadata().unwrap()) & 0o777, 0o600);
    }

    #[test]
    fn one_too_many_ends_the_oldest() {
        let dir = tempfile::tempdir().unwrap();
        let dashboards = Dashboards::open(dir.path());
        let tokens: Vec<String> = (0..=MOST).map(|_| dashboards.issue().unwrap()).collect();
        assert!(!dashboards.admits(&tokens[0]) && tokens[1..].iter().all(|token| dashboards.admits(token)));
    }

    #[test]
    fn files_of_version_1_are_read_and_of_strange_ones_no_token_holds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        std::fs::write(&path, GOLDEN).unwrap();
        assert!(Dashboards::open(dir.path()).admits("md_golden"));
        for strange in [String::new(), "[]".into(), GOLDEN.replace(":1", ":2"), GOLDEN.replace("4937", "xyz")] {
            std::fs::write(&path, &strange).unwrap();
            let opened = Dashboards::open(dir.path());
            assert!(!opened.admits("md_golden"), "{strange}");
            let token = opened.issue().unwrap();
            assert!(Dashboards::open(dir.path()).admits(&token));
        }
    }
}
