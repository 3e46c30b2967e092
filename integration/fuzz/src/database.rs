//! The database file: damaged bytes are moved aside or read as far as they are good; never a crash of the daemon.
//!
//! Input: changes to the golden database, each three bytes of position and one of value; or, behind a byte 1, a file.

use std::{
    path::Path,
    sync::{Arc, Mutex, OnceLock},
};

use metaopt_daemon::store::{DATABASE, Opened, Opener, Store};
use redb::{StorageBackend, backends::InMemoryBackend};

use crate::head;

const GOLDEN: &[u8] = include_bytes!("../../../daemon/src/store/tests/golden/v1.redb.zst");

pub fn run(data: &[u8]) -> bool {
    static GOOD: OnceLock<Vec<u8>> = OnceLock::new();
    let good = GOOD.get_or_init(|| zstd::decode_all(GOLDEN).expect("the golden database"));
    let (how, data) = head(data);
    let bytes = if how == 1 {
        data.to_vec()
    } else {
        let mut bytes = good.clone();
        for patch in data.chunks_exact(4) {
            let at = u32::from_le_bytes([patch[0], patch[1], patch[2], 0]) as usize % bytes.len();
            bytes[at] = patch[3];
        }
        bytes
    };
    let damaged = bytes != *good;
    let dir = tempfile::Builder::new().tempdir_in(if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" });
    let dir = dir.expect("a directory");
    // The opener is asked for what is there; what isn't would first be made.
    std::fs::write(dir.path().join(DATABASE), "").expect("a file");
    let Ok(Opened { mut store, moved_aside }) = Store::open_on(dir.path(), first_then_fresh(bytes)) else {
        assert!(damaged, "the golden database was refused");
        return false;
    };
    let docs = store.load().expect("an opened database is read");
    assert!(damaged || (moved_aside.is_none() && docs.len() == 1));
    assert!(moved_aside.is_none() || docs.is_empty());
    store.commit(&[], &[("k".into(), vec![1])]).expect("an opened database is written");
    assert_eq!(store.meta("k").expect("read"), Some(vec![1]));
    moved_aside.is_none()
}

/// The given bytes at the first opening, an empty file when that was moved aside.
fn first_then_fresh(bytes: Vec<u8>) -> Opener {
    let first = Mutex::new(Some(bytes));
    Arc::new(move |_| {
        let backend = InMemoryBackend::new();
        if let Some(bytes) = first.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take() {
            backend.set_len(bytes.len() as u64)?;
            backend.write(0, &bytes)?;
        }
        Ok(Box::new(backend))
    })
}
