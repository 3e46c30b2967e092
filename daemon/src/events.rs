//! Numbered events of every change, kept for a while, so that followers can resume where they were.
//!
//! Owns: the numbers, and how much is kept. Must not: hold anything for a follower, so that thousands cost little: each
//! knows the last number it has seen, and comes for more when it hears that there is more.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use metaopt_core::commands::Event;
use metaopt_schema::StudyId;
use serde_json::json;
use tokio::sync::watch;

/// Events kept for followers that return.
const KEPT: usize = 10_000;
/// And how many bytes of them.
const KEPT_BYTES: usize = 8 * 1024 * 1024;
/// Events handed out at once.
const BATCH: usize = 64;

/// An event with its number; numbers of one boot have no gaps.
#[derive(Clone, Debug)]
pub struct Numbered {
    /// Its place, from 1.
    pub seq: u64,
    /// What kind of event it is.
    pub kind: &'static str,
    /// The study concerned.
    pub study: Option<StudyId>,
    /// The whole event as JSON, written once for all followers.
    pub text: Arc<str>,
}

impl Numbered {
    fn of(seq: u64, event: Event) -> Self {
        let data = json!({"type": event.kind, "study_id": event.study, "trial_id": event.trial, "data": event.data});
        Self { seq, kind: event.kind, study: event.study, text: data.to_string().into() }
    }

    /// What it takes of memory, about.
    fn bytes(&self) -> usize {
        self.text.len() + size_of::<Self>() + self.study.as_ref().map_or(0, |id| id.as_str().len())
    }
}

#[derive(Default)]
struct Kept {
    newest: u64,
    bytes: usize,
    events: VecDeque<Numbered>,
}

/// Publishes events to any number of followers; a slow one loses some and is told so.
#[derive(Clone)]
pub struct EventHub {
    boot: Arc<str>,
    kept: Arc<Mutex<Kept>>,
    newest: watch::Sender<u64>,
}

/// What there is after a number.
pub enum After {
    /// Nothing yet.
    Nothing,
    /// The next events.
    Events(Vec<Numbered>),
    /// Some are no longer kept: start over, and go on after this number.
    Reset(u64),
}

impl EventHub {
    /// A hub whose IDs begin with `boot`.
    pub fn new(boot: &str) -> Self {
        Self { boot: boot.into(), kept: Arc::default(), newest: watch::channel(0).0 }
    }

    /// Numbers and sends events.
    pub fn publish(&self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            kept.newest += 1;
            let numbered = Numbered::of(kept.newest, event);
            kept.bytes += numbered.bytes();
            kept.events.push_back(numbered);
            while kept.events.len() > KEPT || (kept.bytes > KEPT_BYTES && kept.events.len() > 1) {
                let bytes = kept.events.pop_front().map_or(0, |gone| gone.bytes());
                kept.bytes -= bytes;
            }
        }
        self.newest.send_replace(kept.newest);
    }

    /// Hears of every new number.
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// The newest event's number.
    pub fn newest(&self) -> u64 {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).newest
    }

    /// An event's ID: `BOOT-N`.
    pub fn id(&self, seq: u64) -> String {
        format!("{}-{seq}", self.boot)
    }

    /// The number of an ID of this boot that was given out already.
    pub fn seq(&self, id: &str) -> Option<u64> {
        let seq = id.strip_prefix(&*self.boot)?.strip_prefix('-')?.parse().ok()?;
        (seq <= self.newest()).then_some(seq)
    }

    /// The next few events after a number.
    pub fn after(&self, seq: u64) -> After {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if seq >= kept.newest {
            return After::Nothing;
        }
        let oldest = kept.events.front().map_or(kept.newest + 1, |event| event.seq);
        match usize::try_from((seq + 1).wrapping_sub(oldest)) {
            Ok(from) if seq + 1 >= oldest => {
                After::Events(kept.events.iter().skip(from).take(BATCH).cloned().collect())
            }
            _ => After::Reset(kept.newest),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn event(text: &str) -> Event {
        Event { kind: "trial.report", study: None, trial: None, data: Some(Value::String(text.to_owned())) }
    }

    #[test]
    fn what_is_kept_is_bounded_in_bytes_and_the_newest_is_always_there() {
        let hub = EventHub::new("b");
        let large = "x".repeat(1024 * 1024);
        for _ in 0..40 {
            hub.publish(vec![event(&large)]);
        }
        let kept = hub.kept.lock().unwrap();
        assert!(kept.bytes <= KEPT_BYTES && (6..9).contains(&kept.events.len()), "{}", kept.events.len());
        assert_eq!(kept.bytes, kept.events.iter().map(Numbered::bytes).sum::<usize>());
        drop(kept);
        assert!(matches!(hub.after(3), After::Reset(40)));
        hub.publish(vec![event(&"y".repeat(2 * KEPT_BYTES))]);
        assert!(matches!(hub.after(40), After::Events(events) if events.len() == 1), "one too large is kept alone");
    }

    #[test]
    fn followers_come_for_a_few_at_a_time_without_gaps() {
        let hub = EventHub::new("b");
        assert!(matches!(hub.after(0), After::Nothing));
        hub.publish((0..KEPT + 150).map(|_| event("x")).collect());
        assert!(matches!(hub.after(100), After::Reset(n) if n == KEPT as u64 + 150));
        let mut seq = 150;
        while let After::Events(events) = hub.after(seq) {
            assert!(events.len() <= BATCH);
            for event in events {
                seq += 1;
                assert_eq!(event.seq, seq);
            }
        }
        assert_eq!(seq, hub.newest());
        assert_eq!((hub.seq(&hub.id(seq)), hub.seq(&hub.id(seq + 1)), hub.seq("c-1")), (Some(seq), None, None));
    }
}
