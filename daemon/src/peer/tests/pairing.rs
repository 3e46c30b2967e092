//! How strangers become members, and how they don't.

use metaopt_core::wire::{Greeting, Intent};

use super::*;
use crate::peer::{
    Code, InviteKind, JoinError, greet,
    proof::{ADMITTED, CONFIRM, INVITER, JOINER, Session},
    tls::exported,
};

const TEN_MINUTES: Duration = Duration::from_secs(600);

fn code(inviter: &Node) -> Code {
    inviter.peers.invite(TEN_MINUTES).unwrap().code.unwrap()
}

fn other_code() -> Code {
    Code::draw().unwrap()
}

async fn join(joiner: &Node, code: Code, inviter: &Node) -> Result<crate::peer::Joined, JoinError> {
    joiner.peers.join(Some(code), Some(inviter.address())).await
}

#[tokio::test]
async fn a_code_makes_both_members_and_they_link() {
    let (a, b) = (Node::new().await, Node::new().await);
    let code = code(&a);
    assert_eq!(a.peers.invites().len(), 1);
    let joined = join(&b, code.clone(), &a).await.unwrap();
    assert_eq!((joined.node, joined.address), (a.id.clone(), a.address()));
    assert_eq!((a.admitted(), b.admitted()), (vec![b.id.clone()], vec![a.id.clone()]));
    assert!(a.host.state().members[&b.id].name.starts_with("node-"));
    within(2.0, "they are linked", || a.is_linked(&b) && b.is_linked(&a)).await;
    let tag = |node: &Node| std::fs::read_to_string(node.dir.path().join("cluster")).unwrap();
    assert_eq!(tag(&a), tag(&b));
    assert!(a.peers.invites().is_empty(), "the code is used");

    let c = Node::new().await;
    assert_eq!(join(&c, code.clone(), &a).await, Err(JoinError::WrongCode), "used");
    assert!(c.admitted().is_empty());
    // The answer was lost, and the same node tries again.
    b.host.state().members.clear();
    assert!(join(&b, code, &a).await.is_ok());
}

#[tokio::test]
async fn wrong_expired_and_closed_codes_admit_nobody_and_sound_alike() {
    let (a, b) = (Node::new().await, Node::new().await);
    assert_eq!(join(&b, other_code(), &a).await, Err(JoinError::WrongCode), "there is no invitation");
    let right = code(&a);
    assert_eq!(join(&b, other_code(), &a).await, Err(JoinError::WrongCode));
    a.peers.close_invites();
    assert_eq!(join(&b, right, &a).await, Err(JoinError::WrongCode));
    let brief = a.peers.invite(Duration::from_millis(50)).unwrap().code.unwrap();
    sleep(Duration::from_millis(60)).await;
    assert_eq!(join(&b, brief, &a).await, Err(JoinError::WrongCode));
    assert!(a.admitted().is_empty() && b.admitted().is_empty());
    assert!(JoinError::WrongCode.to_string().contains("metaopt invite"));
}

#[tokio::test]
async fn guessing_is_stopped_after_five() {
    let (a, b) = (Node::new().await, Node::new().await);
    let right = code(&a);
    for _ in 0..5 {
        assert_eq!(join(&b, other_code(), &a).await, Err(JoinError::WrongCode));
    }
    let Err(JoinError::TooMany { retry_after }) = join(&b, right, &a).await else { panic!() };
    assert!((500..=600).contains(&retry_after.as_secs()));
    assert!(a.admitted().is_empty() && b.admitted().is_empty());
}

#[tokio::test]
async fn who_is_bound_asks_nobody_and_who_is_unreachable_is_named() {
    let (a, b) = (Node::new().await, Node::new().await);
    b.host.state().bound = Some("in a cluster with gpu7; `metaopt leave` first".into());
    let error = join(&b, code(&a), &a).await.unwrap_err();
    assert_eq!(error, JoinError::Bound("in a cluster with gpu7; `metaopt leave` first".into()));
    assert!(a.troubles().is_empty(), "nothing was sent");
    b.host.state().bound = None;
    let error = b.peers.join(Some(other_code()), Some("127.0.0.1:1".into())).await.unwrap_err().to_string();
    assert!(error.contains("cannot reach 127.0.0.1:1") && error.contains("refused"), "{error}");
    let error = join(&b, other_code(), &b).await.unwrap_err().to_string();
    assert!(error.contains("is this node itself"), "{error}");
    assert_eq!(b.peers.join(Some(other_code()), None).await, Err(JoinError::NobodyFound));
}

