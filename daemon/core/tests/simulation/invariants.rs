//! What must hold (DESIGN.md), one function for each of the twelve.

use std::collections::{BTreeMap, BTreeSet};

use metaopt_core::{Node, NodeConfig, Now, commands::Event as Shown, read_doc};
use metaopt_schema::{
    AttemptKey, AttemptNo, StudyId, TrialId,
    docs::Doc,
    study::StudyState,
    trial::{Outcome, Proposer, Reason, TrialState},
    view::{StudyView, TrialView},
};

use crate::{
    clients::State,
    jobs::Job,
    world::{TIMING, World},
};

/// How long a holder and its link must have been well for its orphaning to be wrong.
const WELL_MS: u64 = 5_000;

/// A soft budget was passed though nothing was cut.
pub const PASSED: &str = "soft budget passed";

/// What was seen so far.
#[derive(Default)]
pub struct Ledger {
    pub wrong: Vec<String>,
    pub troubles: Vec<String>,
    /// Results that were answered for as stored: trial, attempt, value, and where.
    pub acknowledged: BTreeMap<AttemptKey, (f64, usize)>,
    /// Of these, what went down with the only disk that had it.
    excused: BTreeSet<AttemptKey>,
    /// Boxes that a person gave up or removed, and until when that explains what befalls them.
    pub condemned: BTreeMap<usize, u64>,
    /// When a box (the first) last heard another.
    heard: BTreeMap<(usize, usize), u64>,
    /// Since when trials run twice where each could know of the other.
    doubles: BTreeMap<TrialId, u64>,
    given_up: BTreeSet<(AttemptKey, usize, u32)>,
    pub give_ups: u64,
    attempts: BTreeMap<(usize, TrialId), AttemptNo>,
    launched: BTreeSet<(usize, AttemptKey)>,
    pub launches: u64,
    /// When something was started or acknowledged last.
    pub moved: u64,
    proposed: BTreeMap<StudyId, BTreeSet<TrialId>>,
}

impl Ledger {
    pub fn restarted(&mut self, at: usize) {
        self.attempts.retain(|(of, _), _| *of != at);
    }
}

// ---- while it runs

/// What a box drained.
pub fn observe(world: &mut World, at: usize, events: &[Shown]) {
    let mut trials: BTreeSet<&TrialId> = BTreeSet::new();
    for event in events {
        if event.kind == "trial.updated"
            && let Some(trial) = &event.trial
        {
            trials.insert(trial);
        }
    }
    let mut wrong = Vec::new();
    for id in trials {
        let Some(node) = &world.boxes[at].node else { return };
        let Some((study, trial)) = node.world().trial(id) else { continue };
        let ledger = &mut world.ledger;
        wrong.extend(attempts_never_go_back(ledger, at, trial));
        if study.budget.strict {
            let all = ledger.proposed.entry(study.id.clone()).or_default();
            all.insert(id.clone());
        }
        let new: Vec<(AttemptKey, usize)> = trial
            .attempts
            .iter()
            .filter(|a| a.given_up().is_some())
            .filter_map(|a| {
                let holder = world.boxes.iter().position(|b| b.id == a.node)?;
                let key = AttemptKey { trial: id.clone(), attempt: a.attempt };
                ledger.given_up.insert((key.clone(), holder, a.kept())).then_some((key, holder))
            })
            .collect();
        for (key, holder) in new {
            world.ledger.give_ups += 1;
            world.say(|| format!("box{at} gives up {} #{} of box{holder}", key.trial, key.attempt));
            wrong.extend(connected_holders_are_kept(world, at, holder, &key));
            wrong.extend(minorities_wait(world, at, holder, &key));
        }
    }
    wrong.into_iter().for_each(|what| world.wrong(what));
}

/// 7. Attempt numbers never go back.
fn attempts_never_go_back(ledger: &mut Ledger, at: usize, trial: &TrialView) -> Option<String> {
    let last = trial.attempts.last()?.attempt;
    let known = ledger.attempts.entry((at, trial.place.id.clone())).or_default();
    if last < *known {
        return Some(format!("7: box{at} knows attempt {last} of {} as the last, and knew {known}", trial.place.id));
    }
    *known = last;
    None
}

