//! Errors as RFC 9457 problem details.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The media type of every error.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// What kind of thing went wrong; each has one `type`, `title` and status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The body is not JSON, or the request can't be read.
    Malformed,
    /// No token, or a wrong one.
    Unauthorized,
    /// A token that doesn't allow this.
    Forbidden,
    /// Another node did not let this one in.
    NotAdmitted,
    /// A `Host` that isn't this daemon's.
    ForeignHost,
    /// A page of another origin.
    ForeignOrigin,
    /// No such thing.
    NotFound,
    /// No such verb here.
    MethodNotAllowed,
    /// Wrong state, or the name is taken, or a label is ambiguous.
    Conflict,
    /// The body is larger than this path takes.
    TooLarge,
    /// A content encoding that isn't understood.
    UnsupportedMediaType,
    /// Fields do not fit.
    Invalid,
    /// Too many requests; `Retry-After` says when.
    TooManyRequests,
    /// The daemon failed; nothing of its inside is told.
    Internal,
    /// Another node can't be reached.
    Unreachable,
    /// The node that has it is away.
    Away,
    /// The disk is full or failing.
    Storage,
    /// The daemon is stopping.
    Stopping,
    /// The request took too long.
    TimedOut,
}

impl ProblemKind {
    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Unauthorized => 401,
            Self::Forbidden | Self::NotAdmitted | Self::ForeignHost | Self::ForeignOrigin => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Invalid => 422,
            Self::TooManyRequests => 429,
            Self::Internal => 500,
            Self::Unreachable => 502,
            Self::Away | Self::Storage | Self::Stopping | Self::TimedOut => 503,
        }
    }

    /// The last part of `type`; stable, for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotAdmitted => "not-admitted",
            Self::ForeignHost => "foreign-host",
            Self::ForeignOrigin => "foreign-origin",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::Conflict => "conflict",
            Self::TooLarge => "too-large",
            Self::UnsupportedMediaType => "unsupported-media-type",
            Self::Invalid => "invalid",
            Self::TooManyRequests => "too-many-requests",
            Self::Internal => "internal",
            Self::Unreachable => "unreachable",
            Self::Away => "away",
            Self::Storage => "storage",
            Self::Stopping => "stopping",
            Self::TimedOut => "timed-out",
        }
    }

    /// A short sentence, the same for every occurrence.
    pub fn title(self) -> &'static str {
        match self {
            Self::Malformed => "The request can't be read",
            Self::Unauthorized => "A valid token is needed",
            Self::Forbidden => "This token does not allow that",
            Self::NotAdmitted => "The other node did not let this one in",
            Self::ForeignHost => "Not a name of this daemon",
            Self::ForeignOrigin => "Not a page of this daemon",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "This path has no such verb",
            Self::Conflict => "The state or name does not allow that",
            Self::TooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The body's encoding is not understood",
            Self::Invalid => "Fields do not fit",
            Self::TooManyRequests => "Too many requests",
            Self::Internal => "The daemon failed",
            Self::Unreachable => "Another node can't be reached",
            Self::Away => "The node that has it is away",
            Self::Storage => "The disk takes no changes",
            Self::Stopping => "The daemon is stopping",
            Self::TimedOut => "It took too long",
        }
    }
}

/// An error, as `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Names the kind: `urn:metaopt:problem:` and `malformed`, `unauthorized`, `forbidden`, `not-admitted`,
    /// `foreign-host`, `foreign-origin`, `not-found`, `method-not-allowed`, `conflict`, `too-large`,
    /// `unsupported-media-type`, `invalid`, `too-many-requests`, `internal`, `unreachable`, `away`, `storage`,
    /// `stopping` or `timed-out`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time, and the way out.
    pub detail: String,
    /// Every wrong field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
}

/// One wrong field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldProblem {
    /// JSON pointer into the body (`/space/0/low`), or `?name` for a parameter of the query.
    pub pointer: String,
    /// What is wrong and how to mend it.
    pub detail: String,
}

impl Problem {
    /// A problem without field errors.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:metaopt:problem:{}", kind.code()),
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: detail.into(),
            errors: Vec::new(),
        }
    }
}
