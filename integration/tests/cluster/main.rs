//! Real daemons in network namespaces joined by a bridge: what a cluster promises while boxes die, sleep and are cut off.
//!
//! Needs root, `ip` and `nft`; says loudly that it was skipped where these are missing. `just cluster-tests` runs it with
//! its figures shown, `just chaos` for longer and with the defaults' times.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod disks;
mod kills;
mod laptop;
mod links;
mod nemesis;
mod network;
mod partition;
mod stopped;
mod strangers;
mod together;
mod upgrade;

use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::PathBuf, time::Duration};

use metaopt_integration::cluster::{Lan, Node, Remote, agree};
use serde_json::{Value, json};

/// Whether this is `just chaos`.
fn chaos() -> bool {
    std::env::var_os("METAOPT_CHAOS").is_some()
}

/// A number that moments are drawn from; `METAOPT_CHAOS_SEED` gives another.
fn seed() -> u64 {
    std::env::var("METAOPT_CHAOS_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// The next of a row of numbers below `below`.
fn draw(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below
}

/// A fleet's secret in a file.
fn key(lan: &Lan) -> PathBuf {
    key_of(lan, "key", "the secret of this fleet and of no other")
}

fn key_of(lan: &Lan, name: &str, secret: &str) -> PathBuf {
    let path = lan.dir().join(name);
    if !path.exists() {
        let mut file = fs::File::options().create(true).write(true).truncate(true).mode(0o600).open(&path).unwrap();
        file.write_all(secret.as_bytes()).unwrap();
    }
    path
}

/// The options of a box that finds the others by the first one's address.
fn options<'a>(lan: &Lan, slots: &'a str, more: &[&'a str]) -> Vec<String> {
    let peer = format!("{}:7879", lan.address(0));
    let key = key(lan).display().to_string();
    let first = ["--no-mdns", "--slots", slots, "--peer", &peer, "--cluster-key-file", &key].map(str::to_owned);
    first.into_iter().chain(more.iter().map(|word| (*word).to_owned())).collect()
}

/// A daemon in every box of the network, each seeing all others.
fn cluster(lan: &Lan, slots: &str, more: &[&str]) -> Vec<Node> {
    let options = options(lan, slots, more);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let nodes: Vec<Node> = (0..lan.len()).map(|at| Node::start(lan, at, &options)).collect();
    let took = agree(&remotes(&nodes), &names(&nodes), Duration::from_secs(30));
    println!("{} nodes see each other after {took:.1?}", nodes.len());
    nodes
}

fn remotes(nodes: &[Node]) -> Vec<Remote> {
    nodes.iter().map(|node| node.at.clone()).collect()
}

fn names(nodes: &[Node]) -> Vec<String> {
    nodes.iter().map(|node| node.at.name.clone()).collect()
}

/// A study; with `run`, one that metaopt runs itself.
fn study(at: &Remote, name: &str, run: Option<Value>, trials: u64) {
    let mut body = json!({
        "name": name, "space": [{"name": "x", "type": "float", "low": -5.0, "high": 5.0}],
        "objectives": [{"metric": "loss", "direction": "minimize"}], "budget": {"max_trials": trials},
        "sampler": {"name": "random"},
    });
    if let Some(run) = run {
        body["run"] = run;
    }
    at.ok("POST", "/studies", Some(body));
}

/// How many trials of a study are in a state, as one node sees it; none where it doesn't know the study.
fn count(at: &Remote, study: &str, state: &str) -> Option<u64> {
    at.call("GET", &format!("/studies/{study}"), None)?.body["counts"][state].as_u64()
}