#[tokio::test]
async fn a_removed_node_is_told_how_to_come_back() {
    let (a, b) = (Node::new().await, Node::new().await);
    a.host.state().removed.insert(b.id.clone());
    let error = join(&b, code(&a), &a).await.unwrap_err().to_string();
    assert!(error.contains("removed from the cluster, for ever") && error.contains("`metaopt leave`"), "{error}");
    assert!(a.admitted().is_empty() && b.admitted().is_empty());
}

#[tokio::test]
async fn where_nothing_can_be_written_down_the_code_stays_good() {
    let (a, b) = (Node::new().await, Node::new().await);
    let code = code(&a);
    a.host.state().cannot_admit = Some("the disk is full".into());
    let error = join(&b, code.clone(), &a).await.unwrap_err().to_string();
    assert!(error.contains("the disk is full"), "{error}");
    assert!(b.admitted().is_empty());
    a.host.state().cannot_admit = None;
    let c = Node::new().await;
    assert!(join(&c, code, &a).await.is_ok());
}

#[tokio::test]
async fn an_open_door_lets_in_who_is_near_and_says_so() {
    let (a, b) = (Node::new().await, Node::new().await);
    let address = Some(a.address());
    let closed = b.peers.join(None, address.clone()).await.unwrap_err();
    assert!(closed.to_string().contains("metaopt invite --open 10m"), "{closed}");
    assert_eq!(a.peers.open(TEN_MINUTES).kind, InviteKind::Open);
    assert!(b.peers.join(None, address.clone()).await.is_ok());
    let c = Node::new().await;
    assert!(c.peers.join(None, address.clone()).await.is_ok(), "as many as come");
    let notices = a.host.state().notices.clone();
    let told = notices.iter().find(|(about, _)| *about == About::Newcomer(c.id.clone()));
    assert!(told.is_some_and(|(_, text)| text.contains(&format!("metaopt node remove {}", c.id))), "{notices:?}");
    a.peers.close_invites();
    assert!(matches!(Node::new().await.peers.join(None, address).await, Err(JoinError::NotOpen { .. })));
}

/// A hostile inviter: greets, and answers the first proof with what `answer` makes of it.
async fn rogue(answer: impl FnOnce(&Session, &[u8]) -> Vec<u8> + Send + 'static) -> (String, Arc<Mutex<bool>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let confirmed = Arc::new(Mutex::new(false));
    let seen = confirmed.clone();
    tokio::spawn(async move {
        let tls = Tls::new(&key().0).unwrap();
        let (stream, joiner) = tls.accept(listener.accept().await.unwrap().0).await.unwrap();
        let mut wire = Wire::new(stream);
        wire.send(&Frame::Hello(metaopt_core::wire::Hello::ours())).await.unwrap();
        wire.next().await.unwrap();
        wire.send(&Frame::Greeting(Greeting::default())).await.unwrap();
        let Frame::Greeting(greeting) = wire.next().await.unwrap() else { panic!() };
        assert_eq!((greeting.name.as_str(), greeting.boot), ("", 0), "a stranger learns nothing");
        let Frame::Proof(JOINER, proof) = wire.next().await.unwrap() else { panic!() };
        let session = Session { exported: exported(&wire.stream).unwrap(), joiner: joiner.key, inviter: tls.key };
        wire.send(&Frame::Proof(INVITER, answer(&session, &proof))).await.unwrap();
        *seen.lock().unwrap() = matches!(wire.next().await, Ok(Frame::Proof(..)));
    });
    (address, confirmed)
}

#[tokio::test]
async fn an_inviter_that_does_not_know_the_code_gains_nothing() {
    type Answer = fn(&Session, &[u8]) -> Vec<u8>;
    let answers: [Answer; 3] =
        [|_, proof| proof.to_vec(), |session, _| session.prove(INVITER, &other_code().key()), |_, _| Vec::new()];
    for answer in answers {
        let b = Node::new().await;
        let (address, confirmed) = rogue(answer).await;
        let error = b.peers.join(Some(other_code()), Some(address.clone())).await;
        assert_eq!(error, Err(JoinError::NotProven { address }));
        assert!(b.admitted().is_empty() && !*confirmed.lock().unwrap());
    }
}

