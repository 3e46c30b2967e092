//! Nothing grows for ever: what is old, too much, or of a deleted study is collected (`metaopt gc`, docs/retention.md).
//!
//! Owns: when to collect, and the [`Policy`]. Must not: touch what belongs to a trial that isn't over, to a best one, or to
//! a database.

mod aside;
pub mod inventory;
pub mod plan;
pub mod policy;
mod record;
pub mod standing;
mod sweep;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use metaopt_schema::{AttemptKey, TrialId};
use tokio_util::sync::CancellationToken;

pub use plan::{Item, Standing, Why};
pub use policy::{Kind, Limit, Policy};

use crate::{driver::Shell, exec::Executor, platform::files::free_space};

/// How often it is looked whether the disk is low, and how long after the start the first collection comes.
const LOOK: Duration = Duration::from_secs(60);
/// A disk that stays low is collected for no more often than this.
const LOW_AGAIN: Duration = Duration::from_secs(600);

/// What a collection works with.
struct Tools {
    data: PathBuf,
    shell: Shell,
    executor: Arc<Executor>,
    policy: Policy,
}

/// One thing that was (or would be) removed.
#[derive(Clone, Copy, Debug)]
pub struct Freed {
    /// Its position among [`Sweep::items`].
    pub item: usize,
    /// Why.
    pub why: Why,
}

/// What a collection found and did.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Nothing was removed.
    pub dry_run: bool,
    /// Everything found.
    pub items: Vec<Item>,
    /// What went.
    pub freed: Vec<Freed>,
    /// What could not be removed: its path, and why.
    pub failed: Vec<(String, String)>,
    /// What people should know.
    pub notes: Vec<String>,
    /// Free and total bytes of the disk before.
    pub disk: Option<(u64, u64)>,
}

impl Sweep {
    /// Bytes removed.
    pub fn bytes(&self) -> u64 {
        self.freed.iter().map(|freed| self.items[freed.item].bytes).sum()
    }
}

/// Collects beneath one data directory, one collection at a time.
pub struct Collector {
    tools: Tools,
    one: Mutex<()>,
}

impl Collector {
    /// For the daemon that has these.
    pub fn new(shell: Shell, executor: Arc<Executor>, data: &Path, policy: Policy) -> Self {
        Self { tools: Tools { data: data.to_owned(), shell, executor, policy }, one: Mutex::default() }
    }

    /// The limits.
    pub fn policy(&self) -> &Policy {
        &self.tools.policy
    }

    /// Collects now, or says what would be collected. Blocking, also while another collection is under way.
    pub fn sweep(&self, dry_run: bool) -> Sweep {
        let _one = self.one.lock().unwrap_or_else(PoisonError::into_inner);
        sweep::sweep(&self.tools, dry_run)
    }

    /// Collects at the policy's pace, and soon after the disk gets low, until `stopping`.
    pub async fn keep(self: Arc<Self>, stopping: CancellationToken) {
        let every = self.tools.policy.every;
        let mut next = every.map(|every| Instant::now() + every.min(LOOK));
        let mut low_next = Instant::now();
        loop {
            let look = every.map_or(LOOK, |every| every.min(LOOK));
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(look) => {}
            }
            let now = Instant::now();
            let low = every.is_some() && now >= low_next && self.is_low();
            if !low && next.is_none_or(|next| now < next) {
                continue;
            }
            next = every.map(|every| now + every);
            low_next = now + LOW_AGAIN;
            let collector = self.clone();
            if let Ok(swept) = tokio::task::spawn_blocking(move || collector.sweep(false)).await {
                tell(&swept);
            }
        }
    }

    fn is_low(&self) -> bool {
        let disk = free_space(&self.tools.data);
        disk.is_some_and(|(free, total)| sweep::short_of(free, total, self.tools.policy.low_disk) > 0)
    }

    /// Why an attempt's log isn't there, if it was collected. Blocking.
    pub fn log_collected(&self, key: &AttemptKey) -> Option<String> {
        self.collected(&self.layout().kept_log(key).0)
    }

    /// Why a file of a trial's output isn't there, if it was collected. Blocking.
    pub fn artifact_collected(&self, trial: &TrialId, name: &str) -> Option<String> {
        self.collected(&self.layout().output(trial).join(name))
    }

    fn layout(&self) -> crate::exec::record::Layout {
        crate::exec::record::Layout::new(&self.tools.data)
    }

    /// `was collected on 2026-03-01 by gc: logs are kept for 30 days`
    fn collected(&self, path: &Path) -> Option<String> {
        let path = path.strip_prefix(&self.tools.data).ok()?.to_str()?;
        let found = record::find(&self.tools.data, path)?;
        let at = jiff::Timestamp::from_millisecond(i64::try_from(found.at).ok()?).ok()?;
        Some(format!("was collected on {} by gc: {}", at.strftime("%Y-%m-%d"), found.why))
    }
}

fn tell(swept: &Sweep) {
    if !swept.freed.is_empty() {
        tracing::info!(items = swept.freed.len(), bytes = swept.bytes(), "collected what is no longer kept");
    }
    for (path, why) in &swept.failed {
        tracing::warn!(%path, %why, "could not be collected");
    }
}
