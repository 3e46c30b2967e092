//! What people should know of their cluster, in words with the fix.
//!
//! Owns: the sentences below the table of nodes. Must not: talk to the daemon.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    failure::Failure,
    json::{list, some, text},
    nearest::nearest,
    render::{strip::strip, style::Style, table::Cell, table::Table, value},
};

/// Fewest letters of an ID that stand for it.
const PREFIX: usize = 4;

/// The members that weren't removed.
pub fn members(nodes: &[Value]) -> impl Iterator<Item = &Value> {
    nodes.iter().filter(|node| text(node, "state") != "removed")
}

/// What a node is called: one that was just let in has only an ID until it says more.
pub fn name(node: &Value) -> &str {
    match text(node, "name") {
        "" => text(node, "id"),
        name => name,
    }
}

/// The table of nodes. `why` stands in it in pipes only: below it in terminals, where there is room for it.
pub fn table(nodes: &[Value], style: Style, terminal: bool) -> Table {
    let mut heads = vec!["node", "state", "busy", "trials", "seen", "address", "version", "kinds", "id"];
    if !terminal {
        heads.push("why");
    }
    let mut table = Table::new(heads);
    let mut nodes: Vec<&Value> = nodes.iter().collect();
    nodes.sort_by_key(|node| (name(node), text(node, "id")));
    for node in nodes {
        let slots = list(node, "slots");
        let seen = some(node, "last_seen").and_then(value::ago).map_or_else(String::new, |ago| format!("{ago} ago"));
        let address = list(node, "addresses").first().map(value::short).unwrap_or_default();
        let mut row = vec![
            Cell::from(name(node)).paint(|name| style.strong(name)),
            Cell::from(text(node, "state")).paint(|state| style.state(state)),
            Cell::from(format!("{}/{}", busy(slots), slots.len())).right(),
            Cell::from(trials(slots).to_string()).right(),
            Cell::from(seen).right(),
            Cell::from(address),
            Cell::from(text(node, "version")),
            Cell::from(kinds(slots)),
            Cell::from(text(node, "id")).paint(|id| style.faint(id)),
        ];
        if !terminal {
            row.push(Cell::from(some(node, "why").map(value::short).unwrap_or_default()));
        }
        table.row(row);
    }
    table
}

/// `2 gpu, 4 cpu`
pub fn kinds(slots: &[Value]) -> String {
    let count = |kind: &str| slots.iter().filter(|slot| text(slot, "kind") == kind).count();
    let parts: Vec<String> =
        ["gpu", "cpu"].iter().filter(|kind| count(kind) > 0).map(|kind| format!("{} {kind}", count(kind))).collect();
    if parts.is_empty() { "none".into() } else { parts.join(", ") }
}

fn busy(slots: &[Value]) -> usize {
    slots.iter().filter(|slot| text(slot, "state") != "free").count()
}

/// Different trials on these slots: one may hold several.
fn trials(slots: &[Value]) -> usize {
    let ids: std::collections::BTreeSet<&str> =
        slots.iter().flat_map(|slot| list(slot, "trials")).map(|trial| text(trial, "id")).collect();
    ids.len()
}

/// `3 nodes: gpu1 and gpu2 alive, laptop suspect; 5 of 12 slots busy`; none where there is one node.
pub fn summary(nodes: &[Value]) -> Option<String> {
    let mut nodes: Vec<&Value> = members(nodes).collect();
    nodes.sort_by_key(|node| (name(node), text(node, "id")));
    if nodes.len() < 2 {
        return None;
    }
    let mut states: BTreeMap<(usize, &str), Vec<String>> = BTreeMap::new();
    let order = ["alive", "draining", "suspect", "quarantined", "lost"];
    for node in &nodes {
        let state = text(node, "state");
        let at = order.iter().position(|known| *known == state).unwrap_or(order.len());
        states.entry((at, state)).or_default().push(strip(name(node)));
    }
    let states: Vec<String> = states
        .into_iter()
        .map(|((_, state), names)| match names.len() {
            0..=8 => format!("{} {state}", and(&names)),
            n => format!("{n} {state}"),
        })
        .collect();
    let slots: Vec<Value> = nodes.iter().flat_map(|node| list(node, "slots")).cloned().collect();
    let slots = format!("{} of {} slots busy", busy(&slots), slots.len());
    Some(format!("{} nodes: {}; {slots}", nodes.len(), states.join(", ")))
}

