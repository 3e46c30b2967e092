//! `metaopt enqueue STUDY lr=0.1 …`

use serde_json::{Map, Value, json};

use crate::{
    context::{Context, study_path},
    failure::Failure,
    json::{list, text},
    nearest::nearest,
    render::value,
};

/// Try given parameters next
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Name or ID
    #[arg(value_name = "STUDY")]
    pub study: String,
    /// Parameters
    #[arg(value_name = "NAME=VALUE", required = true)]
    pub params: Vec<String>,
}

/// Adds a waiting trial.
pub fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let study = context.study(&args.study)?;
    let params = read(list(&study, "space"), &args.params)?;
    let body = context.client()?.post(&study_path(text(&study, "id"), "/trials"), &json!({"params": params}))?;
    if context.out.json {
        return context.out.body(&body);
    }
    context.out.line(text(&body, "label"))
}

/// Texts as the JSON values that the space expects.
fn read(space: &[Value], pairs: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut params = Map::new();
    for pair in pairs {
        let Some((name, text_value)) = pair.split_once('=') else {
            return Err(Failure::usage(format!("`{pair}` is not NAME=VALUE")));
        };
        let Some(param) = space.iter().find(|param| text(param, "name") == name) else {
            let failure = Failure::usage(format!("the study has no parameter `{name}`"));
            let names: Vec<&str> = space.iter().map(|param| text(param, "name")).collect();
            return Err(match nearest(name, names.iter().copied()) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure.hint(format!("it has {}", names.join(", "))),
            });
        };
        let value = typed(param, text_value).ok_or_else(|| {
            Failure::usage(format!("`{text_value}` is no value of `{name}`"))
                .hint(format!("it takes {}", value::range(param)))
        })?;
        if params.insert(name.to_owned(), value).is_some() {
            return Err(Failure::usage(format!("`{name}` is given twice")));
        }
    }
    Ok(params)
}

fn typed(param: &Value, text_value: &str) -> Option<Value> {
    let choices = list(param, "choices");
    if !choices.is_empty() {
        // The choice `"1"` is typed like the choice `1`; the first of the list wins.
        return choices
            .iter()
            .find(|choice| {
                value::exact(choice) == text_value
                    || serde_json::from_str(text_value).is_ok_and(|given: Value| given == **choice)
            })
            .cloned();
    }
    match text(param, "type") {
        "bool" => match text_value.to_lowercase().as_str() {
            "true" | "yes" | "1" => Some(Value::Bool(true)),
            "false" | "no" | "0" => Some(Value::Bool(false)),
            _ => None,
        },
        "int" | "fidelity" => text_value.parse::<i64>().ok().map(Value::from),
        "float" => text_value.parse::<f64>().ok().filter(|x| x.is_finite()).map(Value::from),
        _ => Some(serde_json::from_str(text_value).unwrap_or_else(|_| Value::from(text_value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> Vec<Value> {
        serde_json::from_str(
            r#"[{"name": "lr", "type": "float", "low": 0, "high": 1}, {"name": "n", "type": "int", "low": 1, "high": 9},
                {"name": "opt", "type": "categorical", "choices": ["sgd", 2, null]}, {"name": "amp", "type": "bool"}]"#,
        )
        .unwrap()
    }

    fn one(pair: &str) -> Result<Value, Failure> {
        let params = read(&space(), &[pair.to_owned()])?;
        Ok(params.into_iter().next().unwrap().1)
    }

    #[test]
    fn texts_take_the_types_of_the_space() {
        assert_eq!(one("lr=1").unwrap(), json!(1.0));
        assert_eq!(one("n=3").unwrap(), json!(3));
        assert_eq!(one("opt=sgd").unwrap(), json!("sgd"));
        assert_eq!(one("opt=2").unwrap(), json!(2));
        assert_eq!(one("opt=null").unwrap(), json!(null));
        assert_eq!(one("amp=true").unwrap(), json!(true));
    }

    #[test]
    fn what_does_not_fit_is_told_with_what_would() {
        assert!(one("n=2.5").unwrap_err().hints[0].contains("1 … 9"));
        assert!(one("opt=adam").unwrap_err().hints[0].contains("sgd | 2"));
        assert!(one("opts=sgd").unwrap_err().hints[0].contains("`opt`"));
        assert!(one("lr").unwrap_err().message.contains("NAME=VALUE"));
        assert!(one("lr=nan").is_err());
    }
}
