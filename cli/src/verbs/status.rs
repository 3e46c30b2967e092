//! `metaopt status [STUDY] [--watch]`

use std::time::Duration;

use serde_json::{Value, json};

use super::follow::{Curves, follow, last_failure, why_idle};
use crate::{
    cluster,
    context::Context,
    failure::{Failure, INTERRUPTED},
    interrupt,
    json::{finished, is_over, list, metrics, some, text, trials_in},
    render::{
        progress::{Frame, Live, cut, lines},
        style::terminal_width,
        table::{Cell, Table},
        value,
    },
};

/// All studies, or one in detail
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Name or ID
    #[arg(value_name = "STUDY")]
    pub study: Option<String>,
    /// Keep it up to date; Ctrl-C ends the watching only
    #[arg(long, short)]
    pub watch: bool,
    /// Archived studies too
    #[arg(long, short)]
    pub all: bool,
}

/// Shows it.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let Some(name) = &args.study else {
        return if args.watch && Live::possible() { watch_all(context, args.all) } else { all(context, args.all) };
    };
    let study = context.study(name)?;
    if args.watch && !context.out.json {
        let study = follow(context, text(&study, "id"))?;
        if some(&study, "best").is_some() {
            context.out.print(&super::best::page(
                &study,
                study.get("best").unwrap_or(&Value::Null),
                context.out.style,
            ))?;
        }
        return Ok(());
    }
    if context.out.json {
        return context.out.body(&study);
    }
    if !context.out.terminal {
        let name = text(&study, "name").to_owned();
        let why = if is_over(&study) { String::new() } else { why_idle(&study) };
        let failure =
            if trials_in(&study, "fail") > 0 { last_failure(context.client()?, text(&study, "id")) } else { None };
        context.out.table(&table(&[study], context))?;
        // Talk, so that the line on standard output stays as columns.
        for (what, fact) in [("nothing runs", why), ("last failure", failure.unwrap_or_default())] {
            if !fact.is_empty() {
                context.out.say(format!("{name}: {what}: {}", crate::render::strip::strip(&fact).replace('\n', " ")));
            }
        }
        return Ok(());
    }
    one(context, &study)
}

fn one(context: &Context, study: &Value) -> Result<(), Failure> {
    let client = context.client()?;
    let running = Curves::default().running(client, text(study, "id"));
    let trouble = (trials_in(study, "fail") > 0).then(|| last_failure(client, text(study, "id"))).flatten();
    let age = some(study, "created_at").and_then(|at| value::between(at, &Value::Null));
    let frame = Frame { study, running: &running, trouble: None, elapsed: None };
    let mut out = lines(&frame, terminal_width(), context.out.style);
    let style = context.out.style;
    let command = list(study.get("run").unwrap_or(&Value::Null), "command");
    let command: Vec<String> = command.iter().map(|arg| value::shell(&value::exact(arg))).collect();
    let sampler = study.get("sampler").map_or("", |sampler| text(sampler, "name"));
    let rule = study.get("early_stopping").map_or("", |rule| text(rule, "rule"));
    let trouble = trouble.unwrap_or_default();
    for (name, fact) in [
        ("objective", objectives(study)),
        ("sampler", sampler.to_owned()),
        ("stopping", rule.to_owned()),
        ("command", command.join(" ")),
        ("created", age.map(|age| format!("{age} ago on {}", text(study, "node"))).unwrap_or_default()),
        ("note", text(study, "note").to_owned()),
        ("id", text(study, "id").to_owned()),
        ("last failure", trouble),
    ] {
        if !fact.is_empty() && fact != "none" {
            out.push(format!(
                "{}  {}",
                style.faint(&format!("{name:<12}")),
                crate::render::strip::strip(&fact).replace('\n', " ")
            ));
        }
    }
    context.out.print(&(out.join("\n") + "\n"))?;
    if finished(study) > 0 && some(study, "best").is_none() && trials_in(study, "fail") > 0 {
        context.out.hint(format!(
            "`metaopt trials {}` lists what failed, `metaopt logs TRIAL` shows what it said",
            text(study, "name")
        ));
    }
    Ok(())
}

