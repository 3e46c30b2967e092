//! From two clean boxes to both running trials, as a person does it: over the user's own ssh, with a real sshd.
//!
//! Each box is a network namespace. The far one's sshd knows a user that exists for it alone, in a mount namespace with a
//! `passwd` of its own, so that nothing of this machine changes. Needs root, `ip`, `nft`, `unshare`, `ssh` and `sshd`.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    net::{SocketAddr, TcpStream},
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use metaopt_integration::{
    cluster::{Lan, Place, say},
    program, wait_for,
};
use serde_json::Value;

/// The far box's user. Nobody else has this number.
const USER: u32 = 61_234;
const PORT: u16 = 2222;

/// A box with a home, and what is typed there.
struct Machine<'a> {
    place: &'a Place,
    home: PathBuf,
    project: PathBuf,
}

impl Machine<'_> {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program("metaopt"));
        command.args(words).current_dir(&self.project).env_clear().stdin(Stdio::null());
        command.env("HOME", &self.home).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("METAOPT_ALLOW_ROOT", "1").env("METAOPT_NAME", "near").env("METAOPT_SLOTS", "1");
        command.env("METAOPT_SSH", format!("ssh -F {}", self.home.join("ssh_config").display()));
        command
    }

    fn types(&self, words: &[&str]) -> String {
        let mut command = self.command(words);
        let begun = Instant::now();
        let output: Output = self.place.inside(move || command.output().unwrap());
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        say(&format!("$ metaopt {}    ({:.1?})", words.join(" "), begun.elapsed()));
        assert!(output.status.success(), "{out}\n{err}");
        format!("{out}{err}")
    }
}

/// Ended when dropped.
struct Sshd(Child);

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn has(program: &str) -> bool {
    Command::new("sh")
        .args(["-c", &format!("PATH=$PATH:/usr/sbin:/sbin command -v {program}")])
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn key(path: &Path) {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).status().unwrap();
    assert!(made.success());
}

/// An sshd in a box, for one user with a home there.
fn sshd(lan: &Lan, at: usize, home: &Path, authorized: &Path) -> Sshd {
    let dir = lan.dir().join("sshd");
    fs::create_dir(&dir).unwrap();
    key(&dir.join("host"));
    fs::copy(authorized, dir.join("authorized")).unwrap();
    fs::set_permissions(dir.join("authorized"), fs::Permissions::from_mode(0o644)).unwrap();
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let user = format!("far:x:{USER}:{USER}:far:{}:/bin/sh\n", home.display());
    fs::write(dir.join("passwd"), format!("{}\n{user}", passwd.trim_end())).unwrap();
    fs::write(dir.join("shadow"), "root:*:19000::::::\nsshd:*:19000::::::\nfar:*:19000::::::\n").unwrap();
    fs::set_permissions(dir.join("shadow"), fs::Permissions::from_mode(0o600)).unwrap();
    let config = format!(
        "Port {PORT}\nListenAddress {}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nStrictModes no\nAllowUsers far\nSetEnv METAOPT_SLOTS=1 METAOPT_NAME=far\n",
        lan.address(at),
        dir.join("host").display(),
        dir.join("authorized").display()
    );
    fs::write(dir.join("config"), config).unwrap();
    let script = format!(
        "set -e\nmount --make-rprivate /\nmount --bind {0}/passwd /etc/passwd\nmount --bind {0}/shadow /etc/shadow\n\
         mount -t tmpfs none /run\nmkdir -m 755 /run/sshd\nexec $(PATH=$PATH:/usr/sbin command -v sshd) -D -e -f {0}/config",
        dir.display()
    );
    let log = fs::File::create(dir.join("log")).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let child = lan.place(at).inside(|| command.spawn().unwrap());
    let sshd = Sshd(child);
    let address = SocketAddr::from((lan.address(at), PORT));
    let up = || lan.place(at).inside(|| TcpStream::connect(address).is_ok()).then_some(());
    wait_for(Duration::from_secs(10), "sshd", || {
        assert!(fs::read_to_string(dir.join("log")).unwrap_or_default().len() < 10_000);
        up()
    });
    sshd
}

#[test]
fn two_clean_boxes_with_ssh_between_them_both_run_trials_after_two_typed_commands() {
    if ["ssh", "sshd", "ssh-keygen", "unshare"].iter().any(|program| !has(program)) {
        let root = rustix::process::geteuid().is_root();
        assert!(!(root && std::env::var_os("CI").is_some()), "CI must have openssh-server and openssh-client");
        let _ = writeln!(std::io::stderr(), "SKIPPED: joining over ssh needs ssh, sshd, ssh-keygen and unshare");
        return;
    }
    let Some(lan) = Lan::new(2) else { return };
    let (near, far) = (lan.dir().join("near"), lan.dir().join("far"));
    fs::create_dir(&near).unwrap();
    fs::create_dir(&far).unwrap();
    chown(&far, Some(USER), Some(USER)).unwrap();
    fs::set_permissions(&far, fs::Permissions::from_mode(0o700)).unwrap();
    key(&near.join("id"));
    let _sshd = sshd(&lan, 1, &far, &near.join("id.pub"));
    let config = format!(
        "Host gpu2\n HostName {}\n Port {PORT}\n User far\n IdentityFile {1}/id\n UserKnownHostsFile {1}/known\n \
         StrictHostKeyChecking accept-new\n BatchMode yes\n",
        lan.address(1),
        near.display()
    );
    fs::write(near.join("ssh_config"), config).unwrap();
    let script = "cat data.txt; sleep 1; echo metaopt: loss=$2\n";
    let project = near.join("project");
    fs::create_dir(&project).unwrap();
    fs::write(project.join("train.sh"), script).unwrap();
    fs::write(project.join("data.txt"), "the data\n").unwrap();
    let machine = Machine { place: lan.place(0), home: near.clone(), project };

    let begun = Instant::now();
    let said = machine.types(&["up", "gpu2"]);
    assert!(said.contains("gpu2: joined"), "{said}");
    machine.types(&["submit", "-n", "both", "--max-trials", "12", "--", "sh", "train.sh", "--x~uniform(0, 1)"]);
    let trials = || -> Vec<Value> {
        let mut command = machine.command(&["--json", "trials", "both"]);
        let output = machine.place.inside(move || command.output().unwrap());
        let body: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        body["items"].as_array().cloned().unwrap_or_default()
    };
    let nodes = |trials: &[Value]| -> BTreeSet<String> {
        trials.iter().filter_map(|trial| trial["node"].as_str().map(str::to_owned)).collect()
    };
    let limit = Duration::from_secs(60).saturating_sub(begun.elapsed());
    wait_for(limit, "both to run trials", || {
        let running: Vec<Value> = trials().into_iter().filter(|trial| trial["state"] != "waiting").collect();
        (nodes(&running).len() == 2).then_some(())
    });
    let took = begun.elapsed();
    say(&format!("two typed commands, and both boxes run trials {took:.1?} after the first"));
    assert!(took < Duration::from_secs(60));
    wait_for(Duration::from_secs(60), "all trials", || {
        let done = trials();
        (done.len() >= 12 && done.iter().all(|trial| trial["state"] == "complete")).then_some(())
    });
    // What is far was never root's.
    for pid in lan.place(1).processes() {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        if status.starts_with("Name:\tmetaopt") {
            assert!(status.contains(&format!("Uid:\t{USER}\t")), "{status}");
        }
    }
    let again = machine.types(&["up", "gpu2"]);
    assert!(again.contains("a member already"), "{again}");
}
