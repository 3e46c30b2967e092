//! `/studies/{study}/import`: finished trials, one JSON object a line.
//!
//! Owns: reading the lines and naming the wrong ones. Must not: add some where others are wrong.

use axum::extract::{Request, State};
use indexmap::IndexMap;
use metaopt_api::{
    study::Imported,
    trial::{MAX_REPORTS, TRIAL_FIELDS},
};
use metaopt_core::{
    Node, Refusal, RefusalKind,
    commands::{ImportedTrial, Report, Told},
};
use metaopt_schema::{
    FieldError, Fields,
    problem::token,
    shape::{self, Field, Kind, may, need, opt},
    trial::Values,
};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::{
    App,
    body::{Chunks, IMPORT_LIMIT, LIMIT, Loose},
    problem::{Answer, ApiError, disk},
    query::{In, Query},
};

/// Some editors begin a file with it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Wrong lines named in one answer.
const NAMED: usize = 20;

/// Trials added in one go: others are served in between.
const BATCH: usize = 500;

/// POST: imports all lines, or none where one of them is wrong. The body is read twice, the first time only to check it,
/// so that it need not fit into memory; in between it lies in a file without a name.
pub async fn post(
    State(app): State<App>,
    In(study): In<String>,
    query: Query,
    request: Request,
) -> Answer<axum::Json<Imported>> {
    app.room()?;
    query.only(&["format"])?;
    query.word("format", &["jsonl"])?;
    // Before hundreds of megabytes are read for nothing.
    let study = app.shell().read(|node, _| node.study(&study).map(|s| s.id.to_string()))?;
    let (parts, body) = request.into_parts();
    let mut chunks = Chunks::open(&parts.headers, body, IMPORT_LIMIT).await?;
    let spool = tempfile::tempfile_in(app.data_dir()).map_err(|error| disk(app.data_dir(), &error))?;
    let mut spool = tokio::fs::File::from_std(spool);
    let mut lines = Lines::default();
    while let Some(bytes) = chunks.next().await? {
        lines.push(&bytes)?;
        spool.write_all(&bytes).await.map_err(|error| disk(app.data_dir(), &error))?;
        if lines.trials.len() >= BATCH {
            check(&app, &study, lines.take())?;
        }
    }
    let unfinished = lines.finish()?;
    check(&app, &study, lines.take())?;

    spool.rewind().await.map_err(|error| disk(app.data_dir(), &error))?;
    let mut lines = Lines::default();
    let mut done = Imported { added: 0, skipped: 0, unfinished };
    let mut buffer = vec![0; READ];
    loop {
        let length = spool.read(&mut buffer).await.map_err(|error| disk(app.data_dir(), &error))?;
        if length == 0 {
            lines.finish()?;
        } else {
            lines.push(&buffer[..length])?;
        }
        while lines.trials.len() >= BATCH || (length == 0 && !lines.trials.is_empty()) {
            let (trials, numbers) = lines.take_some(BATCH);
            let study = study.clone();
            let import = move |node: &mut Node, now| node.import(now, &study, trials);
            let some = app.shell().call(move |node, now| import(node, now).map_err(|r| on_lines(r, &numbers))).await?;
            (done.added, done.skipped) = (done.added + some.added, done.skipped + some.skipped);
        }
        if length == 0 {
            return Ok(axum::Json(done));
        }
    }
}

/// Bytes read back at once.
const READ: usize = 64 * 1024;

fn check(app: &App, study: &str, (mut trials, numbers): (Vec<ImportedTrial>, Vec<usize>)) -> Answer<()> {
    let checked = app.shell().read(|node, _| node.check_import(study, &mut trials).map(|_| ()));
    Ok(checked.map_err(|refusal| on_lines(refusal, &numbers))?)
}

/// The node counts trials; people count lines.
fn on_lines(refusal: Refusal, numbers: &[usize]) -> Refusal {
    if refusal.kind != RefusalKind::Invalid {
        return refusal;
    }
    let moved = |error: FieldError| {
        let (index, rest) = error.pointer[1.min(error.pointer.len())..].split_once('/').unwrap_or(("", ""));
        match index.parse::<usize>().ok().and_then(|i| numbers.get(i)) {
            Some(line) => at_line(*line, FieldError { pointer: format!("/{rest}"), detail: error.detail }),
            None => error,
        }
    };
    Refusal::invalid(refusal.errors.into_iter().map(moved).collect())
}

