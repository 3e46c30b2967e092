//! What happened, as clients and jobs saw it, and what must be true of it afterwards on every node.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::Remote;

/// Prints a figure, past the test harness too, which shows nothing of a test that passes.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "    {text}");
}

/// A study that metaopt runs, whose jobs write down each start and end: what ran where is then known without asking metaopt.
pub struct Marks {
    dir: PathBuf,
}

/// One line of [`Marks`].
#[derive(Clone, Debug)]
pub struct Mark {
    /// A start, or an end.
    pub up: bool,
    /// The trial's ID.
    pub trial: String,
    /// Its attempt.
    pub attempt: u64,
    /// The box.
    pub on: String,
    /// Nanoseconds.
    pub at: u128,
}

impl Marks {
    /// Keeps them in a new directory.
    pub fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir).expect("a directory");
        Self { dir: dir.to_owned() }
    }

    /// What a study runs: a job of so many seconds, then a result.
    pub fn run(&self, seconds: f64) -> Value {
        let mark = |word: &str| {
            let file = self.dir.join("marks");
            format!(
                "echo {word} $METAOPT_TRIAL_ID $METAOPT_ATTEMPT $(basename $HOME) $(date +%s%N) >> {}",
                file.display()
            )
        };
        let script = format!("{}; sleep {seconds}; {}; echo 'metaopt: loss=0.5'", mark("start"), mark("end"));
        json!({"command": ["sh", "-c", script], "workdir": "in_place", "path": self.dir})
    }

    /// All so far.
    pub fn read(&self) -> Vec<Mark> {
        let text = fs::read_to_string(self.dir.join("marks")).unwrap_or_default();
        let mark = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            let [word, trial, attempt, on, at] = words[..] else { panic!("{line:?}") };
            let number = |text: &str| text.parse::<u128>().expect("a number");
            let (attempt, at) = (number(attempt) as u64, number(at));
            Mark { up: word == "start", trial: trial.into(), attempt, on: on.into(), at }
        };
        text.lines().map(mark).collect()
    }

    /// The boxes where anything was started.
    pub fn boxes(&self) -> BTreeSet<String> {
        self.read().into_iter().map(|mark| mark.on).collect()
    }

    /// How many starts there were.
    pub fn starts(&self) -> usize {
        self.read().iter().filter(|mark| mark.up).count()
    }

    /// No attempt was started twice on a box, and no box ran more than its slots at once (those that ended: a power cut
    /// leaves no mark). Answers how many starts there were above one for each trial.
    pub fn check(&self, slots: usize) -> usize {
        let mut marks = self.read();
        marks.sort_by_key(|mark| (mark.at, mark.up));
        let key = |mark: &Mark| (mark.on.clone(), mark.trial.clone(), mark.attempt);
        let ended: BTreeSet<_> = marks.iter().filter(|mark| !mark.up).map(key).collect();
        let (mut starts, mut running) = (BTreeMap::<_, usize>::new(), BTreeMap::<String, BTreeSet<_>>::new());
        for mark in &marks {
            let running = running.entry(mark.on.clone()).or_default();
            let key = key(mark);
            if mark.up {
                *starts.entry(key.clone()).or_default() += 1;
                if ended.contains(&key) {
                    running.insert(key);
                }
                assert!(running.len() <= slots, "{} jobs at once on {slots} slots of {}", running.len(), mark.on);
            } else {
                running.remove(&key);
            }
        }
        let twice: Vec<_> = starts.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "an attempt was started twice on one box: {twice:?}");
        let trials: BTreeSet<&String> = marks.iter().map(|mark| &mark.trial).collect();
        starts.len() - trials.len()
    }
}

impl Marks {
    /// What ended under its supervisor is counted or kept: no attempt that ran to its end is unknown.
    pub fn are_known(&self, trials: &[Value]) {
        for mark in self.read().iter().filter(|mark| !mark.up) {
            let trial = trials.iter().find(|trial| trial["id"] == *mark.trial).unwrap_or_else(|| panic!("{mark:?}"));
            let attempts = trial["attempts"].as_array().expect("attempts");
            assert!(attempts.iter().any(|attempt| attempt["attempt"] == mark.attempt), "{mark:?}: {trial:#}");
        }
    }
}

