//! `/cluster`: who is in it, invitations, joining and leaving.
//!
//! Owns: what may be asked of [`Links`], and which of its refusals has which status. Must not: log a code, or answer one
//! again after the call that made it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
};
use metaopt_api::{Page, ProblemKind, cluster as dto, node as dto_node};
use metaopt_schema::{
    FieldError, NodeId,
    shape::{Field, Kind as Shaped, may, opt},
    stamp::WallMs,
};

use super::{
    App,
    body::{Json, Nothing, Shape},
    problem::{Answer, ApiError},
    query::Query,
    render,
};
use crate::{config, peer::Later};

/// How long a code holds where nobody says.
const TTL: f64 = 600.0;
/// The shortest and longest that may be asked for (seconds).
const TTLS: std::ops::RangeInclusive<f64> = 10.0..=86_400.0;
/// The longest that the door may stand open: anybody who reaches it may run commands here.
const OPEN_TTL: f64 = 3600.0;

/// What the API asks of the links to other nodes. The daemon's peers are one; tests have their own.
pub trait Links: Send + Sync + 'static {
    /// Where it listens for peers; none: it doesn't, it only dials.
    fn listens(&self) -> Option<std::net::SocketAddr>;
    /// Where peers reach it (`HOST:PORT`), best first.
    fn addresses(&self) -> Vec<String>;
    /// It looks for others on the local network.
    fn looks_around(&self) -> bool;
    /// A fresh code, good for one node until then.
    ///
    /// # Errors
    /// In words.
    fn invite(&self, ttl: Duration) -> Result<String, String>;
    /// Lets everybody of the local network in until then.
    ///
    /// # Errors
    /// In words.
    fn open(&self, ttl: Duration) -> Result<(), String>;
    /// How long each code that wasn't used still holds.
    fn codes(&self) -> Vec<Duration>;
    /// How much longer everybody is let in; none: nobody is.
    fn open_for(&self) -> Option<Duration>;
    /// Ends all invitations.
    fn close(&self);
    /// Becomes a member of another node's cluster: of the one at `peer`, or of whichever answers on the local network.
    fn join(&self, code: Option<String>, peer: Option<String>) -> Later<Result<NodeId, JoinError>>;
    /// What keeps it from others now.
    fn troubles(&self) -> Vec<Trouble>;
}

/// A node or address that can't be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The node, where it is known.
    pub node: Option<NodeId>,
    /// The address tried.
    pub address: Option<String>,
    /// What is wrong, in words.
    pub why: String,
    /// Since when.
    pub since: WallMs,
}

/// Why a node could not join; each with words for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The code is wrong, expired or used.
    #[error("{0}")]
    Refused(String),
    /// Too many wrong codes from here.
    #[error("too many wrong codes came from this machine: try again in {} s", .0.as_secs().max(1))]
    Limited(Duration),
    /// Nobody who could let it in answers on the local network.
    #[error("{0}")]
    Nobody(String),
    /// The named peer does not answer, or isn't metaopt.
    #[error("{0}")]
    Unreachable(String),
    /// It is in a cluster with others already.
    #[error("{0}")]
    Bound(String),
    /// Nobody lets nodes in without a code now.
    #[error("{0}")]
    CodeNeeded(String),
}

impl From<JoinError> for ApiError {
    fn from(error: JoinError) -> Self {
        let words = error.to_string();
        match error {
            JoinError::Refused(_) => Self::new(ProblemKind::NotAdmitted, words),
            JoinError::Limited(wait) => Self::new(ProblemKind::TooManyRequests, words)
                .with(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1))),
            JoinError::Nobody(_) => Self::not_found(words),
            JoinError::Unreachable(_) => Self::new(ProblemKind::Unreachable, words),
            JoinError::Bound(_) => Self::new(ProblemKind::Conflict, words),
            JoinError::CodeNeeded(_) => Self::field("/code", words),
        }
    }
}

impl Shape for dto::NewInvitation {
    const WHAT: &'static str = "an invitation";
    const FIELDS: &'static [Field] = &[may("open", Shaped::Flag), opt("ttl_s", Shaped::Number)];
}

impl Shape for dto::Join {
    const WHAT: &'static str = "a request to join";
    const FIELDS: &'static [Field] = &[opt("code", Shaped::Text), opt("peer", Shaped::Text)];
}

fn links(app: &App) -> Answer<&dyn Links> {
    app.links().ok_or_else(|| ApiError::new(ProblemKind::Conflict, "this daemon has no links to other nodes"))
}

/// GET cluster.
pub async fn get(State(app): State<App>, query: Query) -> Answer<axum::Json<dto::Cluster>> {
    query.only(&[])?;
    let links = app.links();
    let nodes = nodes(&app);
    let troubles = links.map(Links::troubles).unwrap_or_default();
    Ok(axum::Json(app.shell().read(|node, _| dto::Cluster {
        node: node.id().to_string(),
        name: node.name().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        nodes,
        peers_address: links.and_then(Links::listens).map(|address| address.to_string()),
        addresses: links.map(Links::addresses).unwrap_or_default(),
        mdns: links.is_some_and(Links::looks_around),
        open_until: links.and_then(Links::open_for).map(until),
        troubles: troubles.into_iter().map(trouble).collect(),
    })))
}

