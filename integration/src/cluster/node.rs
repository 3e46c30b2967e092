//! A box with a daemon in it.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Lan, Place};
use crate::{Answer, Client, program};

/// Small times, for tests whose point isn't the defaults.
pub const FAST: &[&str] = &["--suspect-after", "1s", "--orphan-after", "3s", "--quorum-after", "8s"];
/// A start may have a history to read, on a machine that builds something else meanwhile.
const START: Duration = Duration::from_secs(30);

/// Where a daemon is called: from its own box. It survives the daemon's restarts.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Its node's name.
    pub name: String,
    /// The box.
    pub place: Place,
    /// The API there.
    pub client: Client,
}

impl Remote {
    /// Runs `f` in the box, which saves a thread for each of many calls.
    pub fn inside<T: Send>(&self, f: impl FnOnce(&Client) -> T + Send) -> T {
        self.place.inside(|| f(&self.client))
    }

    /// A call to `/api/v1PATH`; none where nobody answers within ten seconds.
    pub fn call(&self, method: &str, path: &str, body: Option<Value>) -> Option<Answer> {
        let body = body.map(|body| body.to_string());
        self.inside(|client| client.call_within(Duration::from_secs(10), method, path, body))
    }

    /// A call that must succeed.
    pub fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let answer = self.call(method, path, body).unwrap_or_else(|| panic!("{}: {method} {path}: nobody", self.name));
        assert!(answer.status < 300, "{}: {method} {path}: {answer:#?}", self.name);
        answer.body
    }

    /// A text, such as an export; none where nobody answers, or it isn't there.
    pub fn text(&self, path: &str) -> Option<String> {
        let answer = self.inside(|client| client.text_within(Duration::from_secs(60), "GET", path, None))?;
        (answer.0 == 200).then_some(answer.2)
    }

    /// All trials of a study; none where nobody answers, or the study isn't there.
    pub fn trials(&self, study: &str) -> Option<Vec<Value>> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.call("GET", &format!("/studies/{study}/trials?limit=500{cursor}"), None)?;
            all.extend(page.body["items"].as_array().filter(|_| page.status == 200)?.iter().cloned());
            match page.body["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Some(all),
            }
        }
    }

    /// The names of all nodes in some state, in order.
    pub fn nodes(&self, state: &str) -> Vec<String> {
        let Some(answer) = self.call("GET", "/nodes", None) else { return Vec::new() };
        let items = answer.body["items"].as_array().cloned().unwrap_or_default();
        let names = items.iter().filter(|node| node["state"] == state).filter_map(|node| node["name"].as_str());
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort_unstable();
        names
    }
}

/// One box and its `metaoptd`, ended with its network.
pub struct Node {
    /// Where it is called.
    pub at: Remote,
    /// Its data directory.
    pub dir: PathBuf,
    home: PathBuf,
    args: Vec<String>,
    env: Vec<(String, String)>,
    daemon: Option<Child>,
    programs: Option<PathBuf>,
}

impl Node {
    /// Starts one in a box, called `boxN`, with more options.
    pub fn start(lan: &Lan, at: usize, args: &[&str]) -> Self {
        Self::within(lan, at, lan.dir().join(format!("box{}/data", at + 1)), args, &[])
    }

    /// The same on another data directory and with more of an environment.
    pub fn within(lan: &Lan, at: usize, dir: PathBuf, args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut node = Self::prepared(lan, at, dir, args, env);
        node.boot();
        node
    }

    /// One whose daemon doesn't run yet; `restart` starts it.
    pub fn prepared(lan: &Lan, at: usize, dir: PathBuf, args: &[&str], env: &[(&str, &str)]) -> Self {
        let name = format!("box{}", at + 1);
        let home = lan.dir().join(&name);
        fs::create_dir_all(&home).expect("a directory");
        let client = Client { url: String::new(), token: String::new() };
        let mut all = vec!["--name".to_owned(), name.clone()];
        all.extend(args.iter().map(|word| (*word).to_owned()));
        let env = env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let at = Remote { name, place: lan.place(at).clone(), client };
        Self { at, dir, home, args: all, env, daemon: None, programs: None }
    }

