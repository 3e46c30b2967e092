//! This machine's addresses, and which others are next to them.
//!
//! Owns: the choice of what others are told. Must not: send anything.

use std::net::{IpAddr, SocketAddr};

use if_addrs::{IfAddr, Interface};

/// Most addresses that others are told.
const MOST: usize = 8;

/// Interfaces that are up.
pub(super) fn interfaces() -> Vec<Interface> {
    let all = if_addrs::get_if_addrs().unwrap_or_default();
    all.into_iter().filter(|interface| interface.is_oper_up() || interface.is_loopback()).collect()
}

/// Where others are told that a node is reached which listens there.
pub(super) fn told(listening: SocketAddr, advertise: Option<&str>, interfaces: &[Interface]) -> Vec<String> {
    let port = listening.port();
    if let Some(host) = advertise {
        let given = super::with_port(host);
        if given == host.trim() {
            return vec![given];
        }
        let bare = given.rsplit_once(':').map_or(&*given, |(bare, _)| bare);
        return vec![format!("{bare}:{port}")];
    }
    if !listening.ip().is_unspecified() {
        return vec![listening.to_string()];
    }
    let mut ips: Vec<IpAddr> = interfaces
        .iter()
        .filter(|interface| !interface.is_loopback() && !interface.is_link_local())
        .map(Interface::ip)
        .filter(|ip| ip.is_ipv4() || listening.is_ipv6())
        .collect();
    // IPv4 first: where both work it is what networks of machines are set up for.
    ips.sort_unstable();
    ips.dedup();
    ips.truncate(MOST);
    ips.into_iter().map(|ip| SocketAddr::new(ip, port).to_string()).collect()
}

/// Whether this address is on a network of this machine's, or the machine itself.
pub(super) fn on_link(ip: IpAddr) -> bool {
    next_to(ip, &interfaces())
}

pub(super) fn next_to(ip: IpAddr, interfaces: &[Interface]) -> bool {
    let ip = ip.to_canonical();
    ip.is_loopback() || interfaces.iter().any(|interface| within(ip, &interface.addr))
}

fn within(ip: IpAddr, network: &IfAddr) -> bool {
    match (ip, network) {
        (IpAddr::V4(ip), IfAddr::V4(network)) => {
            let mask = u32::from(network.netmask);
            mask != 0 && u32::from(ip) & mask == u32::from(network.ip) & mask
        }
        (IpAddr::V6(ip), IfAddr::V6(network)) => {
            let mask = u128::from(network.netmask);
            mask != 0 && u128::from(ip) & mask == u128::from(network.ip) & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use if_addrs::{IfOperStatus, Ifv4Addr, Ifv6Addr};

    use super::*;

    fn interface(addr: IfAddr) -> Interface {
        Interface { name: "x".into(), addr, index: None, oper_status: IfOperStatus::Up, is_p2p: false }
    }

    fn v4(ip: &str) -> Interface {
        let (ip, netmask) = (ip.parse().unwrap(), "255.255.255.0".parse().unwrap());
        interface(IfAddr::V4(Ifv4Addr { ip, netmask, prefixlen: 24, broadcast: None }))
    }

    fn v6(ip: &str) -> Interface {
        let (ip, netmask) = (ip.parse().unwrap(), "ffff:ffff:ffff:ffff::".parse().unwrap());
        interface(IfAddr::V6(Ifv6Addr { ip, netmask, prefixlen: 64, broadcast: None }))
    }

    #[test]
    fn others_are_told_what_they_can_reach() {
        let all = [v6("2001:db8::5"), v4("127.0.0.1"), v4("10.0.0.5"), v4("169.254.1.1"), v6("fe80::1"), v6("::1")];
        let told = |listening: &str, advertise| told(listening.parse().unwrap(), advertise, &all);
        assert_eq!(told("0.0.0.0:99", None), ["10.0.0.5:99"]);
        assert_eq!(told("[::]:99", None), ["10.0.0.5:99", "[2001:db8::5]:99"]);
        assert_eq!(told("127.0.0.1:99", None), ["127.0.0.1:99"]);
        assert_eq!(told("0.0.0.0:99", Some("gpu2.example")), ["gpu2.example:99"]);
        assert_eq!(told("0.0.0.0:99", Some("gpu2.example:7879")), ["gpu2.example:7879"]);
        assert_eq!(told("0.0.0.0:99", Some("2001:db8::7")), ["[2001:db8::7]:99"]);
    }

    #[test]
    fn an_address_is_on_link_by_the_interfaces_networks() {
        let all = [v4("10.0.0.5"), v6("2001:db8::5")];
        for (ip, is) in [
            ("10.0.0.77", true),
            ("::ffff:10.0.0.77", true),
            ("10.0.1.77", false),
            ("2001:db8::9", true),
            ("2001:db8:0:1::9", false),
            ("127.0.0.9", true),
            ("8.8.8.8", false),
        ] {
            assert_eq!(next_to(ip.parse().unwrap(), &all), is, "{ip}");
        }
    }
}
