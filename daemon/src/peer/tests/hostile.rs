//! Strangers, noise and floods.

use metaopt_core::wire::{Greeting, Hello};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::*;
use crate::peer::{
    greet::Unmet,
    proof::{JOINER, NO_KEY, Session},
    tls::exported,
};

#[tokio::test]
async fn a_stranger_hears_one_sentence_and_nothing_else() {
    let (a, b) = (Node::new().await, Node::new().await);
    b.knows(&a, true);
    until("it is told", || b.troubles().contains("not a member of this cluster: join it with `metaopt join CODE`"))
        .await;
    until("so is the other side", || a.troubles().contains("not a member of this cluster")).await;
    assert!(a.heard().is_empty() && b.heard().is_empty());

    let (_, mut wire, _) = greeted(&key().0, &a, Greeting { boot: 1, name: "x".into(), ..Greeting::default() }).await;
    let Ok(Frame::Greeting(greeting)) = wire.next().await else { panic!() };
    assert_eq!(greeting, Greeting::default(), "no name, no version, no run");
    assert!(matches!(wire.next().await, Err(Unmet::Refused(words)) if words.starts_with("not a member")));
    // What it sends all the same is nowhere read as a frame.
    let mut stream = wire.stream;
    let _ = stream.write_all(&encode(&beat(1)).unwrap()).await;
    let mut rest = Vec::new();
    let _ = timeout(Duration::from_secs(3), stream.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.is_empty() && a.heard().is_empty());
}

#[tokio::test]
async fn a_member_that_is_too_early_with_frames_is_cut_off() {
    let (pkcs8, b) = key();
    let a = Node::new().await;
    a.host.state().members.insert(b.clone(), Known { node: b.clone(), name: "b".into(), addresses: vec![] });
    let (_, mut wire, _) = greeted(&pkcs8, &a, Greeting { boot: 1, ..Greeting::default() }).await;
    wire.send(&beat(1)).await.unwrap();
    let end = async { while wire.next().await.is_ok() {} };
    timeout(Duration::from_secs(3), end).await.unwrap();
    assert!(a.heard().is_empty());
}

#[tokio::test]
async fn the_side_to_update_is_named() {
    let a = Node::new().await;
    let (pkcs8, b) = key();
    a.host.state().members.insert(b.clone(), Known { node: b, name: "b".into(), addresses: vec![] });
    let (_, stream, _) = by_hand(&pkcs8, &a).await;
    let mut wire = Wire::new(stream);
    wire.send(&Frame::Hello(Hello { oldest: 2, newest: 3 })).await.unwrap();
    assert_eq!(wire.next().await, Ok(Frame::Hello(Hello::ours())), "so that the other side knows too");
    until("it is said", || a.troubles().contains("update metaopt on this node")).await;
    assert!(wire.next().await.is_err());
}

#[tokio::test]
async fn garbage_and_recorded_handshakes_are_closed() {
    let a = Node::new().await;
    // A recording of what a member says in its handshake.
    let b = Node::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let between = listener.local_addr().unwrap();
    a.knows(&b, false);
    b.knows(&a, false);
    b.host.state().members.get_mut(&a.id).unwrap().addresses = vec![between.to_string()];
    let (near, _) = listener.accept().await.unwrap();
    let far = TcpStream::connect(a.peers.address()).await.unwrap();
    let recorded = Arc::new(Mutex::new(Vec::new()));
    let (mut near_read, mut near_write) = near.into_split();
    let (mut far_read, mut far_write) = far.into_split();
    let writing = recorded.clone();
    let up = tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = near_read.read(&mut buffer).await {
            writing.lock().unwrap().extend_from_slice(&buffer[..read]);
            far_write.write_all(&buffer[..read]).await.unwrap();
        }
    });
    let down = tokio::spawn(async move { tokio::io::copy(&mut far_read, &mut near_write).await });
    until("they are linked", || a.is_linked(&b)).await;
    up.abort();
    down.abort();
    drop((b, listener));
    until("they aren't any more", || a.peers.links().is_empty()).await;
    let before = a.heard();
    let replay = recorded.lock().unwrap().clone();
    assert!(replay.len() > 500);

    let noise: Vec<u8> = (0..20_000u32).flat_map(|n| blake3::hash(&n.to_le_bytes()).as_bytes()[..4].to_vec()).collect();
    let mut client_hello = replay[..200].to_vec();
    client_hello[100] ^= 1;
    for bytes in [replay, noise, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), client_hello, vec![0x16; 3]] {
        let mut stream = TcpStream::connect(a.peers.address()).await.unwrap();
        let _ = stream.write_all(&bytes).await;
        let mut rest = Vec::new();
        let closed = timeout(Duration::from_secs(7), stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "{:?} is not closed", &bytes[..3]);
    }
    assert_eq!(a.heard(), before);
    assert!(a.admitted().len() == 1 && a.peers.links().is_empty());
}

