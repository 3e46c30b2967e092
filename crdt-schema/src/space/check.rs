//! Configurations against a space.

use serde_json::Value;

use super::{Params, Space, domain::same};
use crate::{
    FieldError,
    problem::{Fields, token},
    shape::unknown,
};

impl Space {
    /// `params` in declaration order with canonical values, or all that is wrong with them (pointers below `/params`).
    /// Nothing is filled in; a fidelity, where given, is checked and left out.
    pub fn check_params(&self, params: &Params) -> Result<Params, Vec<FieldError>> {
        self.check(params, false)
    }

    /// As [`Space::check_params`], but a missing active parameter takes its default where it has one.
    pub fn check_params_with_defaults(&self, params: &Params) -> Result<Params, Vec<FieldError>> {
        self.check(params, true)
    }

    fn check(&self, params: &Params, fill: bool) -> Result<Params, Vec<FieldError>> {
        let mut errors = Fields::new();
        let mut clean = Params::new();
        // Below a parent whose value is wrong nobody can say what is active.
        let mut unclear: Vec<&str> = Vec::new();
        for param in &self.params {
            let (name, at) = (param.name.as_str(), format!("/params/{}", token(&param.name)));
            let value = match params.get(name).map(|value| param.domain.canonical(value)).transpose() {
                Ok(value) => value,
                Err(detail) => {
                    errors.add(&at, format!("`{name}` {detail}"));
                    unclear.push(name);
                    continue;
                }
            };
            if param.domain.is_fidelity() {
                continue;
            }
            if param.when.iter().flatten().any(|(parent, _)| unclear.contains(&parent.as_str())) {
                unclear.push(name);
                continue;
            }
            match (value, blocker(param, &clean)) {
                (Some(value), None) => {
                    clean.insert(name.to_owned(), value);
                }
                (None, None) => match param.default.as_ref().filter(|_| fill).map(|d| param.domain.canonical(d)) {
                    Some(Ok(value)) => {
                        clean.insert(name.to_owned(), value);
                    }
                    _ => {
                        errors.add(&at, format!("`{name}` is missing; give it a value ({})", range(&param.domain)));
                        unclear.push(name);
                    }
                },
                (Some(_), Some((parent, allowed))) => errors.add(
                    &at,
                    format!(
                        "`{name}` is not active here: it exists only when `{parent}` is {}; leave it out",
                        one_of(allowed)
                    ),
                ),
                (None, Some(_)) => {}
            }
        }
        let names: Vec<&str> = self.params.iter().map(|p| p.name.as_str()).collect();
        for name in params.keys().filter(|name| !names.contains(&name.as_str())) {
            errors.add(format!("/params/{}", token(name)), unknown("parameter", name, &names));
        }
        errors.done(clean)
    }

    /// A configuration of another space in this one: what this one doesn't have, or has inactive, is left out; what is
    /// missing takes its default.
    ///
    /// # Errors
    /// Why it doesn't fit, in words that are the same for all configurations of which it is true.
    pub fn adopt(&self, params: &Params) -> Result<Params, String> {
        let mut clean = Params::new();
        for param in self.params.iter().filter(|param| !param.domain.is_fidelity()) {
            if blocker(param, &clean).is_some() {
                continue;
            }
            let name = &param.name;
            let value = match params.get(name) {
                Some(value) => {
                    param.domain.canonical(value).map_err(|_| format!("`{name}` is not {}", range(&param.domain)))?
                }
                None => {
                    let default = param.default.as_ref().and_then(|value| param.domain.canonical(value).ok());
                    default.ok_or_else(|| format!("`{name}` is missing, and has no default"))?
                }
            };
            clean.insert(name.clone(), value);
        }
        Ok(clean)
    }

    /// Names of the parameters that are active under `params`, in declaration order (fidelities left out).
    pub fn active(&self, params: &Params) -> Vec<&str> {
        let mut live = Params::new();
        for param in self.params.iter().filter(|p| !p.domain.is_fidelity()) {
            if blocker(param, &live).is_none() {
                live.insert(param.name.clone(), params.get(&param.name).cloned().unwrap_or(Value::Null));
            }
        }
        self.params.iter().map(|p| p.name.as_str()).filter(|name| live.contains_key(*name)).collect()
    }

    /// The fidelity, where the space has one: its smallest and largest value and the base of its rungs.
    pub fn fidelity(&self) -> Option<(i64, i64, i64)> {
        self.params.iter().find_map(|param| match param.domain {
            super::Domain::Fidelity { low, high, base } => Some((low, high, base)),
            _ => None,
        })
    }

