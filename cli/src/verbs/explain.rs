//! `metaopt explain TRIAL`

use serde_json::Value;

use crate::{
    context::{Context, trial_path, unknown_trial},
    failure::Failure,
    json::{list, members, some, text},
    render::{fields, strip::strip, style::Style, value},
};

/// Where a trial's parameters came from, and whether they come out the same again
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Label or ID
    #[arg(value_name = "TRIAL")]
    pub trial: String,
}

/// Shows all that the daemon knows of it.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let body = context.client()?.get(&trial_path(&args.trial, "/explain"));
    let body = body.map_err(|failure| unknown_trial(failure, &args.trial))?;
    if context.out.json {
        return context.out.body(&body);
    }
    context.out.print(&page(&body, context.out.style))
}

fn page(body: &Value, style: Style) -> String {
    let Some(inputs) = some(body, "inputs") else { return fields::lines(body, style) };
    let short = |of: &Value, key: &str| some(of, key).map(value::short).unwrap_or_default();
    let mut out =
        format!("{}  {} of {}\n", style.strong(text(body, "label")), text(inputs, "sampler"), text(body, "study"));
    let verdict = match body.get("reproduced").and_then(Value::as_bool) {
        Some(true) => style.good("reproduced"),
        Some(false) => style.warn("not reproduced"),
        None => style.faint("can't be told"),
    };
    out.push_str(&format!("  {verdict}: {}\n", strip(text(body, "detail"))));
    params(&mut out, "parameters", body, "params", style);
    if body.get("reproduced") == Some(&Value::Bool(false)) {
        params(&mut out, "drawn again", body, "redrawn", style);
    }
    let who: Vec<String> = list(inputs, "members").iter().map(|member| strip(text(member, "name"))).collect();
    let saw = some(inputs, "saw");
    let count = |key: &str| saw.and_then(|saw| saw.get(key)).and_then(Value::as_u64).unwrap_or(0);
    let mut knew = format!("{} trials", short(inputs, "trials_seen"));
    if saw.is_some() {
        knew.push_str(&format!(": {} ended, {} open", count("ended"), count("open")));
    }
    if count("not_yet") > 0 {
        knew.push_str(&format!("; {} earlier ones were not known there yet", count("not_yet")));
    }
    let left = match some(inputs, "budget_left") {
        Some(left) => format!("{} trials left", value::short(left)),
        None => String::new(),
    };
    let fit: Vec<String> = list(inputs, "fit").iter().map(value::short).collect();
    let by = [text(body, "proposed_by_name"), text(body, "proposed_by")].into_iter().find(|name| !name.is_empty());
    let facts = [
        (
            "drawn by",
            format!(
                "{}, draw {} of seed {}, slot {}",
                strip(by.unwrap_or_default()),
                short(inputs, "draw"),
                short(inputs, "seed"),
                short(inputs, "slot")
            ),
        ),
        ("why", strip(text(inputs, "why"))),
        ("knew", knew),
        ("members", who.join(" ")),
        ("budget", left),
        ("fit", fit.join(" ")),
        ("version", strip(text(inputs, "version"))),
    ];
    for (name, fact) in facts.iter().filter(|(_, fact)| !fact.is_empty()) {
        out.push_str(&format!("{}  {fact}\n", style.faint(&format!("{name:<9}"))));
    }
    out
}

fn params(out: &mut String, title: &str, body: &Value, key: &str, style: Style) {
    let params = body.get(key);
    let width = members(params).map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (at, (name, member)) in members(params).enumerate() {
        if at == 0 {
            out.push_str(&format!("{}\n", style.faint(title)));
        }
        let pad = " ".repeat(width - name.chars().count());
        out.push_str(&format!("  {name}{pad}  {}\n", strip(&value::exact(member))));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_says_whether_it_came_out_the_same_and_what_its_node_knew() {
        let mut body = json!({"label": "gpu1-17", "study": "mnist", "source": "sampler", "params": {"lr": 0.01},
            "redrawn": {"lr": 0.02}, "reproduced": true, "detail": "the same", "proposed_by_name": "gpu1",
            "inputs": {"sampler": "tpe", "seed": 7, "slot": 0, "draw": 16, "trials_seen": 31, "budget_left": 69,
                "members": [{"name": "gpu1", "weight": 2.0}, {"name": "gpu2", "weight": 2.0}], "version": "0.1.0",
                "saw": {"trials": 31, "ended": 28, "open": 3, "not_yet": 2}, "fit": [0.25]}});
        let text = page(&body, Style::plain());
        for part in [
            "gpu1-17  tpe of mnist\n  reproduced: the same\n",
            "  lr  0.01\n",
            "drawn by   gpu1, draw 16 of seed 7, slot 0\n",
            "knew       31 trials: 28 ended, 3 open; 2 earlier ones were not known there yet\n",
            "members    gpu1 gpu2\n",
            "budget     69 trials left\n",
            "fit        0.25\n",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("drawn again"));
        body["reproduced"] = json!(false);
        assert!(page(&body, Style::plain()).contains("not reproduced: the same\n"));
        assert!(page(&body, Style::plain()).contains("drawn again\n  lr  0.02\n"));
        let given = json!({"label": "gpu1-18", "source": "enqueued", "reproduced": null, "detail": "given"});
        assert!(page(&given, Style::plain()).contains("enqueued"));
    }
}
