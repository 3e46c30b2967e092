//! What the store promises, on a real disk, on a failing one, and across a killed process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod crash;
pub(crate) mod disk;
mod golden;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use metaopt_schema::{
    DocId, NodeId, StudyId,
    docs::{Actor, Doc, RawChange, Vector},
    facts::{Fact, StudyFact},
    study::StudyEdit,
};

use super::*;
use disk::Disk;

fn study(name: &str) -> DocId {
    DocId::Study(StudyId::new(name))
}

fn actor(name: &str) -> Arc<[u8]> {
    Actor::new(&NodeId::new(name), 1).bytes().clone()
}

/// The store doesn't look into changes, so any bytes will do.
fn change(name: &str, seq: u64) -> RawChange {
    RawChange { actor: actor(name), seq, bytes: format!("change {seq} of {name}").into_bytes().into() }
}

fn open(dir: &Path) -> Store {
    let Opened { store, moved_aside } = Store::open(dir).unwrap();
    assert_eq!(moved_aside, None);
    store
}

fn flags(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn all_that_was_committed_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    assert_eq!(store.load().unwrap(), []);
    let changes: Vec<(DocId, RawChange)> = vec![
        (study("b"), change("n", 2)),
        (DocId::Cluster, change("n", 1)),
        (study("b"), change("m", 1)),
        (study("b"), change("n", 1)),
        (study("b2"), change("n", 1)),
    ];
    store.commit(&changes, &[("counter".into(), vec![1])]).unwrap();
    store.commit(&[], &[("counter".into(), vec![2, 3])]).unwrap();
    drop(store);
    let store = open(dir.path());
    let doc = |id, changes| StoredDoc { id, snapshot: None, digest: None, changes };
    let stored = [
        doc(DocId::Cluster, vec![change("n", 1)]),
        doc(study("b"), vec![change("m", 1), change("n", 1), change("n", 2)]),
        doc(study("b2"), vec![change("n", 1)]),
    ];
    assert_eq!(store.load().unwrap(), stored);
    assert_eq!(store.reader().doc(&study("b")).unwrap().as_ref(), Some(&stored[1]));
    assert_eq!(store.reader().doc(&study("b1")).unwrap(), None);
    assert_eq!(store.meta("counter").unwrap(), Some(vec![2, 3]));
    assert_eq!(store.meta("other").unwrap(), None);
    assert_eq!(flags(store.path()), 0o600);
    assert_eq!(flags(&dir.path().join(LOCK)), 0o600);
}

#[test]
fn a_database_that_others_could_read_is_closed_to_them() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = open(dir.path()).path().to_owned();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    open(dir.path());
    assert_eq!(flags(&path), 0o600);
}

#[test]
fn a_commit_is_whole_or_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    store.commit(&[(DocId::Cluster, change("n", 1))], &[]).unwrap();
    let before = store.load().unwrap();
    let other = RawChange { bytes: b"another".as_slice().into(), ..change("n", 1) };
    let error = store.commit(&[(DocId::Cluster, change("n", 2)), (DocId::Cluster, other)], &[("k".into(), vec![])]);
    assert!(matches!(&error, Err(StoreError::Contradiction { doc: DocId::Cluster, seq: 1, .. })), "{error:?}");
    assert_eq!((store.load().unwrap(), store.meta("k").unwrap()), (before, None));
    // The same once more is no contradiction: a retry after a failure whose outcome is unknown.
    store.commit(&[(DocId::Cluster, change("n", 1)), (DocId::Cluster, change("n", 2))], &[]).unwrap();
    assert_eq!(store.load().unwrap()[0].changes.len(), 2);
    let slashed = store.commit(&[(study("a/b"), change("n", 1))], &[]);
    assert!(matches!(slashed, Err(StoreError::BadName { .. })), "a name that would not be found again");
    store.commit(&[], &[("format".into(), vec![9; 8])]).unwrap();
    drop(store);
    open(dir.path());
}

#[test]
fn a_second_daemon_is_refused_and_told_who_is_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(&error, StoreError::InUse { pid: Some(pid), .. } if *pid == std::process::id()), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&dir.path().display().to_string()) && text.contains("--data-dir"), "{text}");
    drop(store);
    open(dir.path());
}

