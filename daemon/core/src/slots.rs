//! The places on this node where trials run. The law: the shares of one slot never add up to more than 1.

use metaopt_schema::{
    AttemptKey,
    facts::{SlotKind, SlotSpec},
    study::RunSpec,
};

/// What a trial needs of a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Need {
    /// Whole GPUs.
    Gpus(u32),
    /// A part of one GPU, between 0 and 1.
    Share(f64),
    /// CPU slots.
    Cpus(u32),
}

/// One slot and who is on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// Its name and kind.
    pub spec: SlotSpec,
    /// Why it is taken by others than metaopt, if it is.
    pub foreign: Option<String>,
    /// Attempts on it and their shares.
    pub used: Vec<(AttemptKey, f64)>,
}

impl Slot {
    /// The share that is free.
    pub fn free(&self) -> f64 {
        if self.foreign.is_some() {
            return 0.0;
        }
        (1.0 - self.used.iter().map(|(_, share)| share).sum::<f64>()).max(0.0)
    }
}

/// Rounding of sums of shares such as 3 × ⅓.
const SLACK: f64 = 1e-9;

/// All slots of this node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slots(pub Vec<Slot>);

impl Slots {
    /// Takes a new inventory; what runs stays booked, also on a slot that vanished from the inventory.
    pub fn update(&mut self, inventory: Vec<(SlotSpec, Option<String>)>) {
        let mut old = std::mem::take(&mut self.0);
        for (spec, foreign) in inventory {
            let used =
                old.iter().position(|s| s.spec.id == spec.id).map(|i| old.swap_remove(i).used).unwrap_or_default();
            self.0.push(Slot { spec, foreign, used });
        }
        for gone in old.into_iter().filter(|s| !s.used.is_empty()) {
            self.0.push(Slot { foreign: Some("no longer there".into()), ..gone });
        }
    }

    /// Slots of `kind`.
    pub fn count(&self, kind: SlotKind) -> usize {
        self.0.iter().filter(|s| s.spec.kind == kind).count()
    }

    /// What `run` needs here: as asked, or one GPU where the node has any, else a CPU slot.
    pub fn need(&self, run: &RunSpec) -> Need {
        match (run.gpus, run.cpus) {
            (Some(gpus), _) if gpus > 0.0 && gpus < 1.0 => Need::Share(gpus),
            (Some(gpus), _) if gpus >= 1.0 => Need::Gpus(gpus as u32),
            (Some(_), cpus) | (None, cpus @ Some(_)) => Need::Cpus(cpus.unwrap_or(1)),
            (None, None) if self.count(SlotKind::Gpu) > 0 => Need::Gpus(1),
            (None, None) => Need::Cpus(1),
        }
    }

    /// Why `need` can never be met here, if it can't.
    pub fn lacks(&self, need: Need) -> Option<String> {
        let (gpus, cpus) = (self.count(SlotKind::Gpu), self.count(SlotKind::Cpu));
        match need {
            Need::Gpus(n) if (n as usize) > gpus => Some(format!("needs {n} GPU(s), has {gpus}")),
            Need::Share(_) if gpus == 0 => Some("needs a GPU, has none".into()),
            Need::Cpus(n) if (n as usize) > cpus => Some(format!("needs {n} CPU slot(s), has {cpus}")),
            _ => None,
        }
    }

    /// Slots and shares that meet `need` now. Shares pack the fullest GPU that still fits, so that whole ones stay free.
    pub fn allocate(&self, need: Need) -> Option<Vec<(String, f64)>> {
        let whole = |kind: SlotKind, n: u32| {
            let free: Vec<_> = self
                .0
                .iter()
                .filter(|s| s.spec.kind == kind && s.free() >= 1.0 - SLACK)
                .take(n as usize)
                .map(|s| (s.spec.id.clone(), 1.0))
                .collect();
            (free.len() == n as usize).then_some(free)
        };
        match need {
            Need::Gpus(n) => whole(SlotKind::Gpu, n),
            Need::Cpus(n) => whole(SlotKind::Cpu, n),
            Need::Share(share) => self
                .0
                .iter()
                .filter(|s| s.spec.kind == SlotKind::Gpu && s.free() + SLACK >= share)
                .min_by(|a, b| a.free().total_cmp(&b.free()).then_with(|| a.spec.id.cmp(&b.spec.id)))
                .map(|s| vec![(s.spec.id.clone(), share)]),
        }
    }

    /// Books slots for an attempt (also again, after a restart).
    pub fn book(&mut self, key: &AttemptKey, slots: &[(String, f64)]) {
        for (id, share) in slots {
            match self.0.iter_mut().find(|s| s.spec.id == *id) {
                Some(slot) => slot.used.push((key.clone(), *share)),
                None => self.0.push(Slot {
                    spec: SlotSpec {
                        id: id.clone(),
                        kind: if id.starts_with("cpu-") { SlotKind::Cpu } else { SlotKind::Gpu },
                    },
                    foreign: Some("no longer there".into()),
                    used: vec![(key.clone(), *share)],
                }),
            }
        }
    }

    /// Frees what an attempt held.
    pub fn release(&mut self, key: &AttemptKey) {
        for slot in &mut self.0 {
            slot.used.retain(|(k, _)| k != key);
        }
        self.0.retain(|s| s.foreign.as_deref() != Some("no longer there") || !s.used.is_empty());
    }

    /// Whether anything could start.
    pub fn any_free(&self) -> bool {
        self.0.iter().any(|s| s.free() > SLACK)
    }
}
