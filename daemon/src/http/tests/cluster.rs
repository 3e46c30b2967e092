//! Invitations and joining, with links that only pretend.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use metaopt_schema::NodeId;
use serde_json::{Value, json};

use super::Bench;
use crate::{
    http::cluster::Links,
    peer::{Code, Invite, InviteKind, JoinError, Joined, Later, Trouble},
};

const CODE: &str = "ABCD-EFGH-JK23";

#[derive(Default)]
struct State {
    invites: Vec<Invite>,
    /// What `join` answers next.
    answers: VecDeque<Result<Joined, JoinError>>,
    /// What it was asked.
    asked: Vec<(Option<String>, Option<String>)>,
    troubles: Vec<Trouble>,
}

#[derive(Clone, Default)]
struct Pretend(Arc<Mutex<State>>);

impl Pretend {
    fn add(&self, kind: InviteKind, code: Option<Code>, ttl: Duration) -> Invite {
        let invite = Invite { kind, code, expires: SystemTime::now() + ttl };
        self.0.lock().unwrap().invites.push(invite.clone());
        invite
    }
}

impl Links for Pretend {
    fn address(&self) -> SocketAddr {
        ([0, 0, 0, 0], 7879).into()
    }
    fn addresses(&self) -> Vec<String> {
        vec!["10.0.0.4:7879".into()]
    }
    fn invite(&self, ttl: Duration) -> Result<Invite, String> {
        Ok(self.add(InviteKind::Code, Some(CODE.parse().unwrap()), ttl))
    }
    fn open(&self, ttl: Duration) -> Invite {
        self.add(InviteKind::Open, None, ttl)
    }
    fn invites(&self) -> Vec<Invite> {
        self.0.lock().unwrap().invites.clone()
    }
    fn close_invites(&self) {
        self.0.lock().unwrap().invites.clear();
    }
    fn join(&self, code: Option<Code>, peer: Option<String>) -> Later<Result<Joined, JoinError>> {
        let mut state = self.0.lock().unwrap();
        state.asked.push((code.map(|code| code.reveal()), peer));
        let answer = state.answers.pop_front().unwrap();
        Box::pin(async move { answer })
    }
    fn troubles(&self) -> Vec<Trouble> {
        self.0.lock().unwrap().troubles.clone()
    }
}

fn bench() -> (Bench, Pretend) {
    let links = Pretend::default();
    (Bench::with(|app| app.with_peers(links.clone(), true)), links)
}

#[tokio::test]
async fn a_code_is_told_once_and_lists_leave_it_out() {
    let (bench, _) = bench();
    let made = bench.post("/cluster/invites", json!({"ttl_s": 60})).await.ok(201);
    assert_eq!((&made["code"], &made["open"]), (&json!(CODE), &json!(false)));
    assert_eq!(made["addresses"], json!(["10.0.0.4:7879"]));
    assert!(
        made["expires_at"].as_str().unwrap()
            > bench.get("/nodes").await.ok(200)["items"][0]["last_seen"].as_str().unwrap()
    );
    let listed = bench.get("/cluster/invites").await;
    assert!(!listed.text().contains(CODE));
    assert_eq!(listed.ok(200)["items"][0]["code"], Value::Null);
    bench.call("DELETE", "/api/v1/cluster/invites", "").await.ok(204);
    assert_eq!(bench.get("/cluster/invites").await.ok(200)["items"], json!([]));
}

#[tokio::test]
async fn an_open_invitation_is_shown_and_ends() {
    let (bench, links) = bench();
    assert_eq!(bench.get("/cluster").await.ok(200)["open_until"], Value::Null);
    let made = bench.post("/cluster/invites", json!({"open": true})).await.ok(201);
    assert_eq!((&made["code"], &made["open"]), (&Value::Null, &json!(true)));
    let cluster = bench.get("/cluster").await.ok(200);
    assert!(cluster["open_until"].is_string() && cluster["peers_address"] == "0.0.0.0:7879" && cluster["mdns"] == true);
    bench.call("DELETE", "/api/v1/cluster/invites", "").await.ok(204);
    assert!(links.invites().is_empty());
}

