//! Multicast DNS: announces this node, and looks for others.
//!
//! Owns: what is announced, and when looking begins anew. Must not: be needed: without it nodes are named with `--peer`.
//!
//! No names of users, hosts or GPUs are announced. Instance and host are drawn at each start. A node that was killed
//! stays announced for two minutes, so what is found is an address to try and nothing more.

use std::{collections::BTreeMap, net::IpAddr, net::SocketAddr, sync::Arc, time::Duration};

use mdns_sd::{IfKind, Receiver, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use metaopt_core::wire::VERSIONS;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::{
    addresses::{interfaces, next_to, told},
    found::{Finding, PREFIX, announced, worth},
    inner::Inner,
};
use crate::data_dir::{hex, random};

const SERVICE: &str = "_metaopt._tcp.local.";
/// Longest values that are taken from an announcement.
const LONGEST: usize = 32;
/// How long a goodbye may take.
const LEAVE: Duration = Duration::from_millis(500);
/// Between two announcements. Who hears another one within a second of the last keeps both records (RFC 6762, 10.2), and
/// may go on with the old one; mdns-sd says each once more after a second.
const QUIET: Duration = Duration::from_millis(2500);

/// What is announced; a change of it is announced at once.
#[derive(Clone, PartialEq, Eq)]
struct Announcement {
    ips: Vec<IpAddr>,
    txt: BTreeMap<&'static str, String>,
}

/// When something is announced next.
#[derive(Default)]
struct Pace {
    last: Option<Instant>,
    /// What was announced last was a change: it is announced once more, for those who missed it.
    again: bool,
}

impl Pace {
    /// None: there is nothing to announce.
    fn due(&self, changed: bool, now: Instant) -> Option<Instant> {
        (changed || self.again).then(|| self.last.map_or(now, |last| now.max(last + QUIET)))
    }

    fn announced(&mut self, changed: bool, now: Instant) {
        *self = Self { last: Some(now), again: changed };
    }
}

/// Runs until the node stops. That it can't is a warning, once; it is tried again.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut said = false;
    while !inner.stopping.is_cancelled() {
        let failed = match ServiceDaemon::new_with_port(inner.limits().mdns_port) {
            Ok(daemon) => {
                let ended = announce_and_browse(&inner, &daemon).await;
                if let Ok(done) = daemon.shutdown() {
                    let _ = timeout(LEAVE, done.recv_async()).await;
                }
                ended.err()
            }
            Err(error) => Some(error.into()),
        };
        let Some(error) = failed else { return };
        if !said {
            said = true;
            tracing::warn!(%error, "mDNS doesn't work: nodes aren't found by themselves; name one with --peer HOST:PORT");
        }
        tokio::select! {
            () = inner.stopping.cancelled() => return,
            () = sleep(inner.limits().browse) => {}
        }
    }
}

async fn announce_and_browse(inner: &Inner, daemon: &ServiceDaemon) -> anyhow::Result<()> {
    let ip = inner.listening.ip();
    if ip.is_loopback() {
        daemon.disable_interface(IfKind::All)?;
        daemon.enable_interface(if ip.is_ipv4() { IfKind::LoopbackV4 } else { IfKind::LoopbackV6 })?;
    } else {
        daemon.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
        if ip.is_ipv4() {
            daemon.disable_interface(IfKind::IPv6)?;
        }
    }
    let name = hex(&random::<8>()?);
    let (mut said, mut pace, mut due) = (None, Pace::default(), None);
    let mut browsing = daemon.browse(SERVICE)?;
    let mut began = Instant::now();
    let mut ticks = interval(inner.limits().interfaces);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = inner.stopping.cancelled() => break,
            _ = ticks.tick() => {}
            () = inner.announce.notified() => {}
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            event = browsing.recv_async() => {
                match event {
                    Ok(event) => hear(inner, &name, event),
                    // Its channel overflowed.
                    Err(_) => {
                        sleep(Duration::from_secs(1)).await;
                        browsing = again(daemon)?;
                    }
                }
                continue;
            }
        }
        let (now, what) = (Instant::now(), announcement(inner));
        let changed = said != what;
        due = pace.due(changed, now);
        if due.is_some_and(|due| due <= now) {
            announce(daemon, inner, &name, what.as_ref())?;
            pace.announced(changed, now);
            said = what;
            due = pace.due(false, now);
        }
        if began.elapsed() >= inner.limits().browse {
            began = Instant::now();
            browsing = again(daemon)?;
        }
    }
    let _ = daemon.unregister(&format!("{name}.{SERVICE}"));
    Ok(())
}

