//! The shares of a slot never add up to more than 1, whatever comes and goes.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use metaopt_core::slots::{Need, Slots};
use metaopt_schema::{
    AttemptKey, TrialId,
    facts::{SlotKind, SlotSpec},
    study::RunSpec,
};
use proptest::prelude::*;

fn gpus(n: usize) -> Vec<(SlotSpec, Option<String>)> {
    (0..n).map(|i| (SlotSpec { id: format!("GPU-{i}"), kind: SlotKind::Gpu }, None)).collect()
}

fn key(n: u32) -> AttemptKey {
    AttemptKey { trial: TrialId::new(format!("n.{n}")), attempt: 1 }
}

proptest! {
    #[test]
    fn no_slot_is_ever_overbooked(steps in prop::collection::vec((0..4u8, 1..9u32, 0..20u32, 1..4usize), 1..80)) {
        let mut slots = Slots::default();
        slots.update(gpus(3));
        for (kind, share, who, inventory) in steps {
            let need = match kind {
                0 => Need::Gpus(share % 3 + 1),
                1 => Need::Share(f64::from(share) / 10.0),
                2 => { slots.release(&key(who)); continue }
                _ => { slots.update(gpus(inventory)); continue }
            };
            slots.release(&key(who));
            if let Some(found) = slots.allocate(need) {
                slots.book(&key(who), &found);
            }
            for slot in &slots.0 {
                let sum: f64 = slot.used.iter().map(|(_, s)| s).sum();
                prop_assert!(sum <= 1.0 + 1e-9, "{} holds {sum}", slot.spec.id);
            }
        }
    }
}

#[test]
fn shares_pack_and_leave_whole_gpus_free() {
    let mut slots = Slots::default();
    slots.update(gpus(2));
    for n in 0..2 {
        let found = slots.allocate(Need::Share(0.5)).unwrap();
        assert_eq!(found[0].0, "GPU-0");
        slots.book(&key(n), &found);
    }
    assert_eq!(slots.allocate(Need::Gpus(1)).unwrap()[0].0, "GPU-1");
    assert_eq!(slots.allocate(Need::Gpus(2)), None);
}

#[test]
fn a_foreign_gpu_is_not_claimed_and_a_vanished_one_stays_booked() {
    let mut slots = Slots::default();
    slots.update(vec![(gpus(1).remove(0).0, Some("GPU-0 is used by process 42".into()))]);
    assert_eq!(slots.allocate(Need::Gpus(1)), None);
    slots.update(gpus(1));
    let found = slots.allocate(Need::Gpus(1)).unwrap();
    slots.book(&key(1), &found);
    slots.update(Vec::new());
    assert_eq!(slots.0.len(), 1, "its trial still runs there");
    slots.update(gpus(1));
    assert_eq!(slots.allocate(Need::Gpus(1)), None, "and it is still taken when it returns");
    slots.release(&key(1));
    assert!(slots.allocate(Need::Gpus(1)).is_some());
}

#[test]
fn what_is_needed_follows_the_machine_only_where_nothing_was_asked() {
    let mut slots = Slots::default();
    let run = |gpus, cpus| RunSpec { gpus, cpus, ..RunSpec::default() };
    assert_eq!(slots.need(&run(None, None)), Need::Cpus(1));
    assert!(slots.lacks(slots.need(&run(Some(1.0), None))).unwrap().contains("has 0"));
    slots.update(gpus(1));
    assert_eq!(slots.need(&run(None, None)), Need::Gpus(1));
    assert_eq!(slots.need(&run(Some(0.25), None)), Need::Share(0.25));
    assert_eq!(slots.need(&run(Some(0.0), None)), Need::Cpus(1));
    assert_eq!(slots.need(&run(None, Some(3))), Need::Cpus(3));
}
