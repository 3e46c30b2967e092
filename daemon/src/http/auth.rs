//! Who may call what: the node's token, and tokens that are good for one trial.
//!
//! Owns: minting and checking tokens, and what a trial's token allows. Must not: store or log one.

use std::fmt::Write as _;

use axum::http::{HeaderMap, Method, header};
use metaopt_api::ProblemKind;
use metaopt_schema::{AttemptKey, AttemptNo, NodeId, TrialId};
use ring::hmac;
use subtle::ConstantTimeEq;

use super::problem::{Answer, ApiError};
use crate::dashboards::Dashboards;

/// What a call's token allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Node,
    /// Everything but making and ending such tokens.
    Dashboard,
    /// One trial's own reports, result, attributes and artifacts.
    Trial(AttemptKey),
    /// What another member passes on to the node that has it; not passed on again.
    Member(NodeId),
}

impl Scope {
    /// The attempt that speaks: the one named in the body, else the one that the token was made for.
    ///
    /// # Errors
    /// 403 when a trial's token speaks for another attempt.
    pub fn attempt(&self, named: Option<AttemptNo>) -> Answer<Option<AttemptNo>> {
        match self {
            Self::Node | Self::Dashboard | Self::Member(_) => Ok(named),
            Self::Trial(key) if named.is_none_or(|n| n == key.attempt) => Ok(Some(key.attempt)),
            Self::Trial(key) => Err(ApiError::new(
                ProblemKind::Forbidden,
                format!("this token speaks for attempt {}; leave `attempt` out", key.attempt),
            )),
        }
    }

    /// The user of this machine calls, by a command or in a browser.
    pub fn is_user(&self) -> bool {
        matches!(self, Self::Node | Self::Dashboard)
    }

    /// A trial's process may report what isn't finite; it is kept as null.
    pub fn is_process(&self) -> bool {
        matches!(self, Self::Trial(_))
    }
}

fn mac(secret: &[u8; 32], key: &AttemptKey) -> blake3::Hash {
    // The length keeps (trial, attempt) pairs apart whatever IDs look like.
    let text = format!("metaopt trial token v1 {} {} {}", key.trial.as_str().len(), key.trial, key.attempt);
    blake3::keyed_hash(secret, text.as_bytes())
}

/// The token that one attempt's process gets: `t1.TRIAL.ATTEMPT.MAC`.
pub fn mint_trial_token(secret: &[u8; 32], key: &AttemptKey) -> String {
    format!("t1.{}.{}.{}", key.trial, key.attempt, mac(secret, key).to_hex())
}

/// The attempt that a token was minted for, if it is one of this secret's.
pub fn verify_trial_token(secret: &[u8; 32], token: &str) -> Option<AttemptKey> {
    let mut parts = token.strip_prefix("t1.")?.rsplitn(3, '.');
    let given = blake3::Hash::from_hex(parts.next()?).ok()?;
    let attempt = parts.next()?.parse().ok()?;
    let key = AttemptKey { trial: TrialId::new(parts.next()?), attempt };
    // blake3's comparison takes the same time wherever the difference is.
    (mac(secret, &key) == given).then_some(key)
}

/// The scope of a request's bearer token.
///
/// # Errors
/// 401 when there is none or it is unknown.
pub fn scope_of(headers: &HeaderMap, token: &str, secret: &[u8; 32], dashboards: &Dashboards) -> Answer<Scope> {
    let challenge = |detail: &str| {
        ApiError::new(ProblemKind::Unauthorized, detail)
            .with(header::WWW_AUTHENTICATE, axum::http::HeaderValue::from_static("Bearer"))
    };
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (given, more) = (all.next(), all.next());
    if more.is_some() {
        return Err(challenge("send one Authorization header, not several"));
    }
    let Some(given) = given else {
        return Err(challenge(
            "send `Authorization: Bearer TOKEN`; the token is in api.json of the daemon's data directory",
        ));
    };
    let text = given.to_str().unwrap_or_default();
    let Some((scheme, given)) = text.split_once(' ') else {
        return Err(challenge("the Authorization header should be `Bearer TOKEN`"));
    };
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(challenge("the Authorization header should be `Bearer TOKEN`"));
    }
    let given = given.trim();
    if bool::from(given.as_bytes().ct_eq(token.as_bytes())) {
        return Ok(Scope::Node);
    }
    if dashboards.admits(given) {
        return Ok(Scope::Dashboard);
    }
    match verify_trial_token(secret, given) {
        Some(key) => Ok(Scope::Trial(key)),
        None => {
            let known =
                "api.json of the daemon's data directory has the right one, `metaopt open` makes one for the dashboard";
            Err(challenge(&format!("this token is not known here; {known}")))
        }
    }
}

