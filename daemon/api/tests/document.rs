//! The committed OpenAPI document is the one that the types make, and it holds together.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;

use metaopt_api::{openapi, problem::Problem, study::NewStudy, trial};
use serde_json::{Value, json};

#[test]
fn the_committed_document_is_current() {
    let committed = include_str!("../openapi.json");
    assert!(
        committed == openapi::text().unwrap(),
        "daemon/api/openapi.json differs from the types; write it anew with\n    {}",
        openapi::REGENERATE
    );
}

#[test]
fn it_is_openapi_3_1_and_every_reference_leads_somewhere() {
    let document: Value = serde_json::from_str(&openapi::text().unwrap()).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 50, "only {} references", found.len());
    for reference in found {
        let pointer = reference.strip_prefix('#').expect("a local reference");
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[test]
fn operations_have_ids_of_their_own_and_describe_their_errors_as_problems() {
    let document: Value = serde_json::from_str(&openapi::text().unwrap()).unwrap();
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let at = format!("{method} {path}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{at}: id used twice");
            for (status, response) in operation["responses"].as_object().unwrap() {
                if status.starts_with(['4', '5']) {
                    let schema = response.pointer("/content/application~1problem+json/schema/$ref");
                    assert_eq!(schema, Some(&json!("#/components/schemas/Problem")), "{at} {status}");
                }
            }
        }
    }
    assert!(ids.len() >= 45, "{} operations", ids.len());
}

#[test]
fn a_study_as_the_contract_shows_it_is_understood() {
    let body = json!({"name": "mnist", "space": [
            {"name": "lr", "type": "float", "low": 1e-5, "high": 1.0, "log": true, "default": 1e-3},
            {"name": "decay", "type": "float", "low": 0.0, "high": 1.0, "prior": {"normal": [0.1, 0.05]}},
            {"name": "opt", "type": "categorical", "choices": ["sgd", "adam"]},
            {"name": "momentum", "type": "float", "low": 0.0, "high": 1.0, "when": {"opt": ["sgd"]}},
            {"name": "epochs", "type": "fidelity", "low": 1, "high": 81, "base": 3}],
        "objectives": [{"metric": "loss", "direction": "minimize"}],
        "constraints": [{"metric": "latency_ms", "at_most": 20.0}],
        "sampler": {"name": "auto", "seed": 7},
        "early_stopping": {"rule": "asha", "max_steps": 50},
        "budget": {"max_trials": 100, "max_parallel": null, "timeout_s": null, "strict": false, "priority": 0},
        "run": {"command": ["python", "train.py", "--lr", "{lr}"], "setup": "pip install -r requirements.txt",
            "snapshot": "b3:00", "workdir": "snapshot", "links": ["data"], "nodes": null, "requires": {"cuda": "12"},
            "gpus": 1, "cpus": 1, "env": {}, "secret_env": ["WANDB_API_KEY"], "timeout_s": null, "max_attempts": 3,
            "retry_failed": false}});
    let study: NewStudy = serde_json::from_value(body).unwrap();
    assert_eq!(study.early_stopping.unwrap().options["max_steps"], 50);
    assert!(
        serde_json::from_value::<NewStudy>(json!({"name": "x", "space": [], "objectives": [], "bugdet": {}})).is_err()
    );
}

#[test]
fn requests_refuse_fields_they_do_not_know() {
    assert!(serde_json::from_value::<trial::Suggest>(json!({"cuont": 1})).is_err());
    assert!(serde_json::from_value::<trial::Complete>(json!({"value": 1})).is_err());
    assert!(serde_json::from_value::<trial::NewReports>(json!({"step": 1, "values": {"loss": 1}, "time": 0})).is_err());
    assert!(serde_json::from_value::<trial::NewReports>(json!([{"step": 1, "values": {"loss": 1}}])).is_ok());
}

#[test]
fn a_problem_keeps_the_names_of_rfc_9457() {
    let problem = Problem::new(metaopt_api::ProblemKind::Conflict, "taken");
    assert_eq!(
        serde_json::to_value(problem).unwrap(),
        json!({"type": "urn:metaopt:problem:conflict", "title": "The state or name does not allow that", "status": 409, "detail": "taken"})
    );
}

fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if key == "$ref" => found.push(text),
                    other => references(other, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}