/// `a`, `a and b`, `a, b and c`
pub fn and(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// What each node says of itself, or is said of it: `gpu2: its clock is 40 s behind`.
pub fn whys(nodes: &[Value]) -> Vec<String> {
    members(nodes)
        .filter_map(|node| {
            let why = strip(&value::short(some(node, "why")?)).replace('\n', " ");
            let fix = if why.contains("clock is") && !why.contains("NTP") {
                " (set its clock, for instance with `timedatectl set-ntp true` there)"
            } else {
                ""
            };
            Some(format!("{}: {why}{fix}", strip(name(node))))
        })
        .collect()
}

/// Further remarks: names that several have, versions that differ, addresses that don't answer, an open door. Each with
/// the way out.
pub fn remarks(cluster: &Value) -> Vec<String> {
    let nodes = list(cluster, "nodes");
    let mut out: Vec<String> = removed_here(cluster).into_iter().collect();
    let mut named: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for node in members(nodes) {
        named.entry(name(node)).or_default().push(text(node, "id").to_owned());
    }
    // Newer nodes say so themselves, each beside its name.
    let said = members(nodes).any(|node| text(node, "why").contains("same name"));
    for (name, ids) in named.into_iter().filter(|(_, ids)| ids.len() > 1 && !said) {
        out.push(format!(
            "{} nodes are called `{}` ({}): set `name = \"…\"` in the metaopt.toml of one, and start its daemon again",
            ids.len(),
            strip(name),
            and(&ids)
        ));
    }
    let ours = text(cluster, "version");
    for node in members(nodes).filter(|node| {
        let theirs = text(node, "version");
        !theirs.is_empty() && !ours.is_empty() && theirs != ours
    }) {
        let (called, theirs) = (strip(name(node)), strip(text(node, "version")));
        let older = if older(&theirs, ours) { called.as_str() } else { "this node" };
        out.push(format!("{called} runs metaopt {theirs}, this node {ours}: install the newer one on {older}"));
    }
    out.extend(troubles(cluster));
    out.extend(open(cluster));
    out
}

/// That this machine itself is out.
pub fn removed_here(cluster: &Value) -> Option<String> {
    let me = list(cluster, "nodes").iter().find(|node| text(node, "id") == text(cluster, "node"))?;
    (text(me, "state") == "removed").then(|| {
        "this machine was removed from its cluster for ever: `metaopt leave` makes it a node of its own again"
            .to_owned()
    })
}

/// Who can't be linked with, and why, where it doesn't stand beside a node of the list: a node that is no member, say.
pub fn troubles(cluster: &Value) -> Vec<String> {
    let listed: Vec<&str> = list(cluster, "nodes").iter().map(|node| text(node, "id")).collect();
    let all = list(cluster, "troubles").iter();
    let other = all.filter(|trouble| some(trouble, "node").is_none() || !listed.contains(&text(trouble, "node")));
    other
        .map(|trouble| {
            let since =
                some(trouble, "since").and_then(value::ago).map_or_else(String::new, |ago| format!(" (for {ago})"));
            let why = strip(text(trouble, "why")).replace('\n', " ");
            let who = [text(trouble, "address"), text(trouble, "node")].into_iter().find(|who| !who.is_empty());
            match who.map(strip).filter(|who| !why.contains(who)) {
                Some(who) => format!("{who}: {why}{since}"),
                None => format!("{why}{since}"),
            }
        })
        .collect()
}

/// That the door stands open, if it does.
pub fn open(cluster: &Value) -> Option<String> {
    let until = some(cluster, "open_until")?;
    let left = value::ago(until).unwrap_or_default();
    Some(format!(
        "for {left} more any machine of this network can join through this node, and run commands here: \
         `metaopt invite --close` ends that"
    ))
}

/// Whether `a` is an older version than `b`; what can't be read is older than nothing.
pub fn older(a: &str, b: &str) -> bool {
    let read = |text: &str| -> Option<Vec<u64>> {
        text.split(['-', '+']).next()?.split('.').map(|part| part.parse().ok()).collect()
    };
    matches!((read(a), read(b)), (Some(a), Some(b)) if a < b)
}

/// That there is no node of that name or ID, with the one that was meant.
pub fn no_such(nodes: &[Value], typed: &str) -> Failure {
    let failure = Failure::not_found(format!("there is no node `{typed}`"));
    match nearest(typed, members(nodes).map(name)) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint("`metaopt nodes` lists them"),
    }
}

