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
    cluster::{and, members, name, older, remarks},
    context::Context,
    failure::{Doing, Failure},
    interrupt,
    json::{list, text},
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
    /// As `metaopt invite` printed it on a member
    #[arg(value_name = "CODE", conflicts_with = "code_stdin")]
    pub code: Option<String>,
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
        false => args.code.clone(),
    };
    let client = prepare(&Settings { name: args.name.clone(), no_worker: args.no_worker }, context)?;
    let say = |text: String| {
        if !context.out.json {
            context.out.say(text);
        }
    };
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
    if context.out.json {
        let mut body = joined.clone();
        body["cluster"] = cluster.get("nodes").cloned().unwrap_or_default();
        return context.out.body(&body);
    }
    let members: Vec<Value> = members(list(&cluster, "nodes")).cloned().collect();
    nodes::show(&members, context)?;
    for remark in remarks(&cluster) {
        context.out.say(remark);
    }
    if !arrived {
        context.out.say(format!(
            "after {} s the history is still arriving; `metaopt status` and `metaopt nodes` show how far it is",
            HISTORY.as_secs()
        ));
    }
    Ok(())
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
    join(Some(last)).map_err(|mut failure| {
        failure.causes.extend(unreached);
        failure
    })
}

/// What the daemon said, where it refused for want of a code.
fn needs_code(failure: &Failure) -> Option<&str> {
    let errors = failure.problem.as_ref().map(|problem| list(problem, "errors")).unwrap_or_default();
    let about = errors.iter().find(|error| text(error, "pointer") == "/code")?;
    (failure.status == Some(422)).then(|| text(about, "detail"))
}

/// Waits until the member is there and nothing new came for a while. Answers whether that was so.
fn wait(client: &Client, through: &str) -> Result<bool, Failure> {
    interrupt::watch();
    let until = Instant::now() + HISTORY;
    let mut last = (Value::Null, Instant::now());
    while Instant::now() < until && !interrupt::pressed() {
        let seen = look(client)?;
        if seen != last.0 {
            last = (seen, Instant::now());
        }
        let nodes = last.0.get("nodes").and_then(Value::as_array);
        let there = nodes.is_some_and(|nodes| nodes.iter().any(|node| node == through));
        if there && last.1.elapsed() >= QUIET {
            return Ok(true);
        }
        interrupt::sleep(LOOK);
    }
    Ok(false)
}

/// What grows while a history arrives: members, studies, trials.
fn look(client: &Client) -> Result<Value, Failure> {
    let nodes = client.get("/nodes")?;
    let ids: Vec<&str> = list(&nodes, "items").iter().map(|node| text(node, "id")).collect();
    let studies = client.list("/studies", 1000)?;
    let studies: Vec<Value> = studies.iter().map(|study| json!([study.get("id"), study.get("counts")])).collect();
    Ok(json!({"nodes": ids, "studies": studies}))
}

/// The names of members, for people.
pub fn names(nodes: &[Value]) -> String {
    and(&members(nodes).map(|node| strip(name(node))).collect::<Vec<_>>())
}
