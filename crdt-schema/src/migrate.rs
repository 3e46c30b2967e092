//! Versions of stored values: every value starts with one byte that says how to read the rest, and older versions are
//! read through a chain of migrations, newest first.
//!
//! Owns: the version byte, the chain. Must not: know documents or keys.
//!
//! To change a stored type in a way that old bytes no longer parse, or that old readers would misread: keep the old
//! struct beside the new one, give the new one the next `VERSION` and the old one as `Previous`, and commit a golden
//! file of the old spelling. Adding a field with `#[serde(default)]` needs no new version; adding an enum variant does,
//! so that older nodes skip the value instead of calling it corrupt.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A type that is stored as a version byte and JSON.
pub trait Stored: Serialize + DeserializeOwned {
    /// This spelling's version, from 1 up.
    const VERSION: u8;
    /// The spelling before it; [`Nothing`] for the first.
    type Previous: Stored;
    /// What an old value means today.
    fn migrate(old: Self::Previous) -> Self;
}

/// What stood before the first version: no value at all.
#[derive(Debug, Serialize, Deserialize)]
pub enum Nothing {}

impl Stored for Nothing {
    const VERSION: u8 = 0;
    type Previous = Self;

    fn migrate(old: Self) -> Self {
        old
    }
}

/// Why stored bytes could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Written by a newer metaopt: to be kept and passed on, not understood.
    #[error("version {found} is newer than {known}, the newest this metaopt reads: update metaopt on this node")]
    Newer {
        /// In the bytes.
        found: u8,
        /// Ours.
        known: u8,
    },
    /// Not what any version writes.
    #[error("{0}")]
    Corrupt(String),
}

/// `value` as stored: its version and JSON.
pub fn encode<T: Stored>(value: &T) -> Result<Vec<u8>, ReadError> {
    encode_as::<T>(value)
}

/// Like [`encode`], for something that serialises as `T` does (a slice for a list).
pub fn encode_as<T: Stored>(value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, ReadError> {
    let mut bytes = vec![T::VERSION];
    serde_json::to_writer(&mut bytes, value).map_err(|error| ReadError::Corrupt(error.to_string()))?;
    Ok(bytes)
}

/// Reads a value of this or any older version.
pub fn decode<T: Stored>(bytes: &[u8]) -> Result<T, ReadError> {
    match bytes.split_first() {
        None => Err(ReadError::Corrupt("the value is empty; it should start with a version byte".into())),
        Some((0, _)) => Err(ReadError::Corrupt("there is no version 0".into())),
        Some((&version, json)) if version <= T::VERSION => read(version, json),
        Some((&found, _)) => Err(ReadError::Newer { found, known: T::VERSION }),
    }
}

fn read<T: Stored>(version: u8, json: &[u8]) -> Result<T, ReadError> {
    if version < T::VERSION {
        return read::<T::Previous>(version, json).map(T::migrate);
    }
    serde_json::from_slice(json).map_err(|error| ReadError::Corrupt(error.to_string()))
}

/// Declares types whose first version is the current one.
macro_rules! first_version {
    ($($type:ty),* $(,)?) => {$(
        impl $crate::migrate::Stored for $type {
            const VERSION: u8 = 1;
            type Previous = $crate::migrate::Nothing;

            fn migrate(old: $crate::migrate::Nothing) -> Self {
                match old {}
            }
        }
    )*};
}
pub(crate) use first_version;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Old {
        seconds: u64,
    }
    first_version!(Old);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Middle {
        millis: u64,
    }
    impl Stored for Middle {
        const VERSION: u8 = 2;
        type Previous = Old;

        fn migrate(old: Old) -> Self {
            Self { millis: old.seconds * 1000 }
        }
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct New {
        millis: u64,
        exact: bool,
    }
    impl Stored for New {
        const VERSION: u8 = 3;
        type Previous = Middle;

        fn migrate(old: Middle) -> Self {
            Self { millis: old.millis, exact: false }
        }
    }

    #[test]
    fn every_older_version_is_read_through_the_chain() {
        assert_eq!(decode(&encode(&Old { seconds: 2 }).unwrap()), Ok(New { millis: 2000, exact: false }));
        assert_eq!(decode(&encode(&Middle { millis: 5 }).unwrap()), Ok(New { millis: 5, exact: false }));
        assert_eq!(decode(&encode(&New { millis: 7, exact: true }).unwrap()), Ok(New { millis: 7, exact: true }));
    }

    #[test]
    fn a_newer_version_is_told_apart_from_damage() {
        let newer = encode(&New { millis: 1, exact: true }).unwrap();
        assert_eq!(decode::<Middle>(&newer), Err(ReadError::Newer { found: 3, known: 2 }));
        for damaged in [&b""[..], b"\0{}", b"\x01{", b"\x01{\"minutes\":1}"] {
            assert!(matches!(decode::<Middle>(damaged), Err(ReadError::Corrupt(_))), "{damaged:?}");
        }
    }

    #[test]
    fn fields_of_later_metaopts_do_not_hinder_reading() {
        assert_eq!(decode(b"\x01{\"seconds\":1,\"colour\":\"red\"}"), Ok(Old { seconds: 1 }));
    }
}
