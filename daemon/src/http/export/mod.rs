//! `/studies/{study}/export`: all trials in canonical order, streamed.
//!
//! Owns: reading the study a few trials at a time, so that neither memory nor the node's lock is held for long.
//! Must not: know the formats; they are beside this file.

mod columns;
mod csv;
mod parquet;

use std::io::{self, Write};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use metaopt_core::Node;
use metaopt_schema::{
    Stamp, StudyId, TrialId,
    view::{StudyView, TrialView},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{
    App,
    problem::Answer,
    query::{In, Query},
    render,
};
use crate::driver::Shell;

/// Trials read at once.
const BATCH: usize = 256;
/// Bytes sent at once.
const PIECE: usize = 64 * 1024;

/// GET export.
pub async fn get(State(app): State<App>, In(study): In<String>, query: Query) -> Answer<Response> {
    query.only(&["format"])?;
    let format = query.word("format", &["csv", "jsonl", "parquet"])?.unwrap_or("jsonl");
    let (id, name) = app.shell().read(|node, _| node.study(&study).map(|s| (s.id.clone(), s.name.clone())))?;
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(4);
    let (shell, stopping) = (app.shell().clone(), app.stopping());
    tokio::task::spawn_blocking(move || {
        let mut sink = Sink { sender: sender.clone(), buffer: Vec::with_capacity(PIECE) };
        let trials = Trials::new(shell, id, stopping);
        let written = match format {
            "csv" => csv::write(trials, &mut sink),
            "parquet" => parquet::write(trials, &mut sink),
            _ => jsonl(trials, &mut sink),
        };
        if let Err(error) = written.and_then(|()| sink.flush()) {
            // Ends the answer without its last chunk, so that the client sees that something is missing.
            let _ = sender.blocking_send(Err(error));
        }
    });
    let media = match format {
        "csv" => "text/csv; charset=utf-8",
        "parquet" => "application/vnd.apache.parquet",
        _ => "application/x-ndjson",
    };
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    let headers = [
        (header::CONTENT_TYPE, media.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{plain}.{format}\"")),
    ];
    Ok((headers, Body::from_stream(ReceiverStream::new(receiver))).into_response())
}

/// A study's trials as they were when the export began, a batch at a time.
struct Trials {
    shell: Shell,
    study: StudyId,
    stopping: tokio_util::sync::CancellationToken,
    after: Option<(Stamp, TrialId)>,
    last: Option<(Stamp, TrialId)>,
}

fn key(trial: &TrialView) -> (Stamp, TrialId) {
    (trial.spec.at.clone(), trial.place.id.clone())
}

impl Trials {
    fn new(shell: Shell, study: StudyId, stopping: tokio_util::sync::CancellationToken) -> Self {
        let last =
            shell.read(|node, _| node.study(study.as_str()).ok().and_then(|s| s.trials().iter().next_back().map(key)));
        Self { shell, study, stopping, after: None, last }
    }

    /// Reads the study once.
    fn study<T>(&self, f: impl FnOnce(&StudyView) -> T) -> io::Result<T> {
        self.shell.read(|node, _| node.study(self.study.as_str()).map(f)).map_err(io::Error::other)
    }

    /// The next trials through `f`; none at the end.
    fn next<T>(&mut self, f: impl Fn(&Node, &StudyView, &TrialView) -> T) -> io::Result<Vec<T>> {
        if self.stopping.is_cancelled() {
            return Err(io::Error::other("the daemon is stopping"));
        }
        let Some(last) = &self.last else { return Ok(Vec::new()) };
        let after = &self.after;
        let (items, at) = self.shell.read(|node, _| {
            let study = node.study(self.study.as_str()).map_err(io::Error::other)?;
            let all = study.trials();
            // The one it stopped at still stands there: trials never go.
            let from = after.as_ref().map_or(0, |a| all.before((&a.0, &a.1)) + 1);
            let batch = all.from(from).take(BATCH).take_while(|t| t.key() <= (&last.0, &last.1));
            let batch: Vec<&TrialView> = batch.collect();
            let items = batch.iter().map(|t| f(node, study, t)).collect();
            Ok::<_, io::Error>((items, batch.last().map(|t| key(t))))
        })?;
        if at.is_some() {
            self.after = at;
        }
        Ok(items)
    }
}

/// One trial a line, as `GET /trials/{trial}` answers it.
fn jsonl(mut trials: Trials, out: &mut impl Write) -> io::Result<()> {
    loop {
        let lines = trials.next(|node, study, trial| serde_json::to_vec(&render::trial(node, study, trial)))?;
        if lines.is_empty() {
            return Ok(());
        }
        for line in lines {
            out.write_all(&line?)?;
            out.write_all(b"\n")?;
        }
    }
}

/// Sends what is written, in pieces; fails once the client has gone.
struct Sink {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.buffer));
        self.sender.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
