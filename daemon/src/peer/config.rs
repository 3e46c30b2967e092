//! What links are started with, and their limits with the reasons for each.
//!
//! Owns: numbers, and the reading of the cluster key's file. Must not: act on any of it.

use std::{net::SocketAddr, path::Path, path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use metaopt_schema::NodeId;

use crate::platform::files;

/// The port that nodes listen on unless told otherwise.
pub const PORT: u16 = 7879;
/// Fewer bytes of a cluster key could be guessed.
const SHORTEST_KEY: usize = 16;
/// No cluster key is as large.
const LARGEST_KEY: u64 = 64 << 10;

/// What links are started with.
#[derive(Clone)]
pub struct PeerConfig {
    /// The data directory: `cluster` and `peer-address` are kept there.
    pub dir: PathBuf,
    /// The node's private key (`node.key`).
    pub pkcs8: Vec<u8>,
    /// Its identity.
    pub node: NodeId,
    /// Its public key, hexadecimal.
    pub public_key: String,
    /// What it calls itself.
    pub name: String,
    /// Of its daemon.
    pub version: String,
    /// `--peer-listen`; none: 0.0.0.0:7879, else a free port, which is then kept in `peer-address`.
    pub listen: Option<SocketAddr>,
    /// `--advertise`: told to others in place of the addresses of this machine's interfaces (`HOST` or `HOST:PORT`).
    pub advertise: Option<String>,
    /// `--peer`, each `HOST:PORT`, or `HOST` for the usual port.
    pub peers: Vec<String>,
    /// Whether nodes are looked for, and this one announced, by mDNS.
    pub mdns: bool,
    /// The content of the file that `METAOPT_CLUSTER_KEY_FILE` names; see [`read_cluster_key`].
    pub cluster_key: Option<Vec<u8>>,
    /// Tells nobody where it listens: a node without slots, that dials out.
    pub dials_only: bool,
    /// Numbers that tests make small.
    pub limits: Limits,
}

/// Limits and intervals. The defaults are what is shipped.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Most connections that haven't been accepted as a member's yet: each costs 64 KiB and a signature, and they go
    /// within [`Self::handshake`].
    pub strangers: usize,
    /// Most of these from one address, so that one machine doesn't take all places.
    pub strangers_per_source: usize,
    /// How long one of these keeps its place when another wants it: a handshake takes milliseconds, a third round trip
    /// around the world half a second.
    pub patience: Duration,
    /// Longest from the connection to both verdicts.
    pub handshake: Duration,
    /// Longest that pairing may take after the first right proof: both sides write to their disks.
    pub pairing: Duration,
    /// Longest that a connection may take to be established.
    pub connect: Duration,
    /// Time between pings.
    pub ping: Duration,
    /// Silence after which a link is dead: three pings.
    pub silence: Duration,
    /// Time in which an old link must answer to count as alive when its node connects anew.
    pub probe: Duration,
    /// How long a node is refused of which two were seen at once.
    pub quarantine: Duration,
    /// Between looks at whom to dial; at most this long after a loss it is dialled again.
    pub round: Duration,
    /// Shortest time until an address is dialled again.
    pub soonest: Duration,
    /// Longest time until an address that never answered is dialled again.
    pub latest: Duration,
    /// Bytes that wait on one link, of each class.
    pub queue: usize,
    /// The multicast port: tests have their own.
    pub mdns_port: u16,
    /// Time between looks at the machine's interfaces.
    pub interfaces: Duration,
    /// Time after which looking for nodes by mDNS begins anew: after a silent partition it would find nobody again.
    pub browse: Duration,
    /// How long `join` waits for somebody to be found.
    pub find: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            strangers: 64,
            strangers_per_source: 8,
            patience: Duration::from_millis(500),
            handshake: seconds(5),
            pairing: seconds(15),
            connect: seconds(5),
            ping: seconds(2),
            silence: seconds(6),
            probe: seconds(2),
            quarantine: seconds(60),
            round: seconds(2),
            soonest: Duration::from_millis(500),
            latest: seconds(30),
            queue: 8 << 20,
            mdns_port: 5353,
            interfaces: seconds(5),
            browse: seconds(30),
            find: seconds(4),
        }
    }
}

/// Reads the file that `METAOPT_CLUSTER_KEY_FILE` names. What stands around the key (spaces, line ends) doesn't count.
///
/// # Errors
/// It can't be read, others may read it, or it is too short to be a secret; in words, with the way out.
pub fn read_cluster_key(path: &Path) -> Result<Vec<u8>> {
    let shown = path.display();
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let meta = std::fs::metadata(path).with_context(|| format!("cannot read the cluster key {shown}"))?;
        if meta.mode() & 0o077 != 0 {
            bail!("others may read the cluster key {shown}, and with it join and run commands: chmod 600 {shown}");
        }
    }
    let bytes = files::read_plain(path, LARGEST_KEY).with_context(|| format!("cannot read the cluster key {shown}"))?;
    let key = bytes.trim_ascii();
    check_cluster_key(key).with_context(|| format!("the cluster key {shown} is no secret"))?;
    Ok(key.to_vec())
}

/// # Errors
/// It is too short.
pub(super) fn check_cluster_key(key: &[u8]) -> Result<()> {
    if key.len() < SHORTEST_KEY {
        bail!(
            "it has {} bytes and must have {SHORTEST_KEY} or more: `openssl rand -base64 32` makes a good one",
            key.len()
        );
    }
    Ok(())
}

/// `HOST:PORT` of what a person typed: the usual port where there is none.
pub fn with_port(address: &str) -> String {
    let address = address.trim();
    if address.parse::<std::net::Ipv6Addr>().is_ok() {
        return format!("[{address}]:{PORT}");
    }
    let port = address.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
    match port {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => address.to_owned(),
        _ => format!("{}:{PORT}", address.trim_end_matches(':')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_port_has_the_usual_one() {
        for (typed, meant) in [
            ("gpu2", "gpu2:7879"),
            ("gpu2:1", "gpu2:1"),
            (" 10.0.0.1 ", "10.0.0.1:7879"),
            ("::1", "[::1]:7879"),
            ("[::1]", "[::1]:7879"),
            ("[::1]:5", "[::1]:5"),
            ("gpu2:", "gpu2:7879"),
        ] {
            assert_eq!(with_port(typed), meant, "{typed}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_cluster_key_that_is_short_or_open_to_others_is_refused_in_words() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let put = |text: &str, mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            read_cluster_key(&path).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(put("0123456789abcdef\n", 0o600).unwrap(), b"0123456789abcdef");
        assert!(put("0123456789abcde\n\n", 0o600).unwrap_err().contains("must have 16 or more"));
        assert!(put("0123456789abcdef\n", 0o640).unwrap_err().contains("chmod 600"));
    }
}
