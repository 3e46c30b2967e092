//! `--dry-run`: shows what would be created, and creates nothing.

use metaopt_daemon::snapshot::Listing;
use metaopt_engine::check_study;
use metaopt_schema::{study::validate::parse_study, template};
use serde_json::{Value, json};

use super::{body::Draft, files, interpreter::Surroundings};
use crate::{
    client::{misfit, segment},
    context::Context,
    failure::Failure,
    json::{list, some, text},
    render::{
        style::terminal_width,
        table::{Cell, Table},
        value,
    },
};

/// Files named at most.
const SHOWN: usize = 20;

/// Prints space, command, files, interpreter and slots.
pub fn run(context: &Context, draft: &Draft, around: &Surroundings) -> Result<(), Failure> {
    let body = Value::Object(draft.body.clone());
    let run = body.get("run").unwrap_or(&Value::Null);
    let command: Vec<String> = list(run, "command").iter().map(value::exact).collect();
    let names: Vec<&str> = list(&body, "space").iter().map(|param| text(param, "name")).collect();
    template::check(&command, &names).map_err(|errors| {
        errors
            .into_iter()
            .fold(Failure::usage("the command does not fit"), |failure, error| failure.cause(error.detail))
    })?;
    let mut study = body.clone();
    let from = study.as_object_mut().and_then(|study| study.remove("from"));
    parse_study(&study).and_then(|def| check_study(&def)).map_err(|errors| misfit(&errors))?;
    if let Some(Value::String(from)) = from {
        context.client()?.get(&format!("/studies/{}", segment(&from)))?;
    }
    let listing = match draft.with_snapshot {
        true => Some(files::list(&around.cwd, draft.script.as_deref(), &draft.templates)?),
        false => None,
    };
    let nodes = context.client()?.get("/nodes")?;
    if context.out.json {
        return context.out.body(&as_json(&body, listing.as_ref(), &nodes));
    }
    let style = context.out.style;
    let head = |title: &str| format!("{}\n", style.strong(title));
    let mut out = head("space");
    out.push_str(&space(list(&body, "space")).aligned(terminal_width(), |head| style.faint(head)));
    if !command.is_empty() {
        out.push_str(&head("\ncommand, with the defaults"));
        let shown: Vec<_> = with_defaults(&command, list(&body, "space")).iter().map(|arg| value::shell(arg)).collect();
        out.push_str(&format!("  {}\n", shown.join(" ")));
        out.push_str(&format!("{}  {}\n", style.faint("  program"), program(&command, around)));
    }
    if let Some(listing) = &listing {
        out.push_str(&head("\nsnapshot"));
        out.push_str(&snapshot(listing));
    }
    out.push_str(&head("\nslots"));
    out.push_str(&slots(&nodes, run));
    if let Some(why) = crate::root::refuses(&context.place).filter(|_| !command.is_empty()) {
        out.push_str(&format!("  {} on this machine {why}\n", style.warn("but")));
    }
    out.push_str(&style.faint("\nnothing was created\n"));
    context.out.print(&out)
}

fn as_json(body: &Value, listing: Option<&Listing>, nodes: &Value) -> Value {
    let snapshot = listing.map(|listing| {
        json!({
            "bytes": listing.bytes,
            "files": listing.files().map(|(path, size)| json!({"path": path.to_string_lossy(), "size": size})).collect::<Vec<_>>(),
            "left_out": listing.left_out.iter().map(|left| json!({"path": left.path.to_string_lossy(), "why": left.why})).collect::<Vec<_>>(),
        })
    });
    json!({"study": body, "snapshot": snapshot, "nodes": list(nodes, "items")})
}

fn space(params: &[Value]) -> Table {
    let mut table = Table::new(["  name", "type", "range", "default", "when"]);
    for param in params {
        table.row(vec![
            Cell::from(format!("  {}", text(param, "name"))),
            text(param, "type").into(),
            value::range(param).into(),
            some(param, "default").map(value::short).unwrap_or_default().into(),
            value::condition(param).into(),
        ]);
    }
    table
}

/// The command with each parameter's default; those without one stay placeholders.
fn with_defaults(command: &[String], params: &[Value]) -> Vec<String> {
    let defaults: Vec<(String, String)> = params
        .iter()
        .filter_map(|param| {
            some(param, "default").map(|value| (format!("{{{}}}", text(param, "name")), value::exact(value)))
        })
        .collect();
    let fill = |arg: &String| defaults.iter().fold(arg.clone(), |arg, (hole, value)| arg.replace(hole, value));
    command.iter().map(fill).collect()
}

