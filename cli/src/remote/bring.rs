//! Makes one other machine a member: looks, copies metaopt where it is missing or older, and has it join.

use std::sync::OnceLock;

use serde_json::{Value, json};

use super::{
    Host, Ssh,
    install::{Programs, differs},
    probe::{self, Found, Standing, probe},
};
use crate::{
    client::Client,
    cluster::{and, members, older},
    failure::Failure,
    json::{list, text},
    render::value,
};

/// How long a code for one of these machines holds (seconds): it is used at once.
const TTL: u32 = 120;
/// How a daemon says that it could not connect.
const UNREACHABLE: &str = "cannot reach ";
/// Most addresses of this machine that another one is told to try.
const ADDRESSES: usize = 4;

/// What all machines are brought to.
#[derive(Debug)]
pub struct Plan {
    /// How they are reached.
    pub ssh: Ssh,
    /// The daemon of this machine.
    pub client: Client,
    /// Its node.
    pub node: String,
    /// The port at which it listens for peers.
    pub port: Option<u16>,
    /// Where it says that it is reached.
    pub addresses: Vec<String>,
    /// What the other machine is to be called.
    pub name: Option<String>,
    /// Looked up once, when the first machine needs them.
    pub programs: OnceLock<Programs>,
}

/// What became of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is a member now.
    Joined,
    /// It was one already.
    Member,
}

impl Plan {
    /// Does it; `tell` is told each step.
    pub fn bring(&self, host: &Host, tell: &dyn Fn(&str)) -> Result<Outcome, Failure> {
        tell("looking what is there");
        let found = probe(&self.ssh, host)?;
        if self.is_member(host, &found)? {
            return Ok(Outcome::Member);
        }
        if let Some(at) = found.at.as_ref().filter(|_| !is_outdated(&found)) {
            return self.join(host, &found, at, tell);
        }
        self.install(host, &found, tell)?;
        // Where there was none on its PATH, nobody could be asked who is a member.
        let found = if found.at.is_none() { probe(&self.ssh, host)? } else { found };
        if self.is_member(host, &found)? {
            return Ok(Outcome::Member);
        }
        self.join(host, &found, &format!("{}/metaopt", probe::BIN), tell)
    }

    /// Whether the machine is a member already; a failure where it can't become one.
    fn is_member(&self, host: &Host, found: &Found) -> Result<bool, Failure> {
        let ours = self.client.get("/nodes")?;
        match found.standing(&self.node, list(&ours, "items")) {
            Standing::Member => return Ok(true),
            Standing::Removed => {
                return Err(Failure::failed(
                    "it was removed from its cluster for ever: its identity is no member any more",
                )
                .hint("run `metaopt leave` there, which makes it a node of its own again, then this once more"));
            }
            Standing::Unknown => {
                return Err(Failure::failed(
                    "it says that it is in a cluster with this machine, which does not know it",
                )
                .hint("where it joined just now, run this again in a moment; else run `metaopt leave` there first"));
            }
            Standing::Stranger => {}
        }
        let others = found.others();
        if !others.is_empty() {
            return Err(Failure::failed(format!("it is in another cluster already, with {}", and(&others))).hint(format!(
                "`metaopt leave` there takes it out of that one; or make this machine a member there: ssh {} metaopt invite",
                host.as_str()
            )));
        }
        Ok(false)
    }

    fn install(&self, host: &Host, found: &Found, tell: &dyn Fn(&str)) -> Result<(), Failure> {
        let ours = env!("CARGO_PKG_VERSION");
        if let Some(why) = differs(found) {
            return Err(Failure::failed(why).hint(format!(
                "install metaopt {ours} there by hand (`metaopt` and `metaoptd` on its PATH or in ~/.local/bin), then run this again"
            )));
        }
        let programs = match self.programs.get() {
            Some(programs) => programs,
            None => {
                let programs = Programs::own()?;
                self.programs.get_or_init(|| programs)
            }
        };
        let instead = found.version.as_ref().map_or_else(String::new, |old| format!(" in place of {old}"));
        tell(&format!("copying metaopt {ours}{instead} to ~/.local/bin ({})", value::bytes(programs.size())));
        programs.copy(&self.ssh, host)
    }