#[tokio::test]
async fn a_relay_between_two_sessions_gains_nothing() {
    let (a, b) = (Node::new().await, Node::new().await);
    let code = code(&a);
    let address = a.peers.address();
    // Passes each proof on to the real inviter, in a session of its own.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = listener.local_addr().unwrap().to_string();
    let relayed = tokio::spawn(async move {
        let tls = Tls::new(&key().0).unwrap();
        let (joiner, _) = tls.accept(listener.accept().await.unwrap().0).await.unwrap();
        let (inviter, _) = tls.connect(TcpStream::connect(address).await.unwrap(), LINK).await.unwrap();
        let (mut joiner, mut inviter) = (Wire::new(joiner), Wire::new(inviter));
        loop {
            let (to, frame) = tokio::select! {
                frame = joiner.next() => (&mut inviter, frame),
                frame = inviter.next() => (&mut joiner, frame),
            };
            match frame {
                Ok(frame) => to.send(&frame).await.unwrap(),
                Err(greet::Unmet::Refused(words)) => return words,
                Err(error) => return error.to_string(),
            }
        }
    });
    let error = b.peers.join(Some(code), Some(relay)).await.unwrap_err();
    assert!(matches!(error, JoinError::BrokeOff { .. } | JoinError::WrongCode), "{error}");
    assert_eq!(relayed.await.unwrap(), "wrong, used or expired code");
    assert!(a.admitted().is_empty() && b.admitted().is_empty());
}

#[tokio::test]
async fn a_proof_of_another_session_is_wrong() {
    let a = Node::new().await;
    let code = code(&a);
    let joining = || Greeting { intent: Intent::Join, ..Greeting::default() };
    let pkcs8 = key().0;
    let (tls, first, peer) = greeted(&pkcs8, &a, joining()).await;
    let session = Session { exported: exported(&first.stream).unwrap(), joiner: tls.key, inviter: peer.key };
    let proof = session.prove(JOINER, &code.key());
    drop(first);
    let (_, mut second, _) = greeted(&pkcs8, &a, joining()).await;
    assert!(matches!(second.next().await, Ok(Frame::Greeting(greeting)) if greeting.name.is_empty()));
    second.send(&Frame::Proof(JOINER, proof)).await.unwrap();
    assert_eq!(second.next().await, Err(greet::Unmet::Refused("wrong, used or expired code".into())));
    assert!(a.admitted().is_empty());
}

async fn fleet(key_text: &str, peers: Vec<String>) -> Node {
    let secret = key_text.as_bytes().to_vec();
    Node::with(key().0, |config| {
        config.cluster_key = Some(secret);
        config.peers = peers;
    })
    .await
}

#[tokio::test]
async fn nodes_with_the_same_cluster_key_link_by_themselves() {
    let a = fleet("sixteen bytes and more", Vec::new()).await;
    let b = fleet("sixteen bytes and more", vec![a.address()]).await;
    until("they are linked", || a.is_linked(&b) && b.is_linked(&a)).await;
    assert_eq!((a.admitted(), b.admitted()), (vec![b.id.clone()], vec![a.id.clone()]));
    // One side alone has forgotten the other: they pair again.
    a.host.state().members.clear();
    b.peers.cut(&a.id);
    until("they are linked again", || a.ups() == 2 && a.is_linked(&b)).await;
}

#[tokio::test]
async fn another_cluster_key_is_a_trouble_on_both_sides() {
    let a = fleet("sixteen bytes and more", Vec::new()).await;
    let b = fleet("sixteen bytes and less", vec![a.address()]).await;
    let words = "the cluster keys differ";
    until("both know", || a.troubles().contains(words) && b.troubles().contains(words)).await;
    let c = Node::with(key().0, |config| config.peers = vec![a.address()]).await;
    until("who has none is a stranger", || c.troubles().contains("not a member of this cluster")).await;
    assert!(a.admitted().is_empty() && b.admitted().is_empty() && c.admitted().is_empty());
}

