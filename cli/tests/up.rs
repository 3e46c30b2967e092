//! `metaopt up HOST…` over an ssh that runs everything here, in homes of their own.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};
use support::{Fake, Place, cluster, code, node, page, text};

/// Homes of the machines, and the ssh that leads there.
struct Machines {
    dir: tempfile::TempDir,
}

impl Machines {
    fn new(names: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        // As sshd does: the words after the host are one command for the login shell, in an environment of its own.
        let script = format!(
            "#!/bin/sh\nhost=$1; shift\nhome={}/$host\n\
             if [ ! -d \"$home\" ]; then echo \"ssh: Could not resolve hostname $host\" >&2; exit 255; fi\n\
             echo \"$*\" >> \"$home/commands\"\n\
             exec env -i HOME=\"$home\" PATH=/usr/bin:/bin SSH_CONNECTION=\"${{SEEN_AS:-127.0.0.1}} 50000 127.0.0.1 22\" METAOPT_ALLOW_ROOT=1 \
             METAOPT_LISTEN=127.0.0.1:0 METAOPT_PEER_LISTEN=127.0.0.1:0 METAOPT_NO_MDNS=1 sh -c \"$*\"\n",
            dir.path().display()
        );
        program(&dir.path().join("ssh"), &script);
        Self { dir }
    }

    fn home(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A metaopt there that says `version` and `nodes`, and does `join`.
    fn with(&self, name: &str, version: &str, nodes: &Value, join: &str) {
        let bin = self.home(name).join(".local/bin");
        std::fs::create_dir_all(&bin).unwrap();
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in\n--version) echo metaopt {version} ;;\n'--json nodes --no-start') echo '{nodes}' ;;\n\
             join*) cat > \"$HOME/code\"; echo \"$*\" > \"$HOME/joined\"; {join} ;;\nesac\n"
        );
        program(&bin.join("metaopt"), &script);
    }

    fn up(&self, daemon: &Fake, args: &[&str]) -> Output {
        let mut command = daemon.command(self.dir.path(), &[&["up"], args].concat());
        command.env("METAOPT_SSH", self.dir.path().join("ssh")).output().unwrap()
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(path)).unwrap_or_default()
    }
}