/// What part of a trial a path below `/api/v1/trials/` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrialPath<'a> {
    /// As written in the path, still percent-encoded.
    pub trial: &'a str,
    /// What follows it.
    pub rest: &'a str,
}

/// Splits `/api/v1/trials/TRIAL/REST`.
pub fn trial_path(path: &str) -> Option<TrialPath<'_>> {
    let below = path.strip_prefix("/api/v1/trials/")?;
    let (trial, rest) = below.split_once('/').unwrap_or((below, ""));
    (!trial.is_empty()).then_some(TrialPath { trial, rest })
}

/// Whether a trial's token may be used for this verb of a trial's path; everything not named here is refused.
pub fn allowed_to_trial(method: &Method, rest: &str) -> bool {
    match (method.as_str(), rest) {
        ("GET" | "PATCH", "") | ("POST", "reports" | "complete" | "heartbeat") => true,
        ("PUT", rest) => rest.strip_prefix("artifacts/").is_some_and(|name| !name.is_empty() && !name.contains('/')),
        _ => false,
    }
}

/// Whether a challenge is one that is answered: 16 to 128 hexadecimal digits.
pub fn is_challenge(text: &str) -> bool {
    (16..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Proves that this daemon knows the token, without telling it: HMAC-SHA256 over `metaopt-challenge:CHALLENGE`.
pub fn proof(token: &str, challenge: &str) -> String {
    sign(token, &format!("metaopt-challenge:{challenge}"))
}

/// The same over `metaopt-challenge:CHALLENGE@ADDRESS`, the address this daemon listens at: a stranger on another port
/// can pass challenges on to us, but what comes back isn't good for its own address.
pub fn proof_here(token: &str, challenge: &str, address: std::net::SocketAddr) -> String {
    sign(token, &format!("metaopt-challenge:{challenge}@{address}"))
}

fn sign(token: &str, message: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
    let tag = hmac::sign(&key, message.as_bytes());
    tag.as_ref().iter().fold(String::with_capacity(64), |mut out, byte| {
        let _ = write!(out, "{byte:02x}"); // writing to a string can't fail
        out
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn key(trial: &str, attempt: u32) -> AttemptKey {
        AttemptKey { trial: trial.into(), attempt }
    }

    #[test]
    fn a_trial_token_names_its_attempt_and_nothing_else_passes() {
        let secret = [7; 32];
        let token = mint_trial_token(&secret, &key("node.12", 3));
        assert!(token.starts_with("t1.node.12.3."));
        assert_eq!(verify_trial_token(&secret, &token), Some(key("node.12", 3)));
        assert_eq!(verify_trial_token(&[8; 32], &token), None);
        for forged in [token.replace(".3.", ".4."), token.replace(".12.", ".1."), format!("{token}0"), "t1...".into()] {
            assert_eq!(verify_trial_token(&secret, &forged), None, "{forged}");
        }
    }

    #[test]
    fn a_trial_token_allows_only_the_trials_own_calls() {
        for (method, rest) in [
            ("GET", ""),
            ("PATCH", ""),
            ("POST", "reports"),
            ("POST", "complete"),
            ("POST", "heartbeat"),
            ("PUT", "artifacts/a.png"),
        ] {
            assert!(allowed_to_trial(&method.parse().unwrap(), rest), "{method} {rest}");
        }
        for (method, rest) in [
            ("GET", "logs"),
            ("GET", "reports"),
            ("POST", "cancel"),
            ("POST", "retry"),
            ("DELETE", ""),
            ("GET", "artifacts/a"),
            ("PUT", "artifacts/"),
            ("PUT", "artifacts/a/b"),
        ] {
            assert!(!allowed_to_trial(&method.parse().unwrap(), rest), "{method} {rest}");
        }
    }

    #[test]
    fn a_process_speaks_for_its_own_attempt() {
        let scope = Scope::Trial(key("a.1", 2));
        assert_eq!(scope.attempt(None).unwrap(), Some(2));
        assert_eq!(scope.attempt(Some(2)).unwrap(), Some(2));
        assert!(scope.attempt(Some(1)).is_err());
        assert_eq!(Scope::Node.attempt(Some(1)).unwrap(), Some(1));
    }

    #[test]
    fn the_proof_is_the_published_hmac() {
        // Computed with Python's hmac module.
        assert_eq!(
            proof("secret", "00112233445566778899aabbccddeeff"),
            "22d8a2fedbceebad06c6469b095ba229086a23e9e4348ec62cc1ed46672c89f5"
        );
        assert!(is_challenge("00112233445566778899aabbccddeeff") && !is_challenge("xyz") && !is_challenge("0011"));
    }
}
