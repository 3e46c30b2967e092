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
    #[arg(long, value_name = "TIME", value_parser = open_for, num_args = 0..=1, default_missing_value = "10m")]
    pub open: Option<f64>,
    /// How long the code holds; a day at most
    #[arg(long, value_name = "TIME", value_parser = holds_for, default_value = "10m", conflicts_with = "open")]
    pub ttl: f64,
    /// End all invitations, open ones too
    #[arg(long, conflicts_with_all = ["open", "ttl"])]
    pub close: bool,
}

/// As the daemon takes it, in the units that were typed.
fn holds_for(text: &str) -> Result<f64, String> {
    between(text, 86_400.0, "a code holds for 10s to 24h")
}

fn open_for(text: &str) -> Result<f64, String> {
    between(text, 3600.0, "the door stands open for 10s to 1h")
}

fn between(text: &str, most: f64, words: &str) -> Result<f64, String> {
    seconds(text).and_then(|time| if (10.0..=most).contains(&time) { Ok(time) } else { Err(words.into()) })
}

/// Makes one; standard output has the code alone.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    if args.close {
        client.call("DELETE", "/cluster/invites", None)?;
        if context.out.json {
            return context.out.body(&json!({"closed": true}));
        }
        context.out.say("ended all invitations: nobody can join through this node now");
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
        None => {
            let cluster = context.client().and_then(|client| client.get("/cluster")).unwrap_or_default();
            context.out.say(no_address(&cluster, join));
        }
    }
}

/// What there is to do where no address can be named.
fn no_address(cluster: &Value, join: &str) -> String {
    let own = list(cluster, "nodes").iter().find(|node| text(node, "id") == text(cluster, "node"));
    let way = match own.is_some_and(|own| list(own, "slots").is_empty()) {
        true => {
            "it runs no trials and tells nobody where it listens: invite on another member, or bring the machine in by ssh: metaopt up HOST"
        }
        false => {
            "it knows no address by which others reach it: start its daemon with --advertise HOST, or bring the machine in by ssh: metaopt up HOST"
        }
    };
    match cluster.get("mdns").and_then(Value::as_bool) {
        Some(true) => format!("Machines on the same network find this one by `{join}`. For others {way}."),
        _ => format!("(Of this machine: {way})"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_no_daemon_takes_are_told_in_their_units() {
        assert_eq!((holds_for("24h"), open_for("10s")), (Ok(86_400.0), Ok(10.0)));
        assert_eq!(holds_for("2d"), Err("a code holds for 10s to 24h".into()));
        assert_eq!(open_for("2h"), Err("the door stands open for 10s to 1h".into()));
    }

    #[test]
    fn a_machine_without_an_address_is_found_on_its_network_all_the_same() {
        let cluster =
            |mdns: bool, slots: Value| json!({"node": "n", "mdns": mdns, "nodes": [{"id": "n", "slots": slots}]});
        let laptop = no_address(&cluster(true, json!([])), "metaopt join CODE");
        assert!(laptop.contains("same network find this one by `metaopt join CODE`"), "{laptop}");
        assert!(laptop.contains("on another member") && !laptop.contains("--advertise"), "{laptop}");
        let worker = no_address(&cluster(false, json!([{}])), "metaopt join CODE");
        assert!(worker.contains("--advertise HOST") && !worker.contains("same network"), "{worker}");
    }
}
