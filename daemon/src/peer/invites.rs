//! Who may come in: invitations that are open, and how often each source may be wrong.
//!
//! Owns: these, in memory alone: a restart ends all invitations. Must not: read clocks, or do I/O.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, SystemTime},
};

use metaopt_schema::NodeId;
use tokio::time::Instant;

use super::{
    Code, Invite, InviteKind,
    proof::{JOINER, Session},
};

/// Most at once.
const MOST: usize = 32;
/// Longest that one lasts.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Wrong proofs that one source may send within [`MEMORY`].
const WRONG_PER_SOURCE: usize = 5;
/// Wrong proofs after which an invitation is closed, 100 of 2^60: enough that no four sources close other people's.
pub(super) const WRONG_PER_INVITE: u32 = 100;
/// How long a wrong proof is remembered.
const MEMORY: Duration = Duration::from_secs(600);
/// Most sources of wrong proofs that are remembered.
const SOURCES: usize = 4096;

struct Live {
    number: u64,
    /// None: everybody.
    code: Option<[u8; 32]>,
    ends: Instant,
    expires: SystemTime,
    wrong: u32,
    used_by: Option<NodeId>,
}

/// Why a proof gets nobody in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is nothing to guess.
    Nothing,
    /// It is counted; how many invitations were closed because of it. The other side isn't told the difference.
    Wrong(usize),
    TooMany(Duration),
}

/// How often each source was wrong.
#[derive(Default)]
struct Wrong(HashMap<IpAddr, Vec<Instant>>);

impl Wrong {
    /// How long this source isn't heard.
    fn wait(&self, source: IpAddr, now: Instant) -> Option<Duration> {
        let times = self.0.get(&source).filter(|times| times.len() >= WRONG_PER_SOURCE)?;
        times.first().map(|first| MEMORY.saturating_sub(now - *first))
    }

    fn note(&mut self, source: IpAddr, now: Instant) {
        if self.0.len() >= SOURCES && !self.0.contains_key(&source) {
            self.0.clear();
        }
        self.0.entry(source).or_default().push(now);
    }

    fn expire(&mut self, now: Instant) {
        self.0.retain(|_, times| {
            times.retain(|at| now - *at < MEMORY);
            !times.is_empty()
        });
    }
}

#[derive(Default)]
pub(super) struct Invites {
    live: Vec<Live>,
    wrong: Wrong,
    /// The same of cluster keys.
    wrong_keys: Wrong,
    made: u64,
}

impl Invites {
    /// Whether there is room for another code.
    ///
    /// # Errors
    /// There are too many.
    pub(super) fn room(&mut self, now: Instant) -> Result<(), String> {
        self.expire(now);
        if self.live.len() < MOST {
            return Ok(());
        }
        Err(format!("{MOST} invitations are open already: they end by themselves, or all at once when they are closed"))
    }

    /// With no code: everybody. There is one such invitation at most.
    pub(super) fn add(&mut self, code: Option<&Code>, ttl: Duration, now: Instant, wall: SystemTime) -> Invite {
        if code.is_none() {
            self.live.retain(|live| live.code.is_some());
        }
        let ttl = ttl.min(LONGEST);
        let expires = wall + ttl;
        self.made += 1;
        let key = code.map(Code::key);
        self.live.push(Live { number: self.made, code: key, ends: now + ttl, expires, wrong: 0, used_by: None });
        let kind = if code.is_some() { InviteKind::Code } else { InviteKind::Open };
        Invite { kind, code: code.cloned(), expires }
    }

    pub(super) fn close(&mut self) {
        self.live.clear();
    }

    /// Those that still let somebody in.
    pub(super) fn list(&mut self, now: Instant) -> Vec<Invite> {
        self.expire(now);
        let kind = |live: &Live| if live.code.is_some() { InviteKind::Code } else { InviteKind::Open };
        let open = self.live.iter().filter(|live| live.used_by.is_none());
        open.map(|live| Invite { kind: kind(live), code: None, expires: live.expires }).collect()
    }

    pub(super) fn is_open(&mut self, now: Instant) -> bool {
        self.expire(now);
        self.live.iter().any(|live| live.code.is_none())
    }

    /// The number and key of the invitation that a proof is of. All are compared, whichever it is.
    ///
    /// # Errors
    /// It is of none, or too many wrong ones came.
    pub(super) fn check(
        &mut self,
        session: &Session,
        proof: &[u8],
        joiner: &NodeId,
        source: IpAddr,
        now: Instant,
    ) -> Result<(u64, [u8; 32]), Refusal> {
        self.expire(now);
        let source = one_machine(source);
        if let Some(wait) = self.wrong.wait(source, now) {
            return Err(Refusal::TooMany(wait));
        }
        let mut found = None;
        for live in &self.live {
            let Some(key) = live.code else { continue };
            let right = session.proves(JOINER, &key, proof);
            if right && live.used_by.as_ref().is_none_or(|by| by == joiner) {
                found = Some((live.number, key));
            }
        }
        found.ok_or_else(|| self.note_wrong(source, now))
    }

    /// Whether a proof is of the cluster key.
    ///
    /// # Errors
    /// It isn't, or too many wrong ones came.
    pub(super) fn check_key(
        &mut self,
        session: &Session,
        key: &[u8; 32],
        proof: &[u8],
        source: IpAddr,
        now: Instant,
    ) -> Result<(), Refusal> {
        self.expire(now);
        let source = one_machine(source);
        if let Some(wait) = self.wrong_keys.wait(source, now) {
            return Err(Refusal::TooMany(wait));
        }
        if session.proves(JOINER, key, proof) {
            return Ok(());
        }
        self.wrong_keys.note(source, now);
        Err(Refusal::Wrong(0))
    }