/// Says who it is as a member should, and then sends this.
async fn member_sends(a: &Node, bytes: &[u8]) {
    let (pkcs8, b) = key();
    a.host.state().members.insert(b.clone(), Known { node: b.clone(), name: "b".into(), addresses: vec![] });
    let (_, mut wire, _) = greeted(&pkcs8, a, Greeting { boot: 7, ..Greeting::default() }).await;
    assert!(matches!(wire.next().await, Ok(Frame::Greeting(_))));
    wire.send(&Frame::Verdict(None)).await.unwrap();
    assert_eq!(wire.next().await, Ok(Frame::Verdict(None)));
    until("it is linked", || a.count(|heard| *heard == Heard::Up(b.clone(), 7)) == 1).await;
    let _ = wire.stream.write_all(bytes).await;
    let _ = wire.stream.flush().await;
    until("it is cut off", || a.count(|heard| *heard == Heard::Down(b.clone())) == 1).await;
}

fn forged(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(&[1, kind, flags, 0]);
    let sum = blake3::Hasher::new().update(&bytes).update(payload).finalize();
    bytes.extend_from_slice(&sum.as_bytes()[..8]);
    bytes.extend_from_slice(payload);
    bytes
}

#[tokio::test]
async fn a_member_gone_bad_ends_its_link_and_nothing_else() {
    let a = Node::new().await;
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 3).unwrap();
    member_sends(&a, &forged(64, 1, &bomb)).await;
    assert!(a.troubles().contains("inflates to more than"), "{}", a.troubles());
    member_sends(&a, &forged(64, 0, b"\xff\xff\xff")).await;
    member_sends(&a, b"no frame at all, but long enough for a header").await;
    member_sends(&a, &encode(&Frame::Proof(1, vec![])).unwrap()).await;
    member_sends(&a, &encode(&Frame::Hello(Hello::ours())).unwrap()).await;
    assert_eq!(a.frames(), 0);
}