    /// From its next start on, it runs the programs in another folder: another version.
    pub fn run_programs_of(&mut self, folder: Option<&Path>) {
        self.programs = folder.map(Path::to_owned);
    }

    fn program(&self, name: &str) -> PathBuf {
        self.programs.as_ref().map_or_else(|| program(name), |folder| folder.join(name))
    }

    /// The daemon's process.
    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("it runs").id()
    }

    /// Whether there is one.
    pub fn runs(&self) -> bool {
        self.daemon.is_some()
    }

    /// `kill -9` of the daemon; its jobs live on.
    pub fn crash(&mut self) {
        let mut daemon = self.daemon.take().expect("it runs");
        daemon.kill().expect("the daemon is ours to kill");
        daemon.wait().expect("and to wait for");
    }

    /// SIGTERM, and its end.
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        self.daemon.take().expect("it runs").wait().expect("and ends");
    }

    /// `kill -9` of everything in the box, as a power cut ends it.
    pub fn power_off(&mut self) {
        for pid in self.at.place.processes().into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        if let Some(mut daemon) = self.daemon.take() {
            daemon.wait().expect("it was killed");
        }
    }

    /// A new one on the same directory.
    pub fn restart(&mut self) {
        self.boot();
    }

    /// The same with other options from now on.
    pub fn restart_with(&mut self, args: &[&str]) {
        self.args = vec!["--name".to_owned(), self.at.name.clone()];
        self.args.extend(args.iter().map(|word| (*word).to_owned()));
        self.boot();
    }

    /// SIGSTOP: it neither answers nor ends.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid() as i32).expect("a process");
        kill_process(pid, signal).expect("ours to signal");
    }

    /// What all its lives said on standard error.
    pub fn said(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn log(&self) -> PathBuf {
        self.home.join("said")
    }

    /// A program in this box, with a home of its own and nothing of the environment's metaopt.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("METAOPT_")) {
            command.env_remove(key);
        }
        for key in ["XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_STATE_HOME"] {
            command.env_remove(key);
        }
        command.env("HOME", &self.home).stdin(Stdio::null());
        command
    }

    /// `metaopt --data-dir DIR ARGS` in this box, in a directory.
    pub fn metaopt(&self, dir: &Path, args: &[&str]) -> Output {
        let mut command = self.command(&self.program("metaopt"));
        command.arg("--data-dir").arg(&self.dir).args(args).current_dir(dir);
        self.at.place.inside(move || command.output().expect("metaopt runs"))
    }

    fn boot(&mut self) {
        assert!(self.daemon.is_none(), "it runs already");
        let mut command = self.command(&self.program("metaoptd"));
        let log = fs::File::options().create(true).append(true).open(self.log()).expect("the log");
        command.arg("--data-dir").arg(&self.dir);
        command.args(["--listen", "127.0.0.1:0", "--peer-listen", "0.0.0.0:7879", "--allow-root", "--grace", "2s"]);
        command.args(&self.args).envs(self.env.iter().map(|(key, value)| (key, value)));
        command.stdout(Stdio::piped()).stderr(log);
        let mut child = self.at.place.inside(|| command.spawn().expect("metaoptd starts"));
        let stdout = child.stdout.take().expect("piped");
        self.daemon = Some(child);
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout).read_line(&mut line);
            let _ = tell.send(line);
        });
        let line = told.recv_timeout(START).unwrap_or_default();
        assert!(line.starts_with("metaoptd ready url="), "{}: got {line:?}", self.at.name);
        let api: Value = serde_json::from_slice(&fs::read(self.dir.join("api.json")).expect("api.json")).expect("JSON");
        let text = |key: &str| api[key].as_str().expect("text").to_owned();
        self.at.client = Client { url: text("url"), token: text("token") };
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = self.said();
            let lines: Vec<&str> = said.lines().collect();
            let last = &lines[lines.len().saturating_sub(60)..];
            eprintln!("{} said last:\n{}\n", self.at.name, last.join("\n"));
        }
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}
