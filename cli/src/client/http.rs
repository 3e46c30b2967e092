//! One daemon's REST API: JSON in, JSON out, problems as failures.

use std::{
    io::{BufRead, BufReader, Read},
    time::Duration,
};

use metaopt_schema::FieldError;
use serde_json::{Value, json};
use ureq::{
    Agent, AsSendBody, Body,
    http::{Request, Response},
    unversioned::{
        resolver::DefaultResolver,
        transport::{Connector, DefaultConnector},
    },
};

use super::{
    challenge::Answer,
    prove::{Prove, Stranger},
};
use crate::{
    failure::{FAILED, Failure, NO_DAEMON, NOT_FOUND, USAGE},
    sse::Events,
};

/// Answers of the largest kind: a page of trials.
const MAX_ANSWER: u64 = 256 << 20;

/// How long an ordinary call may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// One request, but for its body.
#[derive(Clone, Copy)]
struct Call<'a> {
    verb: &'a str,
    /// Below `/api/v1`.
    path: &'a str,
    /// The body's type.
    kind: Option<&'a str>,
    /// The last event known.
    after: Option<&'a str>,
    timeout: Option<Duration>,
}

impl<'a> Call<'a> {
    fn new(verb: &'a str, path: &'a str) -> Self {
        Self { verb, path, kind: None, after: None, timeout: None }
    }
}

/// Calls one daemon.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    base: String,
    token: String,
}

/// A daemon's answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body; null when it was empty.
    pub body: Value,
}

impl Client {
    /// A client for the daemon at `url`; asks nothing yet. Every connection must prove first that it knows the token.
    pub fn new(url: &str, token: &str) -> Self {
        Self::with(url, token, Some(Prove { token: token.to_owned(), here: false }))
    }

    /// The same, and each proof must be for the address in `url`.
    pub fn here(url: &str, token: &str) -> Self {
        Self::with(url, token, Some(Prove { token: token.to_owned(), here: true }))
    }

    /// Without a proof: a trial's token can't be proven by whoever doesn't hold the node's.
    pub fn unproven(url: &str, token: &str) -> Self {
        Self::with(url, token, None)
    }

    fn with(url: &str, token: &str, prove: Option<Prove>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // A proxy from the environment has no business with a local daemon's token.
            .proxy(None)
            .timeout_connect(Some(Duration::from_secs(3)))
            .user_agent(concat!("metaopt/", env!("CARGO_PKG_VERSION")))
            .build();
        let agent = match prove {
            None => config.into(),
            Some(prove) => {
                Agent::with_parts(config, DefaultConnector::default().chain(prove), DefaultResolver::default())
            }
        };
        Self { agent, base: url.trim_end_matches('/').to_owned(), token: token.to_owned() }
    }

    /// Where the daemon is.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// Whether the listener is the daemon; sends it nothing but a challenge.
    pub fn challenge(&self) -> Result<Answer, Failure> {
        let request = Request::get(format!("{}/healthz", self.base)).body(());
        let request = request.map_err(|error| bad_url(&self.base, &error))?;
        let request = self.agent.configure_request(request).timeout_global(Some(Duration::from_secs(5))).build();
        Ok(match self.agent.run(request) {
            // To its end, so that the connection can be used again.
            Ok(mut response) => match response.body_mut().with_config().limit(64 << 10).read_to_string() {
                Ok(_) => Answer::Proven,
                Err(error) => Answer::Nobody(error.to_string()),
            },
            Err(error) => unanswered(&error),
        })
    }

