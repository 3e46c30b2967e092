//! Databases that earlier metaopts wrote must open for ever, and newer ones be refused.
//!
//! `METAOPT_WRITE_GOLDEN=1 cargo test -p metaopt-daemon store::` writes files that don't exist yet; existing ones are
//! never replaced.

use std::{fs, path::PathBuf};

use metaopt_schema::{
    DocId, NodeId, StudyId,
    docs::{Actor, Doc},
    facts::{ClusterFact, Fact, Hardware},
};
use redb::{Database, ReadableDatabase, ReadableTable};

use crate::store::{DATABASE, Opened, Store, StoreError, format};

fn golden() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/store/tests/golden/v1.redb.zst")
}

fn hardware(lamport: u64) -> Fact {
    let hardware = Hardware { name: format!("gpu{lamport}"), version: "0.1.0".into(), ..Hardware::default() };
    Fact::Cluster(ClusterFact::Hardware { node: NodeId::new("n"), lamport, hardware })
}

fn listed() -> Fact {
    let at = metaopt_schema::Stamp { ms: 1, n: 2, node: NodeId::new("n") };
    Fact::Cluster(ClusterFact::Listed { study: StudyId::new("s"), node: NodeId::new("n"), at })
}

/// What a version 1 store holds: a snapshot with changes after it, a plain log, and a value of the daemon's.
fn write() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap().store;
    let mut doc = Doc::new(DocId::Cluster, &Actor::new(&NodeId::new("n"), 1));
    for fact in [hardware(1), hardware(2)] {
        let change = doc.write(&[fact]).unwrap().unwrap();
        store.commit(&[(DocId::Cluster, change)], &[("counter".into(), vec![7])]).unwrap();
    }
    store.snapshot(&DocId::Cluster, &doc.save(), &doc.vector(), None).unwrap();
    let change = doc.write(&[listed()]).unwrap().unwrap();
    store.commit(&[(DocId::Cluster, change)], &[]).unwrap();
    let path = store.path().to_owned();
    drop(store);
    let packed = zstd::encode_all(&*fs::read(path).unwrap(), 19).unwrap();
    fs::create_dir_all(golden().parent().unwrap()).unwrap();
    fs::write(golden(), packed).unwrap();
}

#[test]
fn a_database_of_version_1_opens() {
    if std::env::var_os("METAOPT_WRITE_GOLDEN").is_some() && !golden().exists() {
        write();
    }
    let dir = tempfile::tempdir().unwrap();
    let bytes = zstd::decode_all(&*fs::read(golden()).unwrap()).unwrap();
    fs::write(dir.path().join(DATABASE), bytes).unwrap();
    let Opened { store, moved_aside } = Store::open(dir.path()).unwrap();
    assert_eq!(moved_aside, None);
    assert_eq!(store.meta("counter").unwrap(), Some(vec![7]));
    let stored = store.load().unwrap();
    assert_eq!((stored.len(), stored[0].changes.len(), stored[0].snapshot.is_some()), (1, 1, true));
    let actor = Actor::new(&NodeId::new("n"), 2);
    let doc = Doc::load(DocId::Cluster, &actor, stored[0].snapshot.as_deref(), &stored[0].changes).unwrap();
    let facts = doc.facts().facts;
    assert_eq!(facts.len(), 3);
    for fact in [hardware(1), hardware(2), listed()] {
        assert!(facts.contains(&fact), "{fact:?}");
    }
}

/// Appends, so that a second run would show.
fn leave_trace(transaction: &redb::WriteTransaction) -> Result<(), redb::Error> {
    let mut meta = transaction.open_table(format::META)?;
    let mut trace = meta.get("trace")?.map(|value| value.value().to_vec()).unwrap_or_default();
    trace.extend_from_slice(b"1to2");
    meta.insert("trace", trace.as_slice())?;
    Ok(())
}

#[test]
fn a_database_of_version_1_takes_digests_as_a_fresh_one_does() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = zstd::decode_all(&*fs::read(golden()).unwrap()).unwrap();
    fs::write(dir.path().join(DATABASE), bytes).unwrap();
    let mut store = Store::open(dir.path()).unwrap().store;
    let stored = store.load().unwrap().remove(0);
    assert_eq!(stored.digest, None);
    let actor = Actor::new(&NodeId::new("n"), 2);
    let doc = Doc::load(DocId::Cluster, &actor, stored.snapshot.as_deref(), &stored.changes).unwrap();
    store.snapshot(&DocId::Cluster, &doc.save(), &doc.vector(), Some(&doc.digest())).unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap().store;
    assert_eq!(store.load().unwrap()[0].digest, Some(doc.digest()));
}

#[test]
fn older_formats_are_brought_up_step_by_step_and_newer_ones_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap().store;
    let path = store.path().to_owned();
    drop(store);
    // Today's format is 2: the first step is behind it.
    let fail: format::Step = |_| Err(redb::Error::Corrupted("the last step fails".into()));
    let steps: [format::Step; 3] = [fail, leave_trace, fail];
    let database = Database::open(&path).unwrap();
    // A step that fails leaves the old format whole.
    assert!(format::settle_with(&database, &path, &steps).is_err());
    assert!(database.begin_read().unwrap().open_table(format::META).unwrap().get("trace").unwrap().is_none());
    format::settle(&database, &path).unwrap();
    let steps: [format::Step; 3] = [fail, leave_trace, |_| Ok(())];
    format::settle_with(&database, &path, &steps).unwrap();
    format::settle_with(&database, &path, &steps).unwrap();
    let trace = database.begin_read().unwrap().open_table(format::META).unwrap().get("trace").unwrap().unwrap();
    assert_eq!(trace.value(), b"1to2", "each step ran once");
    drop((trace, database));
    // This metaopt knows nothing of format 4: it says so, and moves nothing aside.
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 4, known: 2, .. }), "{error:?}");
    assert!(error.to_string().contains("update metaopt"), "{error}");
    assert!(path.exists());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "the database and the lock");
}
