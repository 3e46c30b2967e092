//! Small texts on the command line: `asha:max_steps=50,min_steps=2` and `KEY=VALUE`.

use serde_json::{Map, Value};

use crate::failure::Failure;

/// `NAME[:key=value,…]` as an object with the name under `key`. Values are JSON where they can be, else texts.
pub fn named(option: &str, key: &str, text: &str) -> Result<Map<String, Value>, Failure> {
    let (name, options) = text.split_once(':').unwrap_or((text, ""));
    if name.is_empty() {
        return Err(
            Failure::usage(format!("{option} needs a name")).hint(format!("as in {option} NAME:key=value,key=value"))
        );
    }
    let mut out = Map::from_iter([(key.to_owned(), Value::from(name))]);
    for pair in options.split(',').filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(Failure::usage(format!("`{pair}` in {option} is not key=value"))
                .hint(format!("as in {option} {}:key=value,key=value", text.split(':').next().unwrap_or(text))));
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        if out.insert(name.to_owned(), value).is_some() {
            return Err(Failure::usage(format!("`{name}` stands twice in {option}")));
        }
    }
    Ok(out)
}

/// `KEY=VALUE` pairs as an object of texts.
pub fn pairs(option: &str, list: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut out = Map::new();
    for pair in list {
        let Some((key, value)) = pair.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(Failure::usage(format!("`{pair}` is not KEY=VALUE")).hint(format!("as in {option} KEY=VALUE")));
        };
        out.insert(key.to_owned(), Value::from(value));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_and_samplers_with_options() {
        let rule = named("--early-stopping", "rule", "asha:max_steps=50,mode=fast,strict=true").unwrap();
        assert_eq!(Value::from(rule), json!({"rule": "asha", "max_steps": 50, "mode": "fast", "strict": true}));
        assert_eq!(Value::from(named("--sampler", "name", "tpe").unwrap()), json!({"name": "tpe"}));
        for bad in ["", ":a=1", "asha:max_steps", "asha:a=1,a=2", "asha:rule=x"] {
            assert_eq!(named("--early-stopping", "rule", bad).unwrap_err().code, crate::failure::USAGE, "{bad}");
        }
    }

    #[test]
    fn environment_values_may_hold_equals_signs() {
        let env = pairs("--env", &["A=b=c".into(), "E=".into()]).unwrap();
        assert_eq!(Value::from(env), json!({"A": "b=c", "E": ""}));
        assert!(pairs("--env", &["A".into()]).is_err());
    }
}
