//! Identifiers: opaque to people, ordered for the laws, never derived from names.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Takes the text as it is: IDs are opaque.
            pub fn new(text: impl AsRef<str>) -> Self {
                Self(text.as_ref().into())
            }
            /// The text people and documents see.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }
    };
}

string_id! {
    /// A node: 16 characters of base32 over the BLAKE3 hash of its Ed25519 public key.
    NodeId
}
string_id! {
    /// A study.
    StudyId
}
string_id! {
    /// A trial: `NODE.COUNTER`, the proposing node and its counter over all studies, so that no two nodes mint one.
    TrialId
}
string_id! {
    /// One claim of one attempt; breaks ties between claims of one node.
    ClaimId
}

impl TrialId {
    /// The ID of the `counter`th trial that `node` proposed.
    pub fn mint(node: &NodeId, counter: u64) -> Self {
        Self::new(format!("{node}.{counter}"))
    }
}

/// An attempt's number within its trial, from 1 up; it never goes back.
pub type AttemptNo = u32;

/// One attempt of one trial.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptKey {
    /// The trial.
    pub trial: TrialId,
    /// Its attempt, from 1 up.
    pub attempt: AttemptNo,
}

/// Names one Automerge document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocId {
    /// Members, their hardware, the index of studies.
    Cluster,
    /// One study's definition and edits.
    Study(StudyId),
    /// Trials that `node` proposed in `study`, about a thousand a segment.
    Trials {
        /// The study.
        study: StudyId,
        /// The proposing node.
        node: NodeId,
        /// Its position, from 0 up.
        segment: u32,
    },
    /// Training curves of attempts that `node` executed in `study`.
    Metrics {
        /// The study.
        study: StudyId,
        /// The executing node.
        node: NodeId,
        /// Its position, from 0 up.
        segment: u32,
    },
}

impl DocId {
    /// The study this document belongs to; `None` for the cluster's.
    pub fn study(&self) -> Option<&StudyId> {
        match self {
            Self::Cluster => None,
            Self::Study(study) | Self::Trials { study, .. } | Self::Metrics { study, .. } => Some(study),
        }
    }
}

impl fmt::Display for DocId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str("cluster"),
            Self::Study(study) => write!(f, "study/{study}"),
            Self::Trials { study, node, segment } => write!(f, "trials/{study}/{node}/{segment}"),
            Self::Metrics { study, node, segment } => write!(f, "metrics/{study}/{node}/{segment}"),
        }
    }
}

/// A text that names no document.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a document name")]
pub struct BadDocId(String);

impl FromStr for DocId {
    type Err = BadDocId;

    fn from_str(text: &str) -> Result<Self, BadDocId> {
        let bad = || BadDocId(text.to_owned());
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            ["cluster"] => Ok(Self::Cluster),
            ["study", study] if !study.is_empty() => Ok(Self::Study(StudyId::new(study))),
            [kind @ ("trials" | "metrics"), study, node, segment] => {
                let (study, node) = (StudyId::new(study), NodeId::new(node));
                let segment = segment.parse().map_err(|_| bad())?;
                Ok(if *kind == "trials" {
                    Self::Trials { study, node, segment }
                } else {
                    Self::Metrics { study, node, segment }
                })
            }
            _ => Err(bad()),
        }
    }
}
