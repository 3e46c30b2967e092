//! Links that break and come again.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use metaopt_integration::cluster::{FAST, Lan, Marks, Node, Remote, Slow, agree, exports, say};
use serde_json::json;

use crate::{chaos, cluster, count, key, names, remotes, seed, study};

/// Something that must reach all others: a result told on one.
fn tell(at: &Remote, study: &str) {
    let asked = at.ok("POST", &format!("/studies/{study}/trials/suggest"), Some(json!({})));
    let id = asked["items"][0]["id"].as_str().unwrap();
    at.ok("POST", &format!("/trials/{id}/complete"), Some(json!({"values": {"loss": 1.0}})));
}

#[test]
fn a_plug_that_is_pulled_and_put_in_again_is_a_link_again() {
    let Some(lan) = Lan::new(3) else { return };
    let nodes = cluster(&lan, "0", FAST);
    let (remotes, names) = (remotes(&nodes), names(&nodes));
    study(&remotes[0], "asked", None, 1000);
    exports(&remotes, "asked", Duration::from_secs(5));
    lan.plug(2, false);
    agree(&remotes[..2], &names[..2], Duration::from_secs(15));
    remotes.iter().for_each(|at| tell(at, "asked"));
    lan.plug(2, true);
    let plugged = Instant::now();
    let linked = agree(&remotes, &names, Duration::from_secs(20));
    exports(&remotes, "asked", Duration::from_secs(5));
    say(&format!("linked {linked:.2?} after the plug, equal after {:.2?}", plugged.elapsed()));
}

#[test]
fn after_a_silent_cut_boxes_find_each_other_again_by_multicast_or_by_what_they_know() {
    let Some(mut lan) = Lan::new(4) else { return };
    let cut = Duration::from_secs(if chaos() { 150 } else { 15 });
    let key = key(&lan).display().to_string();
    let args = [&["--slots", "0", "--cluster-key-file", &key], FAST].concat();
    let mut nodes: Vec<Node> = (0..3).map(|at| Node::start(&lan, at, &args)).collect();
    agree(&remotes(&nodes), &names(&nodes), Duration::from_secs(20));
    study(&nodes[0].at, "asked", None, 1000);
    lan.cut(&[0, 1, 3], &[2]);
    agree(&remotes(&nodes[..2]), &names(&nodes[..2]), Duration::from_secs(15));
    std::thread::sleep(cut);
    // Somebody new comes up meanwhile, on the other side; nobody there has heard of it.
    nodes.push(Node::start(&lan, 3, &args));
    agree(&[nodes[3].at.clone()], &["box1", "box2", "box4"].map(str::to_owned), Duration::from_secs(20));
    tell(&nodes[0].at, "asked");
    assert!(lan.heal() > 0, "the fault fired");
    let healed = Instant::now();
    let (remotes, names) = (remotes(&nodes), names(&nodes));
    let linked = agree(&remotes, &names, Duration::from_secs(40));
    exports(&remotes, "asked", Duration::from_secs(5));
    say(&format!("cut for {cut:?}; linked {linked:.2?} after the heal, equal after {:.2?}", healed.elapsed()));
}

#[test]
fn one_static_peer_is_enough_to_meet_all_and_none_is_needed_once_they_met() {
    let Some(mut lan) = Lan::new(3) else { return };
    let mut nodes = cluster(&lan, "0", FAST);
    study(&nodes[0].at, "asked", None, 1000);
    exports(&remotes(&nodes), "asked", Duration::from_secs(5));
    // Both know the first alone by option; it is cut off from both, and they start anew.
    lan.cut(&[0], &[1, 2]);
    nodes[1].crash();
    nodes[2].crash();
    nodes[1].restart();
    nodes[2].restart();
    let (remotes, names) = (remotes(&nodes), names(&nodes));
    let took = agree(&remotes[1..], &names[1..], Duration::from_secs(20));
    tell(&remotes[1], "asked");
    exports(&remotes[1..], "asked", Duration::from_secs(5));
    assert!(lan.heal() > 0, "the fault fired");
    let linked = agree(&remotes, &names, Duration::from_secs(20));
    exports(&remotes, "asked", Duration::from_secs(5));
    say(&format!(
        "without the peer of their options they meet {took:.2?} after a start; all {linked:.2?} after the heal"
    ));
}

#[test]
fn a_box_whose_address_changes_is_found_again() {
    let Some(lan) = Lan::new(3) else { return };
    let nodes = cluster(&lan, "0", FAST);
    let (remotes, names) = (remotes(&nodes), names(&nodes));
    study(&remotes[0], "asked", None, 1000);
    exports(&remotes, "asked", Duration::from_secs(5));
    for (at, new) in [(2, 102), (0, 101)] {
        let new = Ipv4Addr::new(10, 77, 0, new);
        lan.readdress(at, new);
        let changed = Instant::now();
        // The old links look alive until their silence is noticed.
        std::thread::sleep(Duration::from_secs(1));
        tell(&remotes[at], "asked");
        exports(&remotes, "asked", Duration::from_secs(60));
        agree(&remotes, &names, Duration::from_secs(40));
        say(&format!("box{} is reached at {new} {:.2?} after the change", at + 1, changed.elapsed()));
    }
}

#[test]
fn a_link_that_is_slow_and_loses_frames_is_a_link_and_nobody_behind_it_is_given_up() {
    let Some(lan) = Lan::new(3) else { return };
    let (delay, loss) = (Duration::from_millis(100), 50);
    let slow = match Slow::between(&lan, 2, delay, loss, seed()) {
        Ok(slow) => slow,
        Err(why) => {
            say(&format!("SKIPPED: no switch in user space here: {why}"));
            return;
        }
    };
    let nodes = cluster(&lan, "1", &["--suspect-after", "4s", "--orphan-after", "10s", "--quorum-after", "20s"]);
    let (remotes, names) = (remotes(&nodes), names(&nodes));
    let marks = Marks::new(&lan.dir().join("work"));
    study(&remotes[0], "runs", Some(marks.run(1.0)), 40);
    let (begun, mut lost) = (Instant::now(), 0);
    while count(&remotes[2], "runs", "complete").is_none_or(|count| count < 40) {
        lost += usize::from(remotes[..2].iter().any(|at| at.nodes("lost").len() + at.nodes("suspect").len() > 0));
        assert!(begun.elapsed() < Duration::from_secs(90));
        std::thread::sleep(Duration::from_millis(200));
    }
    let took = begun.elapsed();
    exports(&remotes, "runs", Duration::from_secs(10));
    let again = marks.check(1);
    let (dropped, passed) = slow.count();
    say(&format!(
        "{delay:?} each way, {dropped} of {} frames lost: 40 jobs of a second on {:?} took {took:.1?}, {again} again, suspected in {lost} looks",
        dropped + passed,
        marks.boxes()
    ));
    assert!(dropped > 10, "the fault fired");
    assert!(again == 0 && marks.boxes().len() == 3);
    agree(&remotes, &names, Duration::from_secs(5));
}
