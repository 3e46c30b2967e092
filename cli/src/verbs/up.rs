//! `metaopt up [HOST…]`

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{invite, join, nodes};
use crate::{
    ask,
    client::Client,
    cluster::{self, kinds, members, remarks},
    context::Context,
    failure::{FAILED, Failure},
    json::{list, text},
    output::Output,
    remote::{
        Host, Ssh,
        bring::{Outcome, Plan, port},
    },
    render::style::Style,
};

/// Machines that are brought up at once where nobody has to be asked.
const AT_ONCE: usize = 16;
/// How long new members may take to tell their slots.
const SETTLE: Duration = Duration::from_secs(5);

/// Start the daemon of this machine; with HOSTs: bring metaopt to them over your own ssh, and have them join
///
/// ssh is used as you have set it up (~/.ssh/config, agent, passwords); METAOPT_SSH="ssh -p 2222" uses another command. Where
/// metaopt is missing or older it is copied to ~/.local/bin there. Members can run commands on every member.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// As ssh knows them: gpu2, me@10.0.0.4
    #[arg(value_name = "HOST", value_parser = Host::read)]
    pub hosts: Vec<Host>,
    /// What the machine is called: the HOST, or this one where none is given
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

/// Starts what doesn't run, and says where it is. Exit code 1 where a machine could not be brought up.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    if let Some(name) = &args.name {
        check(name, args.hosts.len())?;
    }
    if args.hosts.is_empty() {
        return here(args.name, context);
    }
    let client = context.client()?.clone();
    let out = context.out;
    let cluster = client.get("/cluster")?;
    if cluster.get("peers_address").is_none_or(Value::is_null) {
        return Err(Failure::failed("this daemon listens for no other machines").hint("`metaopt doctor` says why"));
    }
    let attended = ask::possible();
    let plan = Plan {
        ssh: Ssh::from_env(attended)?,
        client: client.clone(),
        node: text(&cluster, "node").to_owned(),
        port: port(&cluster),
        addresses: list(&cluster, "addresses").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        name: args.name,
        programs: OnceLock::new(),
    };
    let at_once = if attended { 1 } else { AT_ONCE };
    let mut done: Vec<(Host, Result<Outcome, Failure>)> = Vec::new();
    for hosts in args.hosts.chunks(at_once) {
        let results: Vec<_> = std::thread::scope(|scope| {
            let started: Vec<_> = hosts.iter().map(|host| scope.spawn(|| one(&plan, host, out))).collect();
            let ended = |handle: std::thread::ScopedJoinHandle<'_, _>| {
                handle.join().unwrap_or_else(|_| Err(Failure::failed("an inner error ended this")))
            };
            started.into_iter().map(ended).collect()
        });
        done.extend(hosts.iter().cloned().zip(results));
    }
    finish(&done, &client, context)
}

fn one(plan: &Plan, host: &Host, out: Output) -> Result<Outcome, Failure> {
    let begun = Instant::now();
    let tell = |step: &str| {
        if !out.json {
            out.say(format!("{}: {step}", host.as_str()));
        }
    };
    let result = plan.bring(host, &tell);
    let style = out.talk;
    match &result {
        Ok(Outcome::Joined) => {
            tell(&format!("{} in {}", style.good("joined"), crate::render::value::duration(begun.elapsed())));
        }
        Ok(Outcome::Member) => tell(&format!("{} already", style.good("a member"))),
        Err(failure) => tell(failure.text(style).trim_end()),
    }
    result
}

/// What is the same in each: the table of nodes, remarks, and the exit code.
fn finish(done: &[(Host, Result<Outcome, Failure>)], client: &Client, context: &Context) -> Result<(), Failure> {
    if done.iter().any(|(_, result)| *result == Ok(Outcome::Joined)) {
        settle(client)?;
    }
    let cluster = client.get("/cluster")?;
    let all = list(&cluster, "nodes");
    let failed: Vec<&str> = done.iter().filter(|(_, result)| result.is_err()).map(|(host, _)| host.as_str()).collect();
    if context.out.json {
        let hosts: Vec<Value> = done
            .iter()
            .map(|(host, result)| {
                let (state, why) = match result {
                    Ok(Outcome::Joined) => ("joined", None),
                    Ok(Outcome::Member) => ("member", None),
                    Err(failure) => ("failed", Some(failure.text(Style::plain()))),
                };
                json!({"host": host.as_str(), "state": state, "why": why})
            })
            .collect();
        context.out.body(&json!({"url": client.url(), "nodes": all, "hosts": hosts}))?;
    } else {
        nodes::show(&members(all).cloned().collect::<Vec<_>>(), context)?;
        for remark in remarks(&cluster) {
            context.out.say(remark);
        }
        if !failed.is_empty() {
            context.out.say(format!(
                "{} of {} machines could not be brought up: {}",
                failed.len(),
                done.len(),
                failed.join(", ")
            ));
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::silent(FAILED)) }
}

/// Waits until new members told their slots, or a while.
fn settle(client: &Client) -> Result<(), Failure> {
    let until = Instant::now() + SETTLE;
    while Instant::now() < until {
        let nodes = client.get("/nodes")?;
        if members(list(&nodes, "items"))
            .all(|node| !text(node, "version").is_empty() && !list(node, "slots").is_empty())
        {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn here(name: Option<String>, context: &Context) -> Result<(), Failure> {
    let client = join::prepare(&join::Settings { name, no_worker: false }, context)?;
    let body = client.get("/nodes")?;
    if context.out.json {
        return context.out.body(&json!({"url": client.url(), "nodes": body.get("items")}));
    }
    context.out.line(client.url())?;
    for node in list(&body, "items") {
        let state = context.out.talk.state(text(node, "state"));
        context.out.say(format!("{}  {state}  slots: {}", cluster::name(node), kinds(list(node, "slots"))));
    }
    invite::remind(&client.get("/cluster").unwrap_or_default(), context);
    Ok(())
}

/// A name as the daemon takes it, before anything is done with it.
fn check(name: &str, hosts: usize) -> Result<(), Failure> {
    if hosts > 1 {
        return Err(Failure::usage(format!("--name {name} can't be the name of {hosts} machines"))
            .hint("bring them up one after the other, or leave --name out: each then has its host's name"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > 63 || !name.chars().all(plain) {
        return Err(Failure::usage(format!("--name {name}: should be 1 to 63 letters, digits, `-`, `_` or `.`")));
    }
    Ok(())
}
