//! Snapshots that Automerge trips over, when it reads them or when it would read them again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::panic::catch_unwind;

use automerge::{Automerge, Change};
use common::{actor, all, bag, forged, node, other, proposed, samples};
use metaopt_schema::docs::{Doc, DocError};

#[test]
fn bytes_on_which_automerges_decoder_panics_are_an_error_that_names_the_document() {
    // A finding of the fuzz target `documents`, without the byte that says the kind, and with the right checksum.
    let found: &[u8] = include_bytes!("../../integration/fuzz/seeds/documents/bug-decoder-panics");
    let mut bytes = found[1..].to_vec();
    bytes[4..8].copy_from_slice(&[0xa7, 0x33, 0x10, 0x3b]);
    assert!(catch_unwind(|| Automerge::load(&bytes).map(drop)).is_err(), "they are no test of anything any more");
    let (id, _) = samples().pop().unwrap();
    let error = Doc::load(id.clone(), &actor(&node()), Some(&bytes), &[]).unwrap_err();
    assert!(matches!(&error, DocError::Damaged { doc, .. } if *doc == id), "{error}");
    let text = error.to_string();
    assert!(text.contains(&id.to_string()) && text.contains("an inner check of Automerge"), "{text}");
}

#[test]
fn a_document_that_could_not_be_loaded_again_is_not_given_to_take_the_place_of_its_changes() {
    let mut doc = Doc::new(proposed(0).doc(), &actor(&node()));
    let first = doc.write(&[proposed(0)]).unwrap().unwrap();
    let saved = doc.save();
    let next = doc.write(&[proposed(1)]).unwrap().unwrap();
    // A snapshot may be followed by changes, and nothing asks of these what is asked of changes from elsewhere.
    let load = |change: &[u8]| {
        let bytes = [&saved, change].concat();
        Doc::load(proposed(0).doc(), &actor(&other()), Some(&bytes), &[]).unwrap()
    };
    let whole = load(&next.bytes);
    let again = Doc::load(whole.id().clone(), &actor(&node()), Some(&whole.save_verified().unwrap()), &[]).unwrap();
    assert_eq!((all(&again), again.heads()), (all(&doc), doc.heads()));

    // Numbered as an operation before them: Automerge's decoder panics. On top of nothing: it says what it lacks.
    let last = Change::try_from(&*first.bytes).unwrap().max_op();
    let overlaps = forged(&next, |change| change.start_op = last.try_into().unwrap());
    let rootless = forged(&next, |change| change.deps.clear());
    for change in [overlaps, rootless] {
        let taken = load(&change.bytes);
        assert_eq!(bag(taken.facts().facts), bag([proposed(0), proposed(1)]), "what it says can be read");
        assert!(Doc::load(taken.id().clone(), &actor(&node()), Some(&taken.save()), &[]).is_err());
        let error = taken.save_verified().unwrap_err();
        assert!(matches!(&error, DocError::Damaged { doc, .. } if *doc == proposed(0).doc()), "{error}");
    }
}
