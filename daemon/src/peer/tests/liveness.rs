//! Links that die, nodes that come back, and nodes that are two.

use metaopt_core::wire::Greeting;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};

use super::*;

/// Passes bytes to a node until told to stop, then holds its connections without reading.
struct Line {
    address: String,
    hole: Arc<Mutex<bool>>,
}

impl Line {
    async fn to(node: &Node) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (hole, there) = (Arc::new(Mutex::new(false)), node.peers.address());
        let shared = hole.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let hole = shared.clone();
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(there).await.unwrap();
                    let holed = async {
                        while !*hole.lock().unwrap() {
                            sleep(Duration::from_millis(10)).await;
                        }
                    };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => return,
                        () = holed => {}
                    }
                    while *hole.lock().unwrap() {
                        sleep(Duration::from_millis(10)).await;
                    }
                });
            }
        });
        Self { address, hole }
    }

    fn blackhole(&self, on: bool) {
        *self.hole.lock().unwrap() = on;
    }
}

#[tokio::test]
async fn a_silent_peer_is_noticed_in_six_seconds_and_linked_again_when_it_speaks() {
    let (a, b) = (Node::new().await, Node::new().await);
    let line = Line::to(&b).await;
    b.knows(&a, false);
    a.knows(&b, false);
    a.host.state().members.get_mut(&b.id).unwrap().addresses = vec![line.address.clone()];
    until("they are linked", || a.is_linked(&b) && b.is_linked(&a)).await;
    line.blackhole(true);
    let noticed = within(9.0, "both notice", || !a.is_linked(&b) && !b.is_linked(&a)).await;
    assert!(noticed > Duration::from_secs(3), "{noticed:?}");
    until("it says why", || a.troubles().contains("nothing came for 6 seconds")).await;
    line.blackhole(false);
    // A dial may be waiting for an answer just now.
    within(7.5, "they are linked again", || a.is_linked(&b) && b.is_linked(&a)).await;
    assert_eq!((a.ups(), b.ups()), (2, 2));
    assert_eq!(a.troubles(), "");
}

#[tokio::test]
async fn a_node_that_restarts_is_linked_again_within_three_seconds() {
    for who_dials in [true, false] {
        let (a, b) = (Node::new().await, Node::new().await);
        a.knows(&b, true);
        b.knows(&a, !who_dials);
        until("they are linked", || a.is_linked(&b) && b.is_linked(&a)).await;
        let (pkcs8, listen, dir) = (b.pkcs8.clone(), b.peers.address(), b.dir.clone());
        let members = b.host.state().members.clone();
        drop(b);
        until("its end is noticed", || a.peers.links().is_empty()).await;
        sleep(Duration::from_millis(1500)).await;
        let state = State { members, ..State::default() };
        let b = Node::of(pkcs8, state, dir, |config| config.listen = Some(listen)).await;
        within(3.0, "they are linked again", || a.is_linked(&b) && b.is_linked(&a)).await;
        let boots: Vec<_> = a.heard();
        assert!(matches!(&boots[..], [Heard::Up(..), Heard::Down(_), Heard::Up(_, boot)] if *boot == b.host.boot));
    }
}

#[tokio::test]
async fn two_machines_with_one_key_are_both_refused_and_people_told() {
    let a = Node::new().await;
    let quick = |config: &mut PeerConfig| config.limits.probe = Duration::from_millis(500);
    let b = Node::with(key().0, quick).await;
    let clone = Node::with(b.pkcs8.clone(), quick).await;
    a.knows(&b, false);
    b.knows(&a, true);
    until("one is linked", || a.is_linked(&b)).await;
    clone.knows(&a, true);
    until("both are cut", || a.peers.links().is_empty()).await;
    let notices = a.host.state().notices.clone();
    assert_eq!(notices.len(), 1);
    let (about, text) = &notices[0];
    assert_eq!(*about, About::Twins(b.id.clone()));
    assert!(text.contains(b.id.as_str()) && text.contains("on the copy, move its whole data directory away"), "{text}");
    let told = |node: &Node| node.host.state().notices.iter().any(|(about, _)| *about == About::Twins(b.id.clone()));
    until("both hear it", || told(&b) && told(&clone)).await;
    // It is said of the node concerned, and of nobody else.
    for node in [&a, &b, &clone] {
        assert!(!node.troubles().contains("two machines"), "{}", node.troubles());
    }
    sleep(Duration::from_secs(2)).await;
    assert!(a.peers.links().is_empty() && a.host.state().notices.len() == 1);
    assert_eq!(a.ups(), a.count(|heard| matches!(heard, Heard::Down(_))));
}