fn again(daemon: &ServiceDaemon) -> anyhow::Result<Receiver<ServiceEvent>> {
    daemon.stop_browse(SERVICE)?;
    Ok(daemon.browse(SERVICE)?)
}

/// None: nothing. A node that only dials out is to be found while it invites.
fn announcement(inner: &Inner) -> Option<Announcement> {
    let inviting = !inner.invites().list(Instant::now()).is_empty();
    if inner.config.dials_only && !inviting {
        return None;
    }
    let addresses = told(inner.listening, None, &interfaces());
    let ips = addresses.iter().filter_map(|address| Some(address.parse::<SocketAddr>().ok()?.ip())).collect();
    let prefix: String = inner.config.node.as_str().chars().take(PREFIX).collect();
    let mut txt = BTreeMap::from([("v", VERSIONS.end().to_string()), ("c", inner.announced_tag()), ("n", prefix)]);
    if inviting {
        txt.insert("o", "1".into());
    }
    Some(Announcement { ips, txt })
}

fn announce(daemon: &ServiceDaemon, inner: &Inner, name: &str, now: Option<&Announcement>) -> anyhow::Result<()> {
    let Some(now) = now else {
        daemon.unregister(&format!("{name}.{SERVICE}"))?;
        return Ok(());
    };
    if now.ips.is_empty() {
        return Ok(());
    }
    let txt: Vec<(&str, &str)> = now.txt.iter().map(|(key, value)| (*key, &**value)).collect();
    let host = format!("{name}.local.");
    let mut info = ServiceInfo::new(SERVICE, name, &host, &now.ips[..], inner.listening.port(), &txt[..])?;
    // Its name is random: asking whether somebody has it would only take time.
    info.set_requires_probe(false);
    daemon.register(info)?;
    Ok(())
}

fn hear(inner: &Inner, own: &str, event: ServiceEvent) {
    match event {
        ServiceEvent::ServiceResolved(service) if !service.fullname.starts_with(own) => {
            if let Some(finding) = finding(inner, &service) {
                let fresh = inner.found().put(&service.fullname, finding, Instant::now());
                if fresh {
                    inner.dials.wake();
                }
            }
        }
        ServiceEvent::ServiceRemoved(_, name) => inner.found().remove(&name),
        _ => {}
    }
}

fn finding(inner: &Inner, service: &ResolvedService) -> Option<Finding> {
    let value = |key| service.get_property_val_str(key).filter(|value| value.len() <= LONGEST).map(ToOwned::to_owned);
    let around = interfaces();
    let here = inner.listening.ip().is_loopback();
    let near = |ip: IpAddr| if here { ip.is_loopback() } else { !ip.is_loopback() && next_to(ip, &around) };
    let addresses = worth(service.addresses.iter().map(|ip| ip.to_ip_addr()), service.port, &near);
    let open = value("o").is_some_and(|open| open == "1");
    let (tag, prefix) = (value("c")?, value("n").filter(|prefix| prefix.len() == PREFIX)?);
    (!addresses.is_empty()).then_some(Finding { addresses, tag, prefix, open })
}

/// The tag that others see of this node's cluster.
impl Inner {
    pub(super) fn announced_tag(&self) -> String {
        // A fleet's nodes find each other before they have a cluster in common.
        announced(&self.fleet.map_or_else(|| self.tag(), |(_, tag)| tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_waits_until_the_last_is_old_and_is_said_twice() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let later = |seconds: f64| start + Duration::from_secs_f64(seconds);
        assert_eq!((pace.due(false, start), pace.due(true, start)), (None, Some(start)));
        pace.announced(true, start);
        // Closed and opened again half a second later.
        assert_eq!(pace.due(true, later(0.5)), Some(start + QUIET));
        pace.announced(true, start + QUIET);
        assert_eq!(pace.due(false, later(2.6)), Some(start + 2 * QUIET));
        pace.announced(false, start + 2 * QUIET);
        assert_eq!(pace.due(false, later(60.0)), None, "no more often");
        assert_eq!(pace.due(true, later(60.0)), Some(later(60.0)));
    }
}
