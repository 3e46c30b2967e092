//! `metaopt demo`

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    context::Context,
    demo::{boxes::Machine, timeline},
    failure::Failure,
    interrupt,
    json::{list, text},
    render::{progress, style::terminal_width, value},
};

/// Longest that the whole may take.
const LONGEST: Duration = Duration::from_secs(240);
/// The study's name.
const STUDY: &str = "two-moons";

/// Watch a cluster on this machine: several nodes, a real search, and one of them loses its power midway
///
/// Nothing of yours is touched: the nodes live in a temporary folder and talk on loopback alone.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// How many nodes
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(3..=8))]
    pub nodes: u32,
    /// How many trials
    #[arg(long, default_value_t = 36, value_parser = clap::value_parser!(u32).range(12..=500))]
    pub trials: u32,
}

/// Starts the nodes, searches, kills one, and shows who ran what.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    interrupt::watch();
    let out = context.out;
    let root = tempfile::Builder::new()
        .prefix("metaopt-demo-")
        .tempdir()
        .map_err(|error| Failure::failed("cannot make a folder for the demo").cause(error))?;
    key(root.path())?;
    let began = Instant::now();
    out.say(format!("Starting {} nodes with two slots each, and nothing in the middle …", args.nodes));
    let mut machines: Vec<Machine> = Vec::new();
    let mut addresses: Vec<String> = Vec::new();
    for i in 1..=args.nodes {
        let machine = Machine::start(root.path(), &format!("box{i}"), 2, &addresses)?;
        addresses.push(machine.address()?);
        machines.push(machine);
    }
    until(began, "the nodes did not find one another", || {
        let all = |m: &Machine| alive(m).len() == args.nodes as usize;
        Ok(machines.iter().all(all).then_some(()))
    })?;
    out.say(format!(
        "All see all after {}. Each holds everything; any may be asked.",
        value::duration(began.elapsed())
    ));

    let first = machines[0].client().ok_or_else(|| Failure::failed("box1 is down"))?.clone();
    first.post("/studies", &study(args.trials, root.path())?)?;
    out.say(format!("Searching {} configurations of a small network on box1's word …", args.trials));
    let started = Instant::now();
    let victim = 1;
    let mut killed = None;
    let done = until(began, "the search did not end in time", || {
        let study = first.get(&format!("/studies/{STUDY}"))?;
        let counts = |state: &str| study.pointer(&format!("/counts/{state}")).and_then(Value::as_u64).unwrap_or(0);
        let ended = counts("complete") + counts("pruned") + counts("fail");
        let nodes = first.list("/nodes", 100).unwrap_or_default();
        out.say(progress::cut(&line(&study, ended, args.trials, &nodes), 110));
        if killed.is_none() && ended >= u64::from(args.trials) / 3 {
            out.say(format!("--- cutting the power of {} and of all that it runs ---", machines[victim].name));
            machines[victim].kill();
            killed = Some(Instant::now());
        }
        std::thread::sleep(Duration::from_millis(400));
        Ok((ended >= u64::from(args.trials) && text(&study, "state") == "complete").then_some(study))
    })?;
    let searched = started.elapsed();
    if killed.is_none() {
        return Err(Failure::failed("the search ended before a node could be killed").hint("try more --trials"));
    }

    out.say(format!("--- {} comes back ---", machines[victim].name));
    machines[victim].boot()?;
    let export = |machine: &Machine| -> Option<String> {
        let mut text = String::new();
        let path = format!("/studies/{STUDY}/export?format=jsonl");
        std::io::Read::read_to_string(&mut machine.client()?.stream(&path).ok()?, &mut text).ok()?;
        Some(text)
    };
    let back = Instant::now();
    until(began, "the nodes did not agree", || {
        let all: Vec<Option<String>> = machines.iter().map(export).collect();
        let same = all.iter().all(|text| text.is_some() && *text == all[0]);
        std::thread::sleep(Duration::from_millis(if same { 0 } else { 100 }));
        Ok(same.then_some(()))
    })?;
    let agreed = back.elapsed();

    let trials = first.list(&format!("/studies/{STUDY}/trials"), 1000)?;
    let spans = timeline::spans(&trials);
    let lost = spans.iter().filter(|span| span.reason.starts_with("lost")).count();
    if out.json {
        return out.body(&json!({
            "study": done, "trials": trials.len(), "lost_attempts": lost, "search_s": searched.as_secs_f64(),
            "agreed_s": agreed.as_secs_f64(), "nodes": args.nodes,
        }));
    }
    out.line("")?;
    out.line("Who ran what (| a trial begins, = it ran, - stopped early, x lost with its node):")?;
    for line in timeline::chart(&spans, terminal_width().saturating_sub(12).clamp(20, 110)) {
        out.line(line)?;
    }
    out.line("")?;
    out.line(format!(
        "{} of {} trials ended in {}; {lost} attempt(s) were lost with {} and run again elsewhere.",
        trials.len(),
        args.trials,
        value::duration(searched),
        machines[victim].name,
    ))?;
    out.line(format!("{} after its return all {} nodes export the same bytes.", value::duration(agreed), args.nodes))?;
    if let Some(best) = done.get("best").filter(|best| !best.is_null()) {
        let (params, values) = (best.get("params"), best.get("values"));
        out.line(format!("Best: {} with {}", value::pairs(values), value::pairs(params)))?;
    }
    Ok(())
}

