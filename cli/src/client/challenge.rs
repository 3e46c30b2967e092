//! Before the token is sent anywhere, the listener proves that it knows it: `GET /healthz?challenge=HEX` answers
//! `{"proof": hex(HMAC-SHA256(token, "metaopt-challenge:" + HEX))}`. A stranger on a port that the daemon has left
//! learns nothing. `proof_here` answers for the listener's address too (`HEX@127.0.0.1:7878`): a stranger that passes the
//! challenge on to the daemon, wherever that is by now, gets nothing that holds for its own address.

use metaopt_daemon::data_dir::hex;
use ring::hmac;

use crate::failure::Failure;

/// What became of a challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It knows the token.
    Proven,
    /// Somebody listens there who doesn't know the token.
    Stranger,
    /// Nobody answers; the text says why.
    Nobody(String),
}

/// 16 random bytes in hexadecimal.
pub fn fresh() -> Result<String, Failure> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| Failure::failed("the system gives no random numbers").cause(error))?;
    Ok(hex(&bytes))
}

/// Whether `proof` answers `challenge`, at the listener's own `address` where one is given.
pub fn is_proof(token: &str, challenge: &str, address: Option<&str>, proof: &str) -> bool {
    let challenge = &address.map_or_else(|| challenge.to_owned(), |address| format!("{challenge}@{address}"));
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
    unhex(proof).is_some_and(|tag| hmac::verify(&key, message(challenge).as_bytes(), &tag).is_ok())
}

/// The proof that a daemon gives.
pub fn proof(token: &str, challenge: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
    hex(hmac::sign(&key, message(challenge).as_bytes()).as_ref())
}

fn message(challenge: &str) -> String {
    format!("metaopt-challenge:{challenge}")
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tokens_holder_proves() {
        let challenge = fresh().unwrap();
        assert_eq!(challenge.len(), 32);
        assert_ne!(challenge, fresh().unwrap());
        let right = proof("secret", &challenge);
        assert!(is_proof("secret", &challenge, None, &right));
        assert!(!is_proof("other", &challenge, None, &right));
        assert!(!is_proof("secret", &fresh().unwrap(), None, &right), "an old proof is worth nothing");
        assert!(!is_proof("secret", &challenge, None, "") && !is_proof("secret", &challenge, None, "zz"));
        let here = proof("secret", &format!("{challenge}@127.0.0.1:7878"));
        assert!(is_proof("secret", &challenge, Some("127.0.0.1:7878"), &here));
        assert!(!is_proof("secret", &challenge, Some("127.0.0.1:7879"), &here), "passed on from another port");
        assert!(!is_proof("secret", &challenge, Some("127.0.0.1:7878"), &right), "good for no address in particular");
    }

    #[test]
    fn the_proof_is_plain_hmac_sha256() {
        // Computed with Python's hmac module, so that both sides can't share one mistake.
        assert_eq!(
            proof("token", "00112233445566778899aabbccddeeff"),
            "1569a7b5b47a58f0ee79bb9d7e8f352a3300962d0b33fec76abeb457bb91e7ec"
        );
    }
}