/// Boxes that are well and that `from` hears of over links that are well, itself among them.
fn well_connected(world: &World, from: usize) -> BTreeSet<usize> {
    let now = world.now;
    let well = |at: usize| {
        let machine = &world.boxes[at];
        machine.node.is_some() && machine.pause.is_none() && machine.up_since + WELL_MS <= now
    };
    let mut all: BTreeSet<usize> = BTreeSet::new();
    let mut next = vec![from];
    while let Some(at) = next.pop() {
        if !well(at) || !all.insert(at) {
            continue;
        }
        for ((a, b), link) in &world.net.links {
            let up = link.up == [true; 2] && !link.over && link.since + WELL_MS <= now && link.mute_since.is_none();
            if up && (*a == at || *b == at) {
                next.push(if *a == at { *b } else { *a });
            }
        }
    }
    all
}

/// 12. No connected, healthy holder is orphaned.
fn connected_holders_are_kept(world: &World, observer: usize, holder: usize, key: &AttemptKey) -> Option<String> {
    if observer == holder || world.ledger.condemned.get(&holder).is_some_and(|at| at + 8_000 > world.now) {
        return None;
    }
    well_connected(world, observer).contains(&holder).then(|| {
        format!("12: box{observer} gave up {} #{} of box{holder}, which is well and connected", key.trial, key.attempt)
    })
}

/// Whom a box hears, itself or through others.
fn hears(world: &World, at: usize) -> BTreeSet<usize> {
    let mut heard: BTreeSet<usize> = BTreeSet::new();
    let mut next = vec![at];
    while let Some(at) = next.pop() {
        if world.boxes[at].node.is_some() && heard.insert(at) {
            let up = world.net.links.iter().filter(|(_, l)| l.up == [true; 2] && !l.over);
            next.extend(
                up.filter(|((a, b), _)| *a == at || *b == at).map(|((a, b), _)| if *a == at { *b } else { *a }),
            );
        }
    }
    heard
}

/// To be called once a second and when a link comes up: some are gone again before the second is over.
pub fn note_who_hears(world: &mut World) {
    for at in 0..world.boxes.len() {
        for other in hears(world, at) {
            world.ledger.heard.insert((at, other), world.now);
        }
    }
}

/// 12. A minority gives nobody up before the longer wait is over.
fn minorities_wait(world: &World, observer: usize, holder: usize, key: &AttemptKey) -> Option<String> {
    let now = world.now;
    let removing = world.boxes.iter().any(|b| b.gone);
    if removing || world.ledger.condemned.contains_key(&holder) || world.boxes[observer].up_since + WELL_MS > now {
        return None;
    }
    let last = |other: usize| world.ledger.heard.get(&(observer, other)).copied().unwrap_or(0);
    let lately = hears(world, observer);
    // What others tell of it is as old as what they count on themselves, at most.
    let told = |other: usize| {
        let heard = lately.iter().filter_map(|at| world.ledger.heard.get(&(*at, other)));
        heard.copied().max().unwrap_or(0) + 2 * TIMING.suspect_ms + 2_000 > now
    };
    let there =
        |other: &&usize| lately.contains(*other) || last(**other) + TIMING.suspect_ms + 2_000 > now || told(**other);
    // Whom a person gave up is no longer one of those that a majority is reckoned of, where that is known.
    let lost = |other: usize| {
        let view = world.boxes[observer].node.as_ref().map(|node| &node.world().cluster.nodes);
        view.and_then(|nodes| nodes.get(&world.boxes[other].id)).is_some_and(|node| node.lost)
    };
    let slotted = world.members().into_iter().filter(|i| !world.boxes[*i].slots.is_empty() && !lost(*i));
    let slotted: Vec<usize> = slotted.collect();
    let minority = slotted.iter().filter(there).count() * 2 < slotted.len();
    (minority && last(holder) + TIMING.quorum_ms > now)
        .then(|| format!("12: box{observer}, in a minority, gave up {} #{} of box{holder}", key.trial, key.attempt))
}

