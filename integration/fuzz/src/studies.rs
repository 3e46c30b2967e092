//! Study definitions: one that is accepted is the same after it was stored and read, and its command can be expanded
//! for any configuration.
//!
//! Input: JSON.

use metaopt_engine::{check_study, codec::Codec};
use metaopt_schema::{
    study::{StudyDef, validate},
    template::{TrialVars, check, expand},
};
use serde_json::Value;

pub fn run(data: &[u8]) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(data) else { return false };
    let _ = validate::parse_budget(&body);
    let def = match validate::parse_study(&body) {
        Ok(def) => def,
        Err(errors) => {
            assert!(!errors.is_empty());
            for error in errors {
                assert!(error.pointer.is_empty() || error.pointer.starts_with('/'), "{error:?}");
                assert!(!error.detail.is_empty());
            }
            return false;
        }
    };
    let json = serde_json::to_vec(&def).expect("a study is JSON");
    assert_eq!(serde_json::from_slice::<StudyDef>(&json).ok().as_ref(), Some(&def), "as stored");
    let again: Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(validate::parse_study(&again).as_ref(), Ok(&def), "as given again");
    if check_study(&def).is_err() {
        return false;
    }
    if let Some(run) = &def.run {
        let names: Vec<&str> = def.space.params.iter().map(|param| param.name.as_str()).collect();
        if check(&run.command, &names).is_ok() {
            let codec = Codec::new(&def.space);
            let params = def.space.with_fidelity(&codec.decode(&codec.start()), None);
            let vars = TrialVars {
                id: "n.1".into(),
                label: "n-1".into(),
                checkpoint_dir: "/c".into(),
                output_dir: "/o".into(),
            };
            expand(&run.command, &params, &names, &vars).expect("what was checked expands");
        }
    }
    true
}
