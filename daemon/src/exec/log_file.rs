//! The bounded log of an attempt: its head in one file, past that its end in another.
//!
//! Owns: the format of `log` and `log.tail` (whose first line is a marker saying how much was left out before it).
//! Must not: know of processes.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use crate::platform::files;

/// Bytes kept of a log's head and, again, of its end.
pub const DEFAULT_LIMIT: u64 = 4 * 1024 * 1024;

/// The first line of a tail file.
pub fn marker(left_out: u64) -> String {
    format!("[metaopt: {left_out} bytes of the log left out here]\n")
}

/// Parses a tail file's first line: bytes left out, and the line's own length.
pub fn parse_marker(start: &[u8]) -> Option<(u64, u64)> {
    let end = start.iter().take(128).position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(&start[..end]).ok()?;
    let number = line.strip_prefix("[metaopt: ")?.split(' ').next()?.parse().ok()?;
    Some((number, end as u64 + 1))
}

/// Writes one attempt's log.
pub struct LogFile {
    head: File,
    head_length: u64,
    tail_path: PathBuf,
    tail: Option<Tail>,
    limit: u64,
}

struct Tail {
    file: File,
    // beyond the marker
    length: u64,
    left_out: u64,
    marker_length: u64,
}

impl LogFile {
    /// Starts a log; both files must not exist yet.
    pub fn create(head: &Path, tail: &Path, limit: u64) -> io::Result<Self> {
        let head = files::create_private(head)?;
        Ok(Self { head, head_length: 0, tail_path: tail.to_owned(), tail: None, limit: limit.max(1) })
    }

    /// Appends; readers see it at once.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = usize::try_from(self.limit - self.head_length).unwrap_or(usize::MAX).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        if !first.is_empty() {
            append(&mut self.head, first, self.head_length)?;
            self.head_length += first.len() as u64;
        }
        if rest.is_empty() { Ok(()) } else { self.write_tail(rest) }
    }

    fn write_tail(&mut self, bytes: &[u8]) -> io::Result<()> {
        let tail = match &mut self.tail {
            Some(tail) => tail,
            none => {
                let mut file = files::create_private(&self.tail_path)?;
                let line = marker(0);
                if let Err(error) = file.write_all(line.as_bytes()) {
                    // Without its marker it means nothing, and the next try must find its place free.
                    let _ = fs::remove_file(&self.tail_path);
                    return Err(error);
                }
                none.insert(Tail { file, length: 0, left_out: 0, marker_length: line.len() as u64 })
            }
        };
        append(&mut tail.file, bytes, tail.marker_length + tail.length)?;
        tail.length += bytes.len() as u64;
        // Trimming copies the kept part, so it waits until there is as much to throw away as to keep.
        if tail.length >= self.limit.saturating_mul(2) { self.trim() } else { Ok(()) }
    }

    /// The script has ended: cuts the tail to the limit.
    pub fn finish(&mut self) -> io::Result<()> {
        if self.tail.as_ref().is_some_and(|tail| tail.length > self.limit) { self.trim() } else { Ok(()) }
    }

    /// Keeps the tail's last `limit` bytes, from a line's start where there is one.
    fn trim(&mut self) -> io::Result<()> {
        let Some(tail) = &mut self.tail else { return Ok(()) };
        let mut old = File::open(&self.tail_path)?;
        let drop = tail.length.saturating_sub(self.limit);
        old.seek(SeekFrom::Start(tail.marker_length + drop))?;
        let mut kept = Vec::new();
        old.read_to_end(&mut kept)?;
        let line = kept.iter().position(|byte| *byte == b'\n').filter(|at| at + 1 < kept.len()).map_or(0, |at| at + 1);
        let left_out = tail.left_out + drop + line as u64;
        let kept = &kept[line..];
        let head = marker(left_out);
        let mut temp = self.tail_path.clone().into_os_string();
        temp.push(".new");
        let temp = PathBuf::from(temp);
        let _ = fs::remove_file(&temp);
        let mut file = files::create_private(&temp)?;
        file.write_all(head.as_bytes())?;
        file.write_all(kept)?;
        // a reader has the old file or the new one, each whole
        fs::rename(&temp, &self.tail_path)?;
        *tail = Tail { file, length: kept.len() as u64, left_out, marker_length: head.len() as u64 };
        Ok(())
    }
}

