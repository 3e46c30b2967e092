//! The one place where errors become `application/problem+json`.
//!
//! Owns: which error has which status. Must not: tell anyone what is inside the daemon; that goes to the log.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use metaopt_api::{FieldProblem, Problem, ProblemKind, problem::CONTENT_TYPE};
use metaopt_core::{Refusal, RefusalKind};
use metaopt_schema::FieldError;

use crate::{driver::CallError, snapshot::SnapshotError};

/// An error on its way to the client.
#[derive(Debug)]
pub struct ApiError {
    kind: ProblemKind,
    detail: String,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What handlers answer.
pub type Answer<T> = Result<T, ApiError>;

impl ApiError {
    /// One of `kind`.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), headers: Vec::new() }
    }

    /// 422 with every wrong field.
    pub fn fields(errors: Vec<FieldError>) -> Self {
        Refusal::invalid(errors).into()
    }

    /// 422 with one wrong field.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Refusal::field(pointer, detail).into()
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::NotFound, detail)
    }

    /// Whether it is a 404.
    pub fn is_not_found(&self) -> bool {
        self.kind == ProblemKind::NotFound
    }

    /// 413.
    pub fn too_large(limit: u64) -> Self {
        Self::new(ProblemKind::TooLarge, format!("the body is larger than {} bytes, the limit of this path", limit))
    }

    /// 429, to come again after `seconds`.
    pub fn busy(seconds: u64, detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::TooManyRequests, detail).with(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// 500; `cause` goes to the log only.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Self::new(ProblemKind::Internal, "the daemon's log says why")
    }

    /// Adds a header.
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let errors = self.errors.into_iter().map(|e| FieldProblem { pointer: e.pointer, detail: e.detail }).collect();
        let problem = Problem { errors, ..Problem::new(self.kind, self.detail) };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal.kind {
            RefusalKind::NotFound => ProblemKind::NotFound,
            RefusalKind::Conflict => ProblemKind::Conflict,
            RefusalKind::Invalid => ProblemKind::Invalid,
            RefusalKind::NoRoom | RefusalKind::Unreadable => {
                return Self::new(ProblemKind::Storage, refusal.detail)
                    .with(header::RETRY_AFTER, HeaderValue::from(10));
            }
        };
        Self { kind, detail: refusal.detail, errors: refusal.errors, headers: Vec::new() }
    }
}

impl From<CallError> for ApiError {
    fn from(error: CallError) -> Self {
        let soon = |kind, detail: String| Self::new(kind, detail).with(header::RETRY_AFTER, HeaderValue::from(2));
        match error {
            CallError::Refused(refusal) => refusal.into(),
            CallError::Storage(why) => {
                soon(ProblemKind::Storage, format!("nothing can be stored now ({why}); it is tried again every second"))
            }
            CallError::Lost(why) => Self::internal(why),
            CallError::Stopping => soon(ProblemKind::Stopping, "try again once it has started".into()),
        }
    }
}

impl From<SnapshotError> for ApiError {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::BadHash(_) => Self::new(ProblemKind::Invalid, error.to_string()),
            SnapshotError::Missing(_) => Self::not_found(error.to_string()),
            SnapshotError::TooMuch(_) | SnapshotError::TooLarge { .. } => {
                Self::new(ProblemKind::TooLarge, error.to_string())
            }
            SnapshotError::WrongHash { .. } | SnapshotError::Refused { .. } | SnapshotError::Malformed(_) => {
                Self::new(ProblemKind::Invalid, error.to_string())
            }
            SnapshotError::Io { source, path } => disk(&path, &source),
            other => Self::internal(other),
        }
    }
}

/// A failed file operation: a full disk is the client's to know, the rest is the log's.
pub fn disk(path: &std::path::Path, error: &std::io::Error) -> ApiError {
    use std::io::ErrorKind as K;
    match error.kind() {
        K::StorageFull | K::QuotaExceeded | K::ReadOnlyFilesystem => {
            tracing::error!(path = %path.display(), %error, "the disk takes no files");
            ApiError::new(ProblemKind::Storage, format!("the file could not be kept: {error}"))
                .with(header::RETRY_AFTER, HeaderValue::from(10))
        }
        _ => ApiError::internal(format!("{}: {error}", path.display())),
    }
}

/// 404 for paths that don't exist.
pub async fn no_such_path(uri: axum::http::Uri) -> ApiError {
    ApiError::not_found(format!("there is no path `{}`; /api/openapi.json lists them", uri.path()))
}

/// 405; the router adds `Allow`.
pub async fn no_such_verb(method: axum::http::Method, uri: axum::http::Uri) -> ApiError {
    ApiError::new(
        ProblemKind::MethodNotAllowed,
        format!("`{}` does not take {method}; see the Allow header", uri.path()),
    )
}

/// 500 for a panic.
pub fn panicked(what: Box<dyn std::any::Any + Send + 'static>) -> Response {
    let text = what.downcast_ref::<String>().map(String::as_str).or_else(|| what.downcast_ref::<&str>().copied());
    ApiError::internal(text.unwrap_or("a handler panicked")).into_response()
}
