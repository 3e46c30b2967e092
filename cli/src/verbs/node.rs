//! `metaopt node drain|resume|lost|remove NODE`

use clap::Subcommand;
use serde_json::{Value, json};

use crate::{
    ask,
    client::segment,
    cluster::{begins, no_such},
    context::Context,
    failure::{FAILED, Failure, NOT_FOUND},
    json::{list, some, text},
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
        /// The node's name or ID, or the ID's first letters
        node: String,
    },
    /// Undo a drain
    Resume {
        /// The node's name or ID, or the ID's first letters
        node: String,
    },
    /// It won't come back soon: give its trials to others now, without waiting
    Lost {
        /// The node's name or ID, or the ID's first letters
        node: String,
    },
    /// Take it out for ever: it can't come back under its present identity
    Remove {
        /// The node's name or ID, or the ID's first letters
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
    let found = client.get(&format!("/nodes/{}", segment(node)));
    let id = match &found {
        Err(failure) if failure.code == NOT_FOUND => {
            let nodes = client.get("/nodes").unwrap_or_default();
            let nodes = list(&nodes, "items");
            Some(begins(nodes, node).ok_or_else(|| no_such(nodes, node))?)
        }
        _ => None,
    };
    let path = |more: &str| format!("/nodes/{}{more}", segment(id.as_deref().unwrap_or(node)));
    if let Action::Remove { yes: false, .. } = &args.action {
        // A slip in the name is told before anything is asked.
        let found = if id.is_some() { client.get(&path(""))? } else { found? };
        let question = format!(
            "Remove {} from the cluster for ever? Its running trials are given to others, output files that nobody fetched from it \
             (`metaopt pull`) are out of reach then, and it can't come back under this identity.",
            strip(text(&found, "name"))
        );
        if !ask::yes(&question, &format!("removing node `{node}` for ever"))? {
            context.out.say(format!("kept node {node}"));
            return Err(Failure::silent(FAILED));
        }
    }
    let body = (verb == "POST").then(|| json!({}));
    let answer = client.call(verb, &path(more), body.as_ref()).map_err(itself)?;
    if context.out.json {
        return context.out.body(&answer);
    }
    context.out.say(done(&args.action, &answer));
    Ok(())
}

/// What happened, and what it means.
fn done(action: &Action, answer: &Value) -> String {
    match action {
        Action::Drain { node } => format!(
            "draining {node}: it starts nothing new, and what runs there goes on (metaopt node resume {node} undoes this)"
        ),
        Action::Resume { node } if some(answer, "slots").is_some_and(|_| list(answer, "slots").is_empty()) => {
            format!("resumed {node}: it has no slots, so it runs no trials all the same")
        }
        Action::Resume { node } => format!("resumed {node}: it takes trials again"),
        Action::Lost { node } => format!(
            "given up {node}: its running trials are offered to others now; if it comes back after all, it is a member as before"
        ),
        Action::Remove { node, .. } => format!(
            "removed {node} for ever: no member talks to it any more; to come back it runs `metaopt leave`, then `metaopt join` with a fresh code"
        ),
    }
}

fn itself(failure: Failure) -> Failure {
    if failure.status == Some(409) && failure.message.contains("itself") {
        return failure.hint("`metaopt leave` takes the machine that you are at out of its cluster");
    }
    failure
}
