//! What is written is what is read back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{actor, all, arbitrary, bag, node, samples};
use metaopt_schema::{
    DocId, NodeId,
    docs::{Doc, DocError},
    facts::{Fact, TrialFact},
    trial::{Proposer, TrialSpec},
};
use proptest::prelude::*;

/// The node that may write everything in the fact's document.
fn owner(fact: &Fact) -> NodeId {
    match fact.doc() {
        DocId::Trials { node, .. } | DocId::Metrics { node, .. } => node,
        DocId::Cluster | DocId::Study(_) => node(),
    }
}

/// What has to be there before `fact`: its trial's proposal.
fn before(fact: &Fact) -> Option<Fact> {
    let Fact::Trial(study, place, fact) = fact else { return None };
    if matches!(fact, TrialFact::Proposed(_)) {
        return None;
    }
    let counter = place.id.as_str().rsplit('.').next()?.parse().ok()?;
    let spec = TrialSpec {
        node_name: "n".into(),
        counter,
        at: common::stamp(0),
        params: Default::default(),
        by: Proposer::Enqueued,
        user_attrs: Default::default(),
        imported_as: None,
    };
    Some(Fact::Trial(study.clone(), place.clone(), TrialFact::Proposed(spec)))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_fact_comes_back_as_it_was(fact in arbitrary::fact()) {
        let actor = actor(&owner(&fact));
        let mut doc = Doc::new(fact.doc(), &actor);
        let facts: Vec<Fact> = before(&fact).into_iter().chain([fact]).collect();
        let change = doc.write(&facts).unwrap().unwrap();
        let written = bag(facts.clone());

        prop_assert_eq!(&all(&doc), &written);
        let loaded = Doc::load(doc.id().clone(), &actor, Some(&doc.save()), &[]).unwrap();
        prop_assert_eq!(&all(&loaded), &written);
        prop_assert_eq!(loaded.heads(), doc.heads());
        prop_assert_eq!(loaded.vector(), doc.vector());
        let mut replica = Doc::new(doc.id().clone(), &common::actor(&common::other()));
        prop_assert_eq!(bag(replica.apply(&[change]).facts), written);
        // Written again, it is no change.
        prop_assert_eq!(doc.write(&facts).unwrap(), None);
    }
}

#[test]
fn every_sample_comes_back_after_a_restart() {
    for (id, facts) in samples() {
        let mut doc = Doc::new(id.clone(), &actor(&node()));
        let mut log = Vec::new();
        for fact in &facts {
            log.extend(doc.write(std::slice::from_ref(fact)).unwrap());
        }
        assert_eq!(all(&doc), bag(facts.clone()));
        for (snapshot, changes) in [(Some(doc.save()), &[][..]), (None, &log[..]), (Some(doc.save()), &log[..])] {
            let loaded = Doc::load(id.clone(), &actor(&node()), snapshot.as_deref(), changes).unwrap();
            assert_eq!(all(&loaded), bag(facts.clone()), "{id}");
            assert_eq!(loaded.vector(), doc.vector());
        }
    }
}

#[test]
fn what_would_not_be_read_back_is_refused() {
    let mut doc = Doc::new(common::proposed(0).doc(), &actor(&node()));
    doc.write(&[common::proposed(0)]).unwrap();
    for loss in [f64::NAN, f64::INFINITY] {
        let fact = common::on(0, TrialFact::Ended { attempt: 1, node: node(), end: common::end(loss) });
        let error = doc.write(&[fact]).unwrap_err();
        assert!(matches!(error, DocError::Unwritable { .. }), "{error}");
        assert!(error.to_string().contains("0-100/x/1/"), "{error}");
    }
    let Fact::Trial(study, mut place, fact) = common::proposed(1) else { unreachable!() };
    place.id = "elsewhere.1".into();
    let error = doc.write(&[Fact::Trial(study, place, fact)]).unwrap_err();
    assert!(error.to_string().contains("elsewhere.1"), "{error}");
}