#[tokio::test]
async fn invitations_hold_for_a_bounded_time() {
    let (bench, links) = bench();
    for body in [json!({"ttl_s": 1}), json!({"ttl_s": 1e6}), json!({"open": true, "ttl_s": 3601}), json!({"ttl_s": -1})]
    {
        let (detail, pointers) = bench.post("/cluster/invites", body).await.problem(422);
        assert!(pointers == ["/ttl_s"] && detail.contains("seconds"), "{detail}");
    }
    let (_, pointers) = bench.post("/cluster/invites", json!({"opened": true})).await.problem(422);
    assert_eq!(pointers, ["/opened"]);
    assert!(links.invites().is_empty());
}

#[tokio::test]
async fn joining_passes_on_what_was_typed_in_one_form() {
    let (bench, links) = bench();
    let joined = Joined { node: NodeId::new("them"), name: "gpu1".into(), address: "gpu1:7879".into() };
    links.0.lock().unwrap().answers = [Ok(joined.clone()), Ok(joined)].into();
    let body = json!({"code": "abcd efgh jk23", "peer": "gpu1"});
    let joined = bench.post("/cluster/join", body).await.ok(200);
    assert_eq!((&joined["node"], &joined["name"]), (&json!("them"), &json!("gpu1")));
    assert_eq!(joined["cluster"].as_array().unwrap().len(), 1);
    bench.post("/cluster/join", json!({"code": null, "peer": null})).await.ok(200);
    let asked = links.0.lock().unwrap().asked.clone();
    assert_eq!(asked, [(Some(CODE.into()), Some("gpu1:7879".into())), (None, None)]);
    let wrong = bench.post("/cluster/join", json!({"code": "ABC", "peer": "a b"})).await;
    let (detail, pointers) = wrong.problem(422);
    assert_eq!(pointers, ["/code", "/peer"]);
    assert!(detail.contains("XXXX-XXXX-XXXX") && detail.contains("HOST:PORT"), "{detail}");
}

#[tokio::test]
async fn every_way_not_to_join_has_its_status_and_words() {
    let (bench, links) = bench();
    let text = |text: &str| text.to_owned();
    let address = || text("10.0.0.9:7879");
    let cases = [
        (JoinError::WrongCode, 403, "expired"),
        (JoinError::Refused { address: address(), words: text("removed for ever") }, 403, "removed for ever"),
        (JoinError::NotProven { address: address() }, 403, "could not prove"),
        (JoinError::NobodyFound, 404, "--peer"),
        (JoinError::Bound(text("in a cluster with gpu3")), 409, "gpu3"),
        (JoinError::Incompatible(text("update the older node")), 409, "update"),
        (JoinError::NotOpen { address: address() }, 422, "metaopt invite"),
        (JoinError::Several(vec![address()]), 422, "10.0.0.9:7879"),
        (JoinError::Unreachable { address: address(), error: text("no route") }, 502, "no route"),
        (JoinError::BrokeOff { address: address(), error: text("reset") }, 502, "reset"),
        (JoinError::Here { address: address(), error: text("disk full") }, 503, "disk full"),
    ];
    for (error, status, words) in cases {
        links.0.lock().unwrap().answers.push_back(Err(error));
        let answer = bench.post("/cluster/join", json!({"code": CODE})).await;
        let (detail, pointers) = answer.problem(status);
        assert!(detail.contains(words) && !answer.text().contains(CODE), "{detail}");
        assert_eq!(pointers.is_empty(), status != 422);
    }
    links.0.lock().unwrap().answers.push_back(Err(JoinError::TooMany { retry_after: Duration::from_secs(30) }));
    let answer = bench.post("/cluster/join", json!({"code": CODE})).await;
    let (detail, _) = answer.problem(429);
    assert!(answer.headers["retry-after"] == "30" && detail.contains("30 seconds"), "{detail}");
}

