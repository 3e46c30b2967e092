//! What is on the other machine already: its kind, its metaopt, the address under which it sees this one.

use serde_json::Value;

use super::{Host, Ssh};
use crate::{
    failure::Failure,
    json::{list, text},
};

/// Where a metaopt is looked for first, and brought to.
pub const BIN: &str = "$HOME/.local/bin";

/// One line a fact, each with a mark of ours: banners and greetings of the login shell are passed over. Nothing is changed, and
/// no daemon started.
const SCRIPT: &str = "\
PATH=\"$HOME/.local/bin:$PATH\"; m=$(command -v metaopt); \
echo \"metaopt-os=$(uname -s)\"; echo \"metaopt-arch=$(uname -m)\"; echo \"metaopt-ssh=$SSH_CONNECTION\"; \
if [ -n \"$m\" ]; then echo \"metaopt-at=$m\"; echo \"metaopt-version=$(\"$m\" --version 2>/dev/null)\"; \
echo \"metaopt-nodes=$(\"$m\" --json nodes --no-start 2>/dev/null </dev/null)\"; fi; echo metaopt-end=1";

/// A machine as it was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// As `uname -s` says.
    pub os: String,
    /// As `uname -m` says.
    pub arch: String,
    /// The address of this machine as that one sees it.
    pub client: Option<String>,
    /// The address of that one as this one reached it.
    pub server: Option<String>,
    /// Its metaopt.
    pub at: Option<String>,
    /// And what version it is.
    pub version: Option<String>,
    /// The members that its daemon knows, where one runs.
    pub nodes: Vec<Value>,
    /// Which of them it is itself; an older metaopt doesn't say.
    pub node: Option<String>,
}

/// How the machine stands to this one's cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Both hold each other for members.
    Member,
    /// It was a member of a cluster, and was removed.
    Removed,
    /// It holds this one for a member, and this one knows nothing of it.
    Unknown,
    /// It has nothing to do with it.
    Stranger,
}

/// Looks.
pub fn probe(ssh: &Ssh, host: &Host) -> Result<Found, Failure> {
    let done = ssh.run(host, SCRIPT, b"".as_slice(), |_| ())?;
    match read(&done.out) {
        Some(found) => Ok(found),
        None => {
            let mut failure = Failure::failed("ssh did not get there");
            if done.said.is_empty() {
                let code = done.code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
                failure = failure
                    .cause(format!("it ended with {code} and said nothing; does `ssh {} true` work?", host.as_str()));
            }
            for line in done.said {
                failure = failure.cause(line);
            }
            Err(failure)
        }
    }
}

fn read(out: &str) -> Option<Found> {
    let fact = |name: &str| {
        let line = out.lines().find_map(|line| line.strip_prefix(&format!("metaopt-{name}=")));
        line.map(str::trim).filter(|fact| !fact.is_empty()).map(str::to_owned)
    };
    fact("end")?;
    let connection = fact("ssh").unwrap_or_default();
    let mut connection = connection.split_whitespace().map(str::to_owned);
    let client = connection.next();
    let server = connection.nth(1);
    let body = fact("nodes").and_then(|text| serde_json::from_str::<Value>(&text).ok()).unwrap_or_default();
    let (nodes, node) =
        (list(&body, "items").to_vec(), Some(text(&body, "node").to_owned()).filter(|id| !id.is_empty()));
    // `metaopt 0.1.0`
    let version = fact("version").and_then(|text| text.split_whitespace().nth(1).map(str::to_owned));
    Some(Found { os: fact("os")?, arch: fact("arch")?, client, server, at: fact("at"), version, nodes, node })
}

impl Found {
    /// How it stands to the cluster of `node`, which knows `ours`.
    pub fn standing(&self, node: &str, ours: &[Value]) -> Standing {
        let state = |nodes: &[Value]| {
            let own = nodes.iter().find(|row| Some(text(row, "id")) == self.node.as_deref());
            own.map(|row| text(row, "state").to_owned())
        };
        let (here, there) = (state(ours), state(&self.nodes));
        let removed = |state: &Option<String>| state.as_deref() == Some("removed");
        if removed(&here) || removed(&there) {
            return Standing::Removed;
        }
        if !self.members().any(|member| text(member, "id") == node) {
            return Standing::Stranger;
        }
        if self.node.is_some() && here.is_none() { Standing::Unknown } else { Standing::Member }
    }

    /// Names of those that it is in a cluster with; empty where it is alone, or has no daemon.
    pub fn others(&self) -> Vec<String> {
        let names: Vec<String> =
            self.members().map(|member| crate::render::strip::strip(crate::cluster::name(member))).collect();
        if names.len() > 1 { names } else { Vec::new() }
    }

    fn members(&self) -> impl Iterator<Item = &Value> {
        crate::cluster::members(&self.nodes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_found_among_greetings() {
        let out = "Welcome!\nmetaopt-os=Linux\nmetaopt-arch=x86_64\nmetaopt-ssh=10.0.0.1 5000 10.0.0.2 22\nmetaopt-at=/usr/bin/metaopt\n\
                   metaopt-version=metaopt 0.1.0\nmetaopt-nodes={\"items\": [{\"id\": \"a\", \"name\": \"gpu2\", \"state\": \"alive\"}, \
                   {\"id\": \"b\", \"name\": \"gpu1\", \"state\": \"lost\"}, {\"id\": \"c\", \"name\": \"old\", \"state\": \"removed\"}]}\nmetaopt-end=1\n";
        let found = read(out).unwrap();
        assert_eq!((found.os.as_str(), found.arch.as_str()), ("Linux", "x86_64"));
        assert_eq!((found.client.as_deref(), found.server.as_deref()), (Some("10.0.0.1"), Some("10.0.0.2")));
        assert_eq!((found.version.as_deref(), found.at.as_deref()), (Some("0.1.0"), Some("/usr/bin/metaopt")));
        let standing = |found: &Found, node, ours: Value| found.standing(node, list(&ours, "items"));
        let none = Value::Null;
        assert_eq!(standing(&found, "b", none.clone()), Standing::Member, "an older one that doesn't say who it is");
        assert_eq!(
            (standing(&found, "c", none.clone()), standing(&found, "x", none.clone())),
            (Standing::Stranger, Standing::Stranger)
        );
        assert_eq!(found.others(), ["gpu2", "gpu1"]);
        let bare = read("metaopt-os=Darwin\nmetaopt-arch=arm64\nmetaopt-ssh=\nmetaopt-end=1\n").unwrap();
        assert_eq!(bare, Found { os: "Darwin".into(), arch: "arm64".into(), ..Found::default() });
        assert!(bare.others().is_empty());
        assert_eq!(read("metaopt-os=Linux\nmetaopt-arch=x86_64\n"), None, "it broke off");
        let ours =
            |state: &str| serde_json::json!({"items": [{"id": "b", "state": "alive"}, {"id": "a", "state": state}]});
        let told = Found { node: Some("a".into()), ..found };
        assert_eq!(standing(&told, "b", ours("alive")), Standing::Member);
        assert_eq!(standing(&told, "b", ours("removed")), Standing::Removed, "it may not know it yet");
        assert_eq!(standing(&told, "b", none.clone()), Standing::Unknown);
        let gone = Found { node: Some("c".into()), ..told };
        assert_eq!(standing(&gone, "b", none), Standing::Removed);
        assert_eq!(read("This service allows sftp connections only.\n"), None);
    }
}
