use serde_json::json;

use super::*;

fn full() -> Value {
    json!({"name": "mnist",
     "space": [
       {"name": "lr", "type": "float", "low": 1e-5, "high": 1.0, "log": true, "default": 1e-3},
       {"name": "drop", "type": "float", "low": 0.0, "high": 0.9, "step": 0.05},
       {"name": "decay", "type": "float", "low": 0.0, "high": 1.0, "prior": {"normal": [0.1, 0.05]}},
       {"name": "layers", "type": "int", "low": 1, "high": 12, "log": false},
       {"name": "opt", "type": "categorical", "choices": ["sgd", "adam"]},
       {"name": "size", "type": "ordinal", "choices": ["s", "m", "l"]},
       {"name": "amp", "type": "bool"},
       {"name": "momentum", "type": "float", "low": 0.0, "high": 1.0, "when": {"opt": ["sgd"]}},
       {"name": "epochs", "type": "fidelity", "low": 1, "high": 81, "base": 3}],
     "objectives": [{"metric": "loss", "direction": "minimize"}],
     "constraints": [{"metric": "latency_ms", "at_most": 20.0}],
     "sampler": {"name": "auto", "seed": 7},
     "early_stopping": {"rule": "median", "max_steps": 50},
     "budget": {"max_trials": 100, "max_parallel": null, "timeout_s": null, "strict": false, "priority": 0},
     "run": {"command": ["python", "train.py", "--lr", "{lr}"], "setup": "pip install -r requirements.txt",
             "snapshot": format!("b3:{}", "0a".repeat(32)), "workdir": "snapshot", "links": ["data"],
             "nodes": null, "requires": {"cuda": "12"}, "gpus": 1, "cpus": 1, "env": {"TOKENIZERS_PARALLELISM": "false"},
             "secret_env": ["WANDB_API_KEY"], "timeout_s": null, "max_attempts": 3, "retry_failed": false}})
}

fn minimal() -> Value {
    json!({"name": "m", "space": [{"name": "x", "type": "float", "low": 0, "high": 1}], "objectives": [{"metric": "loss", "direction": "minimize"}]})
}

/// `minimal` with one part replaced must fail exactly at `pointer`, saying `words`.
fn refused(part: &str, value: Value, pointer: &str, words: &str) {
    let mut body = minimal();
    body[part] = value;
    let errors = parse_study(&body).expect_err(&format!("{body} should be refused"));
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert_eq!(errors[0].pointer, pointer, "{errors:#?}");
    assert!(errors[0].detail.contains(words), "`{}` does not say `{words}`", errors[0].detail);
}

#[test]
fn the_contracts_example_is_accepted_and_survives_a_round_trip() {
    let def = parse_study(&full()).unwrap();
    assert_eq!(def.space.params.len(), 9);
    assert_eq!(def.early_stopping.options["max_steps"], json!(50));
    let again = parse_study(&serde_json::to_value(&def).unwrap()).unwrap();
    assert_eq!(again, def);
}

#[test]
fn only_name_space_and_objectives_are_needed() {
    let def = parse_study(&minimal()).unwrap();
    assert_eq!((def.sampler.name.as_str(), def.early_stopping.rule.as_str()), ("auto", "none"));
    let errors = parse_study(&json!({})).unwrap_err();
    let at: Vec<&str> = errors.iter().map(|e| e.pointer.as_str()).collect();
    assert_eq!(at, ["/name", "/space", "/objectives"]);
    assert_eq!(parse_study(&json!([])).unwrap_err()[0].pointer, "");
}

#[test]
fn many_faults_are_told_at_once() {
    let body = json!({
        "nmae": "x",
        "space": [
            {"name": "a", "type": "float", "lwo": 0, "high": 1},
            {"name": "b", "type": "float", "low": 3, "high": 1},
            {"name": "b", "type": "int", "low": 0, "high": 8, "log": true},
            {"name": "c", "type": "flaot", "low": 0, "high": 1},
        ],
        "objectives": [{"metric": "loss", "direction": "minimise"}],
        "budget": {"max_trails": 3},
        "run": {"command": [], "env": {"API_TOKEN": "x", "METAOPT_X": "1"}},
    });
    let errors = parse_study(&body).unwrap_err();
    let at: Vec<&str> = errors.iter().map(|e| e.pointer.as_str()).collect();
    assert_eq!(
        at,
        [
            "/nmae",
            "/name",
            "/space/0/lwo",
            "/space/0/low",
            "/space/3/type",
            "/space/2/name",
            "/space/1/low",
            "/space/2/low",
            "/objectives/0/direction",
            "/budget/max_trails",
            "/run/command",
            "/run/env/API_TOKEN",
            "/run/env/METAOPT_X",
        ]
    );
    assert!(errors[0].detail.contains("did you mean `name`?"));
    assert!(errors[2].detail.contains("did you mean `low`?"));
    assert!(errors[4].detail.contains("did you mean `float`?"));
    assert!(errors[8].detail.contains("did you mean `minimize`?"));
}