/// Everything that clients were told with a 2xx.
#[derive(Default)]
pub struct Ledger {
    /// Trial and value. One trial may have several: each side of a partition may have given it to a client.
    pub told: Vec<(String, f64)>,
    /// Trial and the highest attempt that was handed out.
    pub handed: BTreeMap<String, u64>,
}

/// What clients do until they are told to stop.
#[derive(Default)]
pub struct Work {
    /// What was acknowledged.
    pub ledger: Mutex<Ledger>,
    /// Set to end the clients.
    pub over: AtomicBool,
}

impl Work {
    /// Asks, reports and tells; writes down what was acknowledged, and only that.
    pub fn client(&self, at: &Remote, study: &str, number: u64, pause: Duration) {
        at.inside(|client| {
            let post = |path: &str, body: Value| {
                let answer = client.call_within(Duration::from_secs(5), "POST", path, Some(body.to_string()));
                answer.filter(|answer| answer.status < 300)
            };
            let mut round = 0;
            while !self.over.load(Ordering::SeqCst) {
                round += 1;
                std::thread::sleep(pause);
                // The same client's name gets the same trial again, whether or not the first answer was lost.
                let name = format!("{}-{number}-{round}", at.name);
                let Some(asked) = post(&format!("/studies/{study}/trials/suggest"), json!({"client_id": name})) else {
                    continue;
                };
                let Some(trial) = asked.body["items"][0].as_object() else { continue };
                let id = trial["id"].as_str().expect("an id").to_owned();
                let attempt = trial["attempt"].as_u64().expect("a number");
                let highest = |known: &mut u64| *known = (*known).max(attempt);
                self.ledger().handed.entry(id.clone()).and_modify(highest).or_insert(attempt);
                let value = (number * 1_000_000 + round) as f64;
                post(&format!("/trials/{id}/reports"), json!({"step": 1, "values": {"loss": value + 1.0}}));
                if post(&format!("/trials/{id}/complete"), json!({"values": {"loss": value}})).is_some() {
                    self.ledger().told.push((id, value));
                }
            }
        });
    }

    /// What was acknowledged so far.
    pub fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no client panicked")
    }

    /// How many results were acknowledged so far.
    pub fn told(&self) -> usize {
        self.ledger().told.len()
    }
}

impl Ledger {
    /// Every acknowledged result is a node's too, and no attempt number went back.
    pub fn check(&self, at: &Remote, study: &str) {
        let trials = at.trials(study).unwrap_or_else(|| panic!("{} has no study {study}", at.name));
        let known: BTreeMap<&str, &Value> = trials.iter().filter_map(|t| Some((t["id"].as_str()?, t))).collect();
        let find = |id: &str| *known.get(id).unwrap_or_else(|| panic!("{}: trial {id} is gone", at.name));
        for (id, value) in &self.told {
            let trial = find(id);
            let attempts = trial["attempts"].as_array().expect("attempts");
            let kept = attempts.iter().any(|attempt| attempt["values"]["loss"] == *value);
            assert!(kept && trial["state"] == "complete", "{}: {value} was acknowledged: {trial:#}", at.name);
        }
        for (id, attempt) in &self.handed {
            let attempts = find(id)["attempts"].as_array().expect("attempts");
            let now = attempts.iter().filter_map(|attempt| attempt["attempt"].as_u64()).max();
            assert!(now >= Some(*attempt), "{}: {id} had attempt {attempt}, now {now:?}", at.name);
        }
    }
}

/// Every complete trial has exactly one counted attempt, and others none. Answers how many are complete.
pub fn counted_once(trials: &[Value]) -> usize {
    let mut complete = 0;
    for trial in trials {
        let attempts = trial["attempts"].as_array().expect("attempts");
        let counted = attempts.iter().filter(|attempt| attempt["counted"] == true).count();
        let expected = usize::from(trial["state"] == "complete");
        complete += expected;
        assert_eq!(counted, expected, "{trial:#}");
    }
    complete
}

