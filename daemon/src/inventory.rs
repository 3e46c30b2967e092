//! The slots of this machine as they are now: its GPUs, and who else is on them; and its CPUs.

use std::path::Path;

use metaopt_schema::facts::{SlotKind, SlotSpec};

use crate::{
    config::Config,
    gpu::{self, GpuInfo, Inventory, Ledger},
};

/// A slot, and why it can't be used if somebody else has it.
pub type Seen = (SlotSpec, Option<String>);

/// Looks at the machine. `supervisors` are those of this daemon, whose data directory is `dir`. A driver that fails is told and counts as no GPUs.
pub fn sample(config: &Config, gpus: &dyn Inventory, supervisors: &[u32], dir: &Path) -> Vec<Seen> {
    let mut slots = Vec::new();
    if config.gpus != "none" {
        match gpus.sample() {
            Ok(found) => slots.extend(chosen(&config.gpus, found).iter().map(|info| gpu_slot(info, supervisors, dir))),
            Err(error) => tracing::warn!(%error, "the GPUs can't be looked at"),
        }
    }
    let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
    let cpu = |i| (SlotSpec { id: format!("cpu-{i}"), kind: SlotKind::Cpu }, None);
    slots.extend((0..config.slots.unwrap_or(cpus)).map(cpu));
    slots
}

/// Those that `--gpus` names, by position.
fn chosen(gpus: &str, found: Vec<GpuInfo>) -> Vec<GpuInfo> {
    if gpus == "all" {
        return found;
    }
    let wanted: Vec<usize> = gpus.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    found.into_iter().enumerate().filter(|(i, _)| wanted.contains(i)).map(|(_, info)| info).collect()
}

fn gpu_slot(info: &GpuInfo, supervisors: &[u32], dir: &Path) -> Seen {
    let spec = SlotSpec { id: info.uuid.clone(), kind: SlotKind::Gpu };
    let why = match Ledger::open(&Ledger::default_dir()) {
        Err(error) => Some(format!("the ledger of GPU shares can't be read: {error}")),
        Ok(ledger) => {
            let others = ledger.shares(&info.uuid).unwrap_or_default();
            // A share's owner is its attempt's directory.
            let others: f64 = others.iter().filter(|s| !Path::new(&s.owner).starts_with(dir)).map(|s| s.share).sum();
            if gpu::foreign(info, &gpu::our_pids(info, supervisors, &ledger)) {
                Some(format!("GPU {} ({}) is used by others than metaopt", info.uuid, info.name))
            } else if others > 0.0 {
                Some(format!("GPU {} ({}) is used by another metaoptd of this machine", info.uuid, info.name))
            } else {
                None
            }
        }
    };
    (spec, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Options;

    fn info(n: u64, used: u64) -> GpuInfo {
        GpuInfo {
            uuid: format!("GPU-test-{n}"),
            name: "fake".into(),
            memory_total: 100,
            memory_used: used,
            processes: Vec::new(),
        }
    }

    #[test]
    fn gpus_are_chosen_by_position_and_foreign_ones_say_why() {
        let dir = tempfile::tempdir().unwrap();
        let config = |gpus: &str| {
            Options { gpus: Some(gpus.into()), slots: Some(1), ..Options::default() }.resolve(dir.path()).unwrap()
        };
        let fake = gpu::Fake(std::sync::Mutex::new(vec![info(0, 0), info(1, 50)]));
        let seen = |gpus: &str| {
            sample(&config(gpus), &fake, &[], dir.path())
                .into_iter()
                .map(|(s, why)| (s.id, why.is_some()))
                .collect::<Vec<_>>()
        };
        let slot = |id: &str, taken| (id.to_owned(), taken);
        assert_eq!(seen("all"), [slot("GPU-test-0", false), slot("GPU-test-1", true), slot("cpu-0", false)]);
        assert_eq!(seen("1"), [slot("GPU-test-1", true), slot("cpu-0", false)]);
        assert_eq!(seen("none"), [slot("cpu-0", false)]);
    }
}
