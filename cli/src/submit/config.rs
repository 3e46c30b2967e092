//! Files a study may come from: a study in YAML or JSON, a space in JSON or YAML.

use std::{io::Read, path::Path};

use metaopt_schema::space::Param;
use serde_json::{Map, Value};

use crate::failure::{Doing, Failure};

/// A study's JSON, in YAML (of which JSON is a part).
pub fn study(path: &Path) -> Result<Map<String, Value>, Failure> {
    match read(path)? {
        Value::Object(map) => Ok(map),
        _ => Err(Failure::usage(format!("{} must hold a study's fields", path.display()))
            .hint("such as `name:`, `space:`, `objectives:`, `run:`; docs/cli.md has an example")),
    }
}

/// A list of parameters, or an object with such a list under `space`.
pub fn space(path: &Path) -> Result<Vec<Param>, Failure> {
    let value = match read(path)? {
        Value::Object(mut map) => map.remove("space").unwrap_or(Value::Object(map)),
        other => other,
    };
    params(&value, &path.display().to_string())
}

/// Parameters from JSON; wrong ones are named by their place.
pub fn params(value: &Value, whence: &str) -> Result<Vec<Param>, Failure> {
    let Value::Array(items) = value else {
        return Err(Failure::usage(format!("the space in {whence} must be a list of parameters"))
            .hint("as in [{\"name\": \"lr\", \"type\": \"float\", \"low\": 1e-5, \"high\": 1, \"log\": true}]"));
    };
    let one = |(at, item): (usize, &Value)| {
        serde_json::from_value::<Param>(item.clone()).map_err(|error| {
            let name = item.get("name").and_then(Value::as_str).unwrap_or("no name");
            Failure::usage(format!("parameter {at} ({name}) in {whence} is wrong")).cause(error)
        })
    };
    items.iter().enumerate().map(one).collect()
}

fn read(path: &Path) -> Result<Value, Failure> {
    let text = if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).doing(|| "cannot read standard input".into())?;
        text
    } else {
        std::fs::read_to_string(path)
            .map_err(|error| Failure::usage(format!("cannot read {}", path.display())).cause(error))?
    };
    parse(&text).map_err(|why| Failure::usage(format!("{} is neither YAML nor JSON", path.display())).cause(why))
}

fn parse(text: &str) -> Result<Value, String> {
    // JSON first: its numbers and escapes are then exactly JSON's.
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(_) => serde_saphyr::from_str::<Value>(text).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_has_the_studys_own_shape() {
        let value = parse(
            "name: mnist\nspace:\n  - {name: lr, type: float, low: 1e-5, high: 1, log: true}\n  - name: opt\n    type: categorical\n    choices: [sgd, 3, true, null, \"7\"]\nbudget:\n  max_trials: 10\n",
        )
        .unwrap();
        assert_eq!(value["space"][0]["low"], json!(1e-5));
        assert_eq!(value["space"][1]["choices"], json!(["sgd", 3, true, null, "7"]));
        assert_eq!(value["budget"]["max_trials"], json!(10));
        assert_eq!(params(&value["space"], "x").unwrap().len(), 2);
    }

    #[test]
    fn wrong_parameters_are_named() {
        let failure =
            params(&json!([{"name": "a", "type": "bool"}, {"name": "lr", "type": "floot"}]), "s.json").unwrap_err();
        assert!(failure.message.contains("parameter 1 (lr) in s.json"), "{failure:?}");
        assert!(params(&json!({"lr": 1}), "s.json").is_err());
        assert!(parse("a: [1").is_err());
    }
}
