//! What the daemon is told: by options, by `METAOPT_*`, and by `metaopt.toml` of its data directory, in that order.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use indexmap::IndexMap;
use serde::Deserialize;

use crate::{
    gc::Policy,
    peer::{PORT, read_cluster_key},
};

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
    /// Address for peers; port 0 picks a free one [default: 0.0.0.0:7879, or a free port where that is taken]
    #[arg(long, env = "METAOPT_PEER_LISTEN", value_name = "ADDR")]
    pub peer_listen: Option<SocketAddr>,
    /// Host name or address by which peers reach this node, with a port where that is another than the one listened at
    /// [default: the addresses of its interfaces]
    #[arg(long, env = "METAOPT_ADVERTISE", value_name = "HOST[:PORT]")]
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
    /// A member of the cluster to look for here too, where there is no multicast; repeatable
    #[arg(long = "peer", env = "METAOPT_PEER", value_name = "HOST:PORT", value_delimiter = ',')]
    pub peers: Vec<String>,
    /// Don't look for peers on the local network
    #[arg(long, env = "METAOPT_NO_MDNS", value_parser = clap::builder::BoolishValueParser::new(), num_args = 0..=1, default_missing_value = "true")]
    pub no_mdns: Option<bool>,
    /// Silence after which a peer is suspected [default: 30s]
    #[arg(long, env = "METAOPT_SUSPECT_AFTER", value_name = "TIME")]
    pub suspect_after: Option<String>,
    /// Silence after which a peer's trials are given to others [default: 90s]
    #[arg(long, env = "METAOPT_ORPHAN_AFTER", value_name = "TIME")]
    pub orphan_after: Option<String>,
    /// How long a node that sees less than half of the others waits before it takes over their trials [default: 15m]
    #[arg(long, env = "METAOPT_QUORUM_AFTER", value_name = "TIME")]
    pub quorum_after: Option<String>,
    /// A secret of a fleet: nodes that have the same one join each other without a code
    #[arg(long, env = "METAOPT_CLUSTER_KEY_FILE", value_name = "FILE")]
    pub cluster_key_file: Option<PathBuf>,
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
    quorum_after: Option<String>,
    cluster_key_file: Option<PathBuf>,
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
    /// For peers; none: the default, or a free port.
    pub peer_listen: Option<SocketAddr>,
    /// Where peers reach it (`HOST` or `HOST:PORT`); none: the addresses of its interfaces.
    pub advertise: Option<String>,
    /// Members to look for besides those found by themselves (`HOST:PORT`).
    pub peers: Vec<String>,
    /// Look for peers on the local network, and be found there.
    pub mdns: bool,
    /// Silence after which a peer is suspected.
    pub suspect_after: Duration,
    /// Silence after which its trials are given to others.
    pub orphan_after: Duration,
    /// How long a minority waits before it takes over trials.
    pub quorum_after: Duration,
    /// The fleet's secret.
    pub cluster_key: Option<ClusterKey>,
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
}

/// What a fleet's nodes prove to each other instead of codes.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterKey(pub Vec<u8>);

impl std::fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClusterKey(…)")
    }
}

impl Config {
    /// How long the node waits for others.
    pub fn timing(&self) -> metaopt_core::Timing {
        let ms = |time: Duration| time.as_millis() as u64;
        let default = metaopt_core::Timing::default();
        metaopt_core::Timing {
            // Several heartbeats must fit into a suspicion, also into a short one of a test.
            beat_ms: default.beat_ms.min(ms(self.suspect_after) / 5).max(50),
            suspect_ms: ms(self.suspect_after),
            orphan_ms: ms(self.orphan_after),
            quorum_ms: ms(self.quorum_after),
            ..default
        }
    }
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
        let suspect_after = time("suspect-after", self.suspect_after.or(file.suspect_after), 30)?;
        let orphan_after = time("orphan-after", self.orphan_after.or(file.orphan_after), 90)?;
        let quorum_after = time("quorum-after", self.quorum_after.or(file.quorum_after), 15 * 60)?;
        // A heartbeat comes every second; below, a busy machine would be taken for a dead one.
        if suspect_after < SHORTEST_SUSPICION {
            bail!("--suspect-after {suspect_after:?}: should be {SHORTEST_SUSPICION:?} or more");
        }
        if orphan_after <= suspect_after {
            bail!("--orphan-after {orphan_after:?}: should be longer than --suspect-after, which is {suspect_after:?}");
        }
        if quorum_after < orphan_after {
            bail!(
                "--quorum-after {quorum_after:?}: should be no shorter than --orphan-after, which is {orphan_after:?}"
            );
        }
        let mut peers = Vec::new();
        for peer in if self.peers.is_empty() { file.peer } else { self.peers } {
            let peer = host_port(&peer).with_context(|| format!("--peer {peer}"))?;
            if !peers.contains(&peer) {
                peers.push(peer);
            }
        }
        let advertise = self.advertise.or(file.advertise);
        let advertise = advertise.map(|text| host(&text).with_context(|| format!("--advertise {text}"))).transpose()?;
        let cluster_key = match self.cluster_key_file.or(file.cluster_key_file) {
            Some(path) => Some(ClusterKey(read_cluster_key(&path).context("--cluster-key-file")?)),
            None => None,
        };
        let gc = file.gc.resolve().with_context(|| format!("{} does not fit", path.display()))?;
        Ok(Config {
            listen: self.listen.or(file.listen),
            peer_listen: self.peer_listen.or(file.peer_listen),
            advertise,
            peers,
            mdns: !self.no_mdns.or(file.no_mdns).unwrap_or(false),
            suspect_after,
            orphan_after,
            quorum_after,
            cluster_key,
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
        })
    }
}