#[test]
fn a_corrupt_database_is_moved_aside_and_a_fresh_one_begun() {
    for damage in ["garbage", "cut", "flipped"] {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open(dir.path());
        let path = store.path().to_owned();
        for seq in 1..=300 {
            store.commit(&[(DocId::Cluster, change("n", seq))], &[]).unwrap();
        }
        drop(store);
        let mut bytes = fs::read(&path).unwrap();
        match damage {
            "garbage" => bytes = b"not a database at all".to_vec(),
            "cut" => bytes.truncate(bytes.len() / 3),
            _ => {
                // Every copy of one stored change: whichever page is live is hit.
                let needle = b"change 200 of n";
                let hits: Vec<usize> =
                    (0..bytes.len() - needle.len()).filter(|at| bytes[*at..].starts_with(needle)).collect();
                assert!(!hits.is_empty());
                for at in hits {
                    bytes[at] ^= 1;
                }
            }
        }
        fs::write(&path, &bytes).unwrap();
        let Opened { mut store, moved_aside } = Store::open(dir.path()).unwrap();
        let aside = moved_aside.unwrap_or_else(|| panic!("{damage} passed unnoticed"));
        assert!(aside.file_name().unwrap().to_str().unwrap().starts_with("metaopt.redb.corrupt-"));
        assert_eq!(fs::read(&aside).unwrap().len(), bytes.len(), "{damage}: kept for rescue");
        assert_eq!(store.load().unwrap(), []);
        store.commit(&[(DocId::Cluster, change("n", 1))], &[]).unwrap();
        // A second corruption in the same second does not overwrite the first.
        drop(store);
        fs::write(&path, "again").unwrap();
        let again = Store::open(dir.path()).unwrap().moved_aside.unwrap();
        assert_ne!(again, aside);
        assert!(aside.exists());
    }
}

#[test]
fn a_snapshot_takes_the_place_of_the_changes_it_covers_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let id = study("s");
    let mut doc = Doc::new(id.clone(), &Actor::new(&NodeId::new("a"), 1));
    let mut peer = Doc::new(id.clone(), &Actor::new(&NodeId::new("b"), 1));
    let note = |by: &str, lamport: u64| {
        Fact::Study(
            StudyId::new("s"),
            StudyFact::Edited { lamport, by: NodeId::new(by), edit: StudyEdit::Note("x".into()) },
        )
    };
    let put = |store: &mut Store, doc: &mut Doc, by: &str, lamport: u64| {
        let change = doc.write(&[note(by, lamport)]).unwrap().unwrap();
        store.commit(&[(id.clone(), change.clone())], &[]).unwrap();
        change
    };
    for lamport in 0..5 {
        put(&mut store, &mut doc, "a", lamport);
    }
    let (bytes, covered) = (doc.save(), doc.vector());
    // While the snapshot was made, both went on.
    put(&mut store, &mut doc, "a", 9);
    let theirs = put(&mut store, &mut peer, "b", 10);
    doc.apply(&[theirs]);
    store.commit(&[(study("s2"), change("a", 1)), (DocId::Cluster, change("a", 1))], &[]).unwrap();
    store.snapshot(&id, &bytes, &covered, None).unwrap();
    drop(store);
    let mut store = open(dir.path());
    let stored = store.reader().doc(&id).unwrap().unwrap();
    assert_eq!(stored.changes.len(), 2);
    let back =
        Doc::load(id.clone(), &Actor::new(&NodeId::new("c"), 2), stored.snapshot.as_deref(), &stored.changes).unwrap();
    assert_eq!((back.heads(), back.vector()), (doc.heads(), doc.vector()));
    assert_eq!(store.load().unwrap().len(), 3, "other documents keep their changes");
    // A second snapshot replaces the first.
    store.snapshot(&id, &doc.save(), &doc.vector(), None).unwrap();
    let stored = store.reader().doc(&id).unwrap().unwrap();
    assert_eq!((stored.changes, stored.snapshot), (vec![], Some(doc.save())));
    store.delete(&id).unwrap();
    assert_eq!(store.reader().doc(&id).unwrap(), None);
    assert_eq!(store.load().unwrap().len(), 2);
}

#[test]
fn a_snapshot_is_wanted_after_many_changes_or_many_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let many: Vec<_> = (1..SNAPSHOT_CHANGES).map(|seq| (study("many"), change("n", seq))).collect();
    store.commit(&many, &[]).unwrap();
    assert!(!store.wants_snapshot(&study("many")));
    store.commit(&many, &[]).unwrap();
    assert!(!store.wants_snapshot(&study("many")), "a repetition does not count");
    store.commit(&[(study("many"), change("n", SNAPSHOT_CHANGES))], &[]).unwrap();
    let big = RawChange { bytes: vec![0; SNAPSHOT_BYTES as usize].into(), ..change("n", 1) };
    store.commit(&[(study("big"), big)], &[]).unwrap();
    drop(store);
    let mut store = open(dir.path());
    for name in ["many", "big"] {
        assert!(store.wants_snapshot(&study(name)), "{name}: known again after a restart");
        let covered: Vector = [(actor("n"), SNAPSHOT_CHANGES)].into_iter().collect();
        store.snapshot(&study(name), b"snapshot", &covered, None).unwrap();
        assert!(!store.wants_snapshot(&study(name)));
    }
    assert!(!store.wants_snapshot(&study("unknown")));
}

