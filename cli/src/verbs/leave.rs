//! `metaopt leave`: for ever under this identity, so it asks first.

use std::time::{Duration, Instant};

use serde_json::json;

use super::join::names;
use crate::{
    ask,
    context::Context,
    failure::{FAILED, Failure},
    json::{list, text},
};

/// How long the daemon may take to begin anew.
const PATIENCE: Duration = Duration::from_secs(20);

/// Take this machine out of its cluster for ever; it starts anew with a fresh key and an empty history
///
/// The members keep all results; output files that nobody fetched go with it. Here the database is moved aside, not deleted.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Don't ask
    #[arg(long, short)]
    pub yes: bool,
    /// Leave also while no member can be told; then remove this machine on one of them (metaopt node remove)
    #[arg(long)]
    pub force: bool,
}

/// Leaves, and waits until the daemon is back as a node of its own.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let before = client.get("/cluster")?;
    let own = text(&before, "node").to_owned();
    let others: Vec<_> = list(&before, "nodes").iter().filter(|node| text(node, "id") != own).cloned().collect();
    let others = names(&others);
    // Alone, there is nothing to lose: the daemon says that there is nothing to leave.
    if !args.yes && !others.is_empty() {
        let question = format!(
            "Take this machine ({}) out of the cluster of {others} for ever? Its trials end here, output files that nobody fetched from \
             it (`metaopt pull`) are out of the others' reach then, its history is moved aside, and it starts anew with none.",
            text(&before, "name")
        );
        if !ask::yes(&question, "leaving the cluster for ever")? {
            context.out.say("stayed in the cluster");
            return Err(Failure::silent(FAILED));
        }
    }
    let body = if args.force { json!({"force": true}) } else { json!({}) };
    client.post("/cluster/leave", &body)?;
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(client) = context.place.running().unwrap_or_default()
            && let Ok(now) = client.get("/cluster")
            && text(&now, "node") != own
        {
            if context.out.json {
                return context.out.body(&now);
            }
            context.out.say("left the cluster: this machine is on its own again, with an empty history");
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(Failure::failed(format!("it is leaving, but the daemon was not back within {} s", PATIENCE.as_secs()))
        .hint("`metaopt up` starts it; `metaopt doctor` says what is wrong"))
}
