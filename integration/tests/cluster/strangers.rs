//! Who isn't a member: without a key, with a wrong one, removed, with garbage, with ten thousand connections.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    time::{Duration, Instant},
};

use metaopt_integration::{
    cluster::{FAST, Lan, Marks, Node, Remote, Work, agree, exports, say},
    wait, wait_for,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{count, key_of, names, remotes, study};

#[test]
fn strangers_wrong_keys_and_removed_nodes_run_nothing_and_read_nothing() {
    let Some(lan) = Lan::new(6) else { return };
    let members = crate::options(&lan, "1", FAST);
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    let nodes: Vec<Node> = (0..4).map(|at| Node::start(&lan, at, &members)).collect();
    let remotes = remotes(&nodes);
    agree(&remotes, &names(&nodes), Duration::from_secs(20));
    let marks = Marks::new(&lan.dir().join("work"));
    study(&remotes[0], "before", Some(marks.run(0.2)), 20);
    wait("work on all", || (marks.boxes().len() == 4).then_some(()));

    // The fourth is removed; it still has its key, the cluster's secret, and all addresses.
    let removed = nodes[0].metaopt(lan.dir(), &["node", "remove", "box4", "--yes"]);
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    // One has no key, one another fleet's; both dial the members and are in their network.
    let peer = format!("{}:7879", lan.address(0));
    let wrong = key_of(&lan, "wrong", "the secret of quite another fleet").display().to_string();
    let plain = [&["--slots", "1", "--peer", &peer], FAST].concat();
    let keyed = [&["--slots", "1", "--peer", &peer, "--cluster-key-file", &wrong], FAST].concat();
    let strangers = [Node::start(&lan, 4, &plain), Node::start(&lan, 5, &keyed)];
    let members = ["box1", "box2", "box3"].map(str::to_owned);
    agree(&remotes[..3], &members, Duration::from_secs(20));
    let after = Marks::new(&lan.dir().join("after"));
    study(&remotes[1], "after", Some(after.run(0.3)), 40);
    wait_for(Duration::from_secs(40), "the members' work", || {
        remotes[..3].iter().all(|at| count(at, "after", "complete") >= Some(40)).then_some(())
    });
    exports(&remotes[..3], "after", Duration::from_secs(5));
    assert_eq!(after.boxes().into_iter().collect::<Vec<_>>(), members, "nobody else ran anything");
    for outside in strangers.iter().map(|node| &node.at).chain([&remotes[3]]) {
        assert_eq!(count(outside, "after", "complete"), None, "{} reads what isn't its own", outside.name);
        let alive = outside.nodes("alive");
        assert!(alive.len() <= 1, "{} sees {alive:?}", outside.name);
    }
    // Nor can they make members run anything: what they submit stays with them.
    let theirs = Marks::new(&lan.dir().join("theirs"));
    for stranger in &strangers {
        study(&stranger.at, "theirs", Some(theirs.run(0.1)), 5);
    }
    wait("their own work", || (theirs.boxes().len() == 2).then_some(()));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(theirs.boxes().into_iter().collect::<Vec<_>>(), ["box5", "box6"]);
    for remote in &remotes[..3] {
        assert_eq!(count(remote, "theirs", "complete"), None);
    }
    for word in ["box5", "box6"] {
        let seen = remotes[0].ok("GET", "/nodes", None).to_string();
        assert!(!seen.contains(word), "{seen}");
    }
}

/// Results a second that clients get done on these boxes.
fn rate(remotes: &[Remote], study: &str, time: Duration) -> f64 {
    let work = Work::default();
    std::thread::scope(|scope| {
        for (number, remote) in remotes.iter().enumerate() {
            let work = &work;
            scope.spawn(move || work.client(remote, study, number as u64, Duration::ZERO));
        }
        std::thread::sleep(time);
        work.over.store(true, SeqCst);
    });
    work.told() as f64 / time.as_secs_f64()
}

#[test]
fn garbage_and_ten_thousand_half_open_connections_slow_nobody_down() {
    let Some(lan) = Lan::new(4) else { return };
    let now = getrlimit(Resource::Nofile);
    let most = now.maximum.unwrap_or(20_000).min(20_000);
    setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: now.maximum }).unwrap();
    let wanted = usize::try_from(most).unwrap().saturating_sub(500).min(10_000);
    let options = crate::options(&lan, "0", FAST);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let mut nodes: Vec<Node> = (0..3).map(|at| Node::start(&lan, at, &options)).collect();
    let (remotes, names) = (remotes(&nodes), names(&nodes));
    agree(&remotes, &names, Duration::from_secs(20));
    study(&remotes[0], "calm", None, 1_000_000);
    study(&remotes[0], "flood", None, 1_000_000);
    exports(&remotes, "flood", Duration::from_secs(5));
    let time = Duration::from_secs(6);
    rate(&remotes, "calm", Duration::from_secs(1));
    let calm = rate(&remotes, "calm", time);
    let (over, opened, closed) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let target = SocketAddr::from((lan.address(0), 7879));
    let (during, back) = std::thread::scope(|scope| {
        // Half say nothing, others the beginning of a greeting, others rubbish; as soon as one is closed, another comes.
        for number in 0..4_usize {
            let (over, opened, closed, place) = (&over, &opened, &closed, lan.place(3));
            scope.spawn(move || {
                place.inside(|| {
                    let words: [&[u8]; 4] =
                        [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/1.1\r\n\r\n", &[0xff; 512]];
                    let mut open: Vec<TcpStream> = Vec::new();
                    while !over.load(SeqCst) {
                        if open.len() < wanted / 4 {
                            let Ok(mut stream) = TcpStream::connect_timeout(&target, Duration::from_secs(1)) else {
                                continue;
                            };
                            let _ = stream.write_all(words[(open.len() + number) % 4]);
                            let _ = stream.set_nonblocking(true);
                            open.push(stream);
                            opened.fetch_add(1, SeqCst);
                            if opened.load(SeqCst) % 64 != 0 {
                                continue;
                            }
                        } else {
                            std::thread::sleep(Duration::from_millis(50));
                        }
                        let before = open.len();
                        open.retain_mut(|stream| match stream.read(&mut [0; 256]) {
                            Ok(0) => false,
                            Ok(_) => true,
                            Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
                        });
                        closed.fetch_add(before - open.len(), SeqCst);
                    }
                });
            });
        }
        let filled = Instant::now();
        while opened.load(SeqCst) < wanted && filled.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(50));
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let during = rate(&remotes, "flood", time);
            assert_eq!(remotes[1].nodes("alive"), names, "links stand");
            // A member that comes anew while all that goes on is let in.
            nodes[2].crash();
            std::thread::sleep(Duration::from_secs(2));
            let begun = Instant::now();
            nodes[2].restart();
            agree(&remotes, &names, Duration::from_secs(20));
            (during, begun.elapsed())
        }));
        over.store(true, SeqCst);
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    });
    let (opened, closed) = (opened.into_inner(), closed.into_inner());
    let files = std::fs::read_dir(format!("/proc/{}/fd", nodes[0].pid())).unwrap().count();
    say(&format!(
        "{calm:.0} results/s, {during:.0} during {opened} connections from a stranger ({closed} closed): {:.2} of it; {files} files \
         open; a member that comes anew meanwhile is in after {back:.1?}",
        during / calm
    ));
    assert!(opened >= wanted, "{opened} connections were opened");
    exports(&remotes, "flood", Duration::from_secs(10));
    // The attacker's own CPU time comes out of the same machine here.
    assert!(during > calm * 0.5, "{during} of {calm}");
}
