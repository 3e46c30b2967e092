//! What writing, applying and loading cost as documents grow:
//! `cargo run --release -p metaopt-schema --example docs_cost`.
#![allow(clippy::disallowed_methods, reason = "measuring and reading golden files is not the crate's own work")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use metaopt_schema::{
    ClaimId, DocId, NodeId, Stamp, StudyId, TrialId,
    docs::{Actor, Doc, RawChange},
    facts::{Fact, MetricChunk, SEGMENT, TrialFact},
    trial::{Claim, End, Outcome, Place, Point, Proposer, Reason, TrialSpec},
};

fn stamp(n: u64, node: &NodeId) -> Stamp {
    Stamp { ms: 1_800_000_000_000 + n, n: 0, node: node.clone() }
}

/// The three facts of one ordinary trial.
fn trial(study: &StudyId, node: &NodeId, seq: u64) -> [Fact; 3] {
    let place = Place { id: TrialId::mint(node, seq + 1), node: node.clone(), seq };
    let spec = TrialSpec {
        node_name: "gpu1".into(),
        counter: seq + 1,
        at: stamp(seq, node),
        params: [("lr".to_owned(), 0.013_f64.into()), ("layers".to_owned(), 3.into())].into_iter().collect(),
        by: Proposer::Sampler {
            name: "tpe".into(),
            seed: 7,
            slot: 0,
            draw: seq,
            saw: seq,
            seen: Default::default(),
            fit: Default::default(),
        },
        user_attrs: Default::default(),
        imported_as: None,
    };
    let claim = Claim {
        id: ClaimId::new(format!("c{seq}")),
        at: stamp(seq, node),
        client_id: None,
        lease_s: None,
        slots: vec!["cpu-0".into()],
        resume_step: 0,
        rank: 0,
        asked: false,
        until: 0,
    };
    let end = End {
        outcome: Outcome::Complete,
        reason: Reason::Exit,
        detail: None,
        exit_code: Some(0),
        values: [("loss".to_owned(), 0.39)].into_iter().collect(),
        at: stamp(seq, node),
        last_step: 12,
        checkpoint_step: 0,
        checkpoint: None,
    };
    [
        TrialFact::Proposed(spec),
        TrialFact::Claimed { attempt: 1, node: node.clone(), claim },
        TrialFact::Ended { attempt: 1, node: node.clone(), end },
    ]
    .map(|fact| Fact::Trial(study.clone(), place.clone(), fact))
}

fn each(total: Duration, count: usize) -> String {
    format!("{:.4} ms", total.as_secs_f64() * 1e3 / count as f64)
}

fn main() {
    let (study, node, peer) = (StudyId::new("s1"), NodeId::new("aaaabbbbccccdddd"), NodeId::new("eeeeffffgggghhhh"));
    println!("trial segments: per fact, one change each");
    println!("{:>8} {:>12} {:>12} {:>12}", "trials", "write", "apply", "bytes");
    let (mut docs, mut replicas): (Vec<Doc>, Vec<Doc>) = (Vec::new(), Vec::new());
    let mut log: Vec<Vec<RawChange>> = Vec::new();
    for thousand in 0..10u64 {
        let (mut write, mut apply, mut bytes, mut count) = (Duration::ZERO, Duration::ZERO, 0, 0);
        for seq in thousand * 1000..(thousand + 1) * 1000 {
            let segment = (seq / SEGMENT) as usize;
            if docs.len() == segment {
                let id = DocId::Trials { study: study.clone(), node: node.clone(), segment: segment as u32 };
                docs.push(Doc::new(id.clone(), &Actor::new(&node, 1)));
                replicas.push(Doc::new(id, &Actor::new(&peer, 2)));
                log.push(Vec::new());
            }
            for fact in trial(&study, &node, seq) {
                let start = Instant::now();
                let change = docs[segment].write(&[fact]).unwrap().unwrap();
                write += start.elapsed();
                bytes += change.bytes.len();
                count += 1;
                let start = Instant::now();
                let applied = replicas[segment].apply(std::slice::from_ref(&change));
                apply += start.elapsed();
                assert_eq!(applied.facts.len(), 1);
                log[segment].push(change);
            }
        }
        println!(
            "{:>8} {:>12} {:>12} {:>12}",
            (thousand + 1) * 1000,
            each(write, count),
            each(apply, count),
            bytes / count
        );
    }
    let full = &docs[0];
    let start = Instant::now();
    let saved = full.save();
    println!("save of a full segment: {:?}, {} bytes", start.elapsed(), saved.len());
    let start = Instant::now();
    let loaded = Doc::load(full.id().clone(), &Actor::new(&node, 3), Some(&saved), &[]).unwrap();
    println!("load of it: {:?}", start.elapsed());
    let start = Instant::now();
    let facts = loaded.facts().facts.len();
    println!("its {facts} facts: {:?}", start.elapsed());
    let start = Instant::now();
    let logged = Doc::load(full.id().clone(), &Actor::new(&node, 4), None, &log[0]).unwrap();
    println!("load of its {} changes without a snapshot: {:?}", log[0].len(), start.elapsed());
    assert_eq!(logged.heads(), full.heads());
    let mut theirs = full.vector();
    *theirs.values_mut().next().unwrap() -= 10;
    let start = Instant::now();
    let missing = full.changes_after(&theirs).len();
    println!("the last {missing} changes of it: {:?}", start.elapsed());

    println!("metric segment: per chunk of 20 points, one change each");
    println!("{:>8} {:>12} {:>12}", "chunks", "write", "apply");
    let id = DocId::Metrics { study: study.clone(), node: node.clone(), segment: 0 };
    let mut doc = Doc::new(id.clone(), &Actor::new(&node, 1));
    let mut replica = Doc::new(id, &Actor::new(&peer, 2));
    for thousand in 0..4u32 {
        let (mut write, mut apply) = (Duration::ZERO, Duration::ZERO);
        for n in thousand * 1000..(thousand + 1) * 1000 {
            let points = (1..=20)
                .map(|step| Point { step, values: [("loss".to_owned(), Some(0.4))].into_iter().collect(), at: 0 })
                .collect();
            let chunk = MetricChunk {
                node: node.clone(),
                segment: 0,
                trial: TrialId::mint(&node, u64::from(n) / 10),
                attempt: 1,
                chunk: (n % 10).into(),
                points,
            };
            let start = Instant::now();
            let change = doc.write(&[Fact::Metric(study.clone(), chunk)]).unwrap().unwrap();
            write += start.elapsed();
            let start = Instant::now();
            assert_eq!(replica.apply(&[change]).facts.len(), 1);
            apply += start.elapsed();
        }
        println!("{:>8} {:>12} {:>12}", (thousand + 1) * 1000, each(write, 1000), each(apply, 1000));
    }
}
