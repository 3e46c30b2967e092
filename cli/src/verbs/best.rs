//! `metaopt best STUDY`

use serde_json::Value;

use crate::{
    context::{Context, study_path},
    failure::{FAILED, Failure},
    json::{list, metrics, params, text},
    render::{
        strip::strip,
        style::Style,
        table::{Cell, Table},
        value,
    },
};

/// The best trial; of several objectives, those that none beats in all
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Name or ID
    #[arg(value_name = "STUDY")]
    pub study: String,
    /// Its parameters as arguments, to be pasted behind a script
    #[arg(long)]
    pub as_args: bool,
}

/// Shows it.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let study = context.study(&args.study)?;
    let client = context.client()?;
    if list(&study, "objectives").len() > 1 {
        if args.as_args {
            return Err(Failure::failed(format!(
                "`{}` has several objectives, so there is no one best trial",
                args.study
            ))
            .hint("`metaopt best` without --as-args lists the candidates"));
        }
        let path = study_path(text(&study, "id"), "/pareto");
        if context.out.json {
            return context.out.body(&client.get(&path)?);
        }
        return context.out.table(&table(&study, &client.list(&path, usize::MAX)?));
    }
    let best = client.get(&study_path(text(&study, "id"), "/best")).map_err(|failure| none(failure, &study))?;
    if best.is_null() {
        return Err(none(Failure::not_found(""), &study));
    }
    if args.as_args {
        return context.out.line(arguments(&study, &best));
    }
    if context.out.json {
        return context.out.body(&best);
    }
    context.out.print(&page(&study, &best, context.out.style))
}

fn none(failure: Failure, study: &Value) -> Failure {
    if failure.code != crate::failure::NOT_FOUND {
        return failure;
    }
    let name = text(study, "name");
    Failure { code: FAILED, message: format!("no trial of `{name}` is complete yet"), ..Failure::default() }
        .hint(format!("`metaopt status {name}` shows how far it is"))
}

/// The best trial as people read it.
pub fn page(study: &Value, trial: &Value, style: Style) -> String {
    let values = trial.get("values").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut out = format!(
        "best trial  {}  {}\n",
        style.strong(text(trial, "label")),
        style.good(&value::metrics(&values, &metrics(study)))
    );
    let params = params(study, trial);
    let width = params.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, param) in params {
        let pad = " ".repeat(width - name.chars().count());
        out.push_str(&format!("  {name}{pad}  {}\n", strip(&value::exact(param))));
    }
    out
}

fn table(study: &Value, front: &[Value]) -> Table {
    let metrics = metrics(study);
    let mut table =
        Table::new(std::iter::once("trial".to_owned()).chain(metrics.iter().cloned()).chain(["parameters".into()]));
    for trial in front {
        let mut row = vec![Cell::from(text(trial, "label"))];
        row.extend(metrics.iter().map(|name| {
            let value = trial.get("values").and_then(|values| values.get(name)).unwrap_or(&Value::Null);
            Cell::from(value::short(value)).right()
        }));
        row.push(value::pairs(trial.get("params")).into());
        table.row(row);
    }
    table
}

/// The parameters as the study's command would pass them; those it doesn't mention as `--name value`.
pub fn arguments(study: &Value, trial: &Value) -> String {
    let command: Vec<&str> = study
        .pointer("/run/command")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut out: Vec<String> = Vec::new();
    for (name, param) in params(study, trial) {
        let (value, hole) = (value::exact(param), format!("{{{name}}}"));
        let at = command.iter().position(|arg| arg.contains(&hole));
        match at.map(|at| (command[at], at.checked_sub(1).map(|before| command[before]))) {
            Some((arg, Some(flag))) if arg == hole && flag.starts_with('-') && !flag.contains(['=', '{']) => {
                out.extend([flag.to_owned(), value])
            }
            Some((arg, _)) => out.push(arg.replace(&hole, &value)),
            None => out.extend([format!("--{name}"), value]),
        }
    }
    out.iter().map(|arg| value::shell(arg)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_take_the_commands_own_shape() {
        let study = json!({"space": [{"name": "z"}, {"name": "x"}], "run": {"command": ["python", "t.py", "-x", "{x}", "--opt={opt}", "{y}"]}});
        let trial = json!({"params": {"opt": "a b", "x": 0.1, "y": 2, "z": true}});
        assert_eq!(arguments(&study, &trial), "--z true -x 0.1 '--opt=a b' 2");
    }

    #[test]
    fn the_page_names_trial_value_and_parameters() {
        let study = json!({"objectives": [{"metric": "loss", "direction": "minimize"}], "space": [{"name": "lr"}]});
        let trial = json!({"label": "gpu1-17", "values": {"acc": 0.5, "loss": 0.031_250_000_1}, "params": {"layers": 3, "lr": 0.012}});
        assert_eq!(
            page(&study, &trial, Style::plain()),
            "best trial  gpu1-17  loss 0.03125\n  lr      0.012\n  layers  3\n"
        );
    }
}