/// Appends to a file of `length` bytes: all or, where the disk has no room, nothing, so that positions stay true.
fn append(file: &mut File, bytes: &[u8], length: u64) -> io::Result<()> {
    file.write_all(bytes).inspect_err(|_| {
        let _ = file.set_len(length).and_then(|()| file.seek(SeekFrom::Start(length)));
    })
}

/// Reads a log from a position on, as if nothing had been left out: `(from, bytes)` where `from` is the position that
/// the bytes really start at (later than asked for where they are gone).
pub fn read_from(head: &Path, tail: &Path, position: u64, most: u64) -> io::Result<(u64, Vec<u8>)> {
    let mut file = File::open(head)?;
    let mut out = Vec::new();
    file.seek(SeekFrom::Start(position))?;
    file.take(most).read_to_end(&mut out)?;
    let head_length = fs::metadata(head)?.len();
    if !out.is_empty() || position < head_length {
        return Ok((position, out));
    }
    let mut file = match File::open(tail) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((position, out)),
        Err(error) => return Err(error),
    };
    let mut start = Vec::new();
    (&mut file).take(128).read_to_end(&mut start)?;
    // between its creation and its first write the file is empty
    let Some((left_out, marker_length)) = parse_marker(&start) else { return Ok((position, out)) };
    let begins = head_length + left_out;
    let from = position.max(begins);
    file.seek(SeekFrom::Start(marker_length + (from - begins)))?;
    file.take(most).read_to_end(&mut out)?;
    Ok((from, out))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn whole(head: &Path, tail: &Path) -> (Vec<u8>, u64) {
        let (mut at, mut out, mut gaps) = (0, Vec::new(), 0);
        loop {
            let (from, bytes) = read_from(head, tail, at, 7).unwrap();
            if bytes.is_empty() {
                return (out, gaps);
            }
            gaps += from - at;
            at = from + bytes.len() as u64;
            out.extend(bytes);
        }
    }

    #[test]
    fn a_log_within_its_limits_is_kept_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (head, tail) = (dir.path().join("log"), dir.path().join("log.tail"));
        let mut log = LogFile::create(&head, &tail, 10).unwrap();
        for chunk in b"0123456789abcdef".chunks(3) {
            log.write(chunk).unwrap();
        }
        log.finish().unwrap();
        assert_eq!(fs::read(&head).unwrap(), b"0123456789");
        assert_eq!(whole(&head, &tail), (b"0123456789abcdef".to_vec(), 0));
    }

    #[test]
    fn past_its_limits_head_and_end_are_kept_and_the_gap_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let (head, tail) = (dir.path().join("log"), dir.path().join("log.tail"));
        let mut log = LogFile::create(&head, &tail, 1000).unwrap();
        let mut written = Vec::new();
        for number in 0..2000 {
            let line = format!("line {number}\n");
            log.write(line.as_bytes()).unwrap();
            written.extend(line.into_bytes());
        }
        log.finish().unwrap();
        let (read, gap) = whole(&head, &tail);
        assert_eq!(read.len() as u64 + gap, written.len() as u64);
        assert!(gap > 0 && read.len() <= 2000, "{gap} {}", read.len());
        assert_eq!(&read[..1000], &written[..1000]);
        assert!(written.ends_with(&read[1000..]) && read.ends_with(b"line 1999\n"));
        assert!(read[1000..].starts_with(b"line "), "the tail starts with a line");
        let text = fs::read_to_string(&tail).unwrap();
        assert!(text.starts_with(&marker(gap)), "{}", &text[..60]);
    }

    #[test]
    fn a_log_without_line_ends_is_bounded_too() {
        let dir = tempfile::tempdir().unwrap();
        let (head, tail) = (dir.path().join("log"), dir.path().join("log.tail"));
        let mut log = LogFile::create(&head, &tail, 100).unwrap();
        log.write(&[b'x'; 5000]).unwrap();
        log.finish().unwrap();
        assert!(fs::metadata(&tail).unwrap().len() < 200);
        assert_eq!(whole(&head, &tail), (vec![b'x'; 200], 4800));
    }
}