#[tokio::test]
async fn a_node_hears_of_its_own_clone() {
    let b = Node::new().await;
    let address = b.address();
    let clone = Node::with(b.pkcs8.clone(), |config| config.peers = vec![address]).await;
    until("both say so", || [&b, &clone].iter().all(|node| node.host.state().notices.len() == 1)).await;
    assert!(b.host.state().notices[0].1.contains("this machine"));
    assert!(b.peers.links().is_empty() && clone.peers.links().is_empty());
}

#[tokio::test]
async fn an_old_link_that_is_dead_gives_way_to_a_new_run() {
    let [(small, _), (large, _)] = two_keys();
    for (mine, theirs) in [(small.clone(), large.clone()), (large, small)] {
        let a = Node::with(mine, |config| config.limits.probe = Duration::from_millis(300)).await;
        let b = id(&theirs);
        a.host.state().members.insert(b.clone(), Known { node: b.clone(), name: "b".into(), addresses: vec![] });
        let mut silent = Vec::new();
        for boot in [7, 8] {
            let (_, mut wire, _) = greeted(&theirs, &a, Greeting { boot, ..Greeting::default() }).await;
            assert!(matches!(wire.next().await, Ok(Frame::Greeting(greeting)) if greeting.boot == a.host.boot));
            if a.id > b {
                assert_eq!(wire.next().await, Ok(Frame::Verdict(None)));
                wire.send(&Frame::Verdict(None)).await.unwrap();
            } else {
                wire.send(&Frame::Verdict(None)).await.unwrap();
                assert_eq!(wire.next().await, Ok(Frame::Verdict(None)));
            }
            let linked = |heard: &Heard| *heard == Heard::Up(b.clone(), boot);
            until("it is linked", || a.count(linked) == 1).await;
            silent.push(wire);
        }
        assert_eq!(a.heard(), [Heard::Up(b.clone(), 7), Heard::Down(b.clone()), Heard::Up(b.clone(), 8)]);
        assert!(a.host.state().notices.is_empty());
    }
}

#[tokio::test]
async fn a_peer_that_never_reads_holds_up_nobody() {
    let (pkcs8, b) = key();
    let a = Node::new().await;
    a.host.state().members.insert(b.clone(), Known { node: b.clone(), name: "b".into(), addresses: vec![] });
    let (_, mut wire, _) = greeted(&pkcs8, &a, Greeting { boot: 7, ..Greeting::default() }).await;
    assert!(matches!(wire.next().await, Ok(Frame::Greeting(_))));
    wire.send(&Frame::Verdict(None)).await.unwrap();
    assert_eq!(wire.next().await, Ok(Frame::Verdict(None)));
    until("it is linked", || a.peers.links().len() == 1).await;
    let (mut reading, mut writing) = tokio::io::split(wire.stream);
    let big = encode(&Frame::Whole(metaopt_schema::DocId::Cluster, vec![1; 4 << 20].into(), Arc::default())).unwrap();
    for _ in 0..20 {
        a.peers.send(std::slice::from_ref(&b), &big);
    }
    // It pings without end and reads nothing for a while: memory is bounded, and reading goes on.
    for number in 0..20_000 {
        writing.write_all(&encode(&Frame::Ping(number)).unwrap()).await.unwrap();
    }
    writing.write_all(&encode(&beat(5)).unwrap()).await.unwrap();
    writing.flush().await.unwrap();
    until("what it sent is read", || a.frames() == 1).await;
    let mut buffer = vec![0; 64 << 10];
    assert!(reading.read(&mut buffer).await.unwrap() > 0);
}
