//! What a script leaves when it ends: its result, its undelivered calls, its checkpoint.
//!
//! Owns: the forms a result may take (a results file, Oríon's list in it, a `metaopt:` line). Must not: judge whether
//! the values suffice; the node knows the objectives.

use std::{
    fs, io,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use metaopt_core::launch::Spooled;
use metaopt_schema::{stamp::WallMs, trial::Values};
use serde_json::Value;

use crate::platform::files;

/// Larger results files are refused (bytes).
const LARGEST: u64 = 1024 * 1024;

/// Of spooled calls more than this isn't read (bytes).
const LARGEST_SPOOL: u64 = 64 * 1024 * 1024;

/// What commits a checkpoint: `{"step": 12, "exact": true}`.
const CHECKPOINT_MARKER: &str = ".metaopt-checkpoint.json";

/// Of a larger marker nothing is read (bytes).
const LARGEST_MARKER: u64 = 64 * 1024;

/// A result and what else was seen, for the `missing_metric` message.
#[derive(Debug, Default, PartialEq)]
pub struct Found {
    /// All finite values; `Err` says what was wrong; `None` where there was nothing.
    pub result: Option<Result<Values, String>>,
    /// Metrics that aren't objectives, or aren't finite (`loss=nan`).
    pub seen: Vec<String>,
}

impl Found {
    fn of(pairs: Vec<(String, f64)>, metrics: &[String]) -> Self {
        let mut values = Values::new();
        let mut seen = Vec::new();
        for (name, value) in pairs {
            if !value.is_finite() {
                seen.push(format!("{name}={value}").to_lowercase());
                continue;
            }
            if !metrics.contains(&name) {
                seen.push(name.clone());
            }
            values.insert(name, value);
        }
        Self { result: Some(Ok(values)), seen }
    }

    fn wrong(message: String) -> Self {
        Self { result: Some(Err(message)), seen: Vec::new() }
    }

    /// Everything in it that quotes the script, changed: metrics' names too.
    #[must_use]
    pub fn map_text(self, change: impl Fn(&str) -> String) -> Self {
        let renamed = |values: Values| values.into_iter().map(|(name, value)| (change(&name), value)).collect();
        Self {
            result: self.result.map(|result| result.map(renamed).map_err(|message| change(&message))),
            seen: self.seen.iter().map(|name| change(name)).collect(),
        }
    }

    fn is_good(&self) -> bool {
        matches!(&self.result, Some(Ok(_)))
    }
}

/// The results file if it holds a result, else the line; of two wrong ones the file is told about.
pub fn find(file: &Path, line: Option<&str>, metrics: &[String]) -> Found {
    let from_file = read_file(file, metrics);
    if from_file.is_good() {
        return from_file;
    }
    match line.map(|line| parse_line(line, metrics)) {
        Some(found) if found.is_good() || from_file.result.is_none() => found,
        _ => from_file,
    }
}

fn read_file(path: &Path, metrics: &[String]) -> Found {
    let bytes = match files::read_plain(path, LARGEST + 1) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::default(),
        Err(error) => return Found::wrong(format!("the results file can't be read: {error}")),
    };
    if bytes.len() as u64 > LARGEST {
        return Found::wrong(format!("the results file is larger than {LARGEST} bytes; it should hold metrics only"));
    }
    let text = String::from_utf8_lossy(&bytes);
    if text.trim().is_empty() {
        return Found::wrong("the results file is empty".to_owned());
    }
    match parse_json(&text) {
        Ok(value) => interpret(&value, metrics),
        Err(error) => Found::wrong(format!("the results file is not JSON: {error}")),
    }
}

