//! GPUs: what the machine has, who uses them, and which shares of them metaopt's daemons have given out.
//!
//! Owns: the inventory and the machine-wide ledger of shares. Must not: decide which trial gets which GPU.

mod ledger;
mod nvml;

pub use ledger::{Ledger, LedgerError, Share};
pub use nvml::Nvml;

use crate::platform;

/// A GPU as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuInfo {
    /// How it is named everywhere; indexes change, this doesn't.
    pub uuid: String,
    /// The model.
    pub name: String,
    /// Bytes.
    pub memory_total: u64,
    /// Bytes in use, by whomever.
    pub memory_used: u64,
    /// Processes that use it.
    pub processes: Vec<GpuProcess>,
}

/// A process on a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuProcess {
    /// Process id, as the driver sees it (in a container without the host's process ids, not as we do).
    pub pid: u32,
    /// Bytes; none where the driver doesn't tell.
    pub memory: Option<u64>,
}

/// Looks at the machine's GPUs.
pub trait Inventory: Send + Sync {
    /// All GPUs, in an order that doesn't change; an empty list where there are none. `Err` is a fault that people
    /// should see, not the absence of a driver.
    fn sample(&self) -> Result<Vec<GpuInfo>, String>;
}

/// The part of a GPU's memory that others may hold before it counts as busy.
pub const FOREIGN_MEMORY: f64 = 0.10;

/// Whether a GPU is in use by others (`busy_foreign`): it has a process that isn't ours, or memory beyond a tenth of
/// the whole is held by nobody we know. `our_pids` are all of metaopt's processes on the machine that use GPUs.
pub fn foreign(info: &GpuInfo, our_pids: &[u32]) -> bool {
    if info.processes.iter().any(|process| !our_pids.contains(&process.pid)) {
        return true;
    }
    // While ours run, the driver may not tell how much is theirs: then only processes can show strangers.
    if info.processes.iter().any(|process| process.memory.is_none()) {
        return false;
    }
    let ours: u64 = info.processes.iter().filter_map(|process| process.memory).sum();
    info.memory_used.saturating_sub(ours) as f64 > FOREIGN_MEMORY * info.memory_total as f64
}

/// Of a GPU's processes those that are metaopt's: they descend from a supervisor of ours, or from one that holds a
/// share in the ledger (another daemon's). In a container the driver may name processes by numbers that mean nothing
/// here; while we hold a share of the GPU such a process is taken for ours, since one of ours would show so.
pub fn our_pids(info: &GpuInfo, supervisors: &[u32], ledger: &Ledger) -> Vec<u32> {
    let held = ledger.shares(&info.uuid).unwrap_or_default();
    let mut roots = supervisors.to_vec();
    roots.extend(held.iter().map(|share| share.process.pid));
    let is_ours = |pid: &u32| {
        platform::descends_from(*pid, &roots) || (!held.is_empty() && platform::Process::of(*pid).is_none())
    };
    info.processes.iter().map(|process| process.pid).filter(is_ours).collect()
}

/// GPUs that exist only in a test.
#[derive(Debug, Default)]
pub struct Fake(pub std::sync::Mutex<Vec<GpuInfo>>);

impl Inventory for Fake {
    fn sample(&self) -> Result<Vec<GpuInfo>, String> {
        Ok(self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn gpu(used: u64, processes: &[(u32, Option<u64>)]) -> GpuInfo {
        let processes = processes.iter().map(|(pid, memory)| GpuProcess { pid: *pid, memory: *memory }).collect();
        GpuInfo { uuid: "GPU-1".into(), name: "Fake".into(), memory_total: 10 * GIB, memory_used: used, processes }
    }

    #[test]
    fn a_stranger_s_process_makes_a_gpu_busy() {
        assert!(foreign(&gpu(0, &[(7, Some(0))]), &[]));
        assert!(foreign(&gpu(0, &[(7, Some(0)), (8, Some(0))]), &[7]));
        assert!(!foreign(&gpu(9 * GIB, &[(7, Some(9 * GIB))]), &[7]));
        assert!(!foreign(&gpu(9 * GIB, &[(7, None)]), &[7]));
        assert!(foreign(&gpu(9 * GIB, &[(7, Some(GIB))]), &[7]), "memory of strangers who don't show");
    }

    #[test]
    fn so_does_memory_beyond_a_tenth_that_nobody_answers_for() {
        assert!(!foreign(&gpu(GIB, &[]), &[]));
        assert!(foreign(&gpu(GIB + 1, &[]), &[]));
    }

    #[cfg(unix)]
    #[test]
    fn processes_under_a_supervisor_of_any_daemon_are_ours() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let info = gpu(0, &[(child.id(), None), (1, None)]);
        let fake = Fake(std::sync::Mutex::new(vec![info.clone()]));
        assert_eq!(fake.sample().unwrap(), std::slice::from_ref(&info));
        assert_eq!(our_pids(&info, &[], &ledger), Vec::<u32>::new());
        assert_eq!(our_pids(&info, &[std::process::id()], &ledger), [child.id()]);
        let process = platform::Process::current().unwrap();
        ledger.acquire("GPU-1", Share { owner: "other daemon".into(), share: 0.5, process }).unwrap();
        assert_eq!(our_pids(&info, &[], &ledger), [child.id()]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(
            our_pids(&info, &[], &ledger),
            [child.id()],
            "a number that means nothing here, while a share is held"
        );
        ledger.release("GPU-1", "other daemon").unwrap();
        assert_eq!(our_pids(&info, &[], &ledger), Vec::<u32>::new());
    }
}
