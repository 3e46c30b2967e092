//! `metaopt join [CODE] [--peer HOST:PORT]… [--no-worker]`

use std::{
    io::Read,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::nodes;
use crate::{
    ask,
    client::{Client, restart},
    cluster::{and, members, name, older, remarks, troubles, whys},
    context::Context,
    failure::{Doing, Failure},
    interrupt,
    json::{list, some, text},
    render::strip::strip,
    settings,
};

/// How long the history may take to arrive before the command ends without it; it goes on arriving.
const HISTORY: Duration = Duration::from_secs(30);
/// Nothing new for so long: it has arrived.
const QUIET: Duration = Duration::from_millis(1500);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(150);

/// Make this machine a member of another one's cluster; what it knows already goes along
///
/// Any member can run commands on every member. Without a code it joins a cluster of this network that lets everybody in
/// now (`metaopt invite --open` there).
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// As `metaopt invite` printed it on a member; its parts may be words of their own
    #[arg(value_name = "CODE", conflicts_with = "code_stdin")]
    pub code: Vec<String>,
    /// The member to join through, where the network passes no multicast; repeatable: the first that answers
    #[arg(long = "peer", value_name = "HOST:PORT")]
    pub peers: Vec<String>,
    /// Run no trials here: a machine to look and submit from. Kept in metaopt.toml
    #[arg(long)]
    pub no_worker: bool,
    /// What this machine is called. Kept in metaopt.toml
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Read the code from standard input, so that it stands in no list of processes
    #[arg(long)]
    pub code_stdin: bool,
}

/// Joins, waits for the history, and prints the members.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let mut code = match args.code_stdin {
        true => Some(read_code()?),
        false => Some(args.code.join("-")).filter(|code| !code.is_empty()),
    };
    let client = prepare(&Settings { name: args.name.clone(), no_worker: args.no_worker }, context)?;
    let say = |text: String| {
        if !context.out.json {
            context.out.say(text);
        }
    };
    let before = client.list("/studies", usize::MAX)?;
    let joined = loop {
        match try_peers(&client, code.as_deref(), &args.peers) {
            Ok(joined) => break joined,
            Err(failure) if code.is_none() && needs_code(&failure).is_some() => {
                let wanted = needs_code(&failure).unwrap_or_default();
                // In the daemon's words, which name the ways out, without the field's name.
                let failure = Failure { message: wanted.to_owned(), ..failure.clone() };
                if context.out.json || !ask::possible() {
                    return Err(failure);
                }
                say(failure.message);
                let typed = ask::line("Code, as `metaopt invite` prints it on a member: ");
                if typed.is_empty() {
                    return Err(Failure::usage("no code was given"));
                }
                code = Some(typed);
            }
            Err(failure) => return Err(failure),
        }
    };
    let through = match text(&joined, "name") {
        "" => text(&joined, "node"),
        called => called,
    };
    say(format!("joined the cluster of {}; its history arrives", strip(through)));
    let arrived = wait(&client, text(&joined, "node"))?;
    let cluster = client.get("/cluster")?;
    let renamed = renamed(&before, &client.list("/studies", usize::MAX)?);
    let unlinked = if arrived { None } else { unlinked(&cluster).filter(|_| !interrupt::pressed()) };
    if context.out.json {
        let mut body = joined.clone();
        body["cluster"] = cluster.get("nodes").cloned().unwrap_or_default();
        body["renamed"] = renamed.iter().map(|(id, old, new)| json!({"id": id, "before": old, "now": new})).collect();
        context.out.body(&body)?;
        return unlinked.map_or(Ok(()), Err);
    }
    let members: Vec<Value> = members(list(&cluster, "nodes")).cloned().collect();
    nodes::show(&members, context)?;
    for remark in remarks(&cluster) {
        context.out.say(remark);
    }
    for (_, old, new) in renamed {
        let (old, new) = (strip(&old), strip(&new));
        context.out.say(format!(
            "this machine's study `{old}` is called `{new}` now: an older one of the cluster bears its name"
        ));
    }
    if let Some(failure) = unlinked {
        return Err(failure);
    }
    if !arrived {
        context.out.say(format!(
            "after {} s the history is still arriving; `metaopt status` and `metaopt nodes` show how far it is",
            HISTORY.as_secs()
        ));
    }
    Ok(())
}

/// ID, name before and name now of studies that had to give way to others of their name.
fn renamed(before: &[Value], after: &[Value]) -> Vec<(String, String, String)> {
    let now = |id: &str| after.iter().find(|study| text(study, "id") == id).map(|study| text(study, "name"));
    let all = before.iter().map(|study| (text(study, "id"), text(study, "name")));
    let changed = all.filter_map(|(id, old)| Some((id, old, now(id).filter(|new| *new != old)?)));
    changed.map(|(id, old, new)| (id.to_owned(), old.to_owned(), new.to_owned())).collect()
}

