//! `metaopt.toml` of the data directory, edited in place: a few keys are set, the rest stays as its owner wrote it.
//!
//! Owns: writing top-level keys. Must not: know what they mean; the daemon reads and checks them.

use std::path::Path;

use crate::failure::{Doing, Failure};

/// Sets top-level keys to values already written as TOML. Answers whether anything changed.
pub fn set(dir: &Path, values: &[(&str, String)]) -> Result<bool, Failure> {
    let path = dir.join("metaopt.toml");
    let before = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).doing(|| format!("cannot read {}", path.display())),
    };
    let after = edited(&before, values);
    if after == before {
        return Ok(false);
    }
    // Whole or not at all: a daemon that starts meanwhile reads one or the other.
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        std::io::Write::write_all(&mut file, after.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    };
    write().doing(|| format!("cannot write {}", path.display()))?;
    Ok(true)
}

/// A text as TOML.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))
}

fn edited(text: &str, values: &[(&str, String)]) -> String {
    let lines: Vec<&str> = text.lines().collect();
    // Top-level keys stand above the first table.
    let end = lines.iter().position(|line| line.trim_start().starts_with('[')).unwrap_or(lines.len());
    let mut top: Vec<String> = lines[..end].iter().map(|line| (*line).to_owned()).collect();
    for (key, value) in values {
        let line = format!("{key} = {value}");
        let is_it = |line: &String| line.split_once('=').is_some_and(|(left, _)| left.trim() == *key);
        match top.iter().position(is_it) {
            Some(at) => top[at] = line,
            None => {
                let blank = top.iter().rev().take_while(|line| line.trim().is_empty()).count();
                top.insert(top.len() - blank, line);
            }
        }
    }
    let all = top.iter().map(String::as_str).chain(lines[end..].iter().copied());
    all.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_set_above_the_tables_and_the_rest_stays() {
        let values = [("slots", "0".to_owned()), ("gpus", quoted("none"))];
        assert_eq!(edited("", &values), "slots = 0\ngpus = \"none\"\n");
        let before = "# mine\nname = \"box\"\nslots = 4   # all\n\n[label]\nslots = \"x\"\n";
        let after = "# mine\nname = \"box\"\nslots = 0\ngpus = \"none\"\n\n[label]\nslots = \"x\"\n";
        assert_eq!(edited(before, &values), after);
        assert_eq!(edited(after, &values), after);
        assert_eq!(quoted(r#"a"b\c"#), r#""a\"b\\c""#);
    }

    #[test]
    fn a_file_is_written_once() {
        let dir = tempfile::tempdir().unwrap();
        assert!(set(dir.path(), &[("slots", "0".into())]).unwrap());
        assert!(!set(dir.path(), &[("slots", "0".into())]).unwrap());
        assert_eq!(std::fs::read_to_string(dir.path().join("metaopt.toml")).unwrap(), "slots = 0\n");
    }
}