/// The secret by which the demo's nodes know one another.
fn key(root: &std::path::Path) -> Result<(), Failure> {
    let no = |error: &dyn std::fmt::Display| Failure::failed("cannot write the demo's cluster key").cause(error);
    let mut bytes = [0u8; 24];
    getrandom::fill(&mut bytes).map_err(|error| no(&error))?;
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(root.join("cluster-key"));
    file.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes())).map_err(|error| no(&error))
}

fn study(trials: u32, dir: &std::path::Path) -> Result<Value, Failure> {
    let exe = std::env::current_exe().map_err(|error| Failure::failed("cannot find this program").cause(error))?;
    let flag = |name: &str| [format!("--{name}"), format!("{{{name}}}")];
    let command: Vec<String> = [exe.display().to_string(), "demo-trial".into()]
        .into_iter()
        .chain(["lr", "momentum", "hidden"].iter().flat_map(|name| flag(name)))
        .collect();
    Ok(json!({
        "name": STUDY,
        "space": [
            {"name": "lr", "type": "float", "low": 1e-3, "high": 10.0, "log": true},
            {"name": "momentum", "type": "float", "low": 0.0, "high": 0.99},
            {"name": "hidden", "type": "int", "low": 2, "high": 24},
        ],
        "objectives": [{"metric": "loss", "direction": "minimize"}],
        "early_stopping": {"rule": "median", "min_steps": 8},
        "budget": {"max_trials": trials},
        "run": {"command": command, "workdir": "in_place", "path": dir.display().to_string()},
    }))
}

fn alive(machine: &Machine) -> Vec<Value> {
    let nodes = machine.client().and_then(|client| client.list("/nodes", 100).ok()).unwrap_or_default();
    nodes.into_iter().filter(|node| text(node, "state") == "alive").collect()
}

/// Asks `of` until it answers something.
fn until<T>(began: Instant, late: &str, mut of: impl FnMut() -> Result<Option<T>, Failure>) -> Result<T, Failure> {
    loop {
        if let Some(answer) = of()? {
            return Ok(answer);
        }
        if interrupt::pressed() {
            return Err(Failure::silent(crate::failure::INTERRUPTED));
        }
        if began.elapsed() > LONGEST {
            return Err(Failure::failed(late));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// How far it is; what isn't known yet is left out.
fn line(study: &Value, ended: u64, trials: u32, nodes: &[Value]) -> String {
    let mut boxes: Vec<String> = nodes
        .iter()
        // One that was just heard of has told no name yet.
        .filter(|node| !text(node, "name").is_empty())
        .map(|node| {
            let busy = list(node, "slots").iter().filter(|slot| text(slot, "state") == "busy").count();
            let state = text(node, "state");
            let shown = if state == "alive" { format!("{busy} running") } else { state.to_owned() };
            format!("{} {shown}", text(node, "name"))
        })
        .collect();
    boxes.sort();
    let best = study.pointer("/best/values/loss").and_then(Value::as_f64);
    let parts = [format!("{ended:>4}/{trials}")].into_iter().chain(boxes);
    let parts = parts.chain(best.map(|best| format!("best loss {}", value::number(best))));
    parts.collect::<Vec<_>>().join("   ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_leaves_out_what_is_not_known_yet() {
        let nodes = [json!({"name": "", "state": "alive"}), json!({"name": "box1", "state": "alive", "slots": []})];
        assert_eq!(line(&json!({"best": null}), 0, 36, &nodes), "   0/36   box1 0 running");
        let study = json!({"best": {"values": {"loss": 0.5}}});
        assert_eq!(line(&study, 1, 36, &nodes), "   1/36   box1 0 running   best loss 0.5");
    }
}
