//! What a script prints: into the log, redacted; its `metaopt:` line and its last words are kept apart.
//!
//! Owns: the two streams' state. Must not: know of processes.

use std::{collections::VecDeque, io};

use super::{log_file::LogFile, redact::Redactor, results};

/// Bytes of the last words told to people.
const TAIL: usize = 4096;

/// Longest `metaopt:` line.
const LONGEST_LINE: usize = 64 * 1024;

/// Which stream a chunk came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Both streams of one attempt.
pub struct Output {
    log: LogFile,
    out: Side,
    err: Side,
    line: Vec<u8>,
    result: Option<String>,
    bad_result: Option<String>,
    // the disk refused a write: the script must not be stopped for it
    broken: Option<String>,
    // bytes refused since the last that were kept
    lost: u64,
}

struct Side {
    redactor: Redactor,
    last: VecDeque<u8>,
}

impl Side {
    fn keep(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(TAIL)..];
        let excess = (self.last.len() + bytes.len()).saturating_sub(TAIL);
        self.last.drain(..excess);
        self.last.extend(bytes);
    }
}

impl Output {
    /// Nothing printed yet.
    pub fn new(log: LogFile, redactor: Redactor) -> Self {
        let side = || Side { redactor: redactor.clone(), last: VecDeque::new() };
        Self { log, out: side(), err: side(), line: Vec::new(), result: None, bad_result: None, broken: None, lost: 0 }
    }

    /// The script printed.
    pub fn push(&mut self, stream: Stream, bytes: &[u8]) {
        if stream == Stream::Out {
            self.scan(bytes);
        }
        let side = self.side(stream);
        let shown = side.redactor.push(bytes);
        side.keep(&shown);
        self.write(&shown);
    }

    /// Both streams have ended.
    pub fn finish(&mut self) {
        self.end_line();
        for stream in [Stream::Out, Stream::Err] {
            let side = self.side(stream);
            let rest = side.redactor.finish();
            side.keep(&rest);
            self.write(&rest);
        }
        let finished = self.log.finish();
        self.note(finished);
    }

    /// The last `metaopt:` line that reads like a result, else the last that doesn't.
    pub fn result_line(&self) -> Option<&str> {
        self.result.as_deref().or(self.bad_result.as_deref())
    }

    /// The last lines of standard error; of standard output where there was no error output.
    pub fn tail(&self) -> String {
        let side = if self.err.last.iter().all(u8::is_ascii_whitespace) { &self.out } else { &self.err };
        let bytes: Vec<u8> = side.last.iter().copied().collect();
        let from = match bytes.iter().position(|byte| *byte == b'\n') {
            // cut within a line: start with the next one
            Some(at) if bytes.len() == TAIL && at + 1 < bytes.len() => at + 1,
            _ => 0,
        };
        String::from_utf8_lossy(&bytes[from..]).into_owned()
    }

    /// Why the log is not whole, if it isn't.
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    fn side(&mut self, stream: Stream) -> &mut Side {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        let written = match self.lost {
            0 => self.log.write(bytes),
            // Together: a word about the gap that finds room without what follows would be one of many.
            lost => {
                let gap = format!("\n[metaopt: {lost} bytes of the log had no room here]\n");
                self.log.write(&[gap.as_bytes(), bytes].concat())
            }
        };
        self.lost = if written.is_ok() { 0 } else { self.lost + bytes.len() as u64 };
        self.note(written);
    }

    fn note(&mut self, outcome: io::Result<()>) {
        if let Err(error) = outcome {
            self.broken.get_or_insert_with(|| error.to_string());
        }
    }

    fn scan(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let ended = part.ends_with(b"\n") || part.ends_with(b"\r");
            let text = if ended { &part[..part.len() - 1] } else { part };
            let room = LONGEST_LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if ended {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let Ok(text) = std::str::from_utf8(&line) else { return };
        if !results::is_result_line(text) {
            return;
        }
        match results::parse_line(text, &[]).result {
            Some(Ok(_)) => self.result = Some(text.to_owned()),
            _ => self.bad_result = Some(text.to_owned()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn output(dir: &tempfile::TempDir) -> Output {
        let log = LogFile::create(&dir.path().join("log"), &dir.path().join("log.tail"), 1 << 20).unwrap();
        Output::new(log, Redactor::new(["hunter22"]))
    }

    #[test]
    fn the_last_result_line_is_found_across_chunks() {
        let dir = tempfile::tempdir().unwrap();
        let mut output = output(&dir);
        for chunk in ["metaopt: loss=1\nepoch", " metaopt: loss=9\nmeta", "opt: loss=0.", "5\nmetaopt: bye\nx"] {
            output.push(Stream::Out, chunk.as_bytes());
        }
        output.push(Stream::Err, b"metaopt: loss=7\n");
        output.finish();
        assert_eq!(output.result_line(), Some("metaopt: loss=0.5"));
    }

    #[test]
    fn a_line_without_its_end_counts_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut output = output(&dir);
        output.push(Stream::Out, b"metaopt: loss=3");
        assert_eq!(output.result_line(), None);
        output.finish();
        assert_eq!(output.result_line(), Some("metaopt: loss=3"));
    }

    #[test]
    fn each_stream_is_redacted_by_itself_and_so_is_the_tail() {
        let dir = tempfile::tempdir().unwrap();
        let mut output = output(&dir);
        output.push(Stream::Out, b"out hunt");
        output.push(Stream::Err, b"err hunt");
        output.push(Stream::Out, b"er22\n");
        output.push(Stream::Err, b"er22\n");
        output.finish();
        let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
        assert_eq!(log, "out err [redacted]\n[redacted]\n");
        assert_eq!(output.tail(), "err [redacted]\n");
    }

    #[test]
    fn the_tail_is_bounded_and_starts_with_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let mut output = output(&dir);
        for number in 0..2000 {
            output.push(Stream::Out, format!("line {number}\n").as_bytes());
        }
        output.finish();
        let tail = output.tail();
        assert!(tail.len() <= TAIL && tail.starts_with("line ") && tail.ends_with("line 1999\n"), "{tail}");
    }
}