/// All nodes as people see them: what the node says of each, and what keeps us from it.
pub(super) fn nodes(app: &App) -> Vec<dto_node::Node> {
    let troubles = app.links().map(Links::troubles).unwrap_or_default();
    let mut nodes = app.shell().read(metaopt_core::Node::nodes);
    nodes.sort_by(|a, b| a.id.cmp(&b.id));
    nodes
        .into_iter()
        .map(|mut node| {
            let more = troubles.iter().filter(|trouble| trouble.node.as_ref() == Some(&node.id));
            let all: Vec<String> = node.why.take().into_iter().chain(more.map(|trouble| trouble.why.clone())).collect();
            node.why = (!all.is_empty()).then(|| all.join("; "));
            render::node(node)
        })
        .collect()
}

/// GET invites, without their codes.
pub async fn invites(State(app): State<App>, query: Query) -> Answer<axum::Json<Page<dto::Invitation>>> {
    query.only(&[])?;
    let Some(links) = app.links() else { return Ok(axum::Json(Page { items: Vec::new(), next_cursor: None })) };
    let addresses = links.addresses();
    let one = |open: bool, left: Duration| dto::Invitation {
        code: None,
        open,
        expires_at: until(left),
        addresses: addresses.clone(),
    };
    let codes = links.codes().into_iter().map(|left| one(false, left));
    let items = links.open_for().map(|left| one(true, left)).into_iter().chain(codes).collect();
    Ok(axum::Json(Page { items, next_cursor: None }))
}

/// POST invites.
pub async fn invite(
    State(app): State<App>,
    Json(body): Json<dto::NewInvitation>,
) -> Answer<(StatusCode, axum::Json<dto::Invitation>)> {
    let longest = if body.open { OPEN_TTL } else { *TTLS.end() };
    let ttl = body.ttl_s.unwrap_or(TTL);
    if !(*TTLS.start()..=longest).contains(&ttl) {
        let what = if body.open { "an open invitation holds for" } else { "a code holds for" };
        let detail = format!("{what} {} to {longest} seconds, not {ttl}", TTLS.start());
        return Err(ApiError::field("/ttl_s", detail));
    }
    let links = links(&app)?;
    let ttl = Duration::from_secs_f64(ttl);
    let refused = |why| ApiError::new(ProblemKind::Conflict, why);
    let code = match body.open {
        true => {
            links.open(ttl).map_err(refused)?;
            tracing::warn!("for {} s any node of the local network may join and run commands here", ttl.as_secs());
            None
        }
        false => Some(links.invite(ttl).map_err(refused)?),
    };
    let addresses = links.addresses();
    Ok((StatusCode::CREATED, axum::Json(dto::Invitation { code, open: body.open, expires_at: until(ttl), addresses })))
}

/// DELETE invites: all of them.
pub async fn close(State(app): State<App>, _: Json<Nothing>) -> Answer<StatusCode> {
    if let Some(links) = app.links() {
        links.close();
    }
    Ok(StatusCode::NO_CONTENT)
}

/// POST join.
pub async fn join(State(app): State<App>, Json(body): Json<dto::Join>) -> Answer<axum::Json<dto::Joined>> {
    let mut errors = Vec::new();
    let wrong = |pointer: &str, detail: String| FieldError { pointer: pointer.into(), detail };
    let code = match body.code.as_deref().map(code) {
        Some(None) => {
            errors.push(wrong("/code", "a code is 12 letters and digits, as XXXX-XXXX-XXXX".into()));
            None
        }
        other => other.flatten(),
    };
    let peer = body.peer.as_deref().map(|peer| config::host_port(peer).map_err(|error| error.to_string()));
    let peer = peer.transpose().map_err(|why| errors.push(wrong("/peer", why))).ok().flatten();
    if !errors.is_empty() {
        return Err(ApiError::fields(errors));
    }
    let through = links(&app)?.join(code, peer).await?;
    let name = app.shell().read(|node, _| render::node_name(node, &through));
    Ok(axum::Json(dto::Joined { node: through.to_string(), name, cluster: nodes(&app) }))
}

/// POST leave.
pub async fn leave(State(app): State<App>, _: Json<Nothing>) -> Answer<StatusCode> {
    app.leave().await?;
    Ok(StatusCode::ACCEPTED)
}

/// A code as it is written (`XXXX-XXXX-XXXX`), from however it was typed; none: it can't be one.
fn code(typed: &str) -> Option<String> {
    let plain: String =
        typed.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_uppercase()).collect();
    let is_one = plain.len() == 12 && plain.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_one.then(|| format!("{}-{}-{}", &plain[..4], &plain[4..8], &plain[8..]))
}

fn trouble(trouble: Trouble) -> dto::Trouble {
    dto::Trouble {
        node: trouble.node.map(|node| node.to_string()),
        address: trouble.address,
        why: trouble.why,
        since: render::time(trouble.since),
    }
}

/// The time after `left`.
fn until(left: Duration) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    render::time((now + left).as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::code;

    #[test]
    fn codes_are_read_however_they_are_typed() {
        for typed in ["ABCD-EFGH-JK23", "abcdefghjk23", " abcd efgh jk23\n", "AB-CD-EF-GH-JK-23"] {
            assert_eq!(code(typed).as_deref(), Some("ABCD-EFGH-JK23"), "{typed}");
        }
        for wrong in ["", "ABCD-EFGH", "ABCD-EFGH-JK23-4", "ABCD-EFGH-JK2é", "ABCD_EFGH_JK23"] {
            assert_eq!(code(wrong), None, "{wrong}");
        }
    }
}
