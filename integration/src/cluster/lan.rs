//! A local network: a bridge in a namespace of its own, one port for each box, and what can go wrong between them.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use super::{
    Place,
    leftovers::{self, PREFIX},
    place::run,
};

/// Several clusters at once would only measure each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
static SERIAL: AtomicU32 = AtomicU32::new(0);

/// The network and its boxes; removed when dropped, with all that runs there.
pub struct Lan {
    bridge: Place,
    boxes: Vec<Place>,
    dir: PathBuf,
    cuts: BTreeSet<(usize, usize)>,
    _alone: MutexGuard<'static, ()>,
}

impl Lan {
    /// A network with so many boxes, 10.77.0.1 and up. None where it can't be had; that is said aloud, and where CI runs
    /// as root it is a failure: CI is where these tests must run.
    pub fn new(boxes: usize) -> Option<Self> {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let root = rustix::process::geteuid().is_root();
        let built = if root { Self::build(boxes, alone) } else { Err("it needs root".into()) };
        match built {
            Ok(lan) => Some(lan),
            Err(why) => {
                assert!(!(root && std::env::var_os("CI").is_some()), "CI must run the clusters of namespaces: {why}");
                // Past the test harness, which shows nothing of a test that passes.
                let _ = writeln!(std::io::stderr(), "SKIPPED: no network of namespaces can be made here: {why}");
                None
            }
        }
    }

    fn build(boxes: usize, alone: MutexGuard<'static, ()>) -> Result<Self, String> {
        leftovers::clear();
        run("nft", &["--version"])?;
        let name = format!("{PREFIX}{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let bridge = Place::make(&format!("{name}-bridge"))?;
        let dir = std::env::temp_dir().join(&name);
        // From here on, what is made is removed by dropping it.
        let mut lan = Self { bridge, boxes: Vec::new(), dir, cuts: BTreeSet::new(), _alone: alone };
        fs::create_dir(&lan.dir).map_err(|e| format!("{}: {e}", lan.dir.display()))?;
        // Without a querier that keeps its list of listeners, snooping would stop multicast after some minutes.
        lan.bridge.ip(&["link", "add", "bridge", "type", "bridge", "mcast_snooping", "0"])?;
        lan.bridge.ip(&["link", "set", "bridge", "up"])?;
        for at in 0..boxes {
            let place = Place::make(&format!("{name}-{at}"))?;
            lan.boxes.push(place.clone());
            let port = port(at);
            lan.bridge.ip(&["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", place.name()])?;
            lan.bridge.ip(&["link", "set", &port, "master", "bridge"])?;
            lan.bridge.ip(&["link", "set", &port, "up"])?;
            place.ip(&["address", "add", &format!("{}/24", address(at)), "brd", "+", "dev", "eth0"])?;
            place.ip(&["link", "set", "eth0", "up"])?;
        }
        lan.write_cuts()?;
        Ok(lan)
    }

    /// How many boxes there are.
    pub fn len(&self) -> usize {
        self.boxes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.boxes.is_empty()
    }

    /// A box's network.
    pub fn place(&self, at: usize) -> &Place {
        &self.boxes[at]
    }

    pub(super) fn bridge(&self) -> &Place {
        &self.bridge
    }

    /// Its first address.
    pub fn address(&self, at: usize) -> Ipv4Addr {
        address(at)
    }

    /// A directory for the test, removed with everything else.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// From now on nothing passes between these and those, either way; nobody is told.
    pub fn cut(&mut self, some: &[usize], others: &[usize]) {
        self.cut_one_way(some, others);
        self.cut_one_way(others, some);
    }

    /// Nothing passes from these to those; the other way it does.
    pub fn cut_one_way(&mut self, from: &[usize], to: &[usize]) {
        self.cuts.extend(from.iter().flat_map(|a| to.iter().map(|b| (*a, *b))).filter(|(a, b)| a != b));
        self.write_cuts().expect("nft takes the cuts");
    }

    /// Everything passes again. Answers how many frames were dropped since the first cut: a cut that dropped none was none.
    pub fn heal(&mut self) -> u64 {
        let dropped = self.dropped();
        self.cuts.clear();
        self.write_cuts().expect("nft takes the heal");
        dropped
    }

    /// Frames that the present cuts have dropped.
    pub fn dropped(&self) -> u64 {
        let rules = self.nft("list ruleset\n").expect("nft lists");
        let after = rules.split("packets ").skip(1);
        after.filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// The whole table at once, so that there is no moment between two rules.
    fn write_cuts(&self) -> Result<(), String> {
        let mut text =
            String::from("table bridge cuts\ndelete table bridge cuts\ntable bridge cuts {\n chain forward {\n");
        text += "  type filter hook forward priority 0; policy accept;\n";
        for (from, to) in &self.cuts {
            text += &format!("  iifname \"{}\" oifname \"{}\" counter drop\n", port(*from), port(*to));
        }
        self.nft(&(text + " }\n}\n")).map(|_| ())
    }

    fn nft(&self, script: &str) -> Result<String, String> {
        self.bridge.inside(|| {
            let mut nft = Command::new("nft");
            nft.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = nft.spawn().map_err(|e| format!("nft: {e}"))?;
            child.stdin.take().expect("piped").write_all(script.as_bytes()).map_err(|e| format!("nft: {e}"))?;
            let output = child.wait_with_output().map_err(|e| format!("nft: {e}"))?;
            let said = String::from_utf8_lossy(&output.stderr);
            if output.status.success() {
                Ok(String::from_utf8_lossy(&output.stdout).into_owned())
            } else {
                Err(said.into())
            }
        })
    }

    /// Pulls a box's plug, or puts it in again: it sees its carrier go and come.
    pub fn plug(&self, at: usize, into: bool) {
        self.bridge.ip(&["link", "set", &port(at), if into { "up" } else { "down" }]).expect("a port");
    }

    /// Gives a box another address, as a router does after a while; it loses the old one.
    pub fn readdress(&self, at: usize, new: Ipv4Addr) {
        let place = &self.boxes[at];
        place.ip(&["-4", "address", "flush", "dev", "eth0"]).expect("flushed");
        place.ip(&["address", "add", &format!("{new}/24"), "brd", "+", "dev", "eth0"]).expect("added");
    }

    /// Bytes that a box has sent since it was made, with the headers of all layers.
    pub fn sent(&self, at: usize) -> u64 {
        // The bridge receives what the box sends.
        let text = self.bridge.ip(&["-s", "-j", "link", "show", "dev", &port(at)]).expect("a port");
        let link: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        link[0]["stats64"]["rx"]["bytes"].as_u64().expect("a counter")
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for place in &self.boxes {
            place.remove();
        }
        self.bridge.remove();
        leftovers::remove(&self.dir);
    }
}

pub(super) fn port(at: usize) -> String {
    format!("port{}", at + 1)
}

fn address(at: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, u8::try_from(at + 1).expect("few boxes"))
}
