//! The roll of members, kept beside the database: with it a node finds its cluster again when the database is lost.
//!
//! Owns: one file. Must not: be believed while the database is there.

use std::{path::Path, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use metaopt_core::{Enrolled, Node};

use crate::{driver::Shell, platform::files};

/// Its name in the data directory.
pub const ROLL: &str = "members.json";
/// How often it is looked at; it changes as seldom as members do.
const LOOK: Duration = Duration::from_secs(5);
/// No roll is as large (bytes).
const LARGEST: u64 = 16 << 20;

/// The roll, where there is one.
///
/// # Errors
/// It can't be read. Going on without it would make a node that its cluster knows and that knows nobody.
pub fn read(dir: &Path) -> Result<Option<Vec<Enrolled>>> {
    let path = dir.join(ROLL);
    if !path.exists() {
        return Ok(None);
    }
    let shown = path.display();
    let bytes = files::read_plain(&path, LARGEST).with_context(|| format!("cannot read {shown}"))?;
    let help = || {
        format!(
            "{shown} is damaged; move it away, and let this node join again with `metaopt leave` and `metaopt join`"
        )
    };
    serde_json::from_slice(&bytes).with_context(help).map(Some)
}

/// Writes the roll whenever it has changed.
pub async fn keep(dir: PathBuf, shell: Shell) {
    let mut written = Vec::new();
    loop {
        let roll = shell.read(|node, _| Node::roll(node));
        if roll != written {
            let bytes = serde_json::to_vec_pretty(&roll).unwrap_or_default();
            match files::write_private(&dir.join(ROLL), &bytes) {
                Ok(()) => written = roll,
                Err(error) => tracing::warn!(%error, "cannot write {ROLL}"),
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use metaopt_schema::NodeId;

    use super::*;

    #[test]
    fn a_roll_is_read_as_it_was_written_and_a_damaged_one_is_an_error_with_a_way_out() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
        let one = Enrolled {
            node: NodeId::new("n"),
            public_key: "00".into(),
            name: "gpu1".into(),
            addresses: vec!["10.0.0.1:7879".into()],
            removed: true,
        };
        files::write_private(&dir.path().join(ROLL), &serde_json::to_vec(std::slice::from_ref(&one)).unwrap()).unwrap();
        assert_eq!(read(dir.path()).unwrap(), Some(vec![one]));
        files::write_private(&dir.path().join(ROLL), b"[{").unwrap();
        assert!(format!("{:#}", read(dir.path()).unwrap_err()).contains("metaopt leave"));
    }
}