/// Pointers lead into the array of lines, from 0; the text says the line's number, from 1.
fn at_line(line: usize, error: FieldError) -> FieldError {
    FieldError { pointer: format!("/{}{}", line - 1, error.pointer), detail: format!("line {line}: {}", error.detail) }
}

#[derive(Default)]
pub(crate) struct Lines {
    part: Vec<u8>,
    line: usize,
    trials: Vec<ImportedTrial>,
    numbers: Vec<usize>,
    unfinished: u64,
    errors: Vec<FieldError>,
}

impl Lines {
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Answer<()> {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            self.part.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            self.end_line();
            if self.errors.len() >= NAMED {
                return Err(ApiError::fields(std::mem::take(&mut self.errors)));
            }
        }
        self.part.extend_from_slice(rest);
        if self.part.len() as u64 > LIMIT {
            let error = FieldError { pointer: String::new(), detail: format!("longer than {LIMIT} bytes") };
            return Err(ApiError::fields(vec![at_line(self.line + 1, error)]));
        }
        Ok(())
    }

    fn end_line(&mut self) {
        self.line += 1;
        let mut text = std::mem::take(&mut self.part);
        if self.line == 1 && text.starts_with(BYTE_ORDER_MARK) {
            text.drain(..BYTE_ORDER_MARK.len());
        }
        if text.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let mut errors = Fields::new();
        match serde_json::from_slice::<Value>(&text) {
            Ok(value) => match read(&value, &mut errors) {
                Some(trial) if errors.0.is_empty() => {
                    self.trials.push(trial);
                    self.numbers.push(self.line);
                }
                None if errors.0.is_empty() => self.unfinished += 1,
                _ => {}
            },
            Err(error) => match Loose::parse(&text) {
                Ok(loose) if !loose.not_finite.is_empty() => {
                    for (pointer, number) in loose.not_finite {
                        errors.add(pointer, format!("{number} is not a finite number"));
                    }
                }
                _ if std::str::from_utf8(&text).is_err() => errors.add("", "not UTF-8: save the file as UTF-8"),
                _ => {
                    let said = error.to_string();
                    let what = said.split(" at line ").next().unwrap_or_default();
                    errors.add("", format!("not a JSON object: {what} at column {}", error.column()));
                }
            },
        }
        let line = self.line;
        self.errors.extend(errors.0.into_iter().map(|e| at_line(line, e)));
    }

    /// What was read since, and the numbers of its lines.
    pub(crate) fn take(&mut self) -> (Vec<ImportedTrial>, Vec<usize>) {
        (std::mem::take(&mut self.trials), std::mem::take(&mut self.numbers))
    }

    /// The same of the first `most`.
    fn take_some(&mut self, most: usize) -> (Vec<ImportedTrial>, Vec<usize>) {
        let most = most.min(self.trials.len());
        (self.trials.drain(..most).collect(), self.numbers.drain(..most).collect())
    }

    /// After the last byte; how many lines had no result.
    pub(crate) fn finish(&mut self) -> Answer<u64> {
        if !self.part.is_empty() {
            self.end_line();
        }
        if self.errors.is_empty() {
            Ok(self.unfinished)
        } else {
            Err(ApiError::fields(std::mem::take(&mut self.errors)))
        }
    }
}

/// A line may be a whole trial as exported; what a trial can't take along (its label, number, attempts, …) is passed over.
fn fields() -> Vec<Field> {
    let known = [
        need("params", Kind::Object),
        need("state", Kind::Text),
        opt("values", Kind::Object),
        opt("reports", Kind::List),
        opt("id", Kind::Text),
        opt("detail", Kind::Text),
        opt("user_attrs", Kind::Object),
    ];
    let passed_over = TRIAL_FIELDS.iter().filter(|name| known.iter().all(|k| k.name != **name));
    known.iter().copied().chain(passed_over.map(|name| may(name, Kind::Any))).collect()
}

