//! Puts parents before their children, and tells of a parent that isn't there.
//!
//! On a command line flags come in any order; the space wants parents first.

use metaopt_schema::space::Param;

use crate::{failure::Failure, nearest::nearest};

/// `params` with every parent before its children and otherwise in the given order.
pub fn parents_first(params: Vec<Param>) -> Result<Vec<Param>, Failure> {
    for param in &params {
        if params.iter().filter(|other| other.name == param.name).count() > 1 {
            return Err(Failure::usage(format!("the parameter `{}` is declared twice", param.name)));
        }
        for parent in parents(param) {
            if params.iter().any(|other| other.name == parent) {
                continue;
            }
            let failure =
                Failure::usage(format!("`{}` depends on `{parent}`, but there is no parameter `{parent}`", param.name));
            let names = params.iter().map(|other| other.name.as_str()).filter(|name| *name != param.name);
            return Err(match nearest(parent, names) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure.hint(format!("declare it, as in --{parent}~'choices([\"a\", \"b\"])'")),
            });
        }
    }
    let mut waiting = params;
    let mut placed: Vec<Param> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let ready = waiting
            .iter()
            .position(|param| parents(param).all(|parent| placed.iter().any(|other| other.name == parent)));
        match ready {
            Some(place) => placed.push(waiting.remove(place)),
            None => {
                let names: Vec<_> = waiting.iter().map(|param| format!("`{}`", param.name)).collect();
                return Err(Failure::usage(format!("the conditions of {} depend on one another", names.join(", "))));
            }
        }
    }
    Ok(placed)
}

fn parents(param: &Param) -> impl Iterator<Item = &str> {
    param.when.iter().flat_map(|when| when.keys().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(text: &str) -> Vec<Param> {
        serde_json::from_str(text).unwrap()
    }

    fn names(params: &[Param]) -> Vec<&str> {
        params.iter().map(|param| param.name.as_str()).collect()
    }

    #[test]
    fn children_wait_for_their_parents() {
        let sorted = parents_first(space(
            r#"[{"name": "c", "type": "bool", "when": {"b": [true]}}, {"name": "b", "type": "bool", "when": {"a": [true]}},
                {"name": "x", "type": "bool"}, {"name": "a", "type": "bool"}]"#,
        ))
        .unwrap();
        assert_eq!(names(&sorted), ["x", "a", "b", "c"]);
    }

    #[test]
    fn missing_parents_cycles_and_twins_are_told() {
        let missing = r#"[{"name": "m", "type": "bool", "when": {"otp": [1]}}, {"name": "opt", "type": "bool"}]"#;
        let failure = parents_first(space(missing)).unwrap_err();
        assert!(failure.hints[0].contains("`opt`"), "{failure:?}");
        let cycle =
            r#"[{"name": "a", "type": "bool", "when": {"b": [1]}}, {"name": "b", "type": "bool", "when": {"a": [1]}}]"#;
        assert!(parents_first(space(cycle)).unwrap_err().message.contains("depend on one another"));
        let twins = r#"[{"name": "a", "type": "bool"}, {"name": "a", "type": "bool"}]"#;
        assert!(parents_first(space(twins)).unwrap_err().message.contains("declared twice"));
    }
}