/// JSON, and the `NaN` and `Infinity` that Python writes into it (as null: they are no results).
fn parse_json(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(text).or_else(|error| {
        let mut out = String::with_capacity(text.len());
        let (mut rest, mut in_string) = (text, false);
        while let Some(next) = rest.chars().next() {
            let word = ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| !in_string && rest.starts_with(word));
            if let Some(word) = word {
                out.push_str("null");
                rest = &rest[word.len()..];
                continue;
            }
            let mut length = next.len_utf8();
            match next {
                '"' => in_string = !in_string,
                // an escaped character is no end of a string
                '\\' if in_string => length += rest[length..].chars().next().map_or(0, char::len_utf8),
                _ => (),
            }
            out.push_str(&rest[..length]);
            rest = &rest[length..];
        }
        serde_json::from_str(&out).map_err(|_| error)
    })
}

fn interpret(value: &Value, metrics: &[String]) -> Found {
    match value {
        Value::Object(members) => {
            let mut pairs = Vec::new();
            for (name, value) in members {
                match number(value) {
                    Some(number) => pairs.push((name.clone(), number)),
                    None if metrics.contains(name) => {
                        return Found::wrong(format!("`{name}` in the results file is {value}, not a number"));
                    }
                    None => (),
                }
            }
            Found::of(pairs, metrics)
        }
        Value::Array(entries) => orion(entries, metrics),
        // a lone number is the objective where there is but one
        Value::Number(_) if metrics.len() == 1 => {
            Found::of(number(value).map(|number| (metrics[0].clone(), number)).into_iter().collect(), metrics)
        }
        _ => Found::wrong(
            "the results file holds neither an object such as {\"loss\": 0.39} nor Oríon's list".to_owned(),
        ),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Null => Some(f64::NAN),
        Value::Number(number) => number.as_f64(),
        _ => None,
    }
}

/// Oríon's `[{"name": …, "type": "objective", "value": …}]`. Its lone objective is the study's lone objective,
/// whatever its name: Oríon's own default name is `objective`.
fn orion(entries: &[Value], metrics: &[String]) -> Found {
    let mut pairs: Vec<(String, f64)> = Vec::new();
    let mut objectives = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let field = |name: &str| entry.get(name).and_then(Value::as_str);
        let (Some(name), Some(value)) = (field("name"), entry.get("value")) else {
            return Found::wrong(format!("entry {index} of the results file's list has no `name` or no `value`"));
        };
        let kind = field("type").unwrap_or("objective");
        match number(value) {
            Some(number) => {
                if kind == "objective" {
                    objectives.push(pairs.len());
                }
                pairs.push((name.to_owned(), number));
            }
            // gradients are lists
            None if kind != "objective" => (),
            None => return Found::wrong(format!("objective `{name}` in the results file is {value}, not a number")),
        }
    }
    if let ([metric], [only]) = (metrics, objectives.as_slice())
        && !pairs.iter().any(|(name, _)| name == metric)
    {
        pairs[*only].0.clone_from(metric);
    }
    Found::of(pairs, metrics)
}

/// Whether a line of standard output is meant for us.
pub fn is_result_line(line: &str) -> bool {
    line.starts_with("metaopt:")
}

/// `metaopt: loss=0.39 acc=0.9`
pub fn parse_line(line: &str, metrics: &[String]) -> Found {
    let rest = line.strip_prefix("metaopt:").unwrap_or(line);
    let mut pairs = Vec::new();
    for word in rest.split([' ', '\t', ',', '\r']).filter(|word| !word.is_empty()) {
        match word.split_once('=').map(|(name, value)| (name, value.parse::<f64>())) {
            Some((name, Ok(value))) if !name.is_empty() => pairs.push((name.to_owned(), value)),
            _ => {
                return Found::wrong(format!(
                    "`{}` should read like `metaopt: loss=0.39`: `{word}` doesn't",
                    line.trim()
                ));
            }
        }
    }
    if pairs.is_empty() {
        return Found::wrong(format!("`{}` names no metric; write `metaopt: loss=0.39`", line.trim()));
    }
    Found::of(pairs, metrics)
}

