//! What waits to be sent on one link.
//!
//! Owns: the order and the bound. Must not: know what frames say; what it refuses comes again with anti-entropy.

use std::{collections::VecDeque, sync::Arc};

use super::{Class, HEADER};

/// Encoded frames, control before bulk, in their order within each.
#[derive(Debug)]
pub struct Queue {
    lines: [VecDeque<Arc<[u8]>>; 2],
    bytes: [usize; 2],
    limit: usize,
}

impl Queue {
    /// At most `limit` bytes of each class.
    pub fn new(limit: usize) -> Self {
        Self { lines: Default::default(), bytes: [0; 2], limit }
    }

    /// Queues a frame from [`super::encode`]; false where its class is full. One frame fits an empty queue, however large.
    pub fn push(&mut self, frame: Arc<[u8]>) -> bool {
        let bulk = frame.first_chunk::<HEADER>().is_some_and(|header| Class::of(header[5]) == Class::Bulk);
        let line = usize::from(bulk);
        if !self.lines[line].is_empty() && self.bytes[line] + frame.len() > self.limit {
            return false;
        }
        self.bytes[line] += frame.len();
        self.lines[line].push_back(frame);
        true
    }

    /// The frame to send next.
    pub fn pop(&mut self) -> Option<Arc<[u8]>> {
        let line = usize::from(self.lines[0].is_empty());
        let frame = self.lines[line].pop_front()?;
        self.bytes[line] -= frame.len();
        Some(frame)
    }
}
