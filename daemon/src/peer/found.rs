//! What mDNS brought: addresses, and hints at whose they are.
//!
//! Owns: these, bounded. Must not: take them for signs of life, or for the truth.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use metaopt_schema::NodeId;
use tokio::time::Instant;

use super::dial::turns;

/// Most announcements that are kept, and addresses of each.
const MOST: (usize, usize) = (256, 8);
/// How long one is kept that isn't heard again; what is there is heard whenever browsing begins anew.
const KEPT: Duration = Duration::from_secs(180);
/// Characters of a node's ID that are announced: enough to find it among members, too few to follow it everywhere.
pub(super) const PREFIX: usize = 6;

/// One announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub addresses: Vec<SocketAddr>,
    /// Of its cluster; see [`announced`].
    pub tag: String,
    /// Of its node's ID.
    pub prefix: String,
    /// It lets others in.
    pub open: bool,
}

#[derive(Default)]
pub(super) struct Found(BTreeMap<String, (Finding, Instant)>);

impl Found {
    /// Whether it says anything new.
    pub(super) fn put(&mut self, name: &str, mut finding: Finding, now: Instant) -> bool {
        self.expire(now);
        finding.addresses.truncate(MOST.1);
        let known = self.0.get(name).map(|(known, _)| known);
        if known.is_none() && self.0.len() >= MOST.0 {
            return false;
        }
        let fresh = known != Some(&finding);
        self.0.insert(name.to_owned(), (finding, now));
        fresh
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Addresses of nodes that may be members, by their cluster or by the start of their ID: one of each first.
    pub(super) fn candidates(
        &mut self,
        own: &NodeId,
        tag: &str,
        wanted: &[&NodeId],
        linked: &dyn Fn(&str) -> bool,
        now: Instant,
    ) -> Vec<String> {
        self.expire(now);
        let may = |finding: &Finding| {
            let is = |node: &NodeId| node.as_str().starts_with(&finding.prefix);
            let known = wanted.iter().any(|node| is(node));
            !is(own) && (known || finding.tag == tag && !linked(&finding.prefix))
        };
        let findings = self.0.values().filter(|(finding, _)| may(finding));
        turns(findings.map(|(finding, _)| finding.addresses.iter().map(ToString::to_string).collect()).collect())
    }

    /// Others, those first that let somebody in.
    pub(super) fn strangers(&mut self, own: &NodeId, is_member: &dyn Fn(&str) -> bool, now: Instant) -> Vec<Finding> {
        self.expire(now);
        let is = |finding: &Finding| !own.as_str().starts_with(&finding.prefix) && !is_member(&finding.prefix);
        let all = self.0.values().map(|(finding, _)| finding);
        let mut all: Vec<Finding> = all.filter(|finding| is(finding)).cloned().collect();
        all.sort_by_key(|finding| !finding.open);
        all
    }

    fn expire(&mut self, now: Instant) {
        self.0.retain(|_, (_, seen)| now - *seen < KEPT);
    }
}

/// What is announced of a cluster's tag: it says which nodes belong together and nothing else.
pub(super) fn announced(tag: &[u8; 16]) -> String {
    crate::data_dir::hex(&blake3::derive_key("metaopt cluster tag announced v1", tag)[..8])
}

/// Addresses of an announcement that are worth a try.
pub(super) fn worth(ips: impl Iterator<Item = IpAddr>, port: u16, near: &dyn Fn(IpAddr) -> bool) -> Vec<SocketAddr> {
    // IPv6 of one link alone would need the interface's name.
    let plain = |ip: &IpAddr| !ip.is_unspecified() && !ip.is_multicast() && !is_link_local(*ip);
    let mut out: Vec<SocketAddr> =
        ips.filter(plain).filter(|ip| near(*ip)).map(|ip| SocketAddr::new(ip, port)).collect();
    out.sort_unstable();
    out.dedup();
    out
}

fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(prefix: &str, tag: &str, open: bool) -> Finding {
        let port = u16::try_from(prefix.len()).unwrap();
        Finding { addresses: vec![([10, 0, 0, 1], port).into()], tag: tag.into(), prefix: prefix.into(), open }
    }

    #[test]
    fn members_and_nodes_of_the_cluster_are_dialled_and_strangers_kept_for_joining() {
        let (mut found, now) = (Found::default(), Instant::now());
        let (own, member) = (NodeId::new("ownown11"), NodeId::new("member11"));
        found.put("a", finding("membe", "elsewhere", false), now);
        found.put("b", finding("new", "ours", false), now);
        found.put("c", finding("strang", "theirs", false), now);
        found.put("d", finding("open", "theirs", true), now);
        found.put("e", finding("ownown1", "ours", false), now);
        let dialled = found.candidates(&own, "ours", &[&member], &|_| false, now);
        assert_eq!(dialled, ["10.0.0.1:5", "10.0.0.1:3"]);
        assert_eq!(found.candidates(&own, "ours", &[], &|_| true, now), [""; 0], "all are linked");
        let strangers = found.strangers(&own, &|prefix| prefix == "membe" || prefix == "new", now);
        assert_eq!(strangers.iter().map(|found| &*found.prefix).collect::<Vec<_>>(), ["open", "strang"]);
        let now = now + KEPT;
        assert!(found.strangers(&own, &|_| false, now).is_empty());
        for n in 0..1000 {
            found.put(&n.to_string(), finding("x", "y", false), now);
        }
        assert_eq!(found.0.len(), MOST.0);
    }

    #[test]
    fn addresses_far_away_are_not_tried() {
        let ips = ["10.0.0.2", "8.8.8.8", "224.0.0.1", "fe80::1", "0.0.0.0", "10.0.0.2"];
        let near = |ip: IpAddr| ip.to_string() != "8.8.8.8";
        let worth = worth(ips.iter().map(|ip| ip.parse().unwrap()), 5, &near);
        assert_eq!(worth, ["10.0.0.2:5".parse().unwrap()]);
    }
}
