//! The demo's machines: a daemon each, in a folder that goes away with it.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    client::{Client, Place, start::daemon_exe},
    failure::Failure,
    json::list,
};

/// How long a daemon may take until it serves.
const PATIENCE: Duration = Duration::from_secs(15);

/// One machine.
pub struct Machine {
    /// What it is called.
    pub name: String,
    dir: PathBuf,
    daemon: Option<Child>,
    args: Vec<String>,
    key: PathBuf,
    client: Option<Client>,
}

impl Machine {
    /// Starts a machine with so many slots; it looks for its peers at `peers`.
    pub fn start(root: &Path, name: &str, slots: u32, peers: &[String]) -> Result<Self, Failure> {
        let dir = root.join(name);
        let mut args: Vec<String> = ["--listen", "127.0.0.1:0", "--no-mdns", "--name", name, "--gpus", "none"]
            .into_iter()
            // A demo has no time for the patience of real clusters.
            .chain(["--suspect-after", "1s", "--orphan-after", "2s", "--quorum-after", "20s", "--stop-jobs"])
            .map(str::to_owned)
            .collect();
        args.extend(["--slots".into(), slots.to_string(), "--peer-listen".into(), "127.0.0.1:0".into()]);
        args.extend(peers.iter().flat_map(|peer| ["--peer".into(), peer.clone()]));
        let key = root.join("cluster-key");
        let mut machine = Self { name: name.to_owned(), dir, daemon: None, args, key, client: None };
        machine.boot()?;
        Ok(machine)
    }

    /// Starts its daemon, also again.
    pub fn boot(&mut self) -> Result<(), Failure> {
        let no = |why: String| Failure::failed(format!("the daemon of {} does not start", self.name)).cause(why);
        std::fs::create_dir_all(&self.dir).map_err(|error| no(error.to_string()))?;
        let log = File::options()
            .append(true)
            .create(true)
            .open(self.dir.join("demo.log"))
            .map_err(|error| no(error.to_string()))?;
        let also = log.try_clone().map_err(|error| no(error.to_string()))?;
        let mut command = Command::new(daemon_exe());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("METAOPT_")) {
            command.env_remove(name); // the user's own daemon is not the demo's concern
        }
        command.arg("--data-dir").arg(&self.dir).args(&self.args).env("METAOPT_CLUSTER_KEY_FILE", &self.key);
        // The demo's training is metaopt's own: it may run as whoever started the demo.
        command.env("METAOPT_ALLOW_ROOT", "1");
        command.stdin(Stdio::null()).stdout(log).stderr(also);
        let mut child = command.spawn().map_err(|error| no(error.to_string()))?;
        let place = Place { data_dir: Some(self.dir.clone()), ..Place::default() };
        let until = Instant::now() + PATIENCE;
        let client = loop {
            if let Ok(Some(client)) = place.running() {
                break client;
            }
            if let Ok(Some(status)) = child.try_wait() {
                return Err(no(format!("it ended with {status}; its log is {}", self.dir.join("demo.log").display())));
            }
            if Instant::now() > until {
                return Err(no("it took too long".into()));
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        (self.daemon, self.client) = (Some(child), Some(client));
        Ok(())
    }

    /// Its API; none while it is down.
    pub fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    /// Where its peers reach it.
    pub fn address(&self) -> Result<String, Failure> {
        let client = self.client.as_ref().ok_or_else(|| Failure::failed("it is down"))?;
        let cluster = client.get("/cluster")?;
        let first = list(&cluster, "addresses").first().and_then(Value::as_str);
        first.map(str::to_owned).ok_or_else(|| Failure::failed(format!("{} has no address for peers", self.name)))
    }

    /// Cuts its power: its daemon and all that it ran are gone at once.
    pub fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        self.client = None;
        for pid in belongings(&self.dir) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }

    /// Ends it and its jobs in an orderly way.
    fn stop(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        if let Some(pid) = i32::try_from(daemon.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until {
            if !matches!(daemon.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = daemon.kill();
        let _ = daemon.wait();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop();
        self.kill();
    }
}

/// Processes that were started for jobs of the machine in `dir`: those that have its path on their command line or in
/// their environment. Only Linux tells.
fn belongings(dir: &Path) -> Vec<rustix::process::Pid> {
    let needle = dir.as_os_str().as_encoded_bytes().to_vec();
    let mine = std::process::id();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let has = |file: &str| {
            let bytes = std::fs::read(entry.path().join(file)).unwrap_or_default();
            bytes.windows(needle.len()).any(|part| part == needle)
        };
        if pid as u32 != mine
            && (has("cmdline") || has("environ"))
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            found.push(pid);
        }
    }
    found
}