    /// `params` with the fidelity (where the space has one) at `level`, or at its largest: what a process is given.
    pub fn with_fidelity(&self, params: &Params, level: Option<i64>) -> Params {
        let mut out = params.clone();
        for param in &self.params {
            if let super::Domain::Fidelity { low, high, .. } = param.domain {
                out.insert(param.name.clone(), level.map_or(high, |l| l.clamp(low.min(high), high)).into());
            }
        }
        out
    }
}

/// The first condition of `param` that `live` doesn't meet.
fn blocker<'a>(param: &'a super::Param, live: &Params) -> Option<(&'a str, &'a [Value])> {
    param
        .when
        .iter()
        .flatten()
        .find(|(parent, allowed)| !live.get(*parent).is_some_and(|value| allowed.iter().any(|a| same(a, value))))
        .map(|(parent, allowed)| (parent.as_str(), allowed.as_slice()))
}

fn one_of(values: &[Value]) -> String {
    values.iter().map(Value::to_string).collect::<Vec<_>>().join(" or ")
}

/// A domain in a few words, for messages.
pub(crate) fn range(domain: &super::Domain) -> String {
    use super::Domain::{Bool, Categorical, Fidelity, Float, Int, Ordinal};
    match domain {
        Float { low, high, .. } => format!("a number from {low} to {high}"),
        Int { low, high, .. } | Fidelity { low, high, .. } => format!("a whole number from {low} to {high}"),
        Bool {} => "true or false".into(),
        Categorical { choices } | Ordinal { choices } => {
            let shown = one_of(&choices[..choices.len().min(8)]);
            if choices.len() > 8 { format!("{shown} or …") } else { shown }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn space() -> Space {
        serde_json::from_value(json!([
            {"name": "opt", "type": "categorical", "choices": ["sgd", "adam"]},
            {"name": "lr", "type": "float", "low": 1e-5, "high": 1.0, "log": true, "default": 0.1},
            {"name": "momentum", "type": "float", "low": 0.0, "high": 1.0, "when": {"opt": ["sgd"]}},
            {"name": "layers", "type": "int", "low": 1, "high": 12},
            {"name": "epochs", "type": "fidelity", "low": 1, "high": 81},
        ]))
        .unwrap()
    }

    fn check(params: Value) -> Result<Params, Vec<FieldError>> {
        space().check_params(&serde_json::from_value(params).unwrap())
    }

    #[test]
    fn good_configurations_come_back_ordered_and_canonical() {
        let got = check(json!({"layers": 3.0, "epochs": 9, "lr": 1, "momentum": 0.3, "opt": "sgd"})).unwrap();
        assert_eq!(serde_json::to_string(&got).unwrap(), r#"{"opt":"sgd","lr":1.0,"momentum":0.3,"layers":3}"#);
        assert_eq!(space().active(&got), ["opt", "lr", "momentum", "layers"]);
        assert_eq!(space().with_fidelity(&got, None)["epochs"], json!(81));
    }

    #[test]
    fn every_fault_is_named() {
        let errors = check(json!({"opt": "adam", "lr": 2.0, "momentum": 0.3, "layrs": 3})).unwrap_err();
        let text: Vec<String> = errors.iter().map(|e| format!("{}: {}", e.pointer, e.detail)).collect();
        assert_eq!(
            text,
            [
                "/params/lr: `lr` 2 is outside the range 0.00001 to 1",
                "/params/momentum: `momentum` is not active here: it exists only when `opt` is \"sgd\"; leave it out",
                "/params/layers: `layers` is missing; give it a value (a whole number from 1 to 12)",
                "/params/layrs: unknown parameter `layrs`; did you mean `layers`?",
            ]
        );
    }

    #[test]
    fn a_wrong_parent_leaves_its_children_unjudged() {
        let errors = check(json!({"opt": "sdg", "lr": 0.1, "layers": 2})).unwrap_err();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].pointer, "/params/opt");
    }

    #[test]
    fn defaults_are_filled_only_when_asked() {
        let given: Params = serde_json::from_value(json!({"opt": "adam", "layers": 2})).unwrap();
        assert!(space().check_params(&given).is_err());
        assert_eq!(space().check_params_with_defaults(&given).unwrap()["lr"], json!(0.1));
    }
}
