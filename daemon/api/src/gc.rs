//! Collecting what is no longer kept.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /gc`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Gc {
    /// Remove nothing; say what would be removed.
    pub dry_run: bool,
}

/// What was found beneath the data directory of the node that answers, and what was removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Collection {
    /// Nothing was removed: `removed` and `freed_bytes` say what would be.
    pub dry_run: bool,
    /// By kind, all kinds in one order.
    pub kinds: Vec<CollectedKind>,
    /// Things removed.
    pub removed: u64,
    /// Bytes removed.
    pub freed_bytes: u64,
    /// What could not be removed.
    pub failed: Vec<CollectionFailure>,
    /// What people should know.
    pub notes: Vec<String>,
    /// Free bytes of the disk before; null where that can't be told.
    pub disk_free_bytes: Option<u64>,
    /// Bytes of the disk; null where that can't be told.
    pub disk_total_bytes: Option<u64>,
}

/// One kind of things that grow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CollectedKind {
    /// `logs`, `checkpoints`, `outputs`, `snapshots`, `environments`, `leftovers` or `corrupt`.
    pub kind: String,
    /// How many there were.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest was last changed or used.
    #[schema(format = DateTime)]
    pub oldest: Option<String>,
    /// Of `count`: those that no limit touches, since they belong to a trial or study that goes on or to a best trial.
    pub held: u64,
    /// Age past which one is removed; null: never.
    pub keep_s: Option<f64>,
    /// Bytes past which the oldest are removed; null: never.
    pub quota_bytes: Option<u64>,
    /// How many were removed.
    pub removed: u64,
    /// Their bytes.
    pub freed_bytes: u64,
}

/// Something that could not be removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CollectionFailure {
    /// Beneath the data directory.
    pub path: String,
    /// Why.
    pub detail: String,
}
