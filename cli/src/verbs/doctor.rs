//! `metaopt doctor`: checks what trials need on this machine, and says what to do.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

use metaopt_daemon::exec::enclose;
use serde_json::json;

use crate::{
    client::{Client, start::daemon_exe},
    cluster::{kinds, members, name, remarks},
    context::Context,
    failure::{FAILED, Failure},
    json::{list, some, text},
    render::{style::Style, value},
    submit::interpreter,
};

/// Look for what is wrong here
#[derive(Clone, Debug, clap::Args)]
pub struct Args {}

enum Verdict {
    Good,
    Note,
    Bad,
}

struct Check {
    verdict: Verdict,
    about: &'static str,
    found: String,
}

/// Runs every check; exit code 1 when one is bad. Starts nothing.
pub fn run(_: Args, context: &Context) -> Result<(), Failure> {
    let checks: Vec<Check> = [
        programs(),
        data_dir(context),
        hiding(context),
        key_file(context),
        daemon(context),
        root(context),
        python(),
        gpus(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let bad = checks.iter().any(|check| matches!(check.verdict, Verdict::Bad));
    if context.out.json {
        let word = |check: &Check| match check.verdict {
            Verdict::Good => "good",
            Verdict::Note => "note",
            Verdict::Bad => "bad",
        };
        let items: Vec<_> = checks
            .iter()
            .map(|check| json!({"check": check.about, "verdict": word(check), "found": check.found}))
            .collect();
        context.out.body(&json!({"items": items}))?;
    } else {
        for check in &checks {
            context.out.line(line(check, context.out.style))?;
        }
    }
    if bad { Err(Failure::silent(FAILED)) } else { Ok(()) }
}

fn line(check: &Check, style: Style) -> String {
    let mark = match check.verdict {
        Verdict::Good => style.good("ok  "),
        Verdict::Note => style.warn("note"),
        Verdict::Bad => style.bad("bad "),
    };
    format!("{mark}  {:<9}  {}", check.about, check.found)
}

fn good(about: &'static str, found: impl Into<String>) -> Check {
    Check { verdict: Verdict::Good, about, found: found.into() }
}

fn note(about: &'static str, found: impl Into<String>) -> Check {
    Check { verdict: Verdict::Note, about, found: found.into() }
}

fn bad(about: &'static str, found: impl Into<String>) -> Check {
    Check { verdict: Verdict::Bad, about, found: found.into() }
}

fn programs() -> Vec<Check> {
    let exe = daemon_exe();
    let ours = env!("CARGO_PKG_VERSION");
    match first_line(Command::new(&exe).arg("--version")) {
        Some(version) if version.contains(ours) => vec![good("metaoptd", format!("{version}  {}", exe.display()))],
        Some(version) => {
            vec![note("metaoptd", format!("{version}, but this is metaopt {ours}: install both from one release"))]
        }
        None => vec![bad("metaoptd", format!("{} can't be run: install it beside metaopt", exe.display()))],
    }
}

fn data_dir(context: &Context) -> Vec<Check> {
    let dir = match context.place.dir() {
        Ok(dir) => dir,
        Err(failure) => return vec![bad("data", failure.message)],
    };
    let shown = dir.display();
    let Ok(meta) = std::fs::metadata(&dir) else {
        return vec![note("data", format!("{shown} is not there yet; the first start makes it"))];
    };
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o077 != 0 {
        return vec![bad("data", format!("{shown} is open to others: chmod 700 {shown}"))];
    }
    match rustix::fs::statvfs(&dir) {
        Ok(disk) => {
            let free = disk.f_bavail * disk.f_frsize;
            let text = format!("{shown}, {} free", value::bytes(free));
            vec![if free < 1 << 30 { note("data", format!("{text}: that is little")) } else { good("data", text) }]
        }
        Err(error) => vec![bad("data", format!("{shown}: {error}"))],
    }
}

/// Whether the system lets jobs be kept from the data directory; only where there is one to keep them from.
fn hiding(context: &Context) -> Vec<Check> {
    let Some(dir) = context.place.dir().ok().filter(|dir| dir.is_dir()) else { return Vec::new() };
    vec![match enclose::check(&daemon_exe(), &dir) {
        Ok(()) => good("hiding", "jobs can be kept from seeing the data directory (--hide-data)"),
        Err(why) => note(
            "hiding",
            format!("jobs can read the data directory, secrets included: {why}; docs/security.md says what to do"),
        ),
    }]
}

fn daemon(context: &Context) -> Vec<Check> {
    let client = match context.place.running() {
        Ok(Some(client)) => client,
        Ok(None) => return vec![note("daemon", "not running; metaopt starts it when it is needed")],
        Err(failure) => return vec![bad("daemon", failure.message)],
    };
    let nodes = match client.get("/nodes") {
        Ok(nodes) => nodes,
        Err(failure) => return vec![bad("daemon", failure.message)],
    };
    let mut out = vec![good("daemon", client.url())];
    for node in list(&nodes, "items") {
        let text = format!("{} is {}, slots: {}", name(node), text(node, "state"), kinds(list(node, "slots")));
        out.push(match some(node, "why") {
            None => good("node", text),
            Some(why) => note("node", format!("{text}: {}", value::short(why))),
        });
    }
    out.extend(cluster(&client));
    out
}

/// Whether jobs are refused because of whose the daemon is; only where they are.
fn root(context: &Context) -> Vec<Check> {
    crate::root::refuses(&context.place).map(|why| bad("root", why)).into_iter().collect()
}

/// Whether others reach this machine, and it them.
fn cluster(client: &Client) -> Vec<Check> {
    let cluster = match client.get("/cluster") {
        Ok(cluster) => cluster,
        Err(failure) => return vec![bad("cluster", failure.message)],
    };
    let mut out = Vec::new();
    match some(&cluster, "peers_address").map(value::short) {
        None => out.push(note("peers", "the daemon listens for no other machines: it is a cluster of one")),
        Some(address) => out.push(match reachable(&address) {
            Ok(()) => {
                let addresses: Vec<String> = list(&cluster, "addresses").iter().map(value::short).collect();
                let told = match addresses.is_empty() {
                    true => {
                        "and tells others no address: this machine only dials out, or needs --advertise HOST".into()
                    }
                    false => {
                        format!("told to others as {}; firewalls must let this TCP port through", addresses.join(", "))
                    }
                };
                good("peers", format!("listens on {address}, {told}"))
            }
            Err(error) => {
                bad("peers", format!("nothing answers on {address}, where the daemon should listen: {error}"))
            }
        }),
    }
    if some(&cluster, "peers_address").is_some() {
        out.push(match cluster.get("mdns").and_then(serde_json::Value::as_bool) {
            Some(true) => good("mdns", "looks for members on the local network (UDP port 5353)"),
            _ => note("mdns", "off (--no-mdns): members are found by --peer and by what others tell"),
        });
    }
    let nodes = list(&cluster, "nodes");
    if members(nodes).count() > 1 {
        out.push(good("cluster", crate::cluster::summary(nodes).unwrap_or_default()));
    }
    out.extend(remarks(&cluster).into_iter().map(|remark| note("cluster", remark)));
    out
}

/// Connects to the daemon's own port for peers, from here.
fn reachable(address: &str) -> std::io::Result<()> {
    let mut at: SocketAddr = address.parse().map_err(std::io::Error::other)?;
    if at.ip().is_unspecified() {
        let here = if at.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        at.set_ip(here);
    }
    TcpStream::connect_timeout(&at, Duration::from_secs(1)).map(drop)
}

/// Whether a fleet's secret is one; only where there is one.
fn key_file(context: &Context) -> Vec<Check> {
    let Ok(dir) = context.place.dir() else { return Vec::new() };
    let options = metaopt_daemon::config::Options {
        cluster_key_file: std::env::var_os("METAOPT_CLUSTER_KEY_FILE").filter(|path| !path.is_empty()).map(Into::into),
        ..Default::default()
    };
    match options.resolve(&dir) {
        Ok(config) if config.cluster_key.is_some() => {
            vec![good("fleet key", "private; nodes with the same one join each other without a code")]
        }
        Ok(_) => Vec::new(),
        Err(error) => vec![bad("settings", format!("{error:#}"))],
    }
}

fn python() -> Vec<Check> {
    let Some(python) = interpreter::python() else {
        return vec![note("python", "no python3 on the PATH; scripts in other languages work all the same")];
    };
    let version = first_line(Command::new(&python).arg("--version")).unwrap_or_default();
    let found = format!("{version}  {}", python.display());
    let package = first_line(Command::new(&python).args(["-c", "import metaopt; print(metaopt.__file__)"]));
    vec![
        if version.is_empty() {
            bad("python", format!("{} can't be run", python.display()))
        } else {
            good("python", found)
        },
        match package {
            Some(path) => good("package", path),
            None => {
                note("package", "the metaopt package isn't installed there; scripts without it print `metaopt: loss=…`")
            }
        },
    ]
}

fn gpus() -> Vec<Check> {
    let query = ["--query-gpu=name,memory.total", "--format=csv,noheader"];
    let out = Command::new("nvidia-smi").args(query).stdin(Stdio::null()).stderr(Stdio::null()).output();
    match out {
        Ok(out) if out.status.success() => {
            String::from_utf8_lossy(&out.stdout).lines().map(|gpu| good("gpu", gpu.trim())).collect()
        }
        Ok(_) => vec![note("gpu", "nvidia-smi is there but finds no usable GPU: is the driver loaded?")],
        Err(_) => vec![good("gpu", "none; trials run on CPU slots")],
    }
}

fn first_line(command: &mut Command) -> Option<String> {
    let out = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok().filter(|out| out.status.success())?;
    String::from_utf8_lossy(&out.stdout).lines().next().map(|line| line.trim().to_owned())
}
