//! Reading the log of an attempt, running or finished.
//!
//! Owns: where a log is to be found at each time of an attempt's life. Must not: write.

use std::{io, path::PathBuf, time::Duration};

use metaopt_schema::AttemptKey;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Executor, log_file::read_from};

/// Bytes read at once.
const CHUNK: u64 = 64 * 1024;

/// How often a log that is followed is looked at.
const TICK: Duration = Duration::from_millis(100);

/// A piece of a log. Positions count every byte that the script ever wrote, so that a reader can go on where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Where `bytes` begins.
    pub position: u64,
    /// Bytes before it that are no longer there.
    pub left_out: u64,
    /// As written, secrets taken out; a character may be cut at the end.
    pub bytes: Vec<u8>,
}

impl Chunk {
    /// The position after this piece.
    pub fn end(&self) -> u64 {
        self.position + self.bytes.len() as u64
    }
}

fn next(executor: &Executor, key: &AttemptKey, position: u64) -> io::Result<Option<Chunk>> {
    let layout = &executor.inner.layout;
    let dir = layout.attempt(key);
    // A finished attempt's log moves file by file: for a moment the tail is not beside the head.
    let places: [(PathBuf, PathBuf); 2] = [(dir.log(), dir.log_tail()), layout.kept_log(key)];
    for (head, tail) in places {
        match read_from(&head, &tail, position, CHUNK) {
            Ok((from, bytes)) => {
                return Ok(Some(Chunk { position: from, left_out: from - position, bytes }));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The whole log as text, with a line where something was left out; `None` when there is no log (yet, or any more).
/// Blocking; at most about 12 MiB.
pub fn read(executor: &Executor, key: &AttemptKey) -> io::Result<Option<String>> {
    let mut out = Vec::new();
    let mut position = 0;
    let mut found = false;
    while let Some(chunk) = next(executor, key, position)? {
        found = true;
        if chunk.bytes.is_empty() {
            break;
        }
        if chunk.left_out > 0 {
            mark(&mut out, chunk.left_out);
        }
        position = chunk.end();
        out.extend(chunk.bytes);
    }
    Ok(found.then(|| String::from_utf8_lossy(&out).into_owned()))
}

fn mark(out: &mut Vec<u8>, left_out: u64) {
    if !out.is_empty() && !out.ends_with(b"\n") {
        out.push(b'\n');
    }
    out.extend(super::log_file::marker(left_out).into_bytes());
}

/// The log from `position` on, as it grows; ends when the attempt has ended and all is read. Needs a runtime; dropping
/// the stream ends the following.
pub fn follow(
    executor: &std::sync::Arc<Executor>,
    key: &AttemptKey,
    position: u64,
) -> ReceiverStream<io::Result<Chunk>> {
    let (sender, receiver) = mpsc::channel(8);
    let (executor, key) = (std::sync::Arc::clone(executor), key.clone());
    tokio::spawn(async move {
        let mut position = position;
        let mut ended = false;
        loop {
            // asked before reading: what is written until the end is then read in this very round
            let running = executor.inner.lock().contains_key(&key);
            let read = {
                let (executor, key) = (std::sync::Arc::clone(&executor), key.clone());
                tokio::task::spawn_blocking(move || next(&executor, &key, position)).await
            };
            let chunk = match read {
                Ok(Ok(chunk)) => chunk.filter(|chunk| !chunk.bytes.is_empty()),
                Ok(Err(error)) => {
                    let _ = sender.send(Err(error)).await;
                    return;
                }
                Err(_) => return,
            };
            match chunk {
                Some(chunk) => {
                    position = chunk.end();
                    if sender.send(Ok(chunk)).await.is_err() {
                        return;
                    }
                }
                // looked at twice, since the log may just have been moving
                None if !running && ended => return,
                None => {
                    ended = !running;
                    tokio::select! {
                        () = tokio::time::sleep(TICK) => (),
                        () = sender.closed() => return,
                        () = executor.inner.cancel.cancelled() => return,
                    }
                }
            }
        }
    });
    ReceiverStream::new(receiver)
}
