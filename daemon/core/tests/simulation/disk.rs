//! A box's disk: what was committed, and nothing else, is there after a crash.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use metaopt_core::{Saved, Shelf, StoredDoc};
use metaopt_schema::{DocId, docs::RawChange};

/// Clones are the same disk.
#[derive(Clone, Default)]
pub struct Disk(Arc<Mutex<Content>>);

#[derive(Default)]
struct Content {
    docs: BTreeMap<DocId, StoredDoc>,
    counter: Option<u64>,
}

impl Shelf for Disk {
    fn fetch(&self, id: &DocId) -> Result<Option<StoredDoc>, String> {
        Ok(self.0.lock().unwrap().docs.get(id).cloned())
    }
}

fn entry<'a>(content: &'a mut Content, id: &DocId) -> &'a mut StoredDoc {
    let new = StoredDoc { id: id.clone(), snapshot: None, digest: None, changes: Vec::new() };
    content.docs.entry(id.clone()).or_insert(new)
}

impl Disk {
    pub fn docs(&self) -> Vec<StoredDoc> {
        self.0.lock().unwrap().docs.values().cloned().collect()
    }

    pub fn counter(&self) -> Option<u64> {
        self.0.lock().unwrap().counter
    }

    pub fn commit(&self, changes: &[(DocId, RawChange)], meta: &[(String, Vec<u8>)]) {
        let mut content = self.0.lock().unwrap();
        for (id, change) in changes {
            entry(&mut content, id).changes.push(change.clone());
        }
        for (_, value) in meta {
            content.counter = Some(u64::from_le_bytes(value.as_slice().try_into().unwrap()));
        }
    }

    pub fn take_whole(&self, wholes: &[(DocId, Saved)]) {
        let mut content = self.0.lock().unwrap();
        for (id, saved) in wholes {
            let doc = entry(&mut content, id);
            (doc.snapshot, doc.digest) = (Some(saved.bytes.clone()), Some(saved.digest.clone()));
        }
    }

    /// A snapshot takes the place of the changes that it covers.
    pub fn snapshot(&self, id: &DocId, saved: &Saved) {
        let mut content = self.0.lock().unwrap();
        let doc = entry(&mut content, id);
        (doc.snapshot, doc.digest) = (Some(saved.bytes.clone()), Some(saved.digest.clone()));
        doc.changes.retain(|c| saved.vector.get(&c.actor).is_none_or(|count| *count < c.seq));
    }

    pub fn forget(&self, docs: &[DocId]) {
        let mut content = self.0.lock().unwrap();
        docs.iter().for_each(|id| drop(content.docs.remove(id)));
    }

    /// All is gone.
    pub fn wipe(&self) {
        *self.0.lock().unwrap() = Content::default();
    }
}
