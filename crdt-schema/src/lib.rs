//! The shared language of metaopt: domain types, the Automerge layout of the documents that hold them,
//! and the laws by which replicas agree.
//!
//! Owns: what a study, a trial, an attempt and a lease *are*; how facts about them are spelt in documents;
//! how a set of facts folds into one view, whatever the order in which they arrive.
//! Must not: do I/O, read clocks, draw random numbers. Time and identity come in as arguments.

pub mod docs;
pub mod facts;
pub mod ids;
pub mod migrate;
#[doc(hidden)]
pub mod mutations;
pub mod named;
pub mod problem;
pub mod seen;
pub mod shape;
pub mod space;
pub mod stamp;
pub mod study;
pub mod template;
pub mod trial;
pub mod view;

pub use ids::{AttemptKey, AttemptNo, ClaimId, DocId, NodeId, StudyId, TrialId};
pub use named::Named;
pub use problem::{FieldError, Fields};
pub use stamp::{Lamport, Stamp};