/// Whether another member was heard since this node started.
fn heard(nodes: &[Value], own: &str) -> bool {
    members(nodes).any(|node| text(node, "id") != own && some(node, "last_seen").is_some())
}

/// That this node is a member by name alone, where no other was heard; with what the daemon says of each.
fn unlinked(cluster: &Value) -> Option<Failure> {
    let (nodes, own) = (list(cluster, "nodes"), text(cluster, "node"));
    if heard(nodes, own) {
        return None;
    }
    let others: Vec<Value> = nodes.iter().filter(|node| text(node, "id") != own).cloned().collect();
    let mut failure = Failure::failed(format!(
        "it was let in, but no link to any member came up within {} s: nothing passes between them yet",
        HISTORY.as_secs()
    ));
    failure.causes = whys(&others).into_iter().chain(troubles(cluster)).collect();
    Some(failure.hint(
        "it goes on trying: open TCP port 7879 of one machine to the other; `metaopt nodes` shows when the link is up",
    ))
}

/// What is written into `metaopt.toml` first.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What this machine is called.
    pub name: Option<String>,
    /// No slots.
    pub no_worker: bool,
}

/// The daemon, with the settings that were asked for.
pub fn prepare(args: &Settings, context: &Context) -> Result<Client, Failure> {
    let mut values = Vec::new();
    if args.no_worker {
        values.extend([("slots", "0".to_owned()), ("gpus", settings::quoted("none"))]);
    }
    if let Some(name) = &args.name {
        values.push(("name", settings::quoted(name)));
    }
    if values.is_empty() {
        return current(context.client()?.clone(), context);
    }
    if context.place.is_named() {
        return Err(Failure::usage(
            "--no-worker and --name are for the daemon of this machine, and METAOPT_URL names another",
        )
        .hint("unset METAOPT_URL"));
    }
    let dir = metaopt_daemon::data_dir::prepare(&context.place.wanted()?)
        .map_err(|error| Failure::failed("the data directory can't be used").cause(format!("{error:#}")))?;
    let changed = settings::set(&dir, &values)?;
    let client = match context.place.running()? {
        Some(_) if changed => {
            if !context.out.json {
                context.out.say("metaopt: starting the daemon anew with these settings");
            }
            restart::restart(&context.place)?
        }
        Some(client) => current(client, context)?,
        None => context.place.connect()?,
    };
    if args.no_worker && !settled(&client)? {
        return Err(Failure::failed("this machine still has slots, although metaopt.toml says `slots = 0`")
            .hint("METAOPT_SLOTS, METAOPT_GPUS or an option of its daemon stands above it: take it away, then start the daemon again"));
    }
    Ok(client)
}

/// The daemon, started anew where it is of an older version than this program: it was replaced on the disk.
fn current(client: Client, context: &Context) -> Result<Client, Failure> {
    let cluster = client.get("/cluster")?;
    if context.place.is_named() || !older(text(&cluster, "version"), env!("CARGO_PKG_VERSION")) {
        return Ok(client);
    }
    if !context.out.json {
        let (theirs, ours) = (text(&cluster, "version"), env!("CARGO_PKG_VERSION"));
        context.out.say(format!("metaopt: the daemon is metaopt {theirs}; starting it anew as {ours}"));
    }
    restart::restart(&context.place)
}

/// Whether the node has no slots. It tells them a moment after its start.
fn settled(client: &Client) -> Result<bool, Failure> {
    let until = Instant::now() + Duration::from_secs(2);
    loop {
        let cluster = client.get("/cluster")?;
        let own = list(&cluster, "nodes").iter().find(|node| text(node, "id") == text(&cluster, "node"));
        if own.is_none_or(|own| list(own, "slots").is_empty()) {
            return Ok(true);
        }
        if Instant::now() > until {
            return Ok(false);
        }
        std::thread::sleep(LOOK);
    }
}

fn read_code() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin().take(256).read_to_string(&mut text).doing(|| "cannot read the code from standard input".into())?;
    match text.trim() {
        "" => {
            Err(Failure::usage("standard input holds no code")
                .hint("metaopt invite | ssh HOST metaopt join --code-stdin"))
        }
        code => Ok(code.to_owned()),
    }
}

/// Joins through the first peer that answers; without one, through whoever is found.
fn try_peers(client: &Client, code: Option<&str>, peers: &[String]) -> Result<Value, Failure> {
    let join = |peer: Option<&String>| client.post("/cluster/join", &json!({"code": code, "peer": peer}));
    let Some((last, first)) = peers.split_last() else { return join(None) };
    let mut unreached = Vec::new();
    for peer in first {
        match join(Some(peer)) {
            // The next one may be reached.
            Err(failure) if failure.status == Some(502) => unreached.push(failure.message),
            other => return other,
        }
    }
    join(Some(last)).map_err(|failure| {
        let mut failure = unresolved(failure, last);
        failure.causes.extend(unreached);
        failure
    })
}

