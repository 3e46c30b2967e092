//! The stream of events: live, resumed, reset.

use std::time::Duration;

use axum::{body::Body, http::Request};
use futures_util::StreamExt;
use serde_json::json;
use tower::ServiceExt;

use super::Bench;

struct Stream {
    body: axum::body::BodyDataStream,
    text: String,
}

impl Stream {
    async fn open(bench: &Bench, path: &str, last: Option<&str>) -> Self {
        let mut request = Request::builder().uri(path).header("host", "localhost");
        request = request.header("authorization", format!("Bearer {}", bench.identity.token));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = bench.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// Reads until the text has `part`.
    async fn until(&mut self, part: &str) -> &str {
        while !self.text.contains(part) {
            let next = tokio::time::timeout(Duration::from_secs(10), self.body.next()).await;
            let bytes = next.unwrap_or_else(|_| panic!("no {part} in {}", self.text)).expect("more").unwrap();
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        &self.text
    }

    fn last_id(&self) -> String {
        let line = self.text.lines().rev().find_map(|l| l.strip_prefix("id: ").or(l.strip_prefix("id:"))).unwrap();
        line.trim().to_owned()
    }
}

#[tokio::test]
async fn changes_are_followed_and_resumed_without_a_gap() {
    let bench = Bench::new();
    let mut stream = Stream::open(&bench, "/api/v1/events", None).await;
    let study = bench.study("s", json!({})).await;
    let text = stream.until("event: study.created").await;
    assert!(text.contains("id: boot-"), "{text}");
    stream.until(study["id"].as_str().unwrap()).await;
    let last = stream.last_id();
    drop(stream);
    let trial = bench.ask("s").await;
    let at = format!("/trials/{}/reports", trial["id"].as_str().unwrap());
    bench.post(&at, json!({"step": 1, "values": {"loss": 0.5}})).await.ok(200);
    let mut again = Stream::open(&bench, "/api/v1/events", Some(&last)).await;
    let text = again.until("event: trial.report").await;
    assert!(text.contains("event: trial.created") && !text.contains("event: study.created"), "{text}");
    let text = again.until("\"loss\":0.5").await;
    assert!(!text.contains("event: reset"), "{text}");
}

#[tokio::test]
async fn an_unknown_position_is_reset() {
    let bench = Bench::new();
    for last in ["other-3", "boot-999", "rubbish"] {
        let mut stream = Stream::open(&bench, "/api/v1/events", Some(last)).await;
        stream.until("event: reset").await;
        assert!(stream.last_id().starts_with("boot-"));
    }
}

#[tokio::test]
async fn one_study_can_be_followed() {
    let bench = Bench::new();
    bench.study("mine", json!({})).await;
    bench.study("other", json!({})).await;
    let mut stream = Stream::open(&bench, "/api/v1/events?study=mine", None).await;
    let other = bench.ask("other").await;
    let mine = bench.ask("mine").await;
    let text = stream.until(mine["id"].as_str().unwrap()).await;
    assert!(!text.contains(&format!("\"{}\"", other["id"].as_str().unwrap())), "{text}");
    bench.get("/events?study=none").await.problem(404);
}

#[tokio::test]
async fn streams_end_with_the_daemon() {
    let bench = Bench::new();
    let mut stream = Stream::open(&bench, "/api/v1/events", None).await;
    bench.app.stopping().cancel();
    let end = async { while stream.body.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(5), end).await.expect("the stream ends");
}
