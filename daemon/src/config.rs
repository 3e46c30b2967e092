//! What the daemon is told: by options, by `METAOPT_*`, and by `metaopt.toml` of its data directory, in that order.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use indexmap::IndexMap;
use serde::Deserialize;

use crate::gc::Policy;

/// The metaopt daemon: keeps the history, proposes and runs trials, serves the API.
#[derive(Parser, Clone, Debug, Default)]
#[command(name = "metaoptd", version, about)]
pub struct Options {
    /// Where everything is kept (default: by the platform's convention)
    #[arg(long, env = "METAOPT_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address of the API; port 0 picks a free one [default: 127.0.0.1:7878, or a free port where that is taken]
    #[arg(long, env = "METAOPT_LISTEN", value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Address for peers (used once clustering is available)
    #[arg(long, env = "METAOPT_PEER_LISTEN", value_name = "ADDR")]
    pub peer_listen: Option<SocketAddr>,
    /// Host name or address by which peers reach this node
    #[arg(long, env = "METAOPT_ADVERTISE", value_name = "HOST")]
    pub advertise: Option<String>,
    /// This node's name [default: the host's]
    #[arg(long, env = "METAOPT_NAME")]
    pub name: Option<String>,
    /// CPU slots [default: one a CPU]
    #[arg(long, env = "METAOPT_SLOTS", value_name = "N")]
    pub slots: Option<u32>,
    /// GPUs to use: all, none, or numbers such as 0,1 [default: all]
    #[arg(long, env = "METAOPT_GPUS")]
    pub gpus: Option<String>,
    /// A label that studies may require; repeatable
    #[arg(long = "label", env = "METAOPT_LABEL", value_name = "KEY=VALUE", value_delimiter = ',')]
    pub labels: Vec<String>,
    /// A peer to join through; repeatable (used once clustering is available)
    #[arg(long = "peer", env = "METAOPT_PEER", value_name = "HOST:PORT", value_delimiter = ',')]
    pub peers: Vec<String>,
    /// Don't look for peers on the local network
    #[arg(long, env = "METAOPT_NO_MDNS", value_parser = clap::builder::BoolishValueParser::new(), num_args = 0..=1, default_missing_value = "true")]
    pub no_mdns: Option<bool>,
    /// Silence after which a peer is suspected
    #[arg(long, env = "METAOPT_SUSPECT_AFTER", value_name = "TIME")]
    pub suspect_after: Option<String>,
    /// Silence after which a peer's trials are given to others
    #[arg(long, env = "METAOPT_ORPHAN_AFTER", value_name = "TIME")]
    pub orphan_after: Option<String>,
    /// Time between asking a trial's process to end and killing it [default: 10s]
    #[arg(long, env = "METAOPT_GRACE", value_name = "TIME")]
    pub grace: Option<String>,
    /// The same before a trial is frozen [default: 120s]
    #[arg(long, env = "METAOPT_PAUSE_GRACE", value_name = "TIME")]
    pub pause_grace: Option<String>,
    /// Run jobs although the daemon runs as root
    #[arg(long, env = "METAOPT_ALLOW_ROOT", value_parser = clap::builder::BoolishValueParser::new(), num_args = 0..=1, default_missing_value = "true")]
    pub allow_root: Option<bool>,
    /// Free space on the data directory's disk below which nothing new is started [default: 64MiB, or 1 % of the disk up to 1GiB]
    #[arg(long, env = "METAOPT_MIN_FREE", value_name = "SIZE")]
    pub min_free: Option<String>,
    /// End running trials when the daemon is stopped
    #[arg(long, env = "METAOPT_STOP_JOBS", value_parser = clap::builder::BoolishValueParser::new(), num_args = 0..=1, default_missing_value = "true")]
    pub stop_jobs: Option<bool>,
    /// Hide the data directory from jobs: where the system can, or else don't start, or never [default: auto]
    #[arg(long, env = "METAOPT_HIDE_DATA", value_enum)]
    pub hide_data: Option<HideData>,
    /// How the log on standard error is written
    #[arg(long, env = "METAOPT_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
}