#[test]
fn ranges_are_judged() {
    let float = |low: Value, high: Value, more: Value| {
        let mut p = json!({"name": "x", "type": "float", "low": low, "high": high});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([p])
    };
    refused("space", float(json!(2), json!(1), json!({})), "/space/0/low", "must be below `high`");
    refused("space", float(json!(1), json!(1.0), json!({})), "/space/0/low", "categorical with one choice");
    refused("space", float(json!(0), json!(1), json!({"log": true})), "/space/0/low", "above 0");
    refused(
        "space",
        float(json!(1), json!(2), json!({"log": true, "step": 0.1})),
        "/space/0/step",
        "leave out `log` or `step`",
    );
    refused("space", float(json!(0), json!(1), json!({"step": 0})), "/space/0/step", "above 0");
    refused("space", float(json!(0), json!(1), json!({"step": 2})), "/space/0/step", "larger than the range");
    refused("space", float(json!(1e9), json!(1e9 + 1.0), json!({"step": 0.5})), "/space/0/step", "too small");
    refused("space", float(json!(0), json!(1), json!({"default": 2})), "/space/0/default", "outside the range");
    refused(
        "space",
        float(json!(0), json!(1), json!({"prior": {"normal": [0.5, 0]}})),
        "/space/0/prior/normal",
        "above 0",
    );
    refused(
        "space",
        float(json!(0), json!(1), json!({"prior": {"normal": [0.5]}})),
        "/space/0/prior/normal",
        "two numbers",
    );
    refused(
        "space",
        float(json!(0), json!(1), json!({"prior": {"normal": [0.5, 1], "x": 1}})),
        "/space/0/prior/x",
        "known: normal",
    );
    refused(
        "space",
        float(json!(1), json!(9), json!({"log": true, "prior": {"normal": [5, 1]}})),
        "/space/0/prior/normal",
        "natural logarithms",
    );
    refused("space", float(json!("0"), json!(1), json!({})), "/space/0/low", "must be a number, not the string \"0\"");
    refused("space", float(json!(-1e308), json!(1e308), json!({})), "/space/0/high", "too wide");
    let int = |more: Value| {
        let mut p = json!({"name": "x", "type": "int", "low": 1, "high": 9});
        p.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([p])
    };
    refused("space", int(json!({"low": 0.5})), "/space/0/low", "whole number");
    refused("space", int(json!({"low": 0, "log": true})), "/space/0/low", "1 or more");
    refused("space", int(json!({"step": 2, "log": true})), "/space/0/step", "other than 1");
    refused("space", int(json!({"step": 0})), "/space/0/step", "1 or more");
    refused("space", int(json!({"high": 1u64 << 60})), "/space/0/high", "2^53");
}

#[test]
fn choices_and_fidelities_are_judged() {
    let cat = |choices: Value| json!([{"name": "x", "type": "categorical", "choices": choices}]);
    refused("space", cat(json!([])), "/space/0/choices", "1 to 1024");
    refused("space", cat(json!((0..1025).collect::<Vec<_>>())), "/space/0/choices", "1 to 1024");
    refused("space", cat(json!([1, 2, 1.0])), "/space/0/choices/2", "same as choice 0");
    refused("space", cat(json!([1, [2]])), "/space/0/choices/1", "a list");
    let mut body = minimal();
    body["space"] = cat(json!([1, "1", true, null]));
    parse_study(&body).unwrap();
    let fid = |more: Value| json!([{"name": "x", "type": "bool"}, more]);
    refused("space", fid(json!({"name": "t", "type": "fidelity", "low": 0, "high": 9})), "/space/1/low", "from 1 up");
    refused(
        "space",
        fid(json!({"name": "t", "type": "fidelity", "low": 1, "high": 9, "base": 1})),
        "/space/1/base",
        "2 or more",
    );
    refused("space", json!([{"name": "t", "type": "fidelity", "low": 1, "high": 9}]), "/space", "nothing to search");
    refused("space", json!([]), "/space", "at least one parameter");
    refused("space", json!({"x": 1}), "/space", "list of parameters");
    let two = json!([{"name": "x", "type": "bool"}, {"name": "t", "type": "fidelity", "low": 1, "high": 9}, {"name": "u", "type": "fidelity", "low": 1, "high": 9}]);
    refused("space", two, "/space/2", "at most one fidelity");
}

#[test]
fn names_are_judged() {
    let named = |name: &str| json!([{"name": name, "type": "bool"}]);
    refused("space", named(""), "/space/0/name", "empty");
    refused("space", named(&"x".repeat(129)), "/space/0/name", "128");
    refused("space", named("a\nb"), "/space/0/name", "control");
    refused("space", named("a{b"), "/space/0/name", "placeholders");
    refused("space", named("trial.id"), "/space/0/name", "reserved");
    refused("name", json!("a/b"), "/name", "`/`");
    refused("objectives", json!([]), "/objectives", "at least one");
    refused(
        "objectives",
        json!([{"metric": "a", "direction": "maximize"}, {"metric": "a", "direction": "minimize"}]),
        "/objectives/1/metric",
        "once",
    );
    refused("constraints", json!([{"metric": "a"}]), "/constraints/0", "at_most");
    refused("constraints", json!([{"metric": "a", "at_most": 1, "at_least": 2}]), "/constraints/0/at_least", "above");
}

