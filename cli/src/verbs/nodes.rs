//! `metaopt nodes`

use serde_json::Value;

use crate::{
    cluster::{and, remarks, table, whys},
    context::Context,
    failure::Failure,
    json::list,
    render::style::terminal_width,
};

/// The machines of the cluster: state, slots, trials, when they were last heard, where they are reached
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Start no daemon: exit code 3 where none runs
    #[arg(long)]
    pub no_start: bool,
}

/// Lists the nodes. In a pipe: name, state, busy/all slots, trials, seen, address, version, kinds of slots, ID, why. What is wrong
/// is said below, with the fix.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    if args.no_start && context.place.running()?.is_none() {
        return Err(Failure::no_daemon("no daemon runs here").hint("`metaopt up` starts one"));
    }
    let body = context.client()?.get("/nodes")?;
    let cluster = context.client()?.get("/cluster").unwrap_or_default();
    if context.out.json {
        // Which of them this machine is.
        let mut body = body;
        body["node"] = cluster.get("node").cloned().unwrap_or_default();
        return context.out.body(&body);
    }
    let nodes = list(&body, "items");
    show(nodes, context)?;
    for remark in remarks(&cluster) {
        context.out.say(remark);
    }
    Ok(())
}

/// The table, and below it in a terminal what is said of each node.
pub fn show(nodes: &[Value], context: &Context) -> Result<(), Failure> {
    let table = table(nodes, context.out.style, context.out.terminal);
    context.out.table(&table)?;
    if context.out.terminal {
        let left_out = table.left_out(terminal_width());
        if !left_out.is_empty() {
            context.out.hint(format!("too narrow for {}: `metaopt nodes --json` has all", and(left_out)));
        }
        for why in whys(nodes) {
            context.out.say(why);
        }
    }
    Ok(())
}