/// Of attempts of one trial that run where all hear one another, one goes on.
fn doubles_end(world: &mut World) -> Option<String> {
    let mut living: BTreeMap<TrialId, Vec<usize>> = BTreeMap::new();
    for (at, machine) in world.boxes.iter().enumerate() {
        for (key, _) in machine.jobs.iter().filter(|(_, job)| job.lives() && !job.ends_soon) {
            living.entry(key.trial.clone()).or_default().push(at);
        }
    }
    let now = world.now;
    // Who doesn't know yet what it did can't tell that it does it twice.
    let knows = |i: &usize| world.boxes[*i].recollects <= now;
    living.retain(|_, at| at.len() > 1 && at.iter().all(|i| knows(i) && well_connected(world, at[0]).contains(i)));
    let known = &mut world.ledger.doubles;
    known.retain(|trial, _| living.contains_key(trial));
    for (trial, at) in living {
        let since = *known.entry(trial.clone()).or_insert(now);
        if since + 6_000 < now {
            return Some(format!("5: {trial} runs on boxes {at:?}, which have heard one another for long"));
        }
    }
    None
}

/// 6. Never more running attempts than slots, and no GPU's shares above 1; nor is an attempt ever started twice.
pub fn launched(world: &mut World, at: usize, job: &Job) {
    world.ledger.launches += 1;
    world.ledger.moved = world.now;
    let key = job.launch.key.clone();
    let machine = &world.boxes[at];
    let mut wrong = Vec::new();
    if !world.ledger.launched.insert((at, key.clone())) {
        wrong.push(format!("7: box{at} starts {} #{} a second time", key.trial, key.attempt));
    }
    // Where nothing is cut nothing is done twice: turns and settling see to it.
    if world.scenario.faults.is_empty() {
        let twin =
            world.boxes.iter().flat_map(|b| b.jobs.values()).find(|j| j.lives() && j.launch.key.trial == key.trial);
        if let Some(twin) = twin {
            wrong.push(format!(
                "once: {} is started as #{} while #{} runs",
                key.trial, key.attempt, twin.launch.key.attempt
            ));
        }
    }
    let others = || machine.jobs.values().filter(|j| j.lives()).chain(std::iter::once(job));
    let cpus: u32 = others().map(|j| j.takes().0).sum();
    let there = machine.slots.iter().filter(|s| s.id.starts_with("cpu-")).count() as u32;
    let names: Vec<String> = others().map(|j| format!("{} #{}", j.launch.key.trial, j.launch.key.attempt)).collect();
    if cpus > there {
        wrong.push(format!("6: box{at} runs on {cpus} of {there} CPU slots: {}", names.join(", ")));
    }
    for gpu in machine.slots.iter().filter(|s| !s.id.starts_with("cpu-")) {
        let used: f64 = others().filter(|j| j.launch.gpus.contains(&gpu.id)).map(|j| j.takes().1).sum();
        if used > 1.0 + 1e-6 {
            wrong.push(format!("6: {} of box{at} is taken {used} times: {}", gpu.id, names.join(", ")));
        }
    }
    wrong.into_iter().for_each(|what| world.wrong(what));
}

/// A result was answered for as stored.
pub fn acknowledged(world: &mut World, from: usize, key: AttemptKey, value: f64) {
    world.ledger.moved = world.now;
    // Forwarded or not: whoever answers has it on its disk.
    world.ledger.acknowledged.entry(key).or_insert((value, from));
}

/// What only this disk had is excused: nobody can keep it.
pub fn disk_lost(world: &mut World, at: usize) {
    let others: Vec<Node> =
        (0..world.boxes.len()).filter(|i| *i != at).filter_map(|i| read_again(world, i).ok()).collect();
    let elsewhere = |key: &AttemptKey, value: f64| {
        others.iter().filter_map(|n| n.world().trial(&key.trial)).any(|(_, trial)| has(trial, key, value))
    };
    let lost = world.ledger.acknowledged.iter().filter(|(key, (value, _))| !elsewhere(key, *value));
    let lost: Vec<AttemptKey> = lost.map(|(key, _)| key.clone()).collect();
    world.ledger.excused.extend(lost);
    world.ledger.launched.retain(|(of, _)| *of != at);
}