    fn join(&self, host: &Host, found: &Found, program: &str, tell: &dyn Fn(&str)) -> Result<Outcome, Failure> {
        let peers = self.peers(found);
        if peers.is_empty() {
            return Err(Failure::failed("this machine knows no address under which others reach it")
                .hint("start its daemon with --advertise HOST, or set `advertise = \"HOST\"` in metaopt.toml"));
        }
        let invitation = self.client.post("/cluster/invites", &json!({"open": false, "ttl_s": TTL}))?;
        tell("joining");
        let mut script = format!("exec \"{program}\" join --code-stdin");
        for peer in &peers {
            script.push_str(&format!(" --peer \"{peer}\""));
        }
        if let Some(name) = &self.name {
            script.push_str(&format!(" --name \"{name}\""));
        }
        let code = format!("{}\n", text(&invitation, "code"));
        let done = self.ssh.run(host, &script, code.as_bytes(), |line| tell(line))?;
        if done.ok {
            return Ok(Outcome::Joined);
        }
        if done.said.iter().any(|line| line.contains(UNREACHABLE)) && self.alone()? {
            tell("it can't reach this machine: trying the other way round");
            return self.be_invited(host, found, program);
        }
        let code = done.code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
        let mut failure = Failure::failed(format!("it could not join ({code})"));
        if done.said.is_empty() {
            failure = failure.cause("it said nothing");
        }
        if done.said.iter().any(|line| line.contains("--allow-root")) {
            failure = failure.hint("log in as another user there, or set METAOPT_ALLOW_ROOT=1 in its environment");
        }
        Err(failure)
    }

    /// Nobody is in this machine's cluster but itself, so that it may become a member of another.
    fn alone(&self) -> Result<bool, Failure> {
        let cluster = self.client.get("/cluster")?;
        Ok(members(list(&cluster, "nodes")).count() < 2)
    }

    /// Has that machine invite this one: routers often let connections through in one direction only.
    fn be_invited(&self, host: &Host, found: &Found, program: &str) -> Result<Outcome, Failure> {
        let script = format!("exec \"{program}\" --json invite --ttl 2m");
        let done = self.ssh.run(host, &script, b"".as_slice(), |_| ())?;
        let invitation: Value =
            done.out.lines().rev().find_map(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        let told: Vec<&str> = list(&invitation, "addresses").iter().filter_map(Value::as_str).collect();
        let port = told.first().and_then(|address| address.rsplit_once(':')).and_then(|(_, port)| port.parse().ok());
        let reached = found.server.as_ref().zip(port).map(|(address, port)| at(address, port));
        let addresses: Vec<&str> = reached.iter().map(String::as_str).chain(told).take(ADDRESSES).collect();
        let mut failure = Failure::failed("neither machine reaches the other")
            .hint("open TCP port 7879 to one of the two, and run this again; ssh alone is not enough for what members tell each other");
        failure.causes.extend(done.said);
        for address in addresses {
            let body = json!({"code": text(&invitation, "code"), "peer": address});
            match self.client.post("/cluster/join", &body) {
                Ok(_) => return Ok(Outcome::Joined),
                Err(other) => failure.causes.push(other.message),
            }
        }
        Err(failure)
    }

    /// Where that machine reaches this one: at the address that it sees, then at those advertised.
    fn peers(&self, found: &Found) -> Vec<String> {
        let seen = found.client.as_ref().zip(self.port).map(|(address, port)| at(address, port));
        let mut out: Vec<String> = Vec::new();
        for address in seen.iter().chain(&self.addresses) {
            // They stand in a script there; the daemon gives nothing else.
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:[]%".contains(c);
            if address.chars().all(plain) && !out.contains(address) && out.len() < ADDRESSES {
                out.push(address.clone());
            }
        }
        out
    }
}

/// The metaopt there is older than this one, or says no version.
fn is_outdated(found: &Found) -> bool {
    found.version.as_ref().is_none_or(|version| older(version, env!("CARGO_PKG_VERSION")))
}

/// An address and a port.
fn at(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

/// The port of `0.0.0.0:7879`.
pub fn port(cluster: &Value) -> Option<u16> {
    text(cluster, "peers_address").rsplit_once(':').and_then(|(_, port)| port.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_that_the_other_side_sees_comes_first() {
        let plan = Plan {
            ssh: Ssh::from_env(false).unwrap(),
            client: Client::new("http://127.0.0.1:1", "t"),
            node: "n".into(),
            port: Some(7879),
            addresses: vec!["10.0.0.4:7879".into(), "192.168.0.4:7879".into(), "$(evil):1".into()],
            name: None,
            programs: OnceLock::new(),
        };
        let found = |client: &str| Found { client: Some(client.into()), ..Found::default() };
        assert_eq!(plan.peers(&found("192.168.0.4")), ["192.168.0.4:7879", "10.0.0.4:7879"]);
        assert_eq!(plan.peers(&found("fd00::4"))[0], "[fd00::4]:7879");
        assert_eq!(plan.peers(&Found::default()), ["10.0.0.4:7879", "192.168.0.4:7879"]);
        assert_eq!(port(&json!({"peers_address": "[::]:7000"})), Some(7000));
        assert_eq!(port(&json!({"peers_address": null})), None);
    }
}
