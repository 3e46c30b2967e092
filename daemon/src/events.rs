//! Numbered events of every change, kept for a while, so that followers can resume where they were.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use metaopt_core::commands::Event;
use tokio::sync::broadcast;

/// Events kept for followers that return.
const KEPT: usize = 10_000;

/// An event with its number; numbers of one boot have no gaps.
#[derive(Clone, Debug)]
pub struct Numbered {
    /// `BOOT-N`.
    pub id: String,
    /// Its place.
    pub seq: u64,
    /// What happened.
    pub event: Arc<Event>,
}

/// Publishes events to any number of followers; a slow one loses some and is told so.
#[derive(Clone)]
pub struct EventHub {
    boot: Arc<str>,
    kept: Arc<Mutex<(u64, VecDeque<Numbered>)>>,
    live: broadcast::Sender<Numbered>,
}

/// What a follower starts with.
pub struct Follow {
    /// Events since the given ID.
    pub missed: Vec<Numbered>,
    /// The ID is unknown or too old: start over.
    pub reset: bool,
    /// The newest event's ID.
    pub newest: String,
    /// Events from now on.
    pub live: broadcast::Receiver<Numbered>,
}

impl EventHub {
    /// A hub whose IDs begin with `boot`.
    pub fn new(boot: &str) -> Self {
        let kept = Arc::new(Mutex::new((0, VecDeque::new())));
        Self { boot: boot.into(), kept, live: broadcast::channel(4096).0 }
    }

    /// Numbers and sends events.
    pub fn publish(&self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            kept.0 += 1;
            let numbered = Numbered { id: format!("{}-{}", self.boot, kept.0), seq: kept.0, event: Arc::new(event) };
            if kept.1.len() == KEPT {
                kept.1.pop_front();
            }
            kept.1.push_back(numbered.clone());
            let _ = self.live.send(numbered); // nobody may be following
        }
    }

    /// Follows from now on, or from after `last`.
    pub fn follow(&self, last: Option<&str>) -> Follow {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let live = self.live.subscribe();
        let newest = format!("{}-{}", self.boot, kept.0);
        let Some(last) = last else { return Follow { missed: Vec::new(), reset: false, newest, live } };
        let seq = last.strip_prefix(&*self.boot).and_then(|r| r.strip_prefix('-')).and_then(|n| n.parse::<u64>().ok());
        let oldest = kept.1.front().map_or(kept.0 + 1, |e| e.seq);
        match seq {
            Some(seq) if seq <= kept.0 && seq + 1 >= oldest => {
                let missed = kept.1.iter().filter(|e| e.seq > seq).cloned().collect();
                Follow { missed, reset: false, newest, live }
            }
            _ => Follow { missed: Vec::new(), reset: true, newest, live },
        }
    }
}
