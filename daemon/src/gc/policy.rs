//! For how long and how much is kept, kind by kind; `[gc]` of `metaopt.toml`.
//!
//! Owns: the defaults and why they are so, and reading others. Must not: look at the disk.

use std::{fmt, time::Duration};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::config::duration;

const DAY: Duration = Duration::from_secs(24 * 3600);
const GIB: u64 = 1 << 30;

/// What lies beneath the data directory and grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// What processes printed.
    Logs,
    /// What a frozen or lost trial would go on from.
    Checkpoints,
    /// What scripts and clients left with a trial: its artifacts.
    Outputs,
    /// Submitted directories.
    Snapshots,
    /// Unpacked snapshots, set up.
    Environments,
    /// What a crash left half written or half removed.
    Leftovers,
    /// Databases that were moved aside because they could not be read.
    Corrupt,
}

impl Kind {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::Logs,
        Self::Checkpoints,
        Self::Outputs,
        Self::Snapshots,
        Self::Environments,
        Self::Leftovers,
        Self::Corrupt,
    ];

    /// The word in JSON, and in `[gc]` where it has limits.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Checkpoints => "checkpoints",
            Self::Outputs => "outputs",
            Self::Snapshots => "snapshots",
            Self::Environments => "environments",
            Self::Leftovers => "leftovers",
            Self::Corrupt => "corrupt",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The limits of one kind; none: no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Since the last change, and for environments the last use.
    pub age: Option<Duration>,
    /// Bytes in all.
    pub quota: Option<u64>,
}

/// All limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How often the daemon collects by itself; none: only when it is asked to.
    pub every: Option<Duration>,
    /// Free bytes below which the disk is low; none: a twentieth of it, at most 5 GiB.
    pub low_disk: Option<u64>,
    logs: Limit,
    checkpoints: Limit,
    outputs: Limit,
    snapshots: Limit,
    environments: Limit,
}

impl Default for Policy {
    fn default() -> Self {
        let limit = |days: u32, gib: u64| Limit { age: Some(DAY * days), quota: Some(gib * GIB) };
        Self {
            every: Some(Duration::from_secs(3600)),
            low_disk: None,
            // A log answers "why did it fail", which is asked within weeks; one is 12 MiB at most, most are a few KiB.
            logs: limit(30, 2),
            // Of use to an ended trial only where it is retried, which is done within days; and they are large.
            checkpoints: limit(7, 20),
            // Results that people meant to fetch: long enough for a holiday and a paper's deadline.
            outputs: limit(90, 50),
            // Nothing can run one that no study names: a week for a submit that was broken off and is done again.
            snapshots: limit(7, 20),
            // Made again by one run of `setup`: two weeks span a study that is put aside over a holiday.
            environments: limit(14, 20),
        }
    }
}

/// Nothing else needs a leftover; a day is longer than any upload or removal goes on.
const LEFTOVERS: Limit = Limit { age: Some(DAY), quota: None };
const FOR_EVER: Limit = Limit { age: None, quota: None };

impl Policy {
    /// A kind's limits.
    pub fn limit(&self, kind: Kind) -> Limit {
        match kind {
            Kind::Logs => self.logs,
            Kind::Checkpoints => self.checkpoints,
            Kind::Outputs => self.outputs,
            Kind::Snapshots => self.snapshots,
            Kind::Environments => self.environments,
            Kind::Leftovers => LEFTOVERS,
            Kind::Corrupt => FOR_EVER,
        }
    }

    /// Other limits, where a kind has any.
    #[must_use]
    pub fn with(mut self, kind: Kind, limit: Limit) -> Self {
        match kind {
            Kind::Logs => self.logs = limit,
            Kind::Checkpoints => self.checkpoints = limit,
            Kind::Outputs => self.outputs = limit,
            Kind::Snapshots => self.snapshots = limit,
            Kind::Environments => self.environments = limit,
            Kind::Leftovers | Kind::Corrupt => {}
        }
        self
    }
}

/// `[gc]` of `metaopt.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct File {
    every: Option<String>,
    low_disk: Option<String>,
    logs: Bounds,
    checkpoints: Bounds,
    outputs: Bounds,
    snapshots: Bounds,
    environments: Bounds,
}