fn program(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// The daemon of this machine: gives codes, and counts them.
fn daemon() -> Fake {
    let codes = Arc::new(AtomicUsize::new(0));
    Fake::new(move |call, body| match call {
        "GET /cluster" => (200, cluster(&[node("n-1", "gpu1", "alive")])),
        "GET /nodes" => (200, page(&[node("n-1", "gpu1", "alive")])),
        "POST /cluster/invites" => {
            assert_eq!(body["open"], false);
            let n = codes.fetch_add(1, Ordering::Relaxed);
            (
                201,
                json!({"code": format!("CODE-0000-000{n}"), "open": false, "expires_at": "2999-01-01T00:00:00Z", "addresses": []}),
            )
        }
        other => panic!("{other}"),
    })
}

const OURS: &str = env!("CARGO_PKG_VERSION");

#[test]
fn machines_with_a_metaopt_join_with_a_code_each_that_stands_in_no_command() {
    let machines = Machines::new(&["gpu2", "gpu3"]);
    for name in ["gpu2", "gpu3"] {
        machines.with(name, OURS, &json!({}), "echo metaopt: started metaoptd >&2");
    }
    let daemon = daemon();
    let output = machines.up(&daemon, &["gpu2", "gpu3"]);
    let said = text(&output.stderr);
    assert_eq!(code(&output), 0, "{said}");
    let mut codes = vec![machines.read("gpu2/code"), machines.read("gpu3/code")];
    codes.sort();
    assert_eq!(codes, ["CODE-0000-0000\n", "CODE-0000-0001\n"]);
    for name in ["gpu2", "gpu3"] {
        let joined = machines.read(&format!("{name}/joined"));
        assert_eq!(joined, "join --code-stdin --peer 127.0.0.1:7879 --peer 10.0.0.1:7879\n");
        assert!(!machines.read(&format!("{name}/commands")).contains("CODE-"), "a code in a command");
        for part in ["looking", "joining", "metaopt: started metaoptd", "joined in"] {
            assert!(said.contains(&format!("{name}: {part}")), "{name}: {part} in {said}");
        }
    }
    assert_eq!(text(&output.stdout).lines().count(), 1, "the table of nodes");
    assert_eq!(daemon.asked("POST /cluster/invites")[0], json!({"open": false, "ttl_s": 120}));
}

#[test]
fn a_member_is_left_alone_and_one_failure_stops_no_other() {
    let machines = Machines::new(&["gpu2", "gpu3", "gpu4", "gpu5"]);
    let member = page(&[node("n-2", "gpu2", "alive"), node("n-1", "gpu1", "alive")]);
    machines.with("gpu2", OURS, &member, "exit 9");
    machines.with("gpu3", OURS, &json!({}), "echo 'error: the disk is full' >&2; exit 1");
    let foreign = page(&[node("n-4", "gpu4", "alive"), node("n-9", "far", "alive")]);
    machines.with("gpu4", OURS, &foreign, "exit 9");
    machines.with("gpu5", OURS, &page(&[node("n-5", "gpu5", "alive")]), "true");
    let output = machines.up(&daemon(), &["gpu2", "gpu3", "gpu4", "gpu5", "gpu6", "--json"]);
    assert_eq!(code(&output), 1, "{}", text(&output.stderr));
    let body: Value = serde_json::from_slice(&output.stdout).unwrap();
    let states: Vec<&str> =
        body["hosts"].as_array().unwrap().iter().map(|host| host["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["member", "failed", "failed", "joined", "failed"], "{body:#}");
    let why = |n: usize| body["hosts"][n]["why"].as_str().unwrap_or_default();
    assert!(why(1).contains("could not join (exit code 1)"), "{}", why(1));
    assert!(
        why(2).contains("another cluster already, with gpu4 and far") && why(2).contains("metaopt leave"),
        "{}",
        why(2)
    );
    assert!(why(4).contains("Could not resolve hostname gpu6"), "{}", why(4));
    assert!(machines.read("gpu2/joined").is_empty() && machines.read("gpu4/joined").is_empty());
    let spoken = machines.up(&daemon(), &["gpu2", "gpu3"]);
    let said = text(&spoken.stderr);
    for part in
        ["gpu2: a member already", "gpu3: error: the disk is full", "1 of 2 machines could not be brought up: gpu3"]
    {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn another_kind_of_machine_is_left_to_its_owner() {
    let machines = Machines::new(&["mac"]);
    // The login shell's `uname` there.
    let bin = machines.home("mac").join(".local/bin");
    std::fs::create_dir_all(&bin).unwrap();
    program(&bin.join("uname"), "#!/bin/sh\n[ \"$1\" = -s ] && echo Darwin || echo arm64\n");
    let output = machines.up(&daemon(), &["mac"]);
    let said = text(&output.stderr);
    assert_eq!(code(&output), 1);
    assert!(said.contains("Darwin on arm64") && said.contains("by hand"), "{said}");
    assert!(!bin.join("metaopt").exists());
}

#[test]
fn metaopt_is_copied_where_it_is_older_joins_there_and_again_changes_nothing() {
    let (here, machines) = (Place::new(), Machines::new(&["gpu2"]));
    machines.with("gpu2", "0.0.1", &json!({}), "exit 9");
    let up = |args: &[&str]| {
        let mut command = here.command(&[&["up", "gpu2"], args].concat());
        command.env("METAOPT_SSH", machines.dir.path().join("ssh")).env("METAOPT_NAME", "one").output().unwrap()
    };
    let output = up(&["--name", "two"]);
    let said = text(&output.stderr);
    assert_eq!(code(&output), 0, "{said}");
    for part in [
        &format!("gpu2: copying metaopt {OURS} in place of 0.0.1"),
        "gpu2: metaopt: started metaoptd",
        "gpu2: joined in",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let home = machines.home("gpu2");
    let data = std::fs::read_dir(home.join(".local/share/metaopt")).unwrap().next().unwrap().unwrap().path();
    let api: Value = serde_json::from_slice(&std::fs::read(data.join("api.json")).unwrap()).unwrap();
    let end = End(api["pid"].as_u64().unwrap());
    let table = text(&output.stdout);
    let names: Vec<&str> = table.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert!(names.len() == 2 && names.contains(&"one") && names.contains(&"two"), "{table}");
    assert_eq!(std::fs::read_to_string(data.join("metaopt.toml")).unwrap(), "name = \"two\"\n");
    for name in ["metaopt", "metaoptd"] {
        let output = Command::new(home.join(".local/bin").join(name)).arg("--version").output().unwrap();
        assert!(text(&output.stdout).contains(OURS), "{name}");
    }
    let again = up(&[]);
    assert!(code(&again) == 0 && text(&again.stderr).contains("gpu2: a member already"), "{}", text(&again.stderr));
    // As where it was installed at a place that ssh doesn't look at: there is nobody to ask until it is copied.
    std::fs::remove_file(home.join(".local/bin/metaopt")).unwrap();
    let unseen = up(&[]);
    let said = text(&unseen.stderr);
    assert!(code(&unseen) == 0 && said.contains("copying") && said.contains("gpu2: a member already"), "{said}");
    here.ok(&["node", "remove", "--yes", "two"]);
    let removed = up(&[]);
    let said = text(&removed.stderr);
    assert!(code(&removed) == 1 && said.contains("was removed") && said.contains("`metaopt leave` there"), "{said}");
    drop(end);
}

#[test]
fn a_machine_that_cannot_dial_this_one_is_dialled() {
    let (here, machines) = (Place::new(), Machines::new(&["cloud"]));
    let bin = machines.home("cloud").join(".local/bin");
    std::fs::create_dir_all(&bin).unwrap();
    for name in ["metaopt", "metaoptd"] {
        let own = Path::new(env!("CARGO_BIN_EXE_metaopt")).with_file_name(name);
        std::os::unix::fs::symlink(own, bin.join(name)).unwrap();
    }
    let mut command = here.command(&["up", "cloud", "--name", "far"]);
    // As behind a router: nobody answers at either address that the other side could try.
    command.env("METAOPT_SSH", machines.dir.path().join("ssh")).env("METAOPT_NAME", "home");
    let output = command.env("SEEN_AS", "127.0.0.2").env("METAOPT_ADVERTISE", "127.0.0.1:1").output().unwrap();
    let data = std::fs::read_dir(machines.home("cloud").join(".local/share/metaopt")).unwrap().next().unwrap();
    let api: Value = serde_json::from_slice(&std::fs::read(data.unwrap().path().join("api.json")).unwrap()).unwrap();
    let _end = End(api["pid"].as_u64().unwrap());
    let said = text(&output.stderr);
    assert_eq!(code(&output), 0, "{said}");
    assert!(said.contains("the other way round") && said.contains("cloud: joined in"), "{said}");
    let table = text(&output.stdout);
    let mut names: Vec<&str> = table.lines().map(|line| line.split('\t').next().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["far", "home"], "{table}");
}

/// Ends a daemon with the test.
struct End(u64);

impl Drop for End {
    fn drop(&mut self) {
        support::end(self.0);
    }
}

#[test]
fn misuse_is_told_before_anything_is_done() {
    let machines = Machines::new(&["gpu2", "gpu3"]);
    for (args, said) in [
        (vec!["--", "-oProxyCommand=x"], "a host as ssh knows it"),
        (vec!["gpu2", "gpu3", "--name", "x"], "can't be the name of 2 machines"),
        (vec!["gpu2", "--name", "a b"], "letters, digits"),
    ] {
        let output = machines.up(&daemon(), &args);
        assert_eq!(code(&output), 2, "{args:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).contains(said), "{args:?}: {}", text(&output.stderr));
    }
    assert!(machines.read("gpu2/commands").is_empty());
    let output =
        daemon().command(machines.dir.path(), &["up", "gpu2"]).env("METAOPT_SSH", "ssh 'open").output().unwrap();
    assert!(code(&output) == 2 && text(&output.stderr).contains("METAOPT_SSH"), "{}", text(&output.stderr));
    let gone =
        daemon().command(machines.dir.path(), &["up", "gpu2"]).env("METAOPT_SSH", "/nowhere/ssh").output().unwrap();
    assert!(code(&gone) == 1 && text(&gone.stderr).contains("cannot run /nowhere/ssh"), "{}", text(&gone.stderr));
}
