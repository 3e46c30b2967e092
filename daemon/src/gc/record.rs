//! `DATA/collected.jsonl`: what was collected lately, so that who looks for it is told and doesn't search.
//!
//! Owns: that file, its version marker and its bound. Must not: grow with the number of trials.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::plan::Why;
use crate::platform::files;

/// Of every line.
const VERSION: u32 = 1;
/// The file is cut to half of this many bytes when it is longer: some 10,000 lines.
const MOST: usize = 2 << 20;

/// One thing that was collected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// [`VERSION`]
    version: u32,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// What, beneath the data directory.
    pub path: String,
    /// Why, in words that follow "collected … by gc: ".
    pub why: String,
}

impl Collected {
    /// Something collected now.
    pub fn new(at: u64, path: &str, why: String) -> Self {
        Self { version: VERSION, at, path: path.to_owned(), why }
    }
}

/// In words, after "collected … by gc: ".
pub fn words(why: Why, kind: super::Kind, limit: super::Limit) -> String {
    match why {
        Why::Deleted => "its study was deleted".to_owned(),
        Why::Age => format!("{kind} are kept for {}", limit.age.map_or_else(String::new, time)),
        Why::Quota => {
            let quota = limit.quota.map_or_else(String::new, crate::snapshot::human);
            format!("the oldest {kind} go when all take more than {quota}")
        }
        Why::Disk => "the disk was low".to_owned(),
    }
}

/// The largest unit that fits without a rest, as it is typed.
pub fn time(length: std::time::Duration) -> String {
    let s = length.as_secs();
    let unit = [(86_400, "days"), (3_600, "hours"), (60, "minutes")];
    match unit.into_iter().find(|(size, _)| s >= 2 * size && s.is_multiple_of(*size)) {
        Some((size, name)) => format!("{} {name}", s / size),
        None => format!("{s} seconds"),
    }
}

fn file(data: &Path) -> PathBuf {
    data.join("collected.jsonl")
}

/// Adds lines; the oldest go when there are too many. Blocking.
///
/// # Errors
/// When the file can't be read or written.
pub fn add(data: &Path, new: &[Collected]) -> io::Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    let mut text = match fs::read_to_string(file(data)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    for one in new {
        text.push_str(&serde_json::to_string(one)?);
        text.push('\n');
    }
    if text.len() > MOST {
        let from = text.len() - MOST / 2;
        let from = text.as_bytes()[from..].iter().position(|b| *b == b'\n').map_or(text.len(), |at| from + at + 1);
        text.drain(..from);
    }
    files::write_private_lazily(&file(data), text.as_bytes())
}

/// When and why something was collected last, if that is still known; of a directory also for what was in it. Blocking.
pub fn find(data: &Path, path: &str) -> Option<Collected> {
    let text = fs::read_to_string(file(data)).ok()?;
    let read = |line: &str| serde_json::from_str::<Collected>(line).ok().filter(|one| one.version == VERSION);
    text.lines()
        .rev()
        .filter_map(read)
        .find(|one| path.strip_prefix(one.path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_collected_is_found_by_its_path_and_by_what_was_in_it() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(find(dir.path(), "logs/a-1.log"), None);
        let (log, output) =
            (Collected::new(1, "logs/a-1.log", "x".into()), Collected::new(2, "trials/a/output", "y".into()));
        add(dir.path(), &[log.clone(), output.clone()]).unwrap();
        assert_eq!(find(dir.path(), "logs/a-1.log"), Some(log));
        assert_eq!(find(dir.path(), "trials/a/output/model.pt"), Some(output));
        assert_eq!(find(dir.path(), "trials/a/outputs"), None);
        assert_eq!(find(dir.path(), "logs/a-1.log.tail"), None);
    }

    #[test]
    fn the_file_stays_bounded_and_keeps_the_latest() {
        let dir = tempfile::tempdir().unwrap();
        let lines = |from: u64| -> Vec<Collected> {
            (from..from + 10_000).map(|n| Collected::new(n, &format!("logs/n.{n}-1.log"), "w".repeat(60))).collect()
        };
        for round in 0..4 {
            add(dir.path(), &lines(round * 10_000)).unwrap();
        }
        let length = fs::metadata(file(dir.path())).unwrap().len() as usize;
        assert!(length <= MOST, "{length}");
        assert!(find(dir.path(), "logs/n.39999-1.log").is_some());
        assert!(find(dir.path(), "logs/n.1-1.log").is_none());
    }

    #[test]
    fn lines_of_version_1_are_still_read() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(file(dir.path()), include_str!("golden/collected-v1.jsonl")).unwrap();
        assert_eq!(find(dir.path(), "logs/n.1-1.log").unwrap().why, "logs are kept for 30 days");
    }

    #[test]
    fn times_are_said_in_the_largest_unit_without_a_rest() {
        let said = |s| time(Duration::from_secs(s));
        assert_eq!(
            [said(30 * 86_400), said(5400), said(7200), said(1)],
            ["30 days", "90 minutes", "2 hours", "1 seconds"]
        );
    }
}
