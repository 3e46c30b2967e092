//! Everything at once: boxes die and sleep, and the network breaks, in any order and several at a time.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use metaopt_integration::{
    cluster::{FAST, Lan, Marks, Node, Work, agree, counted_once, exports, say},
    wait_for,
};
use serde_json::json;

use crate::{chaos, cluster, count, draw, names, remotes, seed, study};

/// What is wrong with a box, and until when.
enum Ill {
    Dead,
    Frozen,
    Unplugged,
}

struct Nemesis {
    state: u64,
    ill: BTreeMap<usize, (Ill, Instant)>,
    cut: Option<Instant>,
    fired: BTreeMap<&'static str, usize>,
    dropped: u64,
}

impl Nemesis {
    fn draw(&mut self, below: u64) -> u64 {
        draw(&mut self.state, below)
    }

    fn fired(&mut self, what: &'static str) {
        *self.fired.entry(what).or_default() += 1;
    }

    /// Something new goes wrong.
    fn strike(&mut self, lan: &mut Lan, nodes: &mut [Node]) {
        let until = Instant::now() + Duration::from_millis(500 + self.draw(7000));
        let at = self.draw(nodes.len() as u64) as usize;
        let kind = self.draw(6);
        if kind >= 4 {
            if self.cut.is_some() {
                return;
            }
            let mask = 1 + self.draw((1 << nodes.len()) - 2);
            let (some, others): (Vec<usize>, Vec<usize>) = (0..nodes.len()).partition(|at| mask >> at & 1 == 1);
            if kind == 4 {
                lan.cut(&some, &others);
                self.fired("cuts");
            } else {
                lan.cut_one_way(&some, &others);
                self.fired("one-way cuts");
            }
            self.cut = Some(until);
            return;
        }
        if self.ill.contains_key(&at) {
            return;
        }
        let ill = match kind {
            0 => {
                nodes[at].crash();
                self.fired("dead daemons");
                Ill::Dead
            }
            1 => {
                nodes[at].power_off();
                self.fired("dead boxes");
                Ill::Dead
            }
            2 => {
                nodes[at].freeze();
                self.fired("stops");
                Ill::Frozen
            }
            _ => {
                lan.plug(at, false);
                self.fired("pulled plugs");
                Ill::Unplugged
            }
        };
        self.ill.insert(at, (ill, until));
    }

    /// What has lasted long enough, or everything, is well again.
    fn mend(&mut self, lan: &mut Lan, nodes: &mut [Node], all: bool) {
        let now = Instant::now();
        let over: Vec<usize> =
            self.ill.iter().filter(|(_, (_, until))| all || *until <= now).map(|(at, _)| *at).collect();
        for at in over {
            match self.ill.remove(&at).unwrap().0 {
                Ill::Dead => nodes[at].restart(),
                Ill::Frozen => nodes[at].thaw(),
                Ill::Unplugged => lan.plug(at, true),
            }
        }
        if self.cut.is_some_and(|until| all || until <= now) {
            self.dropped += lan.heal();
            self.cut = None;
        }
    }
}

#[test]
fn whatever_happens_together_what_was_promised_holds_when_it_is_over() {
    let Some(mut lan) = Lan::new(5) else { return };
    let (time, seed) = (Duration::from_secs(if chaos() { 300 } else { 40 }), seed());
    say(&format!("seed {seed}: {time:?} of everything at once on 5 boxes"));
    let mut nodes = cluster(&lan, "2", FAST);
    let (remotes, names) = (remotes(&nodes), names(&nodes));
    let marks = Marks::new(&lan.dir().join("work"));
    study(&remotes[0], "asked", None, 1_000_000);
    study(&remotes[1], "runs", Some(marks.run(1.5)), 1_000_000);
    let budget = time.as_secs() * 2;
    let body = json!({
        "name": "strict", "space": [{"name": "x", "type": "float", "low": -5.0, "high": 5.0}],
        "objectives": [{"metric": "loss", "direction": "minimize"}], "sampler": {"name": "random"},
        "budget": {"max_trials": budget, "strict": true}, "run": marks.run(1.0),
    });
    remotes[2].ok("POST", "/studies", Some(body));
    exports(&remotes, "asked", Duration::from_secs(10));
    let work = Work::default();
    let mut nemesis = Nemesis { state: seed, ill: BTreeMap::new(), cut: None, fired: BTreeMap::new(), dropped: 0 };
    std::thread::scope(|scope| {
        for (number, remote) in remotes.iter().enumerate() {
            let work = &work;
            scope.spawn(move || work.client(remote, "asked", number as u64, Duration::from_millis(100)));
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let begun = Instant::now();
            while begun.elapsed() < time {
                nemesis.strike(&mut lan, &mut nodes);
                std::thread::sleep(Duration::from_millis(200 + nemesis.draw(1800)));
                nemesis.mend(&mut lan, &mut nodes, false);
            }
            nemesis.mend(&mut lan, &mut nodes, true);
        }));
        work.over.store(true, Ordering::SeqCst);
        outcome.unwrap_or_else(|panic| resume_unwind(panic));
    });
    let healed = Instant::now();
    let linked = agree(&remotes, &names, Duration::from_secs(20));
    let (equal, _) = exports(&remotes, "asked", Duration::from_secs(10));
    say(&format!(
        "{:?}, {} frames dropped; all see all {linked:.2?} after the end, {} results of clients equal {equal:.2?} after that",
        nemesis.fired,
        nemesis.dropped,
        work.told()
    ));
    assert!(nemesis.fired.len() >= 5 && nemesis.dropped > 0, "hardly anything went wrong");
    assert!(equal < Duration::from_secs(5));
    // Everything that was lost is found: whatever was given up is run again and ends.
    remotes[3].ok("POST", "/studies/runs/pause", None);
    wait_for(Duration::from_secs(60), "the last jobs", || {
        let over = |study: &str| remotes.iter().all(|at| count(at, study, "running") == Some(0));
        let done = count(&remotes[0], "strict", "complete")?;
        (over("runs") && over("strict") && done == budget).then_some(())
    });
    let mut known = Vec::new();
    for name in ["runs", "strict"] {
        exports(&remotes, name, Duration::from_secs(5));
        let complete: Vec<usize> = remotes.iter().map(|at| counted_once(&at.trials(name).unwrap())).collect();
        say(&format!("{name}: {complete:?} counted"));
        known.extend(remotes[0].trials(name).unwrap());
    }
    let again = marks.check(2);
    marks.are_known(&known);
    say(&format!("{} starts, {again} of them again", marks.starts()));
    assert_eq!(remotes[0].trials("strict").unwrap().len() as u64, budget, "a strict budget is exact");
    for remote in &remotes {
        work.ledger().check(remote, "asked");
    }
    println!("{:.1?} to the end of it", healed.elapsed());
}