/// None without an error: the trial has no result yet.
fn read(value: &Value, errors: &mut Fields) -> Option<ImportedTrial> {
    let map = shape::object(value, "", "a trial", &fields(), false, errors)?;
    let object = |name: &str| -> IndexMap<String, Value> {
        map.get(name).and_then(Value::as_object).into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    let mut values = Values::new();
    for (name, value) in object("values") {
        match value.as_f64() {
            Some(number) => {
                values.insert(name, number);
            }
            None if value.is_null() => {}
            None => errors.add(
                format!("/values/{}", token(&name)),
                format!("`{name}` must be a number, not {}", shape::describe(&value)),
            ),
        }
    }
    let mut reports = Vec::new();
    for (i, report) in map.get("reports").and_then(Value::as_array).into_iter().flatten().take(MAX_REPORTS).enumerate()
    {
        let values = report.get("values").and_then(Value::as_object);
        match (report.get("step").and_then(Value::as_u64), values) {
            (Some(step @ 1..), Some(values)) if values.values().all(|v| v.is_number() || v.is_null()) => {
                let values = values.iter().map(|(k, v)| (k.clone(), v.as_f64())).collect();
                reports.push(Report { step, values, attempt: None });
            }
            _ => errors.add(format!("/reports/{i}"), "must be like {\"step\": 1, \"values\": {\"loss\": 0.4}}"),
        }
    }
    let told = match map.get("state").and_then(Value::as_str).unwrap_or_default() {
        "complete" => Told::Complete(values),
        "pruned" => {
            // An export has a pruned trial's last values but not its curve: they become its last point.
            let step = map.get("last_step").and_then(Value::as_u64).unwrap_or(0).max(1);
            if reports.is_empty() && !values.is_empty() {
                let values = values.into_iter().map(|(k, v)| (k, Some(v))).collect();
                reports.push(Report { step, values, attempt: None });
            }
            Told::Pruned
        }
        "fail" => Told::Fail,
        "infeasible" => Told::Infeasible,
        "waiting" | "running" | "paused" | "cancelled" => return None,
        other => {
            let known = ["complete", "pruned", "fail", "infeasible", "waiting", "running", "paused", "cancelled"];
            errors.add("/state", shape::unknown("state", other, &known));
            return None;
        }
    };
    let text = |name: &str| map.get(name).and_then(Value::as_str).map(str::to_owned);
    Some(ImportedTrial {
        params: object("params"),
        told,
        reports,
        detail: text("detail"),
        user_attrs: object("user_attrs"),
        id: text("id").filter(|id| !id.is_empty()),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_across_chunks_and_blank_ones_passed_over() {
        let text = "{\"params\": {\"x\": 1}, \"state\": \"complete\", \"values\": {\"loss\": 2}}\r\n\n{\"params\": {}, \"state\": \"running\"}\n{\"params\": {\"x\": 2}, \"state\": \"pruned\", \"values\": {\"loss\": 3}, \"last_step\": 7, \"label\": \"a-1\"}";
        let mut lines = Lines::default();
        for chunk in text.as_bytes().chunks(7) {
            lines.push(chunk).unwrap();
        }
        let unfinished = lines.finish().unwrap();
        let (trials, numbers) = lines.take();
        assert_eq!((trials.len(), numbers.as_slice(), unfinished), (2, &[1, 4][..], 1));
        assert_eq!(trials[1].reports[0].step, 7);
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said_in_words_and_a_byte_order_mark_is_not() {
        let mut lines = Lines::default();
        let good = b"\xef\xbb\xbf{\"params\": {\"x\": 1}, \"state\": \"fail\"}\n";
        lines.push(good).unwrap();
        lines.push(b"{\"params\": {\"x\": NaN}, \"state\": \"fail\"}\n\xff\xfe{\n{]\n").unwrap();
        let text = format!("{:?}", lines.finish().unwrap_err());
        for part in ["/1/params/x", "NaN is not a finite number", "line 3: not UTF-8", "line 4: not a JSON object: "] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("line 1:") && !text.contains("at line"), "{text}");
    }

    #[test]
    fn every_wrong_line_is_named() {
        let mut lines = Lines::default();
        lines.push(b"{}\nnot json\n{\"params\": {}, \"state\": \"done\", \"vlaues\": {}}\n").unwrap();
        let text = format!("{:?}", lines.finish().unwrap_err());
        for part in
            ["line 1: ", "needs the field `params`", "line 2: not a JSON object", "/2/vlaues", "did you mean `values`"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn the_nodes_indices_become_lines() {
        let refusal = Refusal::field("/1/params/x", "is unknown");
        let moved = on_lines(refusal, &[1, 4]);
        assert_eq!(
            (moved.errors[0].pointer.as_str(), moved.errors[0].detail.as_str()),
            ("/3/params/x", "line 4: is unknown")
        );
    }
}
