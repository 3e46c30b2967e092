//! Tokens of dashboards.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A new token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Issued {
    /// The token, told only here: the daemon keeps its hash.
    pub token: String,
}

/// What became of the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revoked {
    /// How many there were.
    pub revoked: u64,
}
