//! `metaopt node drain|resume|lost|remove NODE`

use clap::Subcommand;
use serde_json::{Value, json};

use crate::{
    ask,
    client::{Client, segment},
    cluster::meant,
    context::Context,
    failure::{FAILED, Failure, NOT_FOUND},
    json::{list, text},
    render::strip::strip,
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
    /// It won't come back soon: give its trials to others now, without waiting
    Lost {
        /// The node's name or ID
        node: String,
    },
    /// Take it out for ever: it can't come back under its present identity
    Remove {
        /// The node's name or ID
        node: String,
        /// Don't ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Does it.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let (verb, node, more) = match &args.action {
        Action::Drain { node } => ("POST", node, "/drain"),
        Action::Resume { node } => ("POST", node, "/resume"),
        Action::Lost { node } => ("POST", node, "/lost"),
        Action::Remove { node, .. } => ("DELETE", node, ""),
    };
    let client = context.client()?;
    let path = |more: &str| format!("/nodes/{}{more}", segment(node));
    if let Action::Remove { yes: false, .. } = &args.action {
        // A slip in the name is told before anything is asked.
        let found = client.get(&path("")).map_err(|failure| unknown(failure, node, client))?;
        let question = format!(
            "Remove {} from the cluster for ever? Its running trials are given to others, and it can't come back under this identity.",
            strip(text(&found, "name"))
        );
        if !ask::yes(&question, &format!("removing node `{node}` for ever"))? {
            context.out.say(format!("kept node {node}"));
            return Err(Failure::silent(FAILED));
        }
    }
    let body = (verb == "POST").then(|| json!({}));
    let answer = client.call(verb, &path(more), body.as_ref()).map_err(|failure| unknown(failure, node, client))?;
    if context.out.json {
        return context.out.body(&answer);
    }
    context.out.say(done(&args.action));
    Ok(())
}

/// What happened, and what it means.
fn done(action: &Action) -> String {
    match action {
        Action::Drain { node } => format!(
            "draining {node}: it starts nothing new, and what runs there goes on (metaopt node resume {node} undoes this)"
        ),
        Action::Resume { node } => format!("resumed {node}: it takes trials again"),
        Action::Lost { node } => format!(
            "given up {node}: its running trials are offered to others now; if it comes back after all, it is a member as before"
        ),
        Action::Remove { node, .. } => format!(
            "removed {node} for ever: no member talks to it any more; to come back it runs `metaopt leave`, then `metaopt join` with a fresh code"
        ),
    }
}

fn unknown(failure: Failure, node: &str, client: &Client) -> Failure {
    if failure.status == Some(409) && failure.message.contains("itself") {
        return failure.hint("`metaopt leave` takes the machine that you are at out of its cluster");
    }
    if failure.code != NOT_FOUND {
        return failure;
    }
    let nodes: Value = client.get("/nodes").unwrap_or_default();
    let failure = Failure { message: format!("there is no node `{node}`"), causes: Vec::new(), ..failure };
    match meant(list(&nodes, "items"), node) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure.hint("`metaopt nodes` lists them"),
    }
}