fn program(command: &[String], around: &Surroundings) -> String {
    let Some(program) = command.first() else { return String::new() };
    if program.contains('/') {
        return program.clone();
    }
    match around.which(program) {
        Some(path) => path.display().to_string(),
        None => format!("{program} is not on this machine's PATH; only machines that have it will run trials"),
    }
}

fn snapshot(listing: &Listing) -> String {
    let files: Vec<_> = listing.files().collect();
    let mut out = format!("  {}, {}\n", value::counted(files.len(), "file"), value::bytes(listing.bytes));
    for (path, size) in files.iter().take(SHOWN) {
        out.push_str(&format!("  {}  {}\n", path.display(), value::bytes(*size)));
    }
    if files.len() > SHOWN {
        out.push_str(&format!("  … and {} more\n", files.len() - SHOWN));
    }
    if !listing.left_out.is_empty() {
        out.push_str("  left out\n");
    }
    for left in listing.left_out.iter().take(SHOWN) {
        out.push_str(&format!("    {}  {}\n", left.path.display(), left.why));
    }
    if listing.left_out.len() > SHOWN {
        out.push_str(&format!("    … and {} more\n", listing.left_out.len() - SHOWN));
    }
    out
}

/// The slots of nodes that may take such a trial, judged by what can be seen from here.
fn slots(nodes: &Value, run: &Value) -> String {
    let lines = list(nodes, "items").iter().map(|node| {
        let (Ok(verdict) | Err(verdict)) = eligible(node, run);
        format!("  {}  {verdict}\n", text(node, "name"))
    });
    let out: String = lines.collect();
    if out.is_empty() { "  there are no nodes\n".into() } else { out }
}

/// Whether a node may take trials of such a run, in words either way.
pub fn eligible(node: &Value, run: &Value) -> Result<String, String> {
    let (name, id, state) = (text(node, "name"), text(node, "id"), text(node, "state"));
    let only: Vec<&str> = list(run, "nodes").iter().filter_map(Value::as_str).collect();
    if !only.is_empty() && !only.contains(&name) && !only.contains(&id) {
        return Err("not among the nodes asked for".into());
    }
    if state != "alive" {
        return Err(format!("is {state}"));
    }
    let lacks: Vec<String> = crate::json::members(run.get("requires"))
        .filter(|(key, wanted)| node.get("labels").and_then(|labels| labels.get(key.as_str())) != Some(wanted))
        .map(|(key, wanted)| format!("{key}={}", value::exact(wanted)))
        .collect();
    if !lacks.is_empty() {
        return Err(format!("lacks the label {}", lacks.join(", ")));
    }
    let all = list(node, "slots");
    let has_gpu = all.iter().any(|slot| text(slot, "kind") == "gpu");
    let wants_gpu = run.get("gpus").and_then(Value::as_f64).map_or(has_gpu, |gpus| gpus > 0.0);
    let kind = if wants_gpu { "gpu" } else { "cpu" };
    let fitting: Vec<_> = all.iter().filter(|slot| text(slot, "kind") == kind).collect();
    if fitting.is_empty() {
        return Err(format!("has no {kind} slot"));
    }
    let free = fitting.iter().filter(|slot| text(slot, "state") == "free").count();
    Ok(format!("{}, {free} free", value::counted(fitting.len(), &format!("{kind} slot"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_say_why_a_node_is_not_eligible() {
        let nodes = json!({"items": [
            {"name": "a", "id": "1", "state": "alive", "labels": {"cuda": "12"}, "slots": [{"kind": "gpu", "state": "free"}, {"kind": "gpu", "state": "busy"}]},
            {"name": "b", "id": "2", "state": "alive", "labels": {}, "slots": [{"kind": "gpu", "state": "free"}]},
            {"name": "c", "id": "3", "state": "draining", "labels": {"cuda": "12"}, "slots": []},
            {"name": "d", "id": "4", "state": "alive", "labels": {"cuda": "12"}, "slots": [{"kind": "cpu", "state": "free"}]}]});
        let text = slots(&nodes, &json!({"gpus": 1.0, "requires": {"cuda": "12"}}));
        assert_eq!(
            text,
            "  a  2 gpu slots, 1 free\n  b  lacks the label cuda=12\n  c  is draining\n  d  has no gpu slot\n"
        );
        assert!(slots(&nodes, &json!({"nodes": ["a"]})).contains("d  not among the nodes asked for"));
    }

    #[test]
    fn defaults_fill_the_command() {
        let command: Vec<String> = ["--lr", "{lr}", "--x={x}"].map(str::to_owned).to_vec();
        let params = [json!({"name": "lr", "default": 0.001}), json!({"name": "x"})];
        assert_eq!(with_defaults(&command, &params), ["--lr", "0.001", "--x={x}"]);
    }
}