/// `{ age = "30d", quota = "2GiB" }`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Bounds {
    age: Option<String>,
    quota: Option<String>,
}

impl File {
    /// The defaults, with what the file says instead.
    ///
    /// # Errors
    /// Names the key and what it should be.
    pub fn resolve(self) -> Result<Policy> {
        let default = Policy::default();
        let bounds = |kind: Kind, given: Bounds| -> Result<Limit> {
            let old = default.limit(kind);
            let age = or(given.age, old.age, duration).with_context(|| format!("gc.{kind}.age"))?;
            let quota = or(given.quota, old.quota, bytes).with_context(|| format!("gc.{kind}.quota"))?;
            Ok(Limit { age, quota })
        };
        let policy = Policy {
            every: or(self.every, default.every, duration).context("gc.every")?,
            low_disk: or(self.low_disk, default.low_disk, bytes).context("gc.low-disk")?,
            logs: bounds(Kind::Logs, self.logs)?,
            checkpoints: bounds(Kind::Checkpoints, self.checkpoints)?,
            outputs: bounds(Kind::Outputs, self.outputs)?,
            snapshots: bounds(Kind::Snapshots, self.snapshots)?,
            environments: bounds(Kind::Environments, self.environments)?,
        };
        if policy.every.is_some_and(|every| every < Duration::from_secs(1)) {
            bail!("gc.every: must be at least 1s; \"never\" turns it off");
        }
        Ok(policy)
    }
}

/// What was given, `never` for none, else the default.
fn or<T>(given: Option<String>, default: Option<T>, read: impl Fn(&str) -> Result<T>) -> Result<Option<T>> {
    match given.as_deref().map(str::trim) {
        None => Ok(default),
        Some("never") => Ok(None),
        Some(text) => read(text).map(Some).with_context(|| format!("\"{text}\" (or \"never\")")),
    }
}

/// `2GiB`, `500MB`, `0`.
///
/// # Errors
/// Says what a size looks like.
pub fn bytes(text: &str) -> Result<u64> {
    let wrong = "a size is a number and B, kB, MB, GB, TB, KiB, MiB, GiB or TiB, such as 2GiB";
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale: f64 = match unit.to_ascii_lowercase().as_str() {
        "" if number.trim() == "0" => 1.0,
        "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0_f64.powi(2),
        "gib" => 1024.0_f64.powi(3),
        "tib" => 1024.0_f64.powi(4),
        _ => bail!(wrong),
    };
    let bytes = number.trim().parse::<f64>().ok().map(|n| n * scale);
    bytes.filter(|b| b.is_finite() && (0.0..1e18).contains(b)).map(|b| b as u64).context(wrong)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Policy> {
        toml::from_str::<File>(text).map_err(anyhow::Error::from)?.resolve()
    }

    #[test]
    fn what_the_file_leaves_out_keeps_its_default() {
        assert_eq!(read("").unwrap(), Policy::default());
        let policy = read("every = \"never\"\nlogs = { age = \"2h\" }\n[outputs]\nquota = \"never\"").unwrap();
        assert_eq!(policy.every, None);
        assert_eq!(
            policy.limit(Kind::Logs),
            Limit { age: Some(Duration::from_secs(7200)), ..Policy::default().limit(Kind::Logs) }
        );
        assert_eq!(policy.limit(Kind::Outputs), Limit { quota: None, ..Policy::default().limit(Kind::Outputs) });
    }

    #[test]
    fn wrong_values_are_named_with_what_they_should_be() {
        for (text, named) in [
            ("logs = { age = \"30\" }", "gc.logs.age"),
            ("outputs = { quota = \"lots\" }", "gc.outputs.quota"),
            ("low-disk = \"5%\"", "gc.low-disk"),
            ("every = \"0s\"", "gc.every"),
            ("log = { age = \"1d\" }", "log"),
        ] {
            let error = format!("{:#}", read(text).unwrap_err());
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("2GiB").unwrap(), 2 << 30);
        assert_eq!(bytes("1.5 MB").unwrap(), 1_500_000);
        assert_eq!(bytes("0").unwrap(), 0);
        for wrong in ["", "2", "GiB", "-1MB", "nanMB", "1e999GB", "5%"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
