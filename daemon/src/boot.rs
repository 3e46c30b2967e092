//! Reads all stored documents at a start, on every core, in order.
//!
//! Owns: the pipeline from the store to the node. Must not: interpret what is read.

use std::{sync::mpsc, thread};

use anyhow::{Context, Result, anyhow};
use metaopt_core::{ReadDoc, read_doc};
use metaopt_schema::docs::{Actor, DocError};

use crate::store::Reader;

/// Documents that each thread may be ahead.
const AHEAD: usize = 4;
/// Most threads: beyond, folding what was read takes longer than reading it.
const MOST_THREADS: usize = 4;

/// Hands all documents, in the order of their IDs, to `take`, which folds while more are read.
///
/// # Errors
/// What `take` says; a database that can't be read.
pub fn read_all<T>(
    reader: &Reader,
    actor: &Actor,
    take: impl FnOnce(&mut dyn Iterator<Item = Result<ReadDoc, DocError>>) -> Result<T>,
) -> Result<T> {
    let ids = reader.ids()?;
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS).min(ids.len().max(1));
    let ids = &ids;
    thread::scope(|scope| {
        // Thread i reads every document whose place is i modulo their number; so they come in order by turns.
        let turns: Vec<_> = (0..threads)
            .map(|i| {
                let (sender, receiver) = mpsc::sync_channel(AHEAD);
                scope.spawn(move || {
                    for id in ids.iter().skip(i).step_by(threads) {
                        let read = match reader.doc(id) {
                            Ok(Some(stored)) => Ok(read_doc(actor, stored)),
                            Ok(None) => Err(anyhow!("document {id} vanished while it was read")),
                            Err(error) => Err(error.into()),
                        };
                        if sender.send(read).is_err() {
                            return; // the node gave up
                        }
                    }
                });
                receiver
            })
            .collect();
        let mut trouble = None;
        let mut place = 0;
        let mut docs = std::iter::from_fn(|| {
            let receiver = &turns[place % threads];
            let more = place < ids.len();
            place += 1;
            match more.then(|| receiver.recv())? {
                Ok(Ok(read)) => Some(read),
                Ok(Err(error)) => {
                    trouble = Some(error);
                    None
                }
                Err(_) => {
                    trouble = Some(anyhow!("a thread that read the database ended early"));
                    None
                }
            }
        });
        let taken = take(&mut docs);
        drop(turns);
        match trouble {
            Some(error) => Err(error).context("the database could not be read to its end"),
            None => taken,
        }
    })
}
