//! Frames to bytes.
//!
//! Owns: headers, compression, and how many changes share a frame. Must not: write what [`super::Decoder`] refuses.

use std::sync::Arc;

use metaopt_schema::{DocId, docs::RawChange};

use super::{
    COMPRESSED, Class, Frame, HEADER, INFLATED_LIMIT, Kind, VERSIONS, WireError, allowance, checksum, payload,
};

/// Payloads below this size stay as they are (bytes).
const WORTH_COMPRESSING: usize = 512;
/// zstd's level: links are faster than any higher one.
const LEVEL: i32 = 1;
/// Bytes of changes after which a frame is full: so little that control never waits long behind it.
const BATCH: usize = 256 << 10;

/// One frame as bytes, to be sent to any number of peers.
///
/// # Errors
/// It breaks a limit, or names a document that can't be sent.
pub fn encode(frame: &Frame) -> Result<Arc<[u8]>, WireError> {
    let (kind, payload) = payload::write(frame)?;
    let too_large = |length, limit| WireError::TooLarge { kind: kind as u8, length, limit };
    if payload.len() > INFLATED_LIMIT {
        return Err(too_large(payload.len(), INFLATED_LIMIT));
    }
    let packed = compressed(kind, &payload);
    let limit = Class::of(kind as u8).limit();
    let sent = packed.as_ref().unwrap_or(&payload);
    if sent.len() > limit {
        return Err(too_large(sent.len(), limit));
    }
    let mut bytes = Vec::with_capacity(HEADER + sent.len());
    bytes.extend_from_slice(&(sent.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&[*VERSIONS.end(), kind as u8, if packed.is_some() { COMPRESSED } else { 0 }, 0]);
    let checksum = checksum(&bytes, sent);
    bytes.extend_from_slice(&checksum);
    bytes.extend_from_slice(sent);
    Ok(bytes.into())
}

/// The payload compressed, where that is allowed, shorter, and not so dense that it would be taken for an attack.
fn compressed(kind: Kind, payload: &[u8]) -> Option<Vec<u8>> {
    if Class::of(kind as u8) == Class::Control || payload.len() < WORTH_COMPRESSING {
        return None;
    }
    let packed = zstd::bulk::compress(payload, LEVEL).ok()?;
    (packed.len() < payload.len() && payload.len() <= allowance(packed.len())).then_some(packed)
}

/// Changes as few frames, each change in one of them, in the order given.
///
/// # Errors
/// A change breaks a limit by itself, or names a document that can't be sent.
pub fn changes(changes: &[(DocId, RawChange)]) -> (Vec<Arc<[u8]>>, Vec<WireError>) {
    let (mut frames, mut errors) = (Vec::new(), Vec::new());
    let mut send = |batch: Vec<(DocId, RawChange)>| match encode(&Frame::Changes(batch)) {
        Ok(frame) => frames.push(frame),
        Err(error) => errors.push(error),
    };
    let mut batch: Vec<(DocId, RawChange)> = Vec::new();
    let mut size = 0;
    for (doc, change) in changes {
        let more = change.bytes.len() + change.actor.len();
        if !batch.is_empty() && (size + more > BATCH || batch.len() == payload::ENTRIES) {
            send(std::mem::take(&mut batch));
            size = 0;
        }
        size += more;
        batch.push((doc.clone(), change.clone()));
    }
    if !batch.is_empty() {
        send(batch);
    }
    (frames, errors)
}