    /// Takes the invitation for this node alone; the same may come again, should the answer have been lost.
    pub(super) fn take(&mut self, number: u64, joiner: &NodeId) -> bool {
        let Some(live) = self.live.iter_mut().find(|live| live.number == number) else { return false };
        let free = live.used_by.as_ref().is_none_or(|by| by == joiner);
        if free {
            live.used_by = Some(joiner.clone());
        }
        free
    }

    /// Nobody was let in after all.
    pub(super) fn give_back(&mut self, number: u64) {
        if let Some(live) = self.live.iter_mut().find(|live| live.number == number) {
            live.used_by = None;
        }
    }

    fn note_wrong(&mut self, source: IpAddr, now: Instant) -> Refusal {
        let codes = || self.live.iter().filter(|live| live.code.is_some());
        // Where there is nothing to guess, nothing is counted: `join` asks everybody on the network.
        if codes().all(|live| live.used_by.is_some()) {
            return Refusal::Nothing;
        }
        self.wrong.note(source, now);
        let before = self.live.len();
        for live in self.live.iter_mut().filter(|live| live.code.is_some() && live.used_by.is_none()) {
            live.wrong += 1;
        }
        self.live.retain(|live| live.wrong < WRONG_PER_INVITE);
        Refusal::Wrong(before - self.live.len())
    }

    fn expire(&mut self, now: Instant) {
        self.live.retain(|live| live.ends > now);
        self.wrong.expire(now);
        self.wrong_keys.expire(now);
    }
}

/// What counts as one source: whoever has one IPv6 address has 2^64 of them.
pub(super) fn one_machine(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn session() -> Session {
        Session { exported: [1; 32], joiner: [2; 32], inviter: [3; 32] }
    }

    fn source(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn a_code_lets_one_node_in_and_that_one_again() {
        let (mut invites, now, code) = (Invites::default(), Instant::now(), Code::draw().unwrap());
        let made = invites.add(Some(&code), HOUR, now, SystemTime::now());
        assert!(made.code.is_some_and(|shown| shown == code));
        assert!(invites.list(now)[0].code.is_none());
        let proof = session().prove(JOINER, &code.key());
        let (a, b) = (NodeId::new("a"), NodeId::new("b"));
        let (number, _) = invites.check(&session(), &proof, &a, source(1), now).unwrap();
        assert!(invites.take(number, &a) && invites.take(number, &a) && !invites.take(number, &b));
        assert!(invites.list(now).is_empty(), "it lets nobody else in");
        assert!(invites.check(&session(), &proof, &a, source(1), now).is_ok());
        assert_eq!(invites.check(&session(), &proof, &b, source(1), now), Err(Refusal::Nothing));
        invites.give_back(number);
        assert!(invites.check(&session(), &proof, &b, source(1), now).is_ok());
        assert_eq!(invites.check(&session(), &proof, &a, source(1), now + HOUR), Err(Refusal::Nothing), "expired");
    }

    #[test]
    fn a_source_is_wrong_five_times_and_an_invitation_hears_a_hundred() {
        let (mut invites, now, code) = (Invites::default(), Instant::now(), Code::draw().unwrap());
        invites.add(Some(&code), HOUR, now, SystemTime::now());
        let right = session().prove(JOINER, &code.key());
        let node = NodeId::new("a");
        for _ in 0..5 {
            assert_eq!(invites.check(&session(), b"no", &node, source(1), now), Err(Refusal::Wrong(0)));
        }
        let later = now + Duration::from_secs(100);
        let left = Duration::from_secs(500);
        assert_eq!(invites.check(&session(), &right, &node, source(1), later), Err(Refusal::TooMany(left)));
        assert!(invites.check(&session(), &right, &node, source(2), later).is_ok(), "others aren't kept out");
        assert!(invites.check(&session(), &right, &node, source(1), now + MEMORY).is_ok(), "nor this one for ever");
        for last in 0..94 {
            assert_eq!(invites.check(&session(), b"no", &node, source(last + 10), later), Err(Refusal::Wrong(0)));
        }
        assert_eq!(invites.check(&session(), b"no", &node, source(200), later), Err(Refusal::Wrong(1)));
        assert!(invites.list(later).is_empty(), "it is closed");
    }

    #[test]
    fn a_cluster_key_is_guessed_five_times_and_codes_are_counted_apart() {
        let (mut invites, now, key) = (Invites::default(), Instant::now(), [7; 32]);
        let right = session().prove(JOINER, &key);
        for _ in 0..5 {
            assert_eq!(invites.check_key(&session(), &key, b"no", source(1), now), Err(Refusal::Wrong(0)));
        }
        assert_eq!(invites.check_key(&session(), &key, &right, source(1), now), Err(Refusal::TooMany(MEMORY)));
        assert_eq!(invites.check_key(&session(), &key, &right, source(2), now), Ok(()));
        assert_eq!(invites.check_key(&session(), &key, &right, source(1), now + MEMORY), Ok(()));
        let code = Code::draw().unwrap();
        invites.add(Some(&code), HOUR, now, SystemTime::now());
        let proof = session().prove(JOINER, &code.key());
        assert!(invites.check(&session(), &proof, &NodeId::new("a"), source(1), now).is_ok());
    }

    #[test]
    fn one_network_of_ipv6_is_one_source() {
        let ip = |text: &str| one_machine(text.parse().unwrap());
        assert_eq!(ip("2001:db8:1:2::5"), ip("2001:db8:1:2:9:9:9:9"));
        assert_ne!(ip("2001:db8:1:2::5"), ip("2001:db8:1:3::5"));
        assert_eq!(ip("::ffff:10.0.0.1"), ip("10.0.0.1"));
    }
}