/// Whether jobs are kept from seeing the data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HideData {
    /// Where the system can.
    Auto,
    /// The daemon doesn't start where it can't.
    Always,
    /// They see it: for jobs that need `sudo`, or files to show owners other than theirs.
    Never,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// `metaopt.toml`: the same words as the options.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct File {
    listen: Option<SocketAddr>,
    peer_listen: Option<SocketAddr>,
    advertise: Option<String>,
    name: Option<String>,
    slots: Option<u32>,
    gpus: Option<String>,
    label: BTreeMap<String, String>,
    peer: Vec<String>,
    no_mdns: Option<bool>,
    suspect_after: Option<String>,
    orphan_after: Option<String>,
    grace: Option<String>,
    pause_grace: Option<String>,
    allow_root: Option<bool>,
    min_free: Option<String>,
    stop_jobs: Option<bool>,
    hide_data: Option<HideData>,
    log_format: Option<LogFormat>,
    gc: crate::gc::policy::File,
}

/// Everything decided.
#[derive(Clone, Debug)]
pub struct Config {
    /// Of the API; none: the default, or a free port.
    pub listen: Option<SocketAddr>,
    /// This node's name.
    pub name: String,
    /// CPU slots; none: one a CPU.
    pub slots: Option<u32>,
    /// `all`, `none` or numbers.
    pub gpus: String,
    /// Labels.
    pub labels: IndexMap<String, String>,
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// Before a pause.
    pub pause_grace: Duration,
    /// Free bytes below which nothing new is started; none: by the disk's size.
    pub min_free: Option<u64>,
    /// Run jobs as root.
    pub allow_root: bool,
    /// End jobs with the daemon.
    pub stop_jobs: bool,
    /// Hide the data directory from jobs.
    pub hide_data: HideData,
    /// Of the log.
    pub log_format: LogFormat,
    /// For how long and how much is kept.
    pub gc: Policy,
    /// Options given that wait for clustering.
    pub unused: Vec<&'static str>,
}