/// Waits until all export a study byte by byte alike. Answers how long that took, and the export.
pub fn exports(nodes: &[Remote], study: &str, limit: Duration) -> (Duration, String) {
    let (begun, mut looks) = (Instant::now(), 0);
    loop {
        let mut seen = Vec::new();
        for node in nodes {
            let text = node.text(&format!("/studies/{study}/export?format=jsonl"));
            let differs = seen.first().is_some_and(|first: &Option<String>| *first != text);
            seen.push(text);
            // One is enough to wait on.
            if differs || seen[0].is_none() {
                break;
            }
        }
        looks += 1;
        if seen.len() == nodes.len() && seen.iter().all(|text| text.is_some() && *text == seen[0]) {
            return (begun.elapsed(), seen.swap_remove(0).unwrap_or_default());
        }
        if begun.elapsed() > limit {
            let (one, other) = (&seen[0], &seen[seen.len() - 1]);
            panic!(
                "after {looks} looks {} and {} differ in {study}:\n{}",
                nodes[0].name,
                nodes[seen.len() - 1].name,
                difference(one, other)
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The first lines that differ.
fn difference(one: &Option<String>, other: &Option<String>) -> String {
    let (Some(one), Some(other)) = (one, other) else {
        return format!("one has {}, the other {}", one.is_some(), other.is_some());
    };
    let (one, other): (Vec<&str>, Vec<&str>) = (one.lines().collect(), other.lines().collect());
    let at = one.iter().zip(&other).position(|(a, b)| a != b).unwrap_or(one.len().min(other.len()));
    let line = |lines: &[&str]| lines.get(at).copied().unwrap_or("(nothing)").to_owned();
    format!("{} and {} lines; line {at}:\n{}\n{}", one.len(), other.len(), line(&one), line(&other))
}

/// Waits until all see these and only these nodes alive. Answers how long that took.
pub fn agree(nodes: &[Remote], alive: &[String], limit: Duration) -> Duration {
    let begun = Instant::now();
    for node in nodes {
        loop {
            let seen = node.nodes("alive");
            if seen == alive {
                break;
            }
            if begun.elapsed() > limit {
                let cluster = node.call("GET", "/cluster", None).map(|answer| answer.body);
                panic!("{} sees {seen:?} alive, not {alive:?}: {cluster:#?}", node.name);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    begun.elapsed()
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    /// Whether a check takes it for wrong.
    fn refused(check: impl FnOnce()) -> bool {
        catch_unwind(AssertUnwindSafe(check)).is_err()
    }

    fn marks(lines: &str) -> (tempfile::TempDir, Marks) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("marks"), lines).unwrap();
        let marks = Marks::new(dir.path());
        (dir, marks)
    }

    #[test]
    fn a_second_start_too_many_at_once_and_unknown_attempts_are_found() {
        let good =
            "start a 1 box1 1\nstart b 1 box2 2\nend a 1 box1 3\nstart b 2 box1 4\nend b 2 box1 5\nend b 1 box2 6\n";
        let (_dir, fine) = marks(good);
        assert_eq!((fine.check(1), fine.starts()), (1, 3));
        let attempts = |id: &str, to: u64| json!({"id": id, "attempts": (1..=to).map(|n| json!({"attempt": n})).collect::<Vec<_>>()});
        fine.are_known(&[attempts("a", 1), attempts("b", 2)]);
        assert!(refused(|| fine.are_known(&[attempts("a", 1), attempts("b", 1)])));
        assert!(refused(|| fine.are_known(&[attempts("a", 1)])));
        let (_dir, twice) = marks("start a 1 box1 1\nend a 1 box1 2\nstart a 1 box1 3\n");
        assert!(refused(|| _ = twice.check(9)));
        let (_dir, many) = marks("start a 1 box1 1\nstart b 1 box1 2\nend a 1 box1 3\nend b 1 box1 4\n");
        assert_eq!(many.check(2), 0);
        assert!(refused(|| _ = many.check(1)));
        // A job whose box died has no end, and holds no slot.
        let (_dir, dead) = marks("start a 1 box1 1\nstart b 1 box1 2\nend b 1 box1 4\n");
        assert_eq!(dead.check(1), 0);
    }

    #[test]
    fn a_trial_counted_twice_or_not_at_all_is_found() {
        let trial = |state: &str, counted: &[bool]| {
            let attempts: Vec<Value> = counted.iter().map(|counted| json!({"counted": counted})).collect();
            json!({"state": state, "attempts": attempts})
        };
        assert_eq!(counted_once(&[trial("complete", &[false, true]), trial("waiting", &[false])]), 1);
        for bad in [trial("complete", &[true, true]), trial("complete", &[false]), trial("fail", &[true])] {
            assert!(refused(|| _ = counted_once(&[bad])));
        }
    }
}
