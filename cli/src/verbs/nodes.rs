//! `metaopt nodes`

use serde_json::Value;

use crate::{
    context::Context,
    failure::Failure,
    json::{list, some, text},
    render::{
        table::{Cell, Table},
        value,
    },
};

/// The machines and their slots
#[derive(Clone, Debug, clap::Args)]
pub struct Args {}

/// Lists the nodes. In a pipe: name, state, slots, busy slots, version, why.
pub fn run(_: Args, context: &Context) -> Result<(), Failure> {
    let body = context.client()?.get("/nodes")?;
    if context.out.json {
        return context.out.body(&body);
    }
    context.out.table(&table(list(&body, "items"), context))
}

fn table(nodes: &[Value], context: &Context) -> Table {
    let style = context.out.style;
    let mut table = Table::new(["node", "state", "slots", "busy", "version", "seen", "why"]);
    for node in nodes {
        let slots = list(node, "slots");
        let busy = slots.iter().filter(|slot| text(slot, "state") != "free").count();
        let seen = some(node, "last_seen").and_then(value::ago).map_or_else(String::new, |ago| format!("{ago} ago"));
        let why = some(node, "why").map(value::short).unwrap_or_default();
        table.row(vec![
            Cell::from(text(node, "name")).paint(|name| style.strong(name)),
            Cell::from(text(node, "state")).paint(|state| style.state(state)),
            Cell::from(kinds(slots)),
            Cell::from(busy.to_string()).right(),
            Cell::from(text(node, "version")),
            Cell::from(seen),
            Cell::from(why),
        ]);
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