/// A node made of what a box's disk says now.
fn read_again(world: &World, at: usize) -> Result<Node, String> {
    let machine = &world.boxes[at];
    let config = NodeConfig {
        id: machine.id.clone(),
        public_key: String::new(),
        hardware: Default::default(),
        boot: u64::MAX,
        entropy: [0; 32],
        grace_s: 1.0,
        pause_grace_s: 1.0,
        timing: TIMING,
        curve_bytes: 1 << 20,
    };
    let actor = config.actor();
    let docs: Vec<_> = machine.disk.docs().into_iter().map(|stored| read_doc(&actor, stored)).collect();
    let now = Now { mono_ms: 1, wall_ms: world.wall(at) };
    let shelf = std::sync::Arc::new(machine.disk.clone());
    Node::load(config, now, docs, shelf, None).map_err(|e| format!("box{at}'s disk: {e}"))
}

fn has(trial: &TrialView, key: &AttemptKey, value: f64) -> bool {
    let ends =
        trial.attempts.iter().filter(|a| a.attempt == key.attempt).flat_map(|a| a.end.iter().chain(a.told.as_deref()));
    let mut ends = ends.peekable();
    if ends.peek().is_none() {
        return false;
    }
    ends.any(|end| {
        // What was stopped before stays stopped; what it told is a point of its curve.
        (end.outcome == Outcome::Complete && end.values.get("loss") == Some(&value))
            || matches!(end.outcome, Outcome::Pruned | Outcome::Paused | Outcome::Cancelled)
    })
}

/// What is looked at once a second.
pub fn now_and_then(world: &mut World) {
    let mut wrong = Vec::new();
    for (id, all) in &world.ledger.proposed {
        let nodes = || world.boxes.iter().filter_map(|b| b.node.as_ref());
        let Some(study) = nodes().find_map(|n| n.world().study(id)) else { continue };
        // A trial that went down with its proposer before anybody heard of it never was; its ID may come again.
        let drawn = |trial: &&TrialId| {
            let views = nodes().filter_map(|n| n.world().trial(trial)).find(|(s, _)| s.id == *id);
            views.is_some_and(|(_, t)| matches!(t.spec.by, Proposer::Sampler { .. }))
        };
        let drawn = all.iter().filter(drawn).count() as u64;
        if study.budget.max_trials.is_some_and(|max| drawn > max) && !world.scenario.removes {
            wrong.push(format!("8: the strict budget of {} is exceeded: {drawn} trials", study.name));
        }
    }
    wrong.extend(doubles_end(world));
    note_who_hears(world);
    wrong.into_iter().for_each(|what| world.wrong(what));
}

// ---- in the end

/// What a node believes, line by line; two nodes with the same documents say the same.
pub fn export(node: &Node) -> Vec<String> {
    let mut lines = Vec::new();
    for view in node.world().cluster.nodes.values() {
        lines.push(format!(
            "node {} joined {:?} removed {} draining {} lost {} hardware {:?}",
            view.id, view.record, view.removed, view.draining, view.lost, view.hardware
        ));
    }
    for study in node.studies() {
        lines.push(format!(
            "study {} `{}` wanted {:?} budget {:?} space {:?} counts {:?} best {:?}",
            study.id,
            study.name,
            study.wanted,
            study.budget,
            study.space,
            TrialState::ALL.map(|s| study.count(s)),
            study.best().map(|t| t.place.id.clone())
        ));
        let shares: Vec<_> = study.shares().collect();
        lines.push(format!("shares {shares:?} proposed {:?}", study.proposed().collect::<Vec<_>>()));
        // Those that rest at once: each reads a document.
        let mut resting = match node.curves(study, study.trials().iter().filter(|t| !t.is_warm())) {
            Ok(curves) => curves.into_iter(),
            Err(error) => {
                lines.push(format!("curves of {} unreadable: {error}", study.id));
                Vec::new().into_iter()
            }
        };
        for trial in study.trials() {
            lines.push(format!(
                "trial {} seq {} {:?} params {:?} counted {:?} note {:?} attrs {:?} values {:?}",
                trial.place.id,
                trial.place.seq,
                trial.state,
                trial.spec.params.params(),
                trial.counted,
                trial.note(),
                trial.user_attrs(),
                trial.values()
            ));
            for a in &trial.attempts {
                lines.push(format!(
                    "  attempt {} of {} claim {:?} end {:?} told {:?} given up {:?} kept {}",
                    a.attempt,
                    a.node,
                    a.claim,
                    a.end,
                    a.told,
                    a.given_up(),
                    a.kept()
                ));
            }
            let curve = if trial.is_warm() { node.curve(study, trial).ok() } else { resting.next() };
            lines.push(format!("  curve {curve:?}"));
        }
    }
    lines
}

