//! Bytes to frames, from a peer that may be broken or hostile.
//!
//! Owns: what is buffered and the order of checks: length and version before anything is kept, checksum before
//! anything is inflated, size before anything is read. Must not: allocate for what was only announced.

use std::io::Read;

use super::{BULK_LIMIT, COMPRESSED, Class, Frame, HEADER, Kind, VERSIONS, WireError, allowance, checksum, payload};

/// A compressed payload may look back this far (as a power of 2, in bytes): what the decoder's own buffer may take.
const WINDOW: u32 = 23;

/// Reads the frames of one stream. It holds at most one frame's bytes; after an error it answers that error for ever.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Bytes of the buffer that are done with.
    done: usize,
    passed_over: u64,
    failed: Option<WireError>,
}

impl Decoder {
    /// At a stream's start.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes as they come and answers how many it took. Where these aren't all, frames are to be taken out first.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        self.buffer.drain(..self.done);
        self.done = 0;
        let taken = bytes.len().min((HEADER + BULK_LIMIT).saturating_sub(self.buffer.len()));
        self.buffer.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// The next frame, if its bytes are all here.
    ///
    /// # Errors
    /// What came is no frame, or breaks a limit; the link is to be closed.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, WireError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let next = self.read();
        self.failed = next.as_ref().err().cloned();
        next
    }

    /// What was of an unknown kind: frames, and entries about documents.
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// It ended within a frame, or had failed before.
    pub fn finish(&self) -> Result<(), WireError> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None if self.done < self.buffer.len() => Err(WireError::CutOff),
            None => Ok(()),
        }
    }

    fn read(&mut self) -> Result<Option<Frame>, WireError> {
        loop {
            let rest = &self.buffer[self.done..];
            let Some((header, rest)) = rest.split_first_chunk::<HEADER>() else { return Ok(None) };
            let [a, b, c, d, version, kind, flags, zero, sum @ ..] = *header;
            let length = u32::from_le_bytes([a, b, c, d]) as usize;
            let limit = Class::of(kind).limit();
            if length > limit {
                return Err(WireError::TooLarge { kind, length, limit });
            }
            if !VERSIONS.contains(&version) {
                return Err(WireError::Version { found: version });
            }
            let may = if Class::of(kind) == Class::Bulk { COMPRESSED } else { 0 };
            if flags & !may != 0 || zero != 0 {
                return Err(WireError::Malformed { kind, detail: format!("its flags are {flags} and {zero}") });
            }
            let Some(sent) = rest.get(..length) else { return Ok(None) };
            if checksum(&header[..8], sent) != sum {
                return Err(WireError::Damaged { kind });
            }
            self.done += HEADER + length;
            let Some(kind) = Kind::of(kind) else {
                self.passed_over += 1;
                continue;
            };
            let (frame, unknown) = if flags == COMPRESSED {
                payload::read(kind, &inflate(kind, sent)?)?
            } else {
                payload::read(kind, sent)?
            };
            self.passed_over += unknown;
            if let Some(frame) = frame {
                return Ok(Some(frame));
            }
        }
    }
}

fn inflate(kind: Kind, sent: &[u8]) -> Result<Vec<u8>, WireError> {
    let limit = allowance(sent.len());
    let malformed = |error: std::io::Error| WireError::Malformed { kind: kind as u8, detail: error.to_string() };
    let mut decoder = zstd::Decoder::with_buffer(sent).map_err(malformed)?;
    decoder.window_log_max(WINDOW).map_err(malformed)?;
    let mut payload = Vec::new();
    decoder.take(limit as u64 + 1).read_to_end(&mut payload).map_err(malformed)?;
    if payload.len() > limit {
        return Err(WireError::Inflates { length: sent.len(), limit });
    }
    Ok(payload)
}
