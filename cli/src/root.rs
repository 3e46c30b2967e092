//! Whether jobs are kept from running because the daemon is root's.
//!
//! Owns: finding out what the daemon was told. Must not: start one.

use metaopt_daemon::config::Options;

use crate::client::Place;

const VARIABLE: &str = "METAOPT_ALLOW_ROOT";

/// What keeps jobs from running here, with the way out; none where they may run, or where the daemon is another machine's.
pub fn refuses(place: &Place) -> Option<String> {
    if place.is_named() || !rustix::process::geteuid().is_root() {
        return None;
    }
    let daemon = place.running().ok().flatten().and(place.pid());
    let told = daemon.and_then(told).unwrap_or_else(|| std::env::var(VARIABLE).ok().as_deref().and_then(flag));
    let dir = place.dir().ok()?;
    let config = Options { allow_root: told, ..Options::default() }.resolve(&dir).ok()?;
    // Who runs no trials is asked nothing of it.
    let runs = config.slots != Some(0) || config.gpus != "none";
    (runs && !config.allow_root).then(|| {
        let again = if daemon.is_some() { ", and start the daemon again" } else { "" };
        format!(
            "the daemon runs as root, and jobs are not run as root: be another user, or set {VARIABLE}=1 \
             (`allow_root = true` in metaopt.toml){again}"
        )
    })
}

/// What the process was told on its command line, else in its environment; none where the system doesn't show them.
fn told(pid: u32) -> Option<Option<bool>> {
    let read = |name: &str| std::fs::read(format!("/proc/{pid}/{name}")).ok();
    let (line, environment) = (read("cmdline")?, read("environ")?);
    Some(in_process(&String::from_utf8_lossy(&line), &String::from_utf8_lossy(&environment)))
}

fn in_process(line: &str, environment: &str) -> Option<bool> {
    let arguments: Vec<&str> = line.split('\0').collect();
    let option = arguments.iter().enumerate().find_map(|(at, argument)| match argument.strip_prefix("--allow-root") {
        Some("") => Some(arguments.get(at + 1).and_then(|next| flag(next)).unwrap_or(true)),
        Some(value) => flag(value.strip_prefix('=')?),
        None => None,
    });
    let variable = || environment.split('\0').find_map(|line| flag(line.strip_prefix(VARIABLE)?.strip_prefix('=')?));
    option.or_else(variable)
}

/// As the daemon reads it.
fn flag(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "1" | "true" | "t" | "yes" | "y" | "on" => Some(true),
        "0" | "false" | "f" | "no" | "n" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_daemon_was_told_is_read_as_it_reads_it() {
        let line = |more: &str| format!("metaoptd\0--data-dir\0/d\0{more}");
        assert_eq!(in_process(&line("--allow-root\0"), ""), Some(true));
        assert_eq!(in_process(&line("--allow-root\0--no-mdns\0"), ""), Some(true));
        assert_eq!(in_process(&line("--allow-root=false\0"), "METAOPT_ALLOW_ROOT=1\0"), Some(false));
        assert_eq!(in_process(&line(""), "A=b\0METAOPT_ALLOW_ROOT=yes\0"), Some(true));
        assert_eq!(in_process(&line(""), "METAOPT_ALLOW_ROOTS=1\0"), None);
    }
}