#[test]
fn conditions_need_a_discrete_parent_declared_before() {
    let with = |when: Value| {
        json!([{"name": "o", "type": "categorical", "choices": ["a", "b"]}, {"name": "f", "type": "float", "low": 0, "high": 1},
               {"name": "x", "type": "bool", "when": when}, {"name": "late", "type": "bool"}])
    };
    refused("space", with(json!({"q": [1]})), "/space/2/when/q", "does not exist");
    refused("space", with(json!({"x": [true]})), "/space/2/when/x", "itself");
    refused("space", with(json!({"late": [true]})), "/space/2/when/late", "declared after");
    refused("space", with(json!({"f": [0.5]})), "/space/2/when/f", "is a float");
    refused("space", with(json!({"o": ["c"]})), "/space/2/when/o", "can never be \"c\"");
    refused("space", with(json!({"o": []})), "/space/2/when/o", "empty");
    refused("space", with(json!({"o": ["a", "a"]})), "/space/2/when/o", "twice");
    let cycle =
        json!([{"name": "a", "type": "bool", "when": {"b": true}}, {"name": "b", "type": "bool", "when": {"a": true}}]);
    refused("space", cycle, "/space/0/when/b", "cycle: a → b → a");
    let mut body = minimal();
    body["space"] = with(json!({"o": "a"}));
    let def = parse_study(&body).unwrap();
    assert_eq!(def.space.params[2].when.as_ref().unwrap()["o"], [json!("a")]);
}

#[test]
fn budgets_and_runs_are_judged() {
    refused("budget", json!({"max_trials": 0}), "/budget/max_trials", "1 or more");
    refused("budget", json!({"max_trials": -3}), "/budget/max_trials", "from 0 up");
    refused("budget", json!({"timeout_s": 0}), "/budget/timeout_s", "above 0");
    refused("sampler", json!("tpe"), "/sampler", "{\"name\": \"tpe\"}");
    refused("sampler", json!({"name": "tpe", "seed": -1}), "/sampler/seed", "from 0 up");
    refused("early_stopping", json!({}), "/early_stopping/rule", "needs the field `rule`");
    let run = |more: Value| {
        let mut run = json!({"command": ["python", "t.py"]});
        run.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        run
    };
    refused("run", json!({"comand": ["x"], "command": ["x"]}), "/run/comand", "did you mean `command`?");
    refused("run", run(json!({"gpus": 1.5})), "/run/gpus", "share of one GPU");
    refused("run", run(json!({"gpus": -1})), "/run/gpus", "whole number");
    refused("run", run(json!({"cpus": 0})), "/run/cpus", "1 or more");
    refused("run", run(json!({"max_attempts": 0})), "/run/max_attempts", "at least one");
    refused("run", run(json!({"snapshot": "b3:12"})), "/run/snapshot", "64 hexadecimal");
    refused("run", run(json!({"workdir": "inplace"})), "/run/workdir", "did you mean `in_place`?");
    refused("run", run(json!({"lost_checkpoint": "weit"})), "/run/lost_checkpoint", "did you mean `wait`?");
    refused("run", run(json!({"workdir": "in_place"})), "/run/path", "needed");
    refused("run", run(json!({"workdir": "in_place", "path": "here"})), "/run/path", "absolute");
    refused("run", run(json!({"links": ["../data"]})), "/run/links/0", "`..`");
    refused("run", run(json!({"templates": ["/etc/x"]})), "/run/templates/0", "relative");
    refused("run", run(json!({"env": {"A": 1}})), "/run/env/A", "quotes");
    refused("run", run(json!({"env": {"A B": "1"}})), "/run/env/A B", "no name");
    refused(
        "run",
        run(json!({"env": {"WANDB_API_KEY": "1"}})),
        "/run/env/WANDB_API_KEY",
        "metaopt secret set WANDB_API_KEY",
    );
    refused("run", run(json!({"secret_env": ["METAOPT_TOKEN"]})), "/run/secret_env/0", "reserved");
    refused("run", run(json!({"nodes": []})), "/run/nodes", "empty list");
    for name in ["TOKENIZERS_PARALLELISM", "KEYBOARD", "MONKEY_PATCH", "HF_HOME"] {
        assert!(!looks_secret(name), "{name}");
    }
    for name in ["GH_TOKEN", "MY_SECRET", "db_password", "AWS_ACCESS_KEY_ID", "OPENAI_APIKEY"] {
        assert!(looks_secret(name), "{name}");
    }
}