    /// GET of a path below `/api/v1`.
    pub fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call("GET", path, None)
    }

    /// POST of a JSON body.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call("POST", path, Some(body))
    }

    /// Any verb; refusals are failures.
    pub fn call(&self, verb: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let reply = self.reply(verb, path, body)?;
        if reply.status < 400 { Ok(reply.body) } else { Err(refusal(&reply)) }
    }

    /// Any verb; the answer as it is.
    pub fn reply(&self, verb: &str, path: &str, body: Option<&Value>) -> Result<Reply, Failure> {
        let call = Call { timeout: Some(PATIENCE), ..Call::new(verb, path) };
        match body {
            None => self.read(self.run(&call, ())?),
            Some(body) => self.read(self.run(&Call { kind: Some("application/json"), ..call }, body.to_string())?),
        }
    }

    /// Sends bytes, however many; a refusal is a failure.
    pub fn send(&self, verb: &str, path: &str, kind: &str, body: impl AsSendBody) -> Result<Value, Failure> {
        let reply = self.read(self.run(&Call { kind: Some(kind), ..Call::new(verb, path) }, body)?)?;
        if reply.status < 400 { Ok(reply.body) } else { Err(refusal(&reply)) }
    }

    /// Opens an answer to be read as it comes.
    pub fn stream(&self, path: &str) -> Result<impl Read + use<>, Failure> {
        self.open(path, None)
    }

    /// Opens a stream of events, those after the one with the ID `after` where one is given.
    pub fn events(&self, path: &str, after: &str) -> Result<Events<impl BufRead + use<>>, Failure> {
        let reader = self.open(path, Some(after).filter(|after| !after.is_empty()))?;
        Ok(Events::new(BufReader::new(reader)))
    }

    fn open(&self, path: &str, after: Option<&str>) -> Result<impl Read + use<>, Failure> {
        let response = self.run(&Call { after, ..Call::new("GET", path) }, ())?;
        if response.status().as_u16() >= 400 {
            return Err(refusal(&self.read(response)?));
        }
        Ok(response.into_body().into_reader())
    }

    /// All items of a list, page by page, until `limit`.
    pub fn list(&self, path: &str, limit: usize) -> Result<Vec<Value>, Failure> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = (limit - items.len()).min(1000);
            let mark = if path.contains('?') { '&' } else { '?' };
            let mut url = format!("{path}{mark}limit={page}");
            if let Some(cursor) = &cursor {
                url.push_str(&format!("&cursor={}", segment(cursor)));
            }
            let mut body = self.get(&url)?;
            if let Some(Value::Array(more)) = body.get_mut("items").map(Value::take) {
                items.extend(more);
            }
            cursor = body.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
            if cursor.is_none() || items.len() >= limit {
                items.truncate(limit);
                return Ok(items);
            }
        }
    }

    fn run(&self, call: &Call<'_>, body: impl AsSendBody) -> Result<Response<Body>, Failure> {
        let mut request = Request::builder()
            .method(call.verb)
            .uri(format!("{}/api/v1{}", self.base, call.path))
            .header("authorization", format!("Bearer {}", self.token));
        for (name, value) in [("content-type", call.kind), ("last-event-id", call.after)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let request = request.body(body).map_err(|error| bad_url(&self.base, &error))?;
        let request = self.agent.configure_request(request).allow_non_standard_methods(true);
        self.agent.run(request.timeout_global(call.timeout).build()).map_err(|error| {
            Failure { code: NO_DAEMON, ..Failure::failed(format!("the daemon at {} does not answer", self.base)) }
                .cause(error)
        })
    }

    fn read(&self, mut response: Response<Body>) -> Result<Reply, Failure> {
        let status = response.status().as_u16();
        let text = response.body_mut().with_config().limit(MAX_ANSWER).read_to_string().map_err(|error| {
            Failure { code: NO_DAEMON, ..Failure::failed("the daemon's answer broke off") }.cause(error)
        })?;
        let body = match serde_json::from_str(&text) {
            Ok(body) => body,
            Err(_) if text.is_empty() => Value::Null,
            Err(_) => Value::String(text),
        };
        Ok(Reply { status, body })
    }
}

fn unanswered(error: &ureq::Error) -> Answer {
    match error {
        ureq::Error::Other(other) if other.is::<Stranger>() => Answer::Stranger,
        // It accepted and spoke, but not HTTP: somebody is there, and isn't ours.
        ureq::Error::Protocol(_) => Answer::Stranger,
        other => Answer::Nobody(other.to_string()),
    }
}

