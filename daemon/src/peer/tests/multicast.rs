//! Finding each other by mDNS, on the loopback interface and a port of the tests' own.

use super::*;
use crate::peer::JoinError;

const TEN_MINUTES: Duration = Duration::from_secs(600);

fn finding(port: u16) -> impl FnOnce(&mut PeerConfig) {
    move |config| {
        config.mdns = true;
        config.limits.mdns_port = port;
        config.limits.interfaces = Duration::from_millis(500);
        config.limits.browse = Duration::from_secs(2);
        config.limits.find = Duration::from_secs(8);
    }
}

async fn nodes<const N: usize>() -> [Node; N] {
    // A port that nobody else has, so that tests don't hear each other.
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut nodes = Vec::new();
    for _ in 0..N {
        nodes.push(Node::with(key().0, finding(port)).await);
    }
    nodes.try_into().unwrap_or_else(|_| panic!())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_alone_is_enough_and_members_find_each_other_by_the_start_of_their_id() {
    let [a, b, c] = nodes().await;
    let code = a.peers.invite(TEN_MINUTES).unwrap().code.unwrap();
    let joined = b.peers.join(Some(code), None).await.unwrap();
    assert_eq!(joined.node, a.id);
    until("they are linked", || a.is_linked(&b) && b.is_linked(&a)).await;
    // Neither knows an address of the other: c became a member through somebody else.
    a.knows(&c, false);
    c.knows(&a, false);
    until("they find each other", || a.is_linked(&c) && c.is_linked(&a)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_code_the_one_that_lets_everybody_in_is_found() {
    let [a, b, c, d] = nodes().await;
    assert_eq!(b.peers.join(None, None).await, Err(JoinError::NobodyFound), "nobody lets others in");
    a.peers.open(TEN_MINUTES);
    assert_eq!(b.peers.join(None, None).await.unwrap().node, a.id);
    c.peers.open(TEN_MINUTES);
    let seen = || d.peers.inner.found().strangers(&d.id, &|_| false, Instant::now());
    until("both are seen", || seen().iter().filter(|finding| finding.open).count() == 2).await;
    let error = d.peers.join(None, None).await.unwrap_err();
    assert!(matches!(&error, JoinError::Several(addresses) if addresses.len() == 2), "{error}");
    for node in [&a, &c] {
        node.peers.close_invites();
    }
    until("that they let nobody in is seen", || seen().iter().all(|finding| !finding.open)).await;
    let told = format!("{:?}", seen());
    assert!(!told.contains("node-") && !told.contains(a.id.as_str()), "no names, and no whole ID: {told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invitation_opened_right_after_one_was_closed_is_found() {
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let patient = |config: &mut PeerConfig| {
        finding(port)(config);
        config.limits.browse = Duration::from_secs(60);
    };
    let (a, b) = (Node::with(key().0, patient).await, Node::with(key().0, patient).await);
    let open = || b.peers.inner.found().strangers(&b.id, &|_| false, Instant::now()).iter().any(|found| found.open);
    a.peers.open(TEN_MINUTES);
    until("it is seen", open).await;
    sleep(Duration::from_secs(6)).await;
    a.peers.close_invites();
    until("so is its end", || !open()).await;
    a.peers.open(TEN_MINUTES);
    until("and the next", open).await;
    sleep(Duration::from_secs(3)).await;
    assert!(open(), "it stays seen");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_finds_itself() {
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut nodes = Vec::new();
    for _ in 0..3 {
        let node = Node::with(key().0, |config| {
            finding(port)(config);
            config.cluster_key = Some(b"sixteen bytes and more".to_vec());
        });
        nodes.push(node.await);
    }
    within(20.0, "all are linked", || nodes.iter().all(|node| node.peers.links().len() == 2)).await;
}