#[tokio::test]
async fn who_crashes_right_after_joining_still_knows_where_its_cluster_is() {
    let (a, b) = (Node::new().await, Node::new().await);
    join(&b, code(&a), &a).await.unwrap();
    let (pkcs8, dir, members) = (b.pkcs8.clone(), b.dir.clone(), b.host.state().members.clone());
    drop(b);
    until("it is gone", || a.peers.links().is_empty()).await;
    let state = State { members, ..State::default() };
    let b = Node::of(pkcs8, state, dir, |_| {}).await;
    within(3.0, "they are linked again", || a.is_linked(&b)).await;
}

#[tokio::test]
async fn no_answer_shows_more_of_a_code_than_its_form() {
    let error = "hunter2-hunter2".parse::<Code>().err().unwrap().to_string();
    assert!(error.contains("XXXX-XXXX-XXXX") && !error.contains("hunter2"), "{error}");
}

/// An inviter that does all as it should, once it may go on with its last step.
struct Slow {
    address: String,
    go: Arc<tokio::sync::Notify>,
    waits: Arc<Mutex<bool>>,
}

impl Slow {
    async fn new(code: &Code) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (go, waits) = (Arc::new(tokio::sync::Notify::new()), Arc::new(Mutex::new(false)));
        let slow = Self { address, go: go.clone(), waits: waits.clone() };
        let code = code.key();
        tokio::spawn(async move {
            let tls = Tls::new(&key().0).unwrap();
            let (stream, joiner) = tls.accept(listener.accept().await.unwrap().0).await.unwrap();
            let mut wire = Wire::new(stream);
            wire.send(&Frame::Hello(metaopt_core::wire::Hello::ours())).await.unwrap();
            wire.next().await.unwrap();
            wire.send(&Frame::Greeting(Greeting::default())).await.unwrap();
            wire.next().await.unwrap();
            wire.next().await.unwrap();
            let session = Session { exported: exported(&wire.stream).unwrap(), joiner: joiner.key, inviter: tls.key };
            wire.send(&Frame::Proof(INVITER, session.prove(INVITER, &code))).await.unwrap();
            wire.next().await.unwrap();
            *waits.lock().unwrap() = true;
            go.notified().await;
            let last = postcard::to_allocvec(&([7u8; 16], "slow", Vec::<String>::new())).unwrap();
            let _ = wire.send(&Frame::Proof(ADMITTED, last)).await;
            let _ = wire.next().await;
        });
        slow
    }

    /// What comes of joining it, when `meanwhile` happens before its last step.
    async fn joined_by(&self, joiner: &Node, code: &Code, meanwhile: impl AsyncFnOnce()) -> Result<(), JoinError> {
        let joining = joiner.peers.join(Some(code.clone()), Some(self.address.clone()));
        let other = async {
            until("it waits", || *self.waits.lock().unwrap()).await;
            meanwhile().await;
            self.go.notify_one();
        };
        tokio::join!(joining, other).0.map(drop)
    }
}

#[tokio::test]
async fn of_two_joins_at_once_one_is_refused_in_words() {
    let (a, b, code_of_slow) = (Node::new().await, Node::new().await, other_code());
    let slow = Slow::new(&code_of_slow).await;
    let second = async || {
        let error = join(&b, code(&a), &a).await.unwrap_err();
        assert!(matches!(&error, JoinError::Bound(words) if words.contains("joining a cluster just now")), "{error}");
    };
    assert_eq!(slow.joined_by(&b, &code_of_slow, second).await, Ok(()));
    assert!(a.admitted().is_empty() && b.admitted().len() == 1);
    assert!(join(&b, code(&a), &a).await.is_ok(), "there is no join any more");
}

#[tokio::test]
async fn who_became_bound_while_joining_admits_nobody() {
    let (b, code) = (Node::new().await, other_code());
    let slow = Slow::new(&code).await;
    let bound = async || b.host.state().bound = Some("in a cluster with gpu7".into());
    let joined = slow.joined_by(&b, &code, bound).await;
    assert_eq!(joined, Err(JoinError::Bound("in a cluster with gpu7".into())));
    assert!(b.admitted().is_empty());
}