fn objectives(study: &Value) -> String {
    let one = |objective: &Value| format!("{} {}", text(objective, "direction"), text(objective, "metric"));
    list(study, "objectives").iter().map(one).collect::<Vec<_>>().join(", ")
}

fn studies(context: &Context, archived: bool) -> Result<Vec<Value>, Failure> {
    let mut items = context.client()?.list("/studies", usize::MAX)?;
    if !archived {
        items.retain(|study| text(study, "state") != "archived");
    }
    Ok(items)
}

fn all(context: &Context, archived: bool) -> Result<(), Failure> {
    let items = studies(context, archived)?;
    if context.out.json {
        return context.out.body(&json!({"items": items, "next_cursor": null}));
    }
    // A database that was lost, a disk without room, a member that is away: what explains that nothing runs, or nothing is
    // here. Talk, so that the lines on standard output stay studies.
    let cluster = context.client()?.get("/cluster").unwrap_or_default();
    let nodes = list(&cluster, "nodes");
    let more = cluster::removed_here(&cluster).into_iter();
    let more = more.chain(cluster::summary(nodes)).chain(cluster::whys(nodes));
    let more = more.chain(cluster::troubles(&cluster)).chain(cluster::open(&cluster));
    more.for_each(|line| context.out.say(line));
    if items.is_empty() {
        context.out.say(if archived {
            "there are no studies yet"
        } else {
            "there are no studies (--all lists archived ones)"
        });
        context.out.hint("metaopt train.py --lr~'loguniform(1e-5, 1)' starts one");
        return Ok(());
    }
    context.out.table(&table(&items, context))
}

/// In a pipe: name, state, done, budget, running, failed, best, label of the best, age, id.
fn table(studies: &[Value], context: &Context) -> Table {
    let style = context.out.style;
    let mut table = Table::new(["study", "state", "done", "of", "running", "failed", "best", "trial", "age", "id"]);
    for study in studies {
        let best = some(study, "best");
        let values = best.and_then(|best| best.get("values")).and_then(Value::as_object).cloned().unwrap_or_default();
        let number = |n: u64| Cell::from(n.to_string()).right();
        table.row(vec![
            Cell::from(text(study, "name")).paint(|name| style.strong(name)),
            Cell::from(text(study, "state")).paint(|state| style.state(state)),
            number(finished(study)),
            Cell::from(study.pointer("/budget/max_trials").map(value::short).unwrap_or_default()).right(),
            number(trials_in(study, "running")),
            number(trials_in(study, "fail")),
            Cell::from(value::metrics(&values, &metrics(study))),
            Cell::from(best.map(|best| text(best, "label")).unwrap_or_default()),
            Cell::from(some(study, "created_at").and_then(value::ago).unwrap_or_default()).right(),
            Cell::from(text(study, "id")).paint(|id| style.faint(id)),
        ]);
    }
    table
}

fn watch_all(context: &Context, archived: bool) -> Result<(), Failure> {
    interrupt::watch();
    let mut live = Live::default();
    while !interrupt::pressed() {
        let items = studies(context, archived)?;
        let width = terminal_width().saturating_sub(1);
        let shown = table(&items, context).aligned(width, |head| context.out.style.faint(head));
        let mut shown: Vec<String> = shown.lines().map(str::to_owned).collect();
        for study in items.iter().filter(|study| text(study, "state") == "running") {
            if let Some(why) = some(study, "why_idle") {
                shown.push(cut(&format!("{}: {}", text(study, "name"), value::short(why)), width));
            }
        }
        live.draw(shown);
        interrupt::sleep(Duration::from_millis(500));
    }
    Err(Failure::silent(INTERRUPTED))
}
