//! `metaopt invite [--open [TIME]] [--ttl TIME] [--close]`

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    cli::seconds,
    cluster,
    context::Context,
    failure::Failure,
    json::{list, some, text},
    render::value,
};

/// Let another machine join this one's cluster: prints a code that is good once
///
/// Whoever joins can run commands on every member, as that member's user.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Let any machine of this network join without a code for so long [default: 10m; an hour at most]
    #[arg(long, value_name = "TIME", value_parser = seconds, num_args = 0..=1, default_missing_value = "10m")]
    pub open: Option<f64>,
    /// How long the code holds
    #[arg(long, value_name = "TIME", value_parser = seconds, default_value = "10m", conflicts_with = "open")]
    pub ttl: f64,
    /// End all invitations, open ones too
    #[arg(long, conflicts_with_all = ["open", "ttl"])]
    pub close: bool,
}

/// Makes one; standard output has the code alone.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    if args.close {
        client.call("DELETE", "/cluster/invites", None)?;
        if !context.out.json {
            context.out.say("ended all invitations: nobody can join through this node now");
        }
        return Ok(());
    }
    let body = match args.open {
        Some(ttl_s) => json!({"open": true, "ttl_s": ttl_s}),
        None => json!({"open": false, "ttl_s": args.ttl}),
    };
    let invitation = client.post("/cluster/invites", &body)?;
    if context.out.json {
        return context.out.body(&invitation);
    }
    match some(&invitation, "code") {
        Some(code) => say_code(&value::exact(code), args.ttl, &invitation, context),
        None => say_open(args.open.unwrap_or(args.ttl), &invitation, context),
    }
}

fn say_code(code: &str, ttl: f64, invitation: &Value, context: &Context) -> Result<(), Failure> {
    let out = context.out;
    let left = minutes(ttl);
    out.line(out.style.strong(code))?;
    out.say(format!("For one machine, within {left}. On it, type:"));
    out.say(format!("    metaopt join {code}"));
    say_addresses(invitation, &format!("metaopt join {code}"), context);
    out.say("Whoever joins can run commands on every member of this cluster.");
    Ok(())
}

fn say_open(ttl: f64, invitation: &Value, context: &Context) -> Result<(), Failure> {
    let out = context.out;
    let left = minutes(ttl);
    out.line(text(invitation, "expires_at"))?;
    out.say(format!(
        "{} for {left} ANY machine of this network can join without a code, and then run commands here and on every member.",
        out.talk.warn("open:")
    ));
    out.say("On the other machine, type:");
    out.say("    metaopt join");
    say_addresses(invitation, "metaopt join", context);
    out.say("`metaopt invite --close` ends this at once.");
    Ok(())
}

fn say_addresses(invitation: &Value, join: &str, context: &Context) {
    match list(invitation, "addresses").first() {
        Some(address) => {
            context.out.say("or, where the network passes no multicast (AWS and other clouds, other subnets):");
            context.out.say(format!("    {join} --peer {}", value::short(address)));
        }
        None => context.out.say(
            "(This machine knows no address by which others reach it: start its daemon with --advertise HOST, or join by ssh: metaopt up HOST)",
        ),
    }
}

/// `10 minutes`, or with seconds where they matter.
fn minutes(seconds: f64) -> String {
    match seconds {
        60.0 => "one minute".into(),
        whole if whole % 60.0 == 0.0 && whole < 3600.0 => format!("{} minutes", whole / 60.0),
        other => value::duration(Duration::from_secs_f64(other)),
    }
}

/// A reminder that the door is open, where it is.
pub fn remind(cluster: &Value, context: &Context) {
    if let Some(open) = cluster::open(cluster) {
        context.out.say(format!("{} {open}", context.out.talk.warn("open:")));
    }
}
