//! `metaopt node drain|resume|lost|remove NODE`

use clap::Subcommand;
use serde_json::json;

use crate::{
    client::segment,
    context::Context,
    failure::{Failure, NOT_FOUND},
    json::{list, text},
    nearest::nearest,
};

/// Drain, resume, give up or remove a machine
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done to a node.
#[derive(Clone, Debug, Subcommand)]
pub enum Action {
    /// Start nothing new there; what runs goes on
    Drain {
        /// The node's name or ID
        node: String,
    },
    /// Undo a drain
    Resume {
        /// The node's name or ID
        node: String,
    },
    /// It won't come back soon: give its trials to others now
    Lost {
        /// The node's name or ID
        node: String,
    },
    /// Take it out for good
    Remove {
        /// The node's name or ID
        node: String,
    },
}

/// Does it.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (verb, node, more, done) = match &args.action {
        Action::Drain { node } => ("POST", node, "/drain", "draining"),
        Action::Resume { node } => ("POST", node, "/resume", "resumed"),
        Action::Lost { node } => ("POST", node, "/lost", "given up:"),
        Action::Remove { node } => ("DELETE", node, "", "removed"),
    };
    let client = context.client()?;
    let body = (verb == "POST").then(|| json!({}));
    let answer = client.call(verb, &format!("/nodes/{}{more}", segment(node)), body.as_ref()).map_err(|failure| {
        if failure.code != NOT_FOUND {
            return failure;
        }
        let nodes = client.get("/nodes").unwrap_or_default();
        let failure = Failure { message: format!("there is no node `{node}`"), causes: Vec::new(), ..failure };
        match nearest(node, list(&nodes, "items").iter().map(|node| text(node, "name"))) {
            Some(near) => failure.hint(format!("did you mean `{near}`?")),
            None => failure.hint("`metaopt nodes` lists them"),
        }
    })?;
    if context.out.json {
        return context.out.body(&answer);
    }
    context.out.say(format!("{done} {node}"));
    Ok(())
}
