//! What goes wrong, drawn from the seed.

use crate::{
    network::Chaos,
    world::{Event, Mend, Pause, World},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Partition,
    OneWay,
    PartialMesh,
    Reset,
    Slow,
    Chaos,
    Crash,
    PowerCut,
    DiskLost,
    DiskFull,
    ClockJump,
    Stopped,
    Asleep,
    Rogue,
}

impl Fault {
    pub fn name(self) -> &'static str {
        match self {
            Self::Partition => "partition",
            Self::OneWay => "one-way cut",
            Self::PartialMesh => "partial mesh",
            Self::Reset => "link reset",
            Self::Slow => "slow link",
            Self::Chaos => "chaos",
            Self::Crash => "crash",
            Self::PowerCut => "power cut",
            Self::DiskLost => "disk lost",
            Self::DiskFull => "disk full",
            Self::ClockJump => "clock jump",
            Self::Stopped => "stopped",
            Self::Asleep => "asleep",
            Self::Rogue => "rogue frames",
        }
    }
}

/// One fault now, and the next later.
pub fn strike(world: &mut World) {
    if world.healed {
        return;
    }
    let next = world.random.range(1_500, 7_000);
    world.at(next, Event::Fault);
    let Some(fault) = world.random.pick(&world.scenario.faults.clone()).copied() else { return };
    let boxes = world.boxes.len();
    let at = world.random.below(boxes as u64) as usize;
    // Some are over before anybody acts on them, some long after.
    let long =
        if world.random.chance(0.4) { world.random.range(10_000, 35_000) } else { world.random.range(300, 9_000) };
    let all = |from: &[usize], to: &[usize]| -> Vec<(usize, usize)> {
        from.iter().flat_map(|a| to.iter().map(|b| (*a, *b))).filter(|(a, b)| a != b).collect()
    };
    match fault {
        Fault::Partition => {
            let mut sides: [Vec<usize>; 2] = Default::default();
            for i in 0..boxes {
                sides[world.random.below(2) as usize].push(i);
            }
            if sides.iter().any(Vec::is_empty) {
                return;
            }
            let mut cuts = all(&sides[0], &sides[1]);
            cuts.extend(all(&sides[1], &sides[0]));
            cut(world, cuts, long);
        }
        Fault::OneWay => {
            let others: Vec<usize> = (0..boxes).filter(|i| *i != at).collect();
            let cuts = if world.random.chance(0.5) { all(&[at], &others) } else { all(&others, &[at]) };
            cut(world, cuts, long);
        }
        Fault::PartialMesh => {
            let pairs: Vec<(usize, usize)> = world.net.links.keys().copied().collect();
            let mut cuts = Vec::new();
            for (a, b) in pairs {
                if world.random.chance(0.4) {
                    cuts.extend([(a, b), (b, a)]);
                }
            }
            cut(world, cuts, long);
        }
        Fault::Reset => {
            let pairs: Vec<(usize, usize)> = world.net.links.keys().copied().collect();
            if let Some(pair) = world.random.pick(&pairs).copied() {
                world.end_link(pair, 300);
            }
        }
        Fault::Slow => {
            let pairs: Vec<(usize, usize)> = world.net.links.keys().copied().collect();
            if let Some((a, b)) = world.random.pick(&pairs).copied() {
                world.net.slow.extend([(a, b), (b, a)]);
                world.at(long, Event::Mend(Mend::Fast(vec![(a, b), (b, a)])));
            }
        }
        Fault::Chaos => {
            world.net.chaos = Chaos { lose: 0.05, double: 0.2, overtake: 0.2 };
            world.at(long, Event::Mend(Mend::Calm));
        }
        Fault::Crash | Fault::PowerCut | Fault::DiskLost => {
            if world.boxes[at].node.is_none() {
                return;
            }
            let power = fault == Fault::PowerCut || (fault == Fault::DiskLost && world.random.chance(0.5));
            if fault != Fault::DiskLost && world.random.chance(0.5) {
                world.boxes[at].doomed = Some((long, power));
                return world.fire(fault.name());
            }
            world.crash(at, power);
            if fault == Fault::DiskLost {
                world.say(|| format!("box{at} loses its disk"));
                crate::invariants::disk_lost(world, at);
                world.boxes[at].disk.wipe();
                world.boxes[at].lost = true;
            }
            world.at(long, Event::Boot(at));
        }
        Fault::DiskFull => {
            world.boxes[at].full = true;
            world.say(|| format!("the disk of box{at} is full"));
            world.at(long, Event::Mend(Mend::Disk(at)));
        }
        Fault::ClockJump => {
            let by = world.random.range(1, 8 * 3_600_000) as i64;
            let by = if world.random.chance(0.5) { -by } else { by };
            world.jump(at, by);
        }
        Fault::Rogue => {
            if world.boxes[at].node.is_none() || world.boxes[at].pause.is_some() {
                return;
            }
            crate::rogues::attack(world, at);
        }
        Fault::Stopped | Fault::Asleep => {
            if world.boxes[at].node.is_none() || world.boxes[at].pause.is_some() {
                return;
            }
            world.pause(at, if fault == Fault::Asleep { Pause::Asleep } else { Pause::Stopped });
            world.at(long, Event::Mend(Mend::Wake(at)));
        }
    }
    world.fire(fault.name());
}

fn cut(world: &mut World, cuts: Vec<(usize, usize)>, long: u64) {
    world.say(|| format!("cut for {:.1} s: {cuts:?}", long as f64 / 1000.0));
    for (from, to) in &cuts {
        world.cut(*from, *to);
    }
    world.at(long, Event::Mend(Mend::Uncut(cuts)));
}

pub fn mend(world: &mut World, mend: Mend) {
    match mend {
        Mend::Uncut(cuts) => {
            world.say(|| format!("healed: {cuts:?}"));
            cuts.into_iter().for_each(|(from, to)| world.uncut(from, to));
        }
        Mend::Wake(at) => world.wake(at),
        Mend::Disk(at) => world.boxes[at].full = false,
        Mend::Fast(pairs) => pairs.iter().for_each(|pair| {
            world.net.slow.remove(pair);
        }),
        Mend::Calm => world.net.chaos = Chaos::default(),
    }
}

/// All faults end.
pub fn heal(world: &mut World) {
    world.healed = true;
    world.say(|| "all faults end".to_owned());
    let cuts: Vec<_> = world.net.cuts.iter().copied().collect();
    cuts.into_iter().for_each(|(from, to)| world.uncut(from, to));
    world.net.slow.clear();
    world.net.chaos = Chaos::default();
    for at in 0..world.boxes.len() {
        world.wake(at);
        world.boxes[at].full = false;
        world.set_clock_right(at);
        if world.boxes[at].node.is_none() {
            world.at(0, Event::Boot(at));
        }
    }
}