/// The one node whose ID begins so.
pub fn begins(nodes: &[Value], typed: &str) -> Option<String> {
    let mut found = nodes.iter().map(|node| text(node, "id")).filter(|id| id.starts_with(typed));
    let first = found.next().filter(|_| typed.len() >= PREFIX)?;
    found.next().is_none().then(|| first.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str, state: &str, version: &str) -> Value {
        json!({"id": format!("id-{name}-{state}"), "name": name, "state": state, "version": version, "addresses": ["10.0.0.4:7879"],
            "last_seen": "2026-01-01T00:00:00Z", "why": null, "slots": [
                {"id": "g", "kind": "gpu", "state": "busy", "trials": [{"id": "t1", "share": 1.0}]},
                {"id": "h", "kind": "gpu", "state": "busy", "trials": [{"id": "t1", "share": 1.0}]},
                {"id": "cpu-0", "kind": "cpu", "state": "free", "trials": []}]})
    }

    #[test]
    fn a_row_has_what_people_ask_for() {
        let mut node = node("gpu1", "alive", "0.1.0");
        node["why"] = json!("a\nb");
        let tabs = table(&[node.clone()], Style::plain(), false).tabs();
        let cells: Vec<&str> = tabs.trim_end().split('\t').collect();
        assert_eq!(cells[..4], ["gpu1", "alive", "2/3", "1"]);
        assert_eq!(cells[5..], ["10.0.0.4:7879", "0.1.0", "2 gpu, 1 cpu", "id-gpu1-alive", "a b"]);
        let shown = table(&[node], Style::plain(), true).aligned(200, str::to_owned);
        assert!(!shown.contains("why") && shown.contains("gpu1"), "{shown}");
    }

    #[test]
    fn several_nodes_are_summed_up_and_one_is_not() {
        let nodes =
            [node("a", "alive", "1"), node("b", "lost", "1"), node("c", "alive", "1"), node("d", "removed", "1")];
        assert_eq!(summary(&nodes).unwrap(), "3 nodes: a and c alive, b lost; 6 of 9 slots busy");
        assert_eq!(summary(&nodes[2..]), None);
        let seen_by =
            |me: &str| removed_here(&json!({"node": me, "nodes": [{"id": "x", "state": "removed"}, {"id": "y"}]}));
        assert!(seen_by("x").unwrap().contains("`metaopt leave`") && seen_by("y").is_none());
    }

    #[test]
    fn remarks_name_the_fix() {
        let troubles = json!([{"node": null, "address": "10.0.0.9:7879", "why": "no answer", "since": "2026-01-01T00:00:00Z"},
            {"node": "id-old-alive", "address": "10.0.0.5:7879", "why": "told beside the node", "since": "2026-01-01T00:00:00Z"},
            {"node": "x", "address": "10.0.0.6:7879", "why": "this node is no member there", "since": "2026-01-01T00:00:00Z"}]);
        let nodes =
            json!([node("box", "alive", "0.1.0"), node("box", "suspect", "0.1.0"), node("old", "alive", "0.0.9")]);
        let cluster =
            json!({"version": "0.1.0", "nodes": nodes, "troubles": troubles, "open_until": "2999-01-01T00:00:00Z"});
        let said = remarks(&cluster);
        assert_eq!(said.len(), 5, "{said:#?}");
        assert!(
            said[0].contains("2 nodes are called `box` (id-box-alive and id-box-suspect)")
                && said[0].contains("metaopt.toml")
        );
        assert_eq!(said[1], "old runs metaopt 0.0.9, this node 0.1.0: install the newer one on old");
        assert!(said[2].starts_with("10.0.0.9:7879: no answer (for "), "{}", said[2]);
        assert!(said[3].starts_with("10.0.0.6:7879: this node is no member there (for "), "{}", said[3]);
        assert!(said[4].contains("run commands here") && said[4].contains("metaopt invite --close"));
    }

    #[test]
    fn an_id_may_be_cut_short_where_one_alone_begins_so() {
        let nodes = [json!({"id": "abcd1111"}), json!({"id": "abcd2222"}), json!({"id": "zbcd2222"})];
        assert_eq!(begins(&nodes, "abcd2").as_deref(), Some("abcd2222"));
        assert_eq!([begins(&nodes, "abcd"), begins(&nodes, "zbc"), begins(&nodes, "xxxx")], [None, None, None]);
    }

    #[test]
    fn versions_have_an_order() {
        assert!(older("0.1.0", "0.2.0") && older("0.9.0", "0.10.0") && older("1", "1.0.1"));
        assert!(!older("0.2.0", "0.1.0") && !older("0.1.0", "0.1.0") && !older("x", "1") && !older("1.0.0", "next"));
    }

    #[test]
    fn a_wrong_clock_comes_with_the_way_to_set_it() {
        let mut late = node("late", "alive", "1");
        late["why"] = json!("its clock is 40 s behind");
        assert!(whys(&[late])[0].contains("timedatectl set-ntp true"));
    }
}