/// Calls that the script could not deliver; broken lines (a script killed while writing) are passed over.
pub fn spooled(path: &Path) -> Vec<Spooled> {
    let Ok(bytes) = files::read_plain(path, LARGEST_SPOOL) else { return Vec::new() };
    bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Spooled>(line).ok())
        .filter(|one| one.call == "reports" || one.call == "complete")
        .collect()
}

/// Whether a checkpoint was committed: by `trial.checkpoint()`'s marker, or by a finished file or folder moved into
/// the directory. Hidden names and names that say they are unfinished don't count.
pub fn has_checkpoint(dir: &Path) -> bool {
    dir.join(CHECKPOINT_MARKER).symlink_metadata().is_ok() || finished(dir).next().is_some()
}

/// The step that a checkpoint's marker names, and whether the script gave it (else it is the one reported last).
pub fn checkpoint_step(dir: &Path) -> Option<(u64, bool)> {
    let bytes = files::read_plain(&dir.join(CHECKPOINT_MARKER), LARGEST_MARKER).ok()?;
    let marker: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    Some((marker["step"].as_u64()?, marker["exact"] == true))
}

/// When the latest finished entry of a checkpoint directory was written; 0: there is none.
pub fn checkpoint_at(dir: &Path) -> WallMs {
    let written = |entry: fs::DirEntry| entry.metadata().and_then(|meta| meta.modified()).ok();
    let ms = |at: SystemTime| at.duration_since(UNIX_EPOCH).map_or(0, |past| past.as_millis() as WallMs);
    finished(dir).filter_map(written).map(ms).max().unwrap_or(0)
}

/// Finished entries of a checkpoint directory.
fn finished(dir: &Path) -> impl Iterator<Item = fs::DirEntry> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| is_finished(&entry.file_name().to_string_lossy()))
}