/// The shortest `--suspect-after`.
const SHORTEST_SUSPICION: Duration = Duration::from_millis(100);

/// `HOST:PORT` as links are dialled: `gpu1:7879`, `10.0.0.4:7879`, `[fe80::1]:7879`. Without a port the default one is meant.
///
/// # Errors
/// Says what an address looks like.
pub fn host_port(text: &str) -> Result<String> {
    let text = text.trim();
    let (name, port) = split(text)?;
    match port {
        Some(0) => bail!("port 0 is none that can be dialled: write HOST:PORT, such as gpu1:{PORT}"),
        port => Ok(format!("{name}:{}", port.unwrap_or(PORT))),
    }
}

/// `HOST` or `HOST:PORT`, as it is advertised.
fn host(text: &str) -> Result<String> {
    let (name, port) = split(text.trim())?;
    Ok(match port {
        None => name,
        Some(port) => format!("{name}:{port}"),
    })
}

/// A host as it stands in addresses (IPv6 in brackets), and its port.
fn split(text: &str) -> Result<(String, Option<u16>)> {
    let wrong = || anyhow::anyhow!("should be HOST:PORT, such as gpu1:{PORT}, 10.0.0.4:{PORT} or [fd00::4]:{PORT}");
    if text.parse::<std::net::Ipv6Addr>().is_ok() {
        return Ok((format!("[{text}]"), None));
    }
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (inner, port) = rest.split_once(']').ok_or_else(wrong)?;
            // A link-local address carries its interface: fe80::1%eth0.
            let bare = inner.split('%').next().unwrap_or_default();
            bare.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?;
            (format!("[{inner}]"), if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or_else(wrong)?) })
        }
        None => match text.split_once(':') {
            Some((name, port)) => (name.to_owned(), Some(port)),
            None => (text.to_owned(), None),
        },
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.starts_with('[') && (name.is_empty() || name.len() > 253 || !name.chars().all(plain)) {
        return Err(wrong());
    }
    Ok((name, port.map(str::parse).transpose().map_err(|_| wrong())?))
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
    fn addresses_of_peers_are_a_host_and_a_port() {
        for (text, read) in [
            ("gpu1", "gpu1:7879"),
            ("gpu1:80", "gpu1:80"),
            (" 10.0.0.4:7879 ", "10.0.0.4:7879"),
            ("fd00::4", "[fd00::4]:7879"),
            ("[fd00::4]", "[fd00::4]:7879"),
            ("[fe80::1%eth0]:7000", "[fe80::1%eth0]:7000"),
        ] {
            assert_eq!(host_port(text).unwrap(), read);
        }
        for wrong in ["", ":7879", "gpu1:", "gpu1:0", "gpu1:99999", "http://gpu1", "a b", "[gpu1]:1", "[::1", "-x y:1"]
        {
            let error = host_port(wrong).unwrap_err().to_string();
            assert!(error.contains("HOST:PORT"), "{wrong}: {error}");
        }
    }

    #[test]
    fn times_of_liveness_keep_their_order_and_errors_name_the_option() {
        let dir = tempfile::tempdir().unwrap();
        let config = Options::default().resolve(dir.path()).unwrap();
        let seconds = [config.suspect_after, config.orphan_after, config.quorum_after].map(|time| time.as_secs());
        assert_eq!((seconds, config.mdns, config.peers.len()), ([30, 90, 900], true, 0));
        let text = |text: &str| Some(text.to_owned());
        let tests = Options {
            suspect_after: text("500ms"),
            orphan_after: text("2s"),
            quorum_after: text("5s"),
            no_mdns: Some(true),
            ..Options::default()
        };
        assert!(!tests.resolve(dir.path()).unwrap().mdns);
        for (options, said) in [
            (Options { suspect_after: text("1ms"), ..Options::default() }, "--suspect-after"),
            (Options { suspect_after: text("2m"), ..Options::default() }, "--orphan-after 90s: should be longer"),
            (Options { quorum_after: text("1m"), ..Options::default() }, "--quorum-after 60s: should be no shorter"),
            (Options { quorum_after: text("soon"), ..Options::default() }, "--quorum-after soon"),
            (Options { peers: vec!["gpu1:x".into()], ..Options::default() }, "--peer gpu1:x"),
            (Options { advertise: text("a b"), ..Options::default() }, "--advertise a b"),
        ] {
            let error = format!("{:#}", options.resolve(dir.path()).unwrap_err());
            assert!(error.contains(said), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_fleets_secret_is_private_long_enough_and_in_no_log() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let resolve = || Options { cluster_key_file: Some(path.clone()), ..Options::default() }.resolve(dir.path());
        let said = || format!("{:#}", resolve().unwrap_err());
        assert!(said().starts_with("--cluster-key-file: cannot read the cluster key "), "{}", said());
        std::fs::write(&path, "a secret of the whole fleet\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(said().contains("chmod 600"), "{}", said());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let config = resolve().unwrap();
        assert_eq!(config.cluster_key, Some(ClusterKey(b"a secret of the whole fleet".to_vec())));
        assert!(!format!("{config:?}").contains("whole fleet"));
        std::fs::write(&path, "short").unwrap();
        assert!(said().contains("has 5 bytes"), "{}", said());
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
