//! What is proved in pairing: pure functions of a key, a session and two nodes.
//!
//! Owns: the words that are signed, so that no proof is good for another step, direction, session or pair of nodes.
//! Must not: do I/O, or keep anything.

use std::num::NonZeroU32;

use ring::{hmac, pbkdf2};

use super::tls::Key;

/// The joiner knows the code.
pub(super) const JOINER: u8 = 1;
/// The inviter does.
pub(super) const INVITER: u8 = 2;
/// The joiner has checked the inviter's, and says its name.
pub(super) const CONFIRM: u8 = 3;
/// The inviter has let it in.
pub(super) const ADMITTED: u8 = 4;

/// What `invite --open` and who joins by it use in place of a code's key: it proves nothing.
pub(super) const NO_KEY: [u8; 32] = [0; 32];
/// Rounds that make guessing a cluster key dear which a person made up; a random one needs none.
const ROUNDS: NonZeroU32 = match NonZeroU32::new(100_000) {
    Some(rounds) => rounds,
    None => NonZeroU32::MIN,
};

/// One session that pairs two nodes.
#[derive(Clone, Copy)]
pub(super) struct Session {
    /// See [`super::tls::exported`].
    pub exported: [u8; 32],
    pub joiner: Key,
    pub inviter: Key,
}

impl Session {
    pub(super) fn prove(&self, step: u8, key: &[u8; 32]) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &self.words(step)).as_ref().to_vec()
    }

    /// In constant time.
    pub(super) fn proves(&self, step: u8, key: &[u8; 32], proof: &[u8]) -> bool {
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), &self.words(step), proof).is_ok()
    }

    fn words(&self, step: u8) -> Vec<u8> {
        let label: &[u8] = if step == JOINER { b"metaopt joiner v1" } else { b"metaopt inviter v1" };
        [label, &self.exported, &self.joiner, &self.inviter].concat()
    }
}

/// The key that a fleet's nodes prove to each other, and the tag of their cluster.
pub(super) fn fleet(secret: &[u8]) -> ([u8; 32], [u8; 16]) {
    let mut key = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, b"metaopt fleet v1", secret, &mut key);
    let mut tag = [0; 16];
    tag.copy_from_slice(&blake3::derive_key("metaopt fleet tag v1", &key)[..16]);
    (key, tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_good_for_one_step_key_session_and_pair_alone() {
        let session = Session { exported: [1; 32], joiner: [2; 32], inviter: [3; 32] };
        let proof = session.prove(JOINER, &[9; 32]);
        assert!(session.proves(JOINER, &[9; 32], &proof));
        assert!(!session.proves(INVITER, &[9; 32], &proof), "mirrored");
        assert!(!session.proves(JOINER, &[8; 32], &proof));
        assert!(!session.proves(JOINER, &[9; 32], &proof[..31]) && !session.proves(JOINER, &[9; 32], b""));
        for other in [
            Session { exported: [0; 32], ..session },
            Session { joiner: [0; 32], ..session },
            Session { inviter: [0; 32], ..session },
            Session { joiner: session.inviter, inviter: session.joiner, ..session },
        ] {
            assert!(!other.proves(JOINER, &[9; 32], &proof));
        }
    }

    #[test]
    fn a_cluster_key_gives_the_same_on_all_nodes_and_hides_itself() {
        let (key, tag) = fleet(b"a secret of sixteen");
        assert_eq!((key, tag), fleet(b"a secret of sixteen"));
        assert_ne!(key, fleet(b"a secret of sixteem").0);
        assert_ne!(key[..16], tag);
    }
}