/// A peer that was not reached because its name has no address: a slow answer to that looks like silence to the daemon.
fn unresolved(failure: Failure, peer: &str) -> Failure {
    let host = peer.rsplit_once(':').map_or(peer, |(host, _)| host);
    let said = ["no answer", "lookup", "the name has no address"].iter().any(|words| failure.message.contains(words));
    if failure.status != Some(502) || !said || host.contains(':') {
        return failure;
    }
    match std::net::ToSocketAddrs::to_socket_addrs(&(host, 7879)) {
        Ok(_) => failure,
        Err(error) => Failure { message: format!("cannot reach {peer}: the name {host} can't be resolved"), ..failure }
            .cause(error)
            .hint("check its spelling, or name an address: --peer 10.0.0.4:7879"),
    }
}

/// What the daemon said, where it refused for want of a code.
fn needs_code(failure: &Failure) -> Option<&str> {
    let errors = failure.problem.as_ref().map(|problem| list(problem, "errors")).unwrap_or_default();
    let about = errors.iter().find(|error| text(error, "pointer") == "/code")?;
    (failure.status == Some(422)).then(|| text(about, "detail"))
}

/// Waits until the member is there, some member was heard, and nothing new came for a while. Answers whether that was so.
fn wait(client: &Client, through: &str) -> Result<bool, Failure> {
    interrupt::watch();
    let until = Instant::now() + HISTORY;
    let cluster = client.get("/cluster")?;
    let own = text(&cluster, "node");
    let mut last = (Value::Null, Instant::now());
    while Instant::now() < until && !interrupt::pressed() {
        let seen = look(client, own)?;
        if seen != last.0 {
            last = (seen, Instant::now());
        }
        let nodes = last.0.get("nodes").and_then(Value::as_array);
        let there = nodes.is_some_and(|nodes| nodes.iter().any(|node| node == through));
        let heard = last.0.get("heard") == Some(&json!(true));
        if there && heard && last.1.elapsed() >= QUIET {
            return Ok(true);
        }
        interrupt::sleep(LOOK);
    }
    Ok(false)
}

/// What grows while a history arrives: members, studies, trials.
fn look(client: &Client, own: &str) -> Result<Value, Failure> {
    let nodes = client.get("/nodes")?;
    let ids: Vec<&str> = list(&nodes, "items").iter().map(|node| text(node, "id")).collect();
    let studies = client.list("/studies", 1000)?;
    let studies: Vec<Value> = studies.iter().map(|study| json!([study.get("id"), study.get("counts")])).collect();
    Ok(json!({"nodes": ids, "heard": heard(list(&nodes, "items"), own), "studies": studies}))
}

/// The names of members, for people.
pub fn names(nodes: &[Value]) -> String {
    and(&members(nodes).map(|node| strip(name(node))).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn studies_that_gave_way_are_told_by_both_names() {
        let before = [json!({"id": "1", "name": "quick"}), json!({"id": "2", "name": "slow"})];
        let after = [
            json!({"id": "9", "name": "quick"}),
            json!({"id": "1", "name": "quick-2"}),
            json!({"id": "2", "name": "slow"}),
        ];
        assert_eq!(renamed(&before, &after), [("1".into(), "quick".into(), "quick-2".into())]);
    }

    #[test]
    fn a_member_that_nobody_hears_is_told_why() {
        let row = |id: &str, seen: Value, why: Value| json!({"id": id, "name": id, "state": "alive", "last_seen": seen, "why": why});
        let at = json!("2026-01-01T00:00:00Z");
        let nodes =
            [row("a", at.clone(), Value::Null), row("b", Value::Null, json!("not heard since this node started"))];
        let mut cluster = json!({"node": "a", "nodes": nodes,
            "troubles": [{"node": null, "address": "10.0.0.9:7879", "why": "no answer", "since": null}]});
        let failure = unlinked(&cluster).unwrap();
        assert_eq!((failure.code, failure.hints.len()), (1, 1));
        assert_eq!(failure.causes, ["b: not heard since this node started", "10.0.0.9:7879: no answer"]);
        cluster["nodes"][1]["last_seen"] = at;
        assert_eq!(unlinked(&cluster), None);
    }

    #[test]
    fn a_name_without_an_address_is_not_taken_for_silence() {
        let failure = |message: &str| Failure { status: Some(502), ..Failure::failed(message) };
        let told = unresolved(
            failure("cannot reach nosuch.invalid:7879: no answer; is metaoptd running there?"),
            "nosuch.invalid",
        );
        assert!(told.message.contains("nosuch.invalid can't be resolved"), "{}", told.message);
        let there = failure("cannot reach localhost:1: no answer");
        assert_eq!(unresolved(there.clone(), "localhost:1"), there);
    }
}