fn difference(a: &[String], b: &[String]) -> String {
    let (there, here): (BTreeSet<&String>, BTreeSet<&String>) = (a.iter().collect(), b.iter().collect());
    let only = |lines: &[String], others: &BTreeSet<&String>, mark: &str| -> String {
        let lines = lines.iter().filter(|l| !others.contains(l) && !l.starts_with("study"));
        lines.take(3).map(|l| format!("\n    {mark} {l}")).collect()
    };
    format!("{}{}", only(a, &here, "-"), only(b, &there, "+"))
}

/// 1. An acknowledged result is never lost once one holder's disk comes back.
pub fn acknowledged_results_are_kept(world: &World) -> Result<(), String> {
    for (key, (value, from)) in &world.ledger.acknowledged {
        if world.ledger.excused.contains(key) || world.boxes[*from].gone {
            continue;
        }
        for at in world.members() {
            let Some(node) = &world.boxes[at].node else { continue };
            match node.world().trial(&key.trial) {
                Some((_, trial)) if has(trial, key, *value) => {}
                Some((_, trial)) => {
                    let known = trial.attempts.iter().filter(|a| a.attempt == key.attempt).map(|a| (&a.end, &a.told));
                    return Err(format!(
                        "1: box{at} doesn't have the result of {} #{} that box{from} answered for; it has {:?}",
                        key.trial,
                        key.attempt,
                        known.collect::<Vec<_>>()
                    ));
                }
                None => return Err(format!("1: box{at} doesn't know trial {} of an acknowledged result", key.trial)),
            }
        }
    }
    Ok(())
}

/// 2. Same heads, same view, same counted attempts; also when read from disk.
pub fn same_heads_same_view(world: &World) -> Result<(), String> {
    let mut first: Option<(usize, Vec<String>)> = None;
    for at in world.members() {
        let machine = &world.boxes[at];
        let Some(node) = &machine.node else { continue };
        let lines = export(node);
        match &first {
            None => first = Some((at, lines.clone())),
            Some((other, theirs)) if *theirs != lines => {
                return Err(format!("2: box{other} and box{at} see other worlds: {}", difference(theirs, &lines)));
            }
            Some(_) => {}
        }
        let again = read_again(world, at).map_err(|e| format!("2: {e}"))?;
        let read = export(&again);
        if read != lines {
            return Err(format!("2: box{at} believes other than its disk says: {}", difference(&lines, &read)));
        }
    }
    Ok(())
}

/// 2. Same recorded inputs, same suggestion: every node draws a trial again, whoever drew it.
pub fn draws_are_repeated(world: &World) -> Result<(), String> {
    for at in world.members() {
        let Some(node) = &world.boxes[at].node else { continue };
        for study in node.studies() {
            let drawn = study.trials().iter().filter(|t| matches!(t.spec.by, Proposer::Sampler { .. }));
            // Every node some of them, and others than its neighbours.
            let every = world.members().len().max(5);
            for trial in drawn.skip(at % every).step_by(every) {
                let told = node.explain(trial.place.id.as_str()).map_err(|e| format!("2: {e}"))?;
                if told["reproduced"] != serde_json::json!(true) {
                    return Err(format!("2: box{at} can't draw {} of {} again: {told:#}", trial.place.id, study.name));
                }
            }
        }
    }
    Ok(())
}

