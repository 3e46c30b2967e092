//! Members among themselves.

use axum::{Extension, Router, body::Body, http::Request, routing::post};
use futures_util::StreamExt;

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