fn bad_url(url: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::usage(format!("`{url}` is no address of a daemon"))
        .cause(error)
        .hint("METAOPT_URL looks like http://127.0.0.1:7878")
}

/// A problem document as a failure: its detail, the fields that are wrong, and what an exit code says of it.
pub fn refusal(reply: &Reply) -> Failure {
    let text = |key: &str| reply.body.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let message = match (text("detail").or_else(|| text("title")), &reply.body) {
        (Some(text), _) => text.to_owned(),
        (None, Value::String(text)) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => format!("the daemon answered {}", reply.status),
    };
    let code = match reply.status {
        404 => NOT_FOUND,
        422 => USAGE,
        _ => FAILED,
    };
    let wrong: Vec<String> =
        reply.body.get("errors").and_then(Value::as_array).into_iter().flatten().map(said).collect();
    let mut failure = match wrong.as_slice() {
        // The detail of a body with wrong fields only repeats the first.
        [one] => Failure { code, ..Failure::failed(one) },
        [] => Failure { code, ..Failure::failed(message) },
        several => several
            .iter()
            .fold(Failure { code, ..Failure::failed(format!("{} fields do not fit", several.len())) }, Failure::cause),
    };
    failure = match reply.status {
        401 => failure.hint("the token is wrong: check METAOPT_TOKEN, or unset METAOPT_URL to use the local daemon's"),
        // Unless its words say when.
        429 if !failure.message.contains("again") => failure.hint("too many calls at once: try again in a moment"),
        _ => failure,
    };
    failure.status = Some(reply.status);
    failure.problem = Some(reply.body.clone());
    failure
}

/// As a daemon would refuse a body with these fields.
pub fn misfit(errors: &[FieldError]) -> Failure {
    let errors: Vec<Value> = errors.iter().map(|e| json!({"pointer": e.pointer, "detail": e.detail})).collect();
    refusal(&Reply { status: 422, body: json!({"detail": "", "errors": errors}) })
}

fn said(error: &Value) -> String {
    let get = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default();
    let pointer = field(get("pointer"));
    if pointer.is_empty() { get("detail").into() } else { format!("{pointer}: {}", get("detail")) }
}

/// `/space/0/low` as people write it: `space[0].low`.
fn field(pointer: &str) -> String {
    let mut out = String::new();
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit()) {
            out.push_str(&format!("[{token}]"));
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(&token);
        }
    }
    out
}

/// One path segment or query value, percent-encoded.
pub fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_name_their_fields() {
        let body = json!({"title": "Unprocessable", "status": 422, "detail": "the study does not fit",
            "errors": [{"pointer": "/space/0/low", "detail": "must be below high"}, {"pointer": "", "detail": "whole"}]});
        let failure = refusal(&Reply { status: 422, body });
        assert_eq!((failure.code, failure.message.as_str()), (USAGE, "2 fields do not fit"));
        assert_eq!(failure.causes, ["space[0].low: must be below high", "whole"]);
        let one = json!({"detail": "/name: is empty", "errors": [{"pointer": "/name", "detail": "is empty"}]});
        let failure = refusal(&Reply { status: 422, body: one });
        assert_eq!((failure.message.as_str(), failure.causes.len()), ("name: is empty", 0));
    }

    #[test]
    fn exit_codes_follow_the_status() {
        let code = |status| refusal(&Reply { status, body: Value::Null }).code;
        assert_eq!([code(404), code(422), code(409), code(503)], [4, 2, 1, 1]);
    }

    #[test]
    fn too_many_calls_come_with_one_time_to_wait() {
        let hints = |detail: &str| refusal(&Reply { status: 429, body: json!({"detail": detail}) }).hints;
        assert!(hints("too many wrong codes; try again in 372 seconds").is_empty());
        assert_eq!(hints("64 requests are being handled already").len(), 1);
    }

    #[test]
    fn segments_are_encoded() {
        assert_eq!(segment("a b/ü-1"), "a%20b%2F%C3%BC-1");
    }
}
