//! Databases that earlier metaopts wrote must open for ever, and newer ones be refused.
//!
//! `METAOPT_WRITE_GOLDEN=1 cargo test -p metaopt-daemon store::` writes files that don't exist yet; existing ones are
//! never replaced.

use std::{
    fs,
    path::{Path, PathBuf},
};

use metaopt_core::StoredDoc;
use metaopt_schema::{
    DocId, NodeId, StudyId,
    docs::{Actor, Doc, digest},
    facts::{ClusterFact, Fact, Hardware, StudyFact},
    study::StudyEdit,
};
use redb::{Database, ReadableDatabase, ReadableTable};

use crate::store::{DATABASE, Opened, Store, StoreError, format};

/// The format that this metaopt writes.
const TODAY: u64 = 2;

fn golden(version: u64) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("src/store/tests/golden/v{version}.redb.zst"))
}

/// A data directory with the database of that version.
fn unpacked(version: u64) -> tempfile::TempDir {
    let path = golden(version);
    // Older ones can't be written any more.
    if version == TODAY && std::env::var_os("METAOPT_WRITE_GOLDEN").is_some() && !path.exists() {
        write(&path);
    }
    let dir = tempfile::tempdir().unwrap();
    let packed = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    fs::write(dir.path().join(DATABASE), zstd::decode_all(&*packed).unwrap()).unwrap();
    dir
}

fn hardware(lamport: u64) -> Fact {
    let hardware = Hardware { name: format!("gpu{lamport}"), version: "0.1.0".into(), ..Hardware::default() };
    Fact::Cluster(ClusterFact::Hardware { node: NodeId::new("n"), lamport, hardware })
}

fn listed() -> Fact {
    let at = metaopt_schema::Stamp { ms: 1, n: 2, node: NodeId::new("n") };
    Fact::Cluster(ClusterFact::Listed { study: StudyId::new("s"), node: NodeId::new("n"), at })
}

fn noted(lamport: u64) -> Fact {
    let edit = StudyEdit::Note(format!("note {lamport}"));
    Fact::Study(StudyId::new("s"), StudyFact::Edited { lamport, by: NodeId::new("n"), edit })
}

/// A snapshot with a change after it, a document that is all in its snapshot and digest, and a value of the daemon's.
fn write(path: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap().store;
    let actor = Actor::new(&NodeId::new("n"), 1);
    let mut cluster = Doc::new(DocId::Cluster, &actor);
    let mut study = Doc::new(noted(1).doc(), &actor);
    let put = |store: &mut Store, doc: &mut Doc, fact: Fact| {
        let change = doc.write(&[fact]).unwrap().unwrap();
        store.commit(&[(doc.id().clone(), change)], &[("counter".into(), vec![7])]).unwrap();
    };
    for fact in [hardware(1), hardware(2)] {
        put(&mut store, &mut cluster, fact);
    }
    for lamport in 1..=3 {
        put(&mut store, &mut study, noted(lamport));
    }
    for doc in [&cluster, &study] {
        store.snapshot(doc.id(), &doc.save(), &doc.vector(), Some(&doc.digest())).unwrap();
    }
    put(&mut store, &mut cluster, listed());
    let database = store.path().to_owned();
    drop(store);
    let packed = zstd::encode_all(&*fs::read(database).unwrap(), 19).unwrap();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, packed).unwrap();
}

/// The facts of a stored document, from its snapshot and changes.
fn facts(stored: &StoredDoc) -> Vec<Fact> {
    let actor = Actor::new(&NodeId::new("n"), 2);
    let doc = Doc::load(stored.id.clone(), &actor, stored.snapshot.as_deref(), &stored.changes).unwrap();
    doc.facts().facts
}

#[test]
fn databases_of_every_version_are_read() {
    for version in 1..=TODAY {
        let dir = unpacked(version);
        let Opened { store, moved_aside } = Store::open(dir.path()).unwrap();
        assert_eq!(moved_aside, None);
        assert_eq!(store.meta("counter").unwrap(), Some(vec![7]));
        let stored = store.load().unwrap();
        assert_eq!((stored[0].changes.len(), stored[0].snapshot.is_some()), (1, true), "version {version}");
        assert_eq!(stored[0].digest, None, "it would not say what came after it");
        let cluster = facts(&stored[0]);
        assert_eq!(cluster.len(), 3);
        for fact in [hardware(1), hardware(2), listed()] {
            assert!(cluster.contains(&fact), "version {version}: {fact:?}");
        }
        // Digests came with version 2.
        let Some(study) = stored.get(1).filter(|_| version > 1) else {
            assert_eq!((version, stored.len()), (1, 1));
            continue;
        };
        let notes = [noted(1), noted(2), noted(3)];
        assert_eq!((stored.len(), &study.id, study.changes.len()), (2, &noted(1).doc(), 0));
        assert_eq!(facts(study), notes);
        let (said, vector) = digest::read(&study.id, study.digest.as_ref().unwrap()).unwrap();
        assert_eq!((said.facts, said.unknown), (notes.to_vec(), 0));
        assert_eq!(vector, [(Actor::new(&NodeId::new("n"), 1).bytes().clone(), 3)].into());
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
    let dir = unpacked(1);
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
    // The first step is behind today's format.
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
    assert!(matches!(error, StoreError::Newer { found: 4, known: TODAY, .. }), "{error:?}");
    assert!(error.to_string().contains("update metaopt"), "{error}");
    assert!(path.exists());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "the database and the lock");
}