#[tokio::test]
async fn an_inviter_that_joins_another_cluster_meanwhile_lets_nobody_in() {
    let (a, code_of_slow) = (Node::new().await, other_code());
    let slow = Slow::new(&code_of_slow).await;
    let code = code(&a);
    let (tls, mut wire, peer) = greeted(&key().0, &a, Greeting { intent: Intent::Join, ..Greeting::default() }).await;
    assert!(matches!(wire.next().await, Ok(Frame::Greeting(_))));
    let session = Session { exported: exported(&wire.stream).unwrap(), joiner: tls.key, inviter: peer.key };
    wire.send(&Frame::Proof(JOINER, session.prove(JOINER, &code.key()))).await.unwrap();
    assert!(matches!(wire.next().await, Ok(Frame::Proof(INVITER, _))));
    assert_eq!(slow.joined_by(&a, &code_of_slow, async || {}).await, Ok(()));
    wire.send(&Frame::Proof(CONFIRM, postcard::to_allocvec("joiner").unwrap())).await.unwrap();
    let refused = wire.next().await;
    assert!(matches!(&refused, Err(greet::Unmet::Refused(words)) if words.contains("joined another")), "{refused:?}");
    assert_eq!(a.admitted().len(), 1);
}

#[tokio::test]
async fn joining_through_the_open_door_is_told_however_much_was_said() {
    let (a, b) = (Node::new().await, Node::new().await);
    for number in 0..100 {
        a.peers.inner.say(number.to_string());
    }
    a.peers.open(TEN_MINUTES);
    for _ in 0..2 {
        b.host.state().members.clear();
        b.peers.join(None, Some(a.address())).await.unwrap();
    }
    let told = a.host.state().notices.iter().filter(|(_, text)| text.contains(b.id.as_str())).count();
    assert_eq!(told, 1);
}

#[tokio::test]
async fn those_that_invite_nobody_are_asked_only_if_nobody_invites() {
    let (a, c) = (Node::new().await, Node::new().await);
    let b = Node::with(key().0, |config| config.limits.find = Duration::from_millis(300)).await;
    let _codes = (code(&a), code(&c));
    let put = |node: &Node, prefix: &str, open| {
        let (addresses, prefix) = (vec![node.peers.address()], prefix.to_owned());
        let finding = crate::peer::found::Finding { addresses, tag: prefix.clone(), prefix, open };
        b.peers.inner.found().put(&node.id.to_string(), finding, Instant::now());
    };
    put(&a, "aaaaaa", true);
    put(&c, "cccccc", false);
    assert_eq!(b.peers.join(Some(other_code()), None).await, Err(JoinError::WrongCode));
    until("who invites is asked", || a.troubles().contains("wrong")).await;
    assert_eq!(c.troubles(), "");
    b.peers.inner.found().remove(&a.id.to_string());
    assert_eq!(b.peers.join(Some(other_code()), None).await, Err(JoinError::WrongCode));
    until("the other is asked", || c.troubles().contains("wrong")).await;
}

#[tokio::test]
async fn a_node_that_was_removed_invites_nobody() {
    let (a, b) = (Node::new().await, Node::new().await);
    let code = code(&a);
    a.peers.open(TEN_MINUTES);
    a.host.state().removed.insert(a.id.clone());
    for code in [Some(code), None] {
        let refused = b.peers.join(code, Some(a.address())).await.unwrap_err().to_string();
        assert!(refused.contains("was removed from its cluster") && refused.contains("metaopt invite"), "{refused}");
    }
    until("its invitations are closed", || a.peers.invites().is_empty()).await;
    assert!(a.admitted().is_empty() && b.admitted().is_empty());
}

#[tokio::test]
async fn what_was_said_of_a_stranger_goes_when_it_is_linked() {
    let (a, b) = (Node::new().await, Node::new().await);
    b.knows(&a, true);
    until("it is refused", || a.troubles().contains("dialled from there")).await;
    b.host.state().members.clear();
    b.peers.join(Some(code(&a)), Some(a.address())).await.unwrap();
    until("they are linked", || a.is_linked(&b) && b.is_linked(&a)).await;
    assert_eq!(a.troubles(), "");
}