impl Options {
    /// Reads `metaopt.toml` beside and checks everything.
    ///
    /// # Errors
    /// Names the option or key and what it should be.
    pub fn resolve(self, data_dir: &std::path::Path) -> Result<Config> {
        let path = data_dir.join("metaopt.toml");
        let file: File = match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).with_context(|| format!("{} does not fit", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => File::default(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let mut labels: IndexMap<String, String> = file.label.into_iter().collect();
        for label in &self.labels {
            let Some((key, value)) = label.split_once('=').filter(|(key, _)| !key.is_empty()) else {
                bail!("--label {label}: should be KEY=VALUE");
            };
            labels.insert(key.to_owned(), value.to_owned());
        }
        let time = |option: &str, given: Option<String>, default: u64| match given {
            Some(text) => duration(&text).with_context(|| format!("--{option} {text}")),
            None => Ok(Duration::from_secs(default)),
        };
        let name = self.name.or(file.name).unwrap_or_else(crate::data_dir::host_name);
        if name.is_empty() || name.len() > 63 || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            bail!("--name {name}: should be 1 to 63 letters, digits, `-`, `_` or `.`");
        }
        let gpus = self.gpus.or(file.gpus).unwrap_or_else(|| "all".into());
        if gpus != "all" && gpus != "none" && gpus.split(',').any(|n| n.trim().parse::<u32>().is_err()) {
            bail!("--gpus {gpus}: should be all, none, or numbers such as 0,1");
        }
        time("suspect-after", self.suspect_after.or(file.suspect_after), 30)?;
        time("orphan-after", self.orphan_after.or(file.orphan_after), 90)?;
        let gc = file.gc.resolve().with_context(|| format!("{} does not fit", path.display()))?;
        let mut unused = Vec::new();
        if self.peer_listen.or(file.peer_listen).is_some() {
            unused.push("--peer-listen");
        }
        if self.advertise.or(file.advertise).is_some() {
            unused.push("--advertise");
        }
        if !self.peers.is_empty() || !file.peer.is_empty() {
            unused.push("--peer");
        }
        let _ = self.no_mdns.or(file.no_mdns); // nothing is announced yet, so that it holds either way
        Ok(Config {
            listen: self.listen.or(file.listen),
            name,
            slots: self.slots.or(file.slots),
            gpus,
            labels,
            grace: time("grace", self.grace.or(file.grace), 10)?,
            pause_grace: time("pause-grace", self.pause_grace.or(file.pause_grace), 120)?,
            min_free: match self.min_free.or(file.min_free) {
                Some(text) => Some(size(&text).with_context(|| format!("--min-free {text}"))?),
                None => None,
            },
            allow_root: self.allow_root.or(file.allow_root).unwrap_or(false),
            stop_jobs: self.stop_jobs.or(file.stop_jobs).unwrap_or(false),
            hide_data: self.hide_data.or(file.hide_data).unwrap_or(HideData::Auto),
            log_format: self.log_format.or(file.log_format).unwrap_or(LogFormat::Text),
            gc,
            unused,
        })
    }
}

/// `64MiB`, `1.5GiB`, `500MB`, `0`: bytes.
///
/// # Errors
/// Says what a size looks like.
pub fn size(text: &str) -> Result<u64> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "" | "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        "KiB" => 1024.0,
        "MiB" => 1_048_576.0,
        "GiB" => 1_073_741_824.0,
        "TiB" => 1_099_511_627_776.0,
        _ => bail!("a size is a number and kB, MB, GB, KiB, MiB or GiB, such as 64MiB"),
    };
    let bytes = number.trim().parse::<f64>().ok().map(|n| n * scale).filter(|b| b.is_finite() && *b >= 0.0);
    bytes.map(|b| b as u64).context("a size is a number and kB, MB, GB, KiB, MiB or GiB, such as 64MiB")
}

/// `30s`, `5m`, `2h`, `1.5h`, `500ms`.
///
/// # Errors
/// Says what a time looks like.
pub fn duration(text: &str) -> Result<Duration> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => bail!("a time is a number and ms, s, m, h or d, such as 30s"),
    };
    let seconds = number.parse::<f64>().ok().map(|n| n * scale).filter(|s| s.is_finite() && *s >= 0.0 && *s < 1e9);
    seconds.map(Duration::from_secs_f64).context("a time is a number and ms, s, m, h or d, such as 30s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_need_a_unit() {
        assert_eq!(duration("30s").unwrap(), Duration::from_secs(30));
        assert_eq!(duration("1.5h").unwrap(), Duration::from_secs(5400));
        assert!(
            duration("30").is_err()
                && duration("s").is_err()
                && duration("-1s").is_err()
                && duration("1e999s").is_err()
        );
    }

    #[test]
    fn sizes_are_bytes_or_have_a_unit() {
        for (text, bytes) in [("0", 0), ("64MiB", 64 << 20), ("1.5GiB", 3 << 29), ("500MB", 500_000_000)] {
            assert_eq!(size(text).unwrap(), bytes);
        }
        for wrong in ["", "MiB", "-1", "5 apples", "infMB"] {
            assert!(size(wrong).unwrap_err().to_string().contains("64MiB"), "{wrong}");
        }
    }

    #[test]
    fn options_stand_above_the_file_and_unknown_keys_are_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("metaopt.toml"), "name = \"filed\"\nslots = 3\n").unwrap();
        let config = Options { name: Some("given".into()), ..Options::default() }.resolve(dir.path()).unwrap();
        assert_eq!((config.name.as_str(), config.slots), ("given", Some(3)));
        std::fs::write(dir.path().join("metaopt.toml"), "slotz = 3\n").unwrap();
        let error = format!("{:#}", Options::default().resolve(dir.path()).unwrap_err());
        assert!(error.contains("slotz"), "{error}");
    }
}
