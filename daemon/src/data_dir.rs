//! Where a node keeps what is its own, and the few small files in there that make it the same node after a restart.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use metaopt_core::node::base32;
use metaopt_schema::NodeId;
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::platform::files;

/// The data directory by the platform's convention, ending in the machine's id, so that homes shared by several machines
/// hold one directory for each.
///
/// # Errors
/// When there is no home directory to put it in.
pub fn default_dir() -> Result<PathBuf, String> {
    let id = machine_id();
    let env = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let base = if cfg!(windows) {
        env("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        env("HOME").map(|home| home.join("Library/Application Support"))
    } else {
        env("XDG_DATA_HOME").filter(|p| p.is_absolute()).or_else(|| env("HOME").map(|home| home.join(".local/share")))
    };
    base.map(|base| base.join("metaopt").join(id))
        .ok_or_else(|| "no home directory: give --data-dir or METAOPT_DATA_DIR".to_owned())
}

/// The first 12 hexadecimal characters of the SHA-256 of `/etc/machine-id`, or of the host's name.
fn machine_id() -> String {
    let text = fs::read_to_string("/etc/machine-id").ok().map(|t| t.trim().to_owned()).filter(|t| !t.is_empty());
    let text = text.unwrap_or_else(host_name);
    let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    hex(&hash.as_ref()[..6])
}

/// This machine's name, as people know it.
pub fn host_name() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").unwrap_or_default();
    let name = name.split('.').next().unwrap_or_default().to_lowercase();
    if name.is_empty() { "node".into() } else { name }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Random bytes from the operating system.
///
/// # Errors
/// When it has none.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| anyhow::anyhow!("the operating system gives no random bytes: {e}"))?;
    Ok(bytes)
}

/// Where a daemon that is told to use `wanted` keeps its data: there, or on a local disk when that is on a network file
/// system. Makes nothing; commands look for `api.json` here.
pub fn located(wanted: &Path) -> PathBuf {
    if network_file_system(wanted).is_none() {
        return wanted.to_owned();
    }
    let name = blake3::hash(wanted.as_os_str().as_encoded_bytes()).to_hex();
    PathBuf::from("/var/tmp").join(format!("metaopt-{}-{}", machine_id(), &name[..8]))
}

/// The number after the largest of this node's trials of which there are files; none: there are none.
pub fn next_counter(dir: &Path, node: &NodeId) -> Option<u64> {
    let start = format!("{node}.");
    let entries = ["trials", "logs", "attempts", "unknown"].map(|name| fs::read_dir(dir.join(name)));
    let names = entries.into_iter().flatten().flatten().flatten().map(|entry| entry.file_name());
    let numbers = names.filter_map(|name| {
        let rest = name.to_str()?.strip_prefix(&start)?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..digits].parse::<u64>().ok()?.checked_add(1)
    });
    numbers.max()
}

/// Makes the directory, for its owner alone. On a network file system another, local one is used instead, and said.
///
/// # Errors
/// When it can't be made, or belongs to somebody else.
pub fn prepare(wanted: &Path) -> Result<PathBuf> {
    let dir = located(wanted);
    if let Some(kind) = network_file_system(wanted) {
        // The log is not there yet; a closed standard error is no reason to fail.
        let _ = writeln!(
            std::io::stderr(),
            "metaoptd: {} is on a network file system ({kind}); using {} instead",
            wanted.display(),
            dir.display()
        );
    }
    fs::create_dir_all(&dir).with_context(|| format!("cannot create the data directory {}", dir.display()))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        // In a directory of everybody's, a link in our place is somebody else's doing.
        if dir != wanted && fs::symlink_metadata(&dir).is_ok_and(|meta| meta.is_symlink()) {
            bail!("{} is a link; remove it, or give another --data-dir", dir.display());
        }
        let meta = fs::metadata(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
        if meta.uid() != rustix::process::geteuid().as_raw() {
            bail!("{} belongs to another user; give another --data-dir", dir.display());
        }
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))
            .with_context(|| format!("cannot make {} private", dir.display()))?;
    }
    dir.canonicalize().with_context(|| format!("cannot resolve {}", dir.display()))
}

/// The kind of network file system that `path` (or its nearest existing ancestor) is on, if it is on one.
fn network_file_system(path: &Path) -> Option<&'static str> {
    #[cfg(target_os = "linux")]
    let kind = {
        let existing = path.ancestors().find(|p| p.exists())?;
        match rustix::fs::statfs(existing).ok()?.f_type as u32 {
            0x6969 => Some("NFS"),
            0xFF53_4D42 | 0xFE53_4D42 | 0x517B => Some("SMB"),
            0x0BD0_0BD0 => Some("Lustre"),
            0x4750_4653 => Some("GPFS"),
            0x1980_0202 => Some("BeeGFS"),
            _ => None,
        }
    };
    // Elsewhere nothing is known, so that nothing is moved.
    #[cfg(not(target_os = "linux"))]
    let kind = path.parent().and(None);
    kind
}

/// Who this node is.
pub struct Identity {
    /// Hash of its public key.
    pub node: NodeId,
    /// Hexadecimal.
    pub public_key: String,
    /// The API's bearer token.
    pub token: String,
    /// Keys the tokens of trials.
    pub secret: [u8; 32],
    /// The private key, for links.
    pub pkcs8: Vec<u8>,
}

/// After a node left its cluster: what it was is put aside, and the next start makes a node of its own.
///
/// # Errors
/// When files can't be moved.
pub fn depart(dir: &Path) -> Result<PathBuf> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    let aside = dir.join(format!("left-{now}"));
    fs::create_dir_all(&aside).with_context(|| format!("cannot make {}", aside.display()))?;
    // The key last: with it gone the node is another, and nothing of the old one may be left to mix with.
    for name in [crate::store::DATABASE, crate::roll::ROLL, "peer-hints", "cluster", "node.key"] {
        let from = dir.join(name);
        if from.exists() {
            fs::rename(&from, aside.join(name)).with_context(|| format!("cannot put {} aside", from.display()))?;
        }
    }
    Ok(aside)
}

impl Identity {
    /// Reads the node's key and token, or makes them.
    ///
    /// # Errors
    /// When they can't be read, written or understood.
    pub fn open(dir: &Path) -> Result<Self> {
        let key_path = dir.join("node.key");
        let pkcs8 = match fs::read(&key_path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let fresh = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new())
                    .map_err(|_| anyhow::anyhow!("cannot generate a key"))?;
                files::write_private(&key_path, fresh.as_ref())
                    .with_context(|| format!("cannot write {}", key_path.display()))?;
                fresh.as_ref().to_vec()
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", key_path.display())),
        };
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|e| {
            anyhow::anyhow!("{} is not a key of metaopt ({e}); move it away to become a new node", key_path.display())
        })?;
        let public = pair.public_key().as_ref();
        let node = NodeId::new(base32(&blake3::hash(public).as_bytes()[..10]));
        let token_path = dir.join("token");
        let token = match fs::read_to_string(&token_path) {
            Ok(text) if !text.trim().is_empty() => text.trim().to_owned(),
            _ => {
                let fresh = format!("mo_{}", base32(&random::<20>()?));
                files::write_private(&token_path, fresh.as_bytes())
                    .with_context(|| format!("cannot write {}", token_path.display()))?;
                fresh
            }
        };
        let secret = blake3::derive_key("metaopt trial tokens v1", &pkcs8);
        Ok(Self { node, public_key: hex(public), token, secret, pkcs8 })
    }
}