/// 3. At most one counted attempt per trial: the complete one with the lowest number.
pub fn one_counted_attempt(world: &World) -> Result<(), String> {
    let mut counted: BTreeMap<TrialId, (AttemptNo, String)> = BTreeMap::new();
    for at in world.members() {
        let Some(node) = &world.boxes[at].node else { continue };
        for trial in node.studies().flat_map(|s| s.trials().iter()) {
            let complete =
                trial.attempts.iter().find(|a| a.effective_end().is_some_and(|e| e.outcome == Outcome::Complete));
            let mine = trial.counted.map(|i| (trial.attempts[i].attempt, trial.attempts[i].node.to_string()));
            if mine != complete.map(|a| (a.attempt, a.node.to_string())) {
                return Err(format!("3: box{at} counts {mine:?} of {}", trial.place.id));
            }
            if let Some(mine) = mine {
                let known = counted.entry(trial.place.id.clone()).or_insert_with(|| mine.clone());
                if *known != mine {
                    return Err(format!("3: of {} {known:?} counts, and on box{at} {mine:?}", trial.place.id));
                }
            }
        }
    }
    Ok(())
}

/// 4. After heal and quiet all heads are equal within a bound.
pub fn heads_are_equal(world: &World) -> bool {
    let roots: BTreeSet<u64> =
        world.members().iter().filter_map(|i| Some(world.boxes[*i].node.as_ref()?.root())).collect();
    roots.len() <= 1
}

/// Where the boxes' disks differ, for whoever looks for the reason.
pub fn what_differs(world: &World) -> String {
    let mut first: Option<BTreeMap<String, String>> = None;
    let mut all = String::new();
    for at in world.members() {
        let actor = metaopt_schema::docs::Actor::new(&world.boxes[at].id, 0);
        let read = world.boxes[at].disk.docs().into_iter().map(|stored| {
            let doc = Doc::load(stored.id.clone(), &actor, stored.snapshot.as_deref(), &stored.changes);
            let vector = |doc: Doc| doc.vector().iter().map(|(a, n)| format!("{}:{n} ", a.escape_ascii())).collect();
            (stored.id.to_string(), doc.map_or_else(|e| e.to_string(), vector))
        });
        let read: BTreeMap<String, String> = read.collect();
        let known = first.get_or_insert_with(|| read.clone());
        for id in known.keys().chain(read.keys()).collect::<BTreeSet<_>>() {
            if known.get(id) != read.get(id) {
                all += &format!("\n  {id}\n    {:?}\n    box{at} {:?}", known.get(id), read.get(id));
            }
        }
    }
    all
}

/// 5. Every orphan is re-run or ended: whatever is shown as running has somebody who runs it.
pub fn orphans_are_rerun_or_ended(world: &World) -> Result<(), String> {
    for at in world.members() {
        let Some(node) = &world.boxes[at].node else { continue };
        for trial in node.studies().flat_map(|s| s.trials().iter()) {
            for attempt in trial.attempts.iter().filter(|a| a.is_running()) {
                let key = AttemptKey { trial: trial.place.id.clone(), attempt: attempt.attempt };
                let runs = world.index(&attempt.node).is_some_and(|h| {
                    world.boxes[h].jobs.contains_key(&key) || world.clients.iter().any(|c| is_at(c.state.clone(), &key))
                });
                if !runs {
                    let holder = world.index(&attempt.node);
                    return Err(format!(
                        "5: on box{at} {} #{} is running on box{holder:?}, where nothing runs: {:?}",
                        key.trial, key.attempt, attempt
                    ));
                }
            }
        }
    }
    Ok(())
}

fn is_at(state: State, key: &AttemptKey) -> bool {
    match state {
        State::Working { key: at, .. } | State::Telling { key: at, .. } => at == *key,
        _ => false,
    }
}

/// What is still to be done of the studies, if anything.
pub fn unfinished(world: &World) -> Option<String> {
    for at in world.members() {
        let Some(node) = &world.boxes[at].node else { return Some(format!("box{at} is down")) };
        for (name, def) in &world.studies {
            let nowhere = || world.boxes.iter().filter_map(|b| b.node.as_ref()).all(|n| n.study(name).is_err());
            let Ok(study) = node.study(name) else {
                // It went down with the only disk that had it.
                if world.fired.contains_key("disk lost") && nowhere() {
                    continue;
                }
                return Some(format!("box{at} doesn't know {name}"));
            };
            if matches!(study.wanted, StudyState::Cancelled) {
                continue;
            }
            let open: Vec<String> = study
                .trials()
                .iter()
                .filter(|t| !t.state.is_terminal() && t.state != TrialState::Paused)
                .map(|t| format!("{} {:?}", t.place.id, t.state))
                .collect();
            if !open.is_empty() {
                return Some(format!("on box{at} {name} has open trials: {open:?}"));
            }
            let used = study.trials().len() as u64;
            if def.budget.max_trials.is_some_and(|max| used < max) && study.wanted != StudyState::Complete {
                return Some(format!("on box{at} {name} has used {used} of its budget; it is {:?}", study.wanted));
            }
            // Whom the rule still wants goes on, and in the end it wants none.
            if def.run.is_some() && node.state_of(study, world.now_of(at)) == StudyState::Running {
                return Some(format!("on box{at} {name} is not over: {} are frozen", study.count(TrialState::Paused)));
            }
        }
    }
    None
}