#[test]
fn a_full_disk_loses_nothing_and_is_left_by_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::new();
    let mut store = Store::open_on(dir.path(), disk.opener()).unwrap().store;
    store.commit(&[(DocId::Cluster, change("n", 1))], &[]).unwrap();
    disk.fill();
    let mut acknowledged = 1;
    let error = loop {
        // Room that the file has already may still take some.
        match store.commit(&[(DocId::Cluster, change("n", acknowledged + 1))], &[]) {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 10_000, "the disk never filled up");
    };
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    assert!(disk.refused() > 0);
    let again = store.commit(&[(DocId::Cluster, change("n", acknowledged + 1))], &[]).unwrap_err();
    assert!(matches!(again, StoreError::Closed { .. }), "{again:?}");
    assert!(Store::open(dir.path()).is_err(), "the lock is kept all the while");
    disk.free();
    store.reopen().unwrap();
    assert_eq!(store.load().unwrap()[0].changes.len() as u64, acknowledged);
    store.commit(&[(DocId::Cluster, change("n", acknowledged + 1))], &[]).unwrap();
    assert_eq!(store.load().unwrap()[0].changes.len() as u64, acknowledged + 1);
}

#[test]
fn a_disk_error_is_told_and_left_by_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::new();
    let mut store = Store::open_on(dir.path(), disk.opener()).unwrap().store;
    store.commit(&[(DocId::Cluster, change("n", 1))], &[]).unwrap();
    disk.break_down();
    let error = store.commit(&[(DocId::Cluster, change("n", 2))], &[]).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
    assert!(matches!(store.reopen(), Err(StoreError::Io { .. })), "still broken");
    assert!(matches!(store.load(), Err(StoreError::Closed { .. })));
    disk.free();
    store.reopen().unwrap();
    assert_eq!(store.load().unwrap()[0].changes[0], change("n", 1));
}

const CHILD: &str = "METAOPT_TEST_STORE_CHILD";

/// Not a test of its own: the process that the next one kills.
#[test]
fn child_that_commits_until_killed() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let mut store = Store::open(Path::new(&dir)).unwrap().store;
    for seq in 1.. {
        store.commit(&[(DocId::Cluster, change("n", seq))], &[("last".into(), seq.to_le_bytes().to_vec())]).unwrap();
        if seq % 50 == 0 {
            let covered: Vector = [(actor("n"), seq - 10)].into_iter().collect();
            store.snapshot(&DocId::Cluster, &seq.to_le_bytes(), &covered, None).unwrap();
        }
        println!("acknowledged {seq}");
    }
}

#[test]
fn what_was_acknowledged_survives_kill_minus_nine() {
    let dir = tempfile::tempdir().unwrap();
    let mut kills = 0;
    for lines in [1, 20, 77, 130] {
        let _ = fs::remove_file(dir.path().join(DATABASE));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["child_that_commits_until_killed", "--nocapture", "--test-threads=1"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let number = |line: &String| line.rsplit_once("acknowledged ")?.1.parse::<u64>().ok();
        let seen = output.by_ref().filter_map(|line| number(&line)).nth(lines - 1).expect("the child ended by itself");
        child.kill().unwrap();
        kills += u32::from(!child.wait().unwrap().success());
        let acknowledged = output.filter_map(|line| number(&line)).last().unwrap_or(seen);
        let Opened { store, moved_aside } = Store::open(dir.path()).unwrap();
        assert_eq!(moved_aside, None);
        let doc = store.reader().doc(&DocId::Cluster).unwrap().unwrap();
        let last = doc.changes.last().unwrap().seq;
        assert!(last >= acknowledged, "{acknowledged} was acknowledged, {last} is the last there");
        assert_eq!(store.meta("last").unwrap(), Some(last.to_le_bytes().to_vec()), "changes and meta go together");
        let snapshot = doc.snapshot.map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
        let first = if snapshot == 0 { 1 } else { snapshot - 9 };
        let there: Vec<u64> = doc.changes.iter().map(|change| change.seq).collect();
        assert_eq!(there, (first..=last).collect::<Vec<_>>(), "no gap beside snapshot {snapshot}");
    }
    assert_eq!(kills, 4, "each child was killed at work");
}