#[tokio::test]
async fn before_it_is_accepted_nobody_sends_much_or_takes_long() {
    let a = Node::new().await;
    let pkcs8 = key().0;
    // Frames of kinds that nobody knows are passed over, up to a bound.
    let (_, mut wire, _) =
        greeted(&pkcs8, &a, Greeting { intent: metaopt_core::wire::Intent::Join, ..Greeting::default() }).await;
    let began = Instant::now();
    let mut sent = 0;
    while wire.stream.write_all(&forged(40, 0, &[0; 8000])).await.is_ok() && wire.stream.flush().await.is_ok() {
        sent += 8000;
        assert!(sent < 8 << 20);
    }
    assert!(began.elapsed() < Duration::from_secs(3), "by size, not by time");
    // And who says nothing is sent away.
    let (_, mut stream, _) = by_hand(&pkcs8, &a).await;
    let began = Instant::now();
    let mut rest = Vec::new();
    let _ = timeout(Duration::from_secs(9), stream.read_to_end(&mut rest)).await.unwrap();
    assert!((4..8).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_half_open_connections_slow_nobody_down() {
    let (a, b) = linked().await;
    let mut half_open = Vec::new();
    for n in 0..2000 {
        if let Ok(Ok(stream)) = timeout(Duration::from_secs(2), TcpStream::connect(a.peers.address())).await {
            if n % 3 == 0 {
                let _ = stream.try_write(&[0x16, 3, 1]);
            }
            half_open.push(stream);
        }
    }
    assert!(half_open.len() > 1900);
    let began = Instant::now();
    send(&b, &a, &beat(1));
    until("frames still come", || a.frames() == 1).await;
    assert!(began.elapsed() < Duration::from_millis(500));
    // A new member that dials in.
    let c = Node::new().await;
    a.knows(&c, false);
    c.knows(&a, true);
    within(4.0, "a new link comes up", || a.is_linked(&c)).await;
    assert!(a.is_linked(&b) && (a.ups(), b.ups()) == (2, 1));
    drop(half_open);
}

#[tokio::test]
async fn places_are_few_for_each_source_and_given_back() {
    let few = |config: &mut PeerConfig| {
        config.limits.strangers_per_source = 2;
        config.limits.patience = Duration::from_secs(60);
        config.limits.handshake = Duration::from_secs(1);
    };
    let a = Node::with(key().0, few).await;
    let mut idle = Vec::new();
    for _ in 0..2 {
        idle.push(TcpStream::connect(a.peers.address()).await.unwrap());
        sleep(Duration::from_millis(20)).await;
    }
    let closed = async |stream: &mut TcpStream, within: u64| {
        let mut byte = [0];
        matches!(timeout(Duration::from_millis(within), stream.read(&mut byte)).await, Ok(Ok(0) | Err(_)))
    };
    let mut third = TcpStream::connect(a.peers.address()).await.unwrap();
    assert!(closed(&mut third, 300).await && !closed(&mut idle[0], 100).await);
    assert!(closed(&mut idle[0], 1500).await, "its time is over");
    let b = Node::new().await;
    a.knows(&b, false);
    b.knows(&a, true);
    until("there is room again", || a.is_linked(&b)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_that_never_ends_keeps_no_member_out() {
    let (a, b) = linked().await;
    let there = a.peers.address();
    let flood: Vec<_> = (0..4)
        .map(|_| {
            tokio::spawn(async move {
                let mut held = std::collections::VecDeque::new();
                loop {
                    held.extend(TcpStream::connect(there).await.ok());
                    if held.len() > 100 {
                        held.pop_front();
                    }
                    sleep(Duration::from_millis(2)).await;
                }
            })
        })
        .collect();
    sleep(Duration::from_millis(500)).await;
    // Where it may not get through itself, it is dialled.
    let c = Node::new().await;
    c.knows(&a, true);
    a.knows(&c, true);
    within(6.0, "a new link comes up", || a.is_linked(&c)).await;
    sleep(Duration::from_secs(7)).await;
    assert!(a.is_linked(&b) && a.is_linked(&c) && a.ups() == 2);
    flood.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn who_comes_through_the_open_door_keeps_its_place_until_it_is_in() {
    let few = |config: &mut PeerConfig| {
        config.limits.strangers_per_source = 2;
        config.limits.patience = Duration::from_secs(60);
    };
    let a = Node::with(key().0, few).await;
    a.peers.open(Duration::from_secs(60));
    let mut held = Vec::new();
    for _ in 0..2 {
        let joins = Greeting { intent: metaopt_core::wire::Intent::JoinOpen, ..Greeting::default() };
        let (tls, mut wire, peer) = greeted(&key().0, &a, joins).await;
        assert!(matches!(wire.next().await, Ok(Frame::Greeting(_))));
        let session = Session { exported: exported(&wire.stream).unwrap(), joiner: tls.key, inviter: peer.key };
        wire.send(&Frame::Proof(JOINER, session.prove(JOINER, &NO_KEY))).await.unwrap();
        assert!(matches!(wire.next().await, Ok(Frame::Proof(..))));
        held.push(wire);
    }
    let mut third = TcpStream::connect(a.peers.address()).await.unwrap();
    let closed = timeout(Duration::from_millis(500), third.read(&mut [0])).await;
    assert!(matches!(closed, Ok(Ok(0) | Err(_))), "there is no third place");
    drop(held);
}