fn is_finished(name: &str) -> bool {
    !name.starts_with('.')
        && !name.ends_with('~')
        && ![".tmp", ".temp", ".part", ".partial", ".incomplete"].iter().any(|end| name.to_lowercase().ends_with(end))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn metrics(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn values(pairs: &[(&str, f64)]) -> Option<Result<Values, String>> {
        Some(Ok(pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()))
    }

    fn from_file(text: &str, names: &[&str]) -> Found {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.json");
        fs::write(&path, text).unwrap();
        find(&path, None, &metrics(names))
    }

    #[test]
    fn an_object_of_metrics_is_a_result() {
        let found = from_file(r#"{"loss": 0.39, "acc": 1, "note": "x"}"#, &["loss"]);
        assert_eq!(found.result, values(&[("loss", 0.39), ("acc", 1.0)]));
        assert_eq!(found.seen, ["acc"]);
    }

    #[test]
    fn orions_list_is_a_result_and_its_lone_objective_needs_no_name() {
        let text = r#"[{"name":"g","type":"gradient","value":[1,2]},{"name":"t","type":"statistic","value":3},
                       {"name":"objective","type":"objective","value":0.25}]"#;
        assert_eq!(from_file(text, &["loss"]).result, values(&[("t", 3.0), ("loss", 0.25)]));
        assert_eq!(from_file(text, &["loss", "acc"]).result, values(&[("t", 3.0), ("objective", 0.25)]));
        let text = r#"[{"name":"loss","type":"objective","value":0.39}]"#;
        assert_eq!(from_file(text, &["loss"]).result, values(&[("loss", 0.39)]));
    }

    #[test]
    fn python_s_nan_is_no_value_but_is_told() {
        let found = from_file(r#"{"loss": NaN, "NaN\"": -Infinity, "acc": 0.5}"#, &["loss"]);
        assert_eq!(found.result, values(&[("acc", 0.5)]));
        assert_eq!(found.seen, ["nan\"=nan", "acc", "loss=nan"]);
    }

    #[test]
    fn wrong_files_say_what_is_wrong() {
        for (text, part) in [
            ("", "empty"),
            ("{", "not JSON"),
            (r#""x""#, "neither"),
            (r#"{"loss":"a"}"#, "not a number"),
            ("[1]", "entry 0"),
        ] {
            let Some(Err(message)) = from_file(text, &["loss"]).result else { panic!("{text} was taken") };
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn the_line_is_read_when_the_file_has_no_result() {
        let nowhere = Path::new("/nonexistent/metaopt");
        let found = find(nowhere, Some("metaopt: loss=0.39 acc=9e-1"), &metrics(&["loss"]));
        assert_eq!(found.result, values(&[("loss", 0.39), ("acc", 0.9)]));
        assert_eq!(find(nowhere, Some("metaopt: loss=nan"), &metrics(&["loss"])).seen, ["loss=nan"]);
        assert!(matches!(find(nowhere, Some("metaopt: done"), &metrics(&["loss"])).result, Some(Err(_))));
        assert_eq!(find(nowhere, None, &[]), Found::default());
    }

    #[test]
    fn the_file_wins_over_the_line_unless_it_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.json");
        fs::write(&path, r#"{"loss": 1}"#).unwrap();
        let line = Some("metaopt: loss=2");
        assert_eq!(find(&path, line, &metrics(&["loss"])).result, values(&[("loss", 1.0)]));
        fs::write(&path, "{").unwrap();
        assert_eq!(find(&path, line, &metrics(&["loss"])).result, values(&[("loss", 2.0)]));
    }

    #[test]
    fn spooled_calls_come_in_order_past_broken_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spool.jsonl");
        fs::write(&path, "{\"call\":\"reports\",\"body\":{\"step\":1}}\nrubbish\n{\"call\":\"complete\",\"body\":{}}\n{\"call\":\"rep").unwrap();
        assert_eq!(spooled(&path).iter().map(|one| one.call.as_str()).collect::<Vec<_>>(), ["reports", "complete"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_or_a_pipe_in_the_file_s_place_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let (secret, link, pipe) = (dir.path().join("secrets.json"), dir.path().join("link"), dir.path().join("pipe"));
        fs::write(&secret, r#"{"loss": 1}"#).unwrap();
        std::os::unix::fs::symlink(&secret, &link).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        for path in [&link, &pipe] {
            let Some(Err(message)) = read_file(path, &metrics(&["loss"])).result else { panic!("{path:?} was taken") };
            assert!(message.contains("not a plain file"), "{message}");
            assert_eq!(spooled(path), []);
        }
    }

    #[test]
    fn a_checkpoint_says_which_step_it_holds_or_when_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!((checkpoint_step(dir.path()), checkpoint_at(dir.path())), (None, 0));
        let marker = dir.path().join(".metaopt-checkpoint.json");
        for (text, step) in [
            (r#"{"step": 4, "exact": false, "time": "2026"}"#, Some((4, false))),
            (r#"{"step": 12, "exact": true}"#, Some((12, true))),
            (r#"{"step": 12}"#, Some((12, false))),
            (r#"{"step": -1}"#, None),
            ("{", None),
        ] {
            fs::write(&marker, text).unwrap();
            assert_eq!(checkpoint_step(dir.path()), step, "{text}");
        }
        assert_eq!(checkpoint_at(dir.path()), 0);
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as WallMs;
        fs::write(dir.path().join("model.pt.tmp"), "x").unwrap();
        assert_eq!(checkpoint_at(dir.path()), 0);
        fs::write(dir.path().join("model.pt"), "x").unwrap();
        assert!(checkpoint_at(dir.path()) + 1_000 >= before);
    }

    #[test]
    fn only_finished_checkpoints_count() {
        let dir = tempfile::tempdir().unwrap();
        for unfinished in ["a.tmp", ".b", "c.partial", "d~"] {
            fs::write(dir.path().join(unfinished), "").unwrap();
        }
        assert!(!has_checkpoint(dir.path()));
        fs::write(dir.path().join(".metaopt-checkpoint.json"), "{}").unwrap();
        assert!(has_checkpoint(dir.path()));
        assert!(!has_checkpoint(&dir.path().join("nowhere")));
    }
}
