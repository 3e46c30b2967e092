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
    FieldError,
    shape::{Field, Kind as Shaped, may, opt},
};

use super::{
    App,
    body::{Json, Nothing, Shape},
    problem::{Answer, ApiError},
    query::Query,
    render,
};
use crate::{
    config,
    peer::{Code, Invite, InviteKind, JoinError, Joined, Later, Peers, Trouble},
};

/// How long a code holds where nobody says.
const TTL: f64 = 600.0;
/// The shortest and longest that may be asked for (seconds).
const TTLS: std::ops::RangeInclusive<f64> = 10.0..=86_400.0;
/// The longest that the door may stand open: anybody who reaches it may run commands here.
const OPEN_TTL: f64 = 3600.0;

/// What the API asks of the links to other nodes. [`Peers`] are what the daemon has; tests have their own.
pub trait Links: Send + Sync + 'static {
    /// Where it listens for peers.
    fn address(&self) -> std::net::SocketAddr;
    /// Where peers reach it (`HOST:PORT`), best first.
    fn addresses(&self) -> Vec<String>;
    /// A fresh code, good for one node.
    ///
    /// # Errors
    /// In words.
    fn invite(&self, ttl: Duration) -> Result<Invite, String>;
    /// Lets everybody of the local network in.
    fn open(&self, ttl: Duration) -> Invite;
    /// Those that hold now.
    fn invites(&self) -> Vec<Invite>;
    /// Ends all invitations.
    fn close_invites(&self);
    /// Becomes a member of another node's cluster: of the one at `peer`, or of whichever answers on the local network.
    fn join(&self, code: Option<Code>, peer: Option<String>) -> Later<Result<Joined, JoinError>>;
    /// What keeps it from others now.
    fn troubles(&self) -> Vec<Trouble>;
}

impl Links for Peers {
    fn address(&self) -> std::net::SocketAddr {
        Self::address(self)
    }
    fn addresses(&self) -> Vec<String> {
        Self::addresses(self)
    }
    fn invite(&self, ttl: Duration) -> Result<Invite, String> {
        Self::invite(self, ttl)
    }
    fn open(&self, ttl: Duration) -> Invite {
        Self::open(self, ttl)
    }
    fn invites(&self) -> Vec<Invite> {
        Self::invites(self)
    }
    fn close_invites(&self) {
        Self::close_invites(self);
    }
    fn join(&self, code: Option<Code>, peer: Option<String>) -> Later<Result<Joined, JoinError>> {
        let peers = self.clone();
        Box::pin(async move { Self::join(&peers, code, peer).await })
    }
    fn troubles(&self) -> Vec<Trouble> {
        Self::troubles(self)
    }
}

impl From<JoinError> for ApiError {
    fn from(error: JoinError) -> Self {
        let words = error.to_string();
        match error {
            JoinError::WrongCode | JoinError::Refused { .. } | JoinError::NotProven { .. } => {
                Self::new(ProblemKind::NotAdmitted, words)
            }
            JoinError::TooMany { retry_after } => Self::busy(retry_after.as_secs(), words),
            JoinError::NobodyFound => Self::not_found(words),
            JoinError::Unreachable { .. } | JoinError::BrokeOff { .. } => Self::new(ProblemKind::Unreachable, words),
            JoinError::Bound(_) | JoinError::Incompatible(_) => Self::new(ProblemKind::Conflict, words),
            JoinError::NotOpen { .. } => Self::field("/code", words),
            JoinError::Several(_) | JoinError::BadPeer(_) => Self::field("/peer", words),
            JoinError::Here { .. } => {
                Self::new(ProblemKind::Storage, words).with(header::RETRY_AFTER, HeaderValue::from(2))
            }
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

impl Shape for dto::Leave {
    const WHAT: &'static str = "a request to leave";
    const FIELDS: &'static [Field] = &[may("force", Shaped::Flag)];
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
    let open = links.map(Links::invites).unwrap_or_default().into_iter().find(|one| one.kind == InviteKind::Open);
    Ok(axum::Json(app.shell().read(|node, _| dto::Cluster {
        node: node.id().to_string(),
        name: node.name().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        nodes,
        peers_address: links.map(|links| links.address().to_string()),
        addresses: links.map(Links::addresses).unwrap_or_default(),
        mdns: app.0.mdns,
        open_until: open.map(|one| time(one.expires)),
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
            let all: Vec<String> =
                node.why.take().into_iter().chain(more.map(|trouble| trouble.text.clone())).collect();
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
    let items = links.invites().into_iter().map(|one| invitation(Invite { code: None, ..one }, &addresses)).collect();
    Ok(axum::Json(Page { items, next_cursor: None }))
}

fn invitation(invite: Invite, addresses: &[String]) -> dto::Invitation {
    dto::Invitation {
        code: invite.code.map(|code| code.reveal()),
        open: invite.kind == InviteKind::Open,
        expires_at: time(invite.expires),
        addresses: addresses.to_owned(),
    }
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
    app.shell().read(|node, _| node.refuse_if_removed())?;
    let links = links(&app)?;
    let ttl = Duration::from_secs_f64(ttl);
    let invite = if body.open {
        tracing::warn!("for {} s any node of the local network may join and run commands here", ttl.as_secs());
        links.open(ttl)
    } else {
        links.invite(ttl).map_err(|why| ApiError::new(ProblemKind::Conflict, why))?
    };
    Ok((StatusCode::CREATED, axum::Json(invitation(invite, &links.addresses()))))
}

/// DELETE invites: all of them.
pub async fn close(State(app): State<App>, _: Json<Nothing>) -> Answer<StatusCode> {
    if let Some(links) = app.links() {
        links.close_invites();
    }
    Ok(StatusCode::NO_CONTENT)
}

/// POST join.
pub async fn join(State(app): State<App>, Json(body): Json<dto::Join>) -> Answer<axum::Json<dto::Joined>> {
    let mut errors = Vec::new();
    let mut wrong = |pointer: &str, detail: String| errors.push(FieldError { pointer: pointer.into(), detail });
    let code = body.code.map(|text| text.parse::<Code>()).transpose();
    let code = code.map_err(|why| wrong("/code", why.to_string())).ok().flatten();
    let peer = body.peer.map(|text| config::host_port(&text)).transpose();
    let peer = peer.map_err(|why| wrong("/peer", why.to_string())).ok().flatten();
    if !errors.is_empty() {
        return Err(ApiError::fields(errors));
    }
    let joined = links(&app)?.join(code, peer).await?;
    Ok(axum::Json(dto::Joined { node: joined.node.to_string(), name: joined.name, cluster: nodes(&app) }))
}

/// POST leave.
pub async fn leave(State(app): State<App>, Json(body): Json<dto::Leave>) -> Answer<StatusCode> {
    app.leave(body.force).await?;
    Ok(StatusCode::ACCEPTED)
}

fn trouble(trouble: Trouble) -> dto::Trouble {
    dto::Trouble {
        node: trouble.node.map(|node| node.to_string()),
        address: trouble.address,
        why: trouble.text,
        since: time(trouble.since),
    }
}

fn time(at: SystemTime) -> String {
    render::time(at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64)
}