#[tokio::test]
async fn what_keeps_a_node_away_stands_beside_it() {
    let (bench, links) = bench();
    let node = bench.identity.node.clone();
    let trouble = Trouble {
        node: Some(node.clone()),
        address: Some("10.0.0.5:7879".into()),
        text: "10.0.0.5:7879 refuses connections".into(),
        since: UNIX_EPOCH,
    };
    let unknown = Trouble { node: None, text: "not metaopt".into(), ..trouble.clone() };
    links.0.lock().unwrap().troubles = vec![trouble, unknown];
    for path in ["/nodes/box".to_owned(), format!("/nodes/{node}")] {
        assert_eq!(bench.get(&path).await.ok(200)["why"], "10.0.0.5:7879 refuses connections");
    }
    let cluster = bench.get("/cluster").await.ok(200);
    assert_eq!(cluster["nodes"][0]["why"], "10.0.0.5:7879 refuses connections");
    assert_eq!(
        cluster["troubles"][1],
        json!({"node": null, "address": "10.0.0.5:7879", "why": "not metaopt", "since": "1970-01-01T00:00:00.000Z"})
    );
}

#[tokio::test]
async fn a_daemon_without_links_says_so() {
    let bench = Bench::new();
    for (path, body) in [("/cluster/invites", json!({})), ("/cluster/join", json!({})), ("/cluster/leave", json!({}))] {
        bench.post(path, body).await.problem(409);
    }
    bench.post("/cluster/leave", json!({"force": true})).await.problem(409);
    let (_, at) = bench.post("/cluster/leave", json!({"force": 1, "now": true})).await.problem(422);
    assert_eq!(std::collections::BTreeSet::from_iter(at), ["/force", "/now"].map(str::to_owned).into());
    assert_eq!(bench.get("/cluster/invites").await.ok(200)["items"], json!([]));
    let cluster = bench.get("/cluster").await.ok(200);
    assert_eq!((&cluster["peers_address"], &cluster["troubles"]), (&Value::Null, &json!([])));
}

#[tokio::test]
async fn a_trials_token_invites_nobody_and_joins_nothing() {
    let (bench, _) = bench();
    let token = bench.trial_token("n.1", 1);
    for (method, path) in [
        ("POST", "/cluster/invites"),
        ("DELETE", "/cluster/invites"),
        ("POST", "/cluster/join"),
        ("POST", "/cluster/leave"),
        ("GET", "/cluster"),
    ] {
        bench.with_token(&token, method, path, "{}").await.problem(403);
    }
}

#[tokio::test]
async fn a_removed_node_refuses_work_edits_and_invitations_and_says_why() {
    let (bench, links) = bench();
    bench.study("s", json!({"run": {"command": ["true"], "workdir": "in_place", "path": "/tmp"}})).await;
    bench.study("asked", json!({})).await;
    let remove = |node: &mut metaopt_core::Node, now| {
        node.admit(now, &NodeId::new("other"), "00".into())?;
        node.leave(now, true)
    };
    bench.shell.call(remove).await.unwrap();
    let place = bench.get("/studies/s/places").await.ok(200)["items"][0].clone();
    assert_eq!(place["ready"], false);
    assert!(place["why"].as_str().unwrap().contains("was removed"), "{place}");
    for (method, path) in [
        ("POST", "/cluster/invites"),
        ("POST", "/nodes/box/drain"),
        ("POST", "/nodes/box/resume"),
        ("POST", "/nodes/other/lost"),
        ("DELETE", "/nodes/other"),
        ("POST", "/studies/asked/trials/suggest"),
    ] {
        let (detail, _) = bench.call(method, &format!("/api/v1{path}"), "{}").await.problem(409);
        assert!(detail.contains("removed from its cluster") && detail.contains("`metaopt leave`"), "{path}: {detail}");
    }
    bench.post("/cluster/invites", json!({"open": true})).await.problem(409);
    assert!(links.invites().is_empty());
    bench.post("/studies/asked/fork", json!({"name": "fork"})).await.problem(409);
    let mut again = bench.get("/studies/asked").await.ok(200);
    let body = json!({"name": "new", "space": again["space"].take(), "objectives": again["objectives"].take()});
    bench.post("/studies", body).await.problem(409);
    assert_eq!(bench.get("/studies").await.ok(200)["items"].as_array().unwrap().len(), 2);
}