fn drawn(study: &StudyView) -> u64 {
    study.trials().iter().filter(|t| matches!(t.spec.by, Proposer::Sampler { .. })).count() as u64
}

/// 8. Budgets are kept.
///
/// A strict one is never exceeded; a soft one within the bound that docs/cluster.md tells: among nodes that hear one
/// another by what begins on others within a message's time, else by what each side of a partition could believe to be
/// left, too. How rare the former is, all seeds of a scenario without faults tell together (`check` in main.rs).
pub fn budgets_hold(world: &mut World) -> Result<(), String> {
    let mut passed = false;
    for at in world.members() {
        let Some(node) = &world.boxes[at].node else { continue };
        for (name, def) in &world.studies {
            let (Ok(study), Some(max)) = (node.study(name), def.budget.max_trials) else { continue };
            let drawn = drawn(study);
            let calm = world.scenario.faults.is_empty();
            let slots: u64 = world.boxes.iter().map(|b| b.slots.len() as u64).sum();
            let others = (slots + world.clients.len() as u64).saturating_sub(1);
            let bound = match (def.budget.strict, calm) {
                (true, _) => max,
                (_, true) => max + others,
                _ => max * world.boxes.len() as u64 + slots,
            };
            passed |= calm && drawn > max;
            if drawn > bound && !(def.budget.strict && world.scenario.removes) {
                return Err(format!("8: {name} has {drawn} trials of {max}, and may have {bound}"));
            }
        }
    }
    if passed {
        world.fire(PASSED);
    }
    Ok(())
}

/// 9. Clock jumps change no lease decision.
///
/// Where nothing else is wrong nobody is given up, and no client that lives loses its lease.
pub fn clocks_decide_nothing(world: &World) -> Result<(), String> {
    if world.ledger.give_ups > 0 {
        return Err(format!("9: {} attempts were given up where only clocks jumped", world.ledger.give_ups));
    }
    let Some(node) = world.boxes.iter().find_map(|b| b.node.as_ref()) else { return Ok(()) };
    let lost = |t: &&TrialView| {
        t.attempts.iter().any(|a| a.end.as_ref().is_some_and(|e| matches!(e.reason, Reason::LostClient)))
    };
    let lost = node.studies().flat_map(|s| s.trials().iter()).filter(lost).count() as u64;
    let died = world.fired.get("client died").copied().unwrap_or(0);
    if lost > died {
        return Err(format!("9: {lost} leases ran out, and {died} clients died"));
    }
    Ok(())
}

/// Uniqueness: no configuration of a finite space is drawn twice while all agree on the members.
pub fn no_duplicates(world: &World) -> Result<(), String> {
    let Some(node) = world.members().first().and_then(|i| world.boxes[*i].node.as_ref()) else { return Ok(()) };
    for study in node.studies() {
        // In a continuum nobody owns anything: two that begin at once may both begin with the defaults.
        if study.record.def.sampler.name == "tpe" && study.space.params.len() == 1 {
            continue;
        }
        let mut seen: BTreeMap<String, TrialId> = BTreeMap::new();
        for trial in study.trials().iter().filter(|t| matches!(t.spec.by, Proposer::Sampler { .. })) {
            let params = format!("{:?}", trial.spec.params.params());
            if let Some(other) = seen.insert(params.clone(), trial.place.id.clone()) {
                return Err(format!("unique: {params} was drawn for {other} and {}", trial.place.id));
            }
        }
    }
    Ok(())
}
