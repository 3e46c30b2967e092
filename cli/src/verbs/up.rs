//! `metaopt up`

use serde_json::json;

use crate::{
    context::Context,
    failure::Failure,
    json::{list, text},
    verbs::nodes::kinds,
};

/// Start the daemon of this machine
#[derive(Clone, Debug, clap::Args)]
pub struct Args {}

/// Starts it unless it runs, and says where it is.
pub fn run(_: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let nodes = client.get("/nodes")?;
    if context.out.json {
        return context.out.body(&json!({"url": client.url(), "nodes": nodes.get("items")}));
    }
    context.out.line(client.url())?;
    for node in list(&nodes, "items") {
        let state = context.out.talk.state(text(node, "state"));
        context.out.say(format!("{}  {state}  slots: {}", text(node, "name"), kinds(list(node, "slots"))));
    }
    Ok(())
}
