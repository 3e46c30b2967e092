//! Members among themselves.

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    http::Request,
    routing::{get, post},
};
use http_body::Body as _;

use super::{super::Caller, *};
use crate::peer::CallError;

#[tokio::test]
async fn frames_pass_both_ways() {
    let (a, b) = linked().await;
    send(&a, &b, &beat(1));
    send(&b, &a, &beat(2));
    until("both came", || a.frames() == 1 && b.frames() == 1).await;
    assert_eq!(b.heard(), [Heard::Up(a.id.clone(), a.host.boot), Heard::Frame(a.id.clone(), beat(1))]);
    assert_eq!(a.heard(), [Heard::Up(b.id.clone(), b.host.boot), Heard::Frame(b.id.clone(), beat(2))]);
    let link = &a.peers.links()[0];
    assert!(link.outbound && link.address == b.address() && link.version == "0" && link.name.starts_with("node-"));
    until("the round trip is known", || a.peers.links()[0].round_trip_ms.is_some()).await;
    assert_eq!(a.troubles() + &b.troubles(), "");
    assert_eq!(a.host.state().addresses, [a.address()]);
}

#[tokio::test]
async fn a_node_that_is_removed_is_told_what_waited_and_heard_no_more() {
    let (a, b) = linked().await;
    for number in 0..100 {
        send(&a, &b, &beat(number));
    }
    a.host.state().removed.insert(b.id.clone());
    a.peers.cut(&b.id);
    send(&a, &b, &beat(100));
    send(&b, &a, &beat(1));
    until("both are down", || !a.is_linked(&b) && !b.is_linked(&a)).await;
    assert_eq!((a.frames(), b.frames()), (0, 100));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_both_ways_loses_nothing_and_pings_are_answered_beside_it() {
    let (a, b) = linked().await;
    let noise: Arc<[u8]> = {
        let mut noise = vec![0; 1 << 20];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        noise.into()
    };
    let whole = encode(&Frame::Whole(metaopt_schema::DocId::Cluster, noise, Arc::default())).unwrap();
    *a.host.slow.lock().unwrap() = Duration::from_millis(20);
    *b.host.slow.lock().unwrap() = Duration::from_millis(20);
    let (mut sent, mut refused) = (0, 0);
    let link = a.peers.inner.links.get(&b.id).unwrap();
    for _ in 0..60 {
        let taken = link.send(&whole);
        b.peers.send(std::slice::from_ref(&a.id), &whole);
        (sent, refused) = if taken { (sent + 1, refused) } else { (sent, refused + 1) };
        sleep(Duration::from_millis(5)).await;
    }
    assert!(refused > 0, "the queue is bounded");
    assert!(link.is_alive(Duration::from_secs(2)).await);
    until("all that was taken came", || b.frames() == sent).await;
    assert!((a.ups(), b.ups()) == (1, 1) && a.is_linked(&b));
}

#[tokio::test]
async fn crossing_dials_give_one_link_that_stays() {
    for _ in 0..10 {
        let (a, b) = (Node::new().await, Node::new().await);
        a.knows(&b, true);
        b.knows(&a, true);
        until("they are linked", || a.is_linked(&b) && b.is_linked(&a)).await;
        sleep(Duration::from_millis(300)).await;
        assert_eq!((a.heard().len(), b.heard().len()), (1, 1), "{:?} {:?}", a.heard(), b.heard());
        let (here, there) = (a.peers.links(), b.peers.links());
        assert_ne!(here[0].outbound, there[0].outbound, "both keep the same one");
        send(&a, &b, &beat(1));
        send(&b, &a, &beat(2));
        until("it carries frames", || a.frames() == 1 && b.frames() == 1).await;
    }
}

#[tokio::test]
async fn a_mesh_of_eight_comes_up_whole() {
    let mut nodes = Vec::new();
    for _ in 0..8 {
        nodes.push(Node::new().await);
    }
    for a in &nodes {
        for b in nodes.iter().filter(|b| b.id != a.id) {
            a.knows(b, true);
        }
    }
    until("all are linked", || nodes.iter().all(|node| node.peers.links().len() == 7)).await;
    sleep(Duration::from_millis(500)).await;
    assert!(nodes.iter().all(|node| node.ups() == 7), "each once");
}

#[tokio::test]
async fn a_new_member_is_dialled_and_one_that_is_none_any_more_is_cut() {
    let (a, b) = linked().await;
    b.host.state().members.clear();
    b.host.state().removed.insert(a.id.clone());
    until("it is cut", || !a.is_linked(&b) && !b.is_linked(&a)).await;
    until("it is told why", || a.troubles().contains("was removed from the cluster, for ever")).await;
    assert!(a.troubles().contains("`metaopt leave` there, then `metaopt join CODE`"), "{}", a.troubles());
    sleep(Duration::from_secs(1)).await;
    assert_eq!((a.frames(), a.ups(), b.ups()), (0, 1, 1));
    let c = Node::new().await;
    c.knows(&b, false);
    b.knows(&c, true);
    until("the new one is linked", || b.is_linked(&c)).await;
    b.peers.cut(&c.id);
    until("it is cut at once", || b.count(|heard| *heard == Heard::Down(c.id.clone())) == 1).await;
}

#[tokio::test]
async fn a_name_given_with_peer_is_enough_and_the_node_itself_is_left_alone() {
    let b = Node::new().await;
    let port = b.peers.address().port();
    let a = Node::with(key().0, |config| config.peers = vec![format!("localhost:{port}"), "127.0.0.1:1".into()]).await;
    a.knows(&b, false);
    b.knows(&a, false);
    until("they are linked", || a.is_linked(&b)).await;
    until("the other address is a trouble", || a.troubles().contains("it can't be reached")).await;
    assert_eq!(a.peers.troubles()[0].address.as_deref(), Some("127.0.0.1:1"));
    let own = a.address();
    a.host.state().members.insert(
        NodeId::new("elsewhere"),
        Known { node: NodeId::new("elsewhere"), name: "x".into(), addresses: vec![own.clone()] },
    );
    sleep(Duration::from_secs(3)).await;
    assert!(!a.troubles().contains(&own) && a.host.state().notices.is_empty() && a.ups() == 1);
}

fn router() -> Router {
    let whoami = |Extension(Caller(node)): Extension<Caller>| async move { node.to_string() };
    let echo = |body: Body| async move { Body::new(body) };
    Router::new().route("/whoami", get(whoami)).route("/echo", post(echo))
}

async fn text(response: axum::http::Response<hyper::body::Incoming>) -> String {
    let bytes = axum::body::to_bytes(Body::new(response.into_body()), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn ask(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_member_calls_over_http_and_bodies_stream() {
    let (a, b) = linked().await;
    b.peers.serve(router());
    let answer = a.peers.call(&b.id, ask("/whoami")).await.unwrap();
    assert_eq!((answer.status().as_u16(), text(answer).await), (200, a.id.to_string()));

    let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let body = Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(receiver));
    let request = Request::post("http://ignored/echo").body(body).unwrap();
    sender.send(Ok(Bytes::from_static(b"first"))).await.unwrap();
    let mut body = Box::pin(a.peers.call(&b.id, request).await.unwrap().into_body());
    let mut next = async || {
        let frame = std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await;
        frame.map(|frame| frame.unwrap().into_data().unwrap())
    };
    assert_eq!(next().await.unwrap(), "first", "before the rest was sent");
    sender.send(Ok(Bytes::from_static(b"second"))).await.unwrap();
    assert_eq!(next().await.unwrap(), "second");
    drop(sender);
    assert_eq!(next().await, None);

    let many = (0..40).map(|_| a.peers.call(&b.id, ask("/whoami"))).map(|call| {
        let call = Box::pin(call);
        async move { call.await.map(|answer| answer.status().as_u16()) }
    });
    for answer in futures_util::future::join_all(many).await {
        assert_eq!(answer, Ok(200), "also many at once");
    }
}

#[tokio::test]
async fn a_node_that_is_removed_reads_no_further_on_a_connection_that_it_has() {
    for cut in [true, false] {
        let (a, b) = linked().await;
        let endless = async || {
            let steps = tokio_stream::StreamExt::throttle(
                futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(b"x"))),
                Duration::from_millis(20),
            );
            Body::from_stream(steps)
        };
        b.peers.serve(Router::new().route("/endless", get(endless)));
        let mut body = Box::pin(a.peers.call(&b.id, ask("/endless")).await.unwrap().into_body());
        let mut next = async || std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await;
        assert!(matches!(next().await, Some(Ok(_))));
        b.host.state().removed.insert(a.id.clone());
        if cut {
            b.peers.cut(&a.id);
        }
        let longest = Duration::from_secs(if cut { 1 } else { 3 });
        let ended = tokio::time::timeout(longest, async { while let Some(Ok(_)) = next().await {} }).await;
        assert!(ended.is_ok(), "it still reads; cut: {cut}");
    }
}

#[tokio::test]
async fn who_is_no_member_calls_nobody() {
    let (a, b) = (Node::new().await, Node::new().await);
    b.peers.serve(router());
    assert_eq!(a.peers.call(&b.id, ask("/whoami")).await.err(), Some(CallError::NotAMember(b.id.clone())));
    a.knows(&b, true);
    let answer = a.peers.call(&b.id, ask("/whoami")).await.unwrap();
    assert_eq!((answer.status().as_u16(), text(answer).await), (403, String::new()));
    // Another node where the member is said to be.
    let (c, e) = (Node::new().await, Node::new().await);
    a.knows(&e, false);
    a.host.state().members.get_mut(&e.id).unwrap().addresses = vec![c.address()];
    let error = a.peers.call(&e.id, ask("/whoami")).await.unwrap_err().to_string();
    assert!(error.contains("another node") && error.contains(&c.address()), "{error}");
    let d = Node::new().await;
    a.knows(&d, false);
    assert_eq!(a.peers.call(&d.id, ask("/whoami")).await.err(), Some(CallError::NoAddress(d.id.clone())));
}

#[tokio::test]
async fn the_port_is_kept_and_a_taken_one_replaced() {
    let dir = Arc::new(tempfile::tempdir().unwrap());
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = taken.local_addr().unwrap();
    std::fs::write(dir.path().join("peer-address"), there.to_string()).unwrap();
    let pkcs8 = key().0;
    let node = Node::of(pkcs8.clone(), State::default(), dir.clone(), |config| config.listen = None).await;
    let first = node.peers.address();
    assert_ne!(first.port(), there.port());
    drop(node);
    sleep(Duration::from_millis(200)).await;
    let node = Node::of(pkcs8, State::default(), dir, |config| config.listen = None).await;
    assert_eq!(node.peers.address(), first);
    assert_eq!(first.ip().to_string(), "0.0.0.0");
}

#[tokio::test]
async fn a_node_that_only_dials_out_tells_nobody_where_it_is_and_links() {
    let b = Node::new().await;
    let a = Node::with(key().0, |config| config.dials_only = true).await;
    a.knows(&b, true);
    b.knows(&a, false);
    until("they are linked", || a.is_linked(&b)).await;
    assert!(a.peers.addresses().is_empty() && a.host.state().addresses.is_empty());
}

#[tokio::test]
async fn all_of_it_stops_soon() {
    let (a, b) = linked().await;
    b.peers.serve(router());
    a.peers.call(&b.id, ask("/whoami")).await.unwrap();
    let began = Instant::now();
    for node in [&a, &b] {
        node.stopping.cancel();
        node.peers.stopped().await;
    }
    assert!(began.elapsed() < Duration::from_secs(2));
    assert!(a.peers.links().is_empty() && a.heard().last() == Some(&Heard::Down(b.id.clone())));
}
