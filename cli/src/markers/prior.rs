//! What each prior means: from a parsed call to the contract's JSON form of a parameter.

use metaopt_schema::space::{Domain, Prior};
use serde_json::Value;

use super::{
    lex::Bad,
    parse::{Arg, Call, Span},
};
use crate::nearest::nearest;

struct Signature {
    name: &'static str,
    /// Positional arguments, in order; all are needed but a fidelity's base.
    takes: &'static [&'static str],
    /// Further options, by name only.
    options: &'static [&'static str],
    usage: &'static str,
}

const SIGNATURES: [Signature; 10] = [
    Signature {
        name: "uniform",
        takes: &["low", "high"],
        options: &["discrete", "precision", "default_value"],
        usage: "uniform(LOW, HIGH)",
    },
    Signature {
        name: "loguniform",
        takes: &["low", "high"],
        options: &["discrete", "precision", "default_value"],
        usage: "loguniform(LOW, HIGH)",
    },
    Signature { name: "randint", takes: &["low", "high"], options: &["default_value"], usage: "randint(LOW, HIGH)" },
    Signature {
        name: "lograndint",
        takes: &["low", "high"],
        options: &["default_value"],
        usage: "lograndint(LOW, HIGH)",
    },
    Signature {
        name: "quniform",
        takes: &["low", "high", "q"],
        options: &["discrete", "default_value"],
        usage: "quniform(LOW, HIGH, STEP)",
    },
    Signature {
        name: "normal",
        takes: &["mu", "sigma"],
        options: &["discrete", "precision", "default_value"],
        usage: "normal(MEAN, DEVIATION)",
    },
    Signature { name: "choices", takes: &["choices"], options: &["default_value"], usage: "choices([\"a\", \"b\"])" },
    Signature {
        name: "ordinal",
        takes: &["choices"],
        options: &["default_value"],
        usage: "ordinal([\"small\", \"large\"])",
    },
    Signature { name: "bool", takes: &[], options: &["default_value"], usage: "bool()" },
    Signature { name: "fidelity", takes: &["low", "high", "base"], options: &[], usage: "fidelity(LOW, HIGH, base=3)" },
];

/// Names that other tools give to the same priors.
const ELSEWHERE: [(&str, &str); 13] = [
    ("gaussian", "normal"),
    ("norm", "normal"),
    ("reciprocal", "loguniform"),
    ("log_uniform", "loguniform"),
    ("float", "uniform"),
    ("int", "randint"),
    ("integer", "randint"),
    ("uniformint", "randint"),
    ("loguniformint", "lograndint"),
    ("choice", "choices"),
    ("categorical", "choices"),
    ("boolean", "bool"),
    ("budget", "fidelity"),
];

/// All priors.
pub fn names() -> Vec<&'static str> {
    SIGNATURES.iter().map(|signature| signature.name).collect()
}

/// Whether there is a prior of this name.
pub fn is_known(name: &str) -> bool {
    signature(name).is_some()
}

/// How a prior is written.
pub fn usage(name: &str) -> &'static str {
    signature(name).map_or("a prior", |signature| signature.usage)
}

/// Advice about a name that is no prior.
pub fn suggestion(name: &str) -> String {
    let lower = name.to_lowercase();
    let alias = ELSEWHERE.iter().find(|(other, _)| *other == lower).map(|(_, ours)| *ours);
    match alias.or_else(|| nearest(&lower, names())) {
        Some(name) => format!("did you mean `{name}`? It is written {}", usage(name)),
        None => format!("there are {}", names().join(", ")),
    }
}

fn signature(name: &str) -> Option<&'static Signature> {
    SIGNATURES.iter().find(|signature| signature.name == name)
}

/// What a call means.
#[derive(Clone, Debug, PartialEq)]
pub struct Meaning {
    /// Type and range.
    pub domain: Domain,
    /// From `default_value`.
    pub default: Option<Value>,
    /// Something that was understood but changes nothing, for people.
    pub note: Option<String>,
}

/// Arguments under their names.
struct Bound<'a> {
    call: &'a Call,
    args: Vec<(&'static str, &'a Arg)>,
}

impl Bound<'_> {
    fn get(&self, name: &str) -> Option<&Arg> {
        self.args.iter().find(|(n, _)| *n == name).map(|(_, arg)| *arg)
    }

    fn need(&self, name: &str) -> Result<&Arg, Bad> {
        self.get(name).ok_or_else(|| {
            Bad::at(self.call.close, format!("`{}` needs `{name}`", self.call.name))
                .hint(format!("write {}", usage(&self.call.name)))
        })
    }

    fn number(&self, name: &str) -> Result<(f64, Span), Bad> {
        let arg = self.need(name)?;
        match arg.value.as_f64() {
            Some(number) => Ok((number, arg.span)),
            None => Err(Bad::at(arg.span, format!("`{name}` must be a number"))),
        }
    }

    fn whole(&self, name: &str) -> Result<(i64, Span), Bad> {
        let arg = self.need(name)?;
        whole(&arg.value).map(|n| (n, arg.span)).ok_or_else(|| {
            let bad = Bad::at(arg.span, format!("`{name}` must be a whole number"));
            match self.call.name.as_str() {
                "randint" => bad.hint("for real numbers use uniform(LOW, HIGH)"),
                "lograndint" => bad.hint("for real numbers use loguniform(LOW, HIGH)"),
                _ => bad,
            }
        })
    }

    fn flag(&self, name: &str) -> Result<bool, Bad> {
        match self.get(name) {
            None => Ok(false),
            Some(arg) => {
                arg.value.as_bool().ok_or_else(|| Bad::at(arg.span, format!("`{name}` must be True or False")))
            }
        }
    }
}

fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        let float = value.as_f64()?;
        (float.fract() == 0.0 && float.abs() < 9e15).then_some(float as i64)
    })
}

/// What `call` means, or where it is wrong.
pub fn meaning(call: &Call) -> Result<Meaning, Bad> {
    let Some(signature) = signature(&call.name) else {
        return Err(Bad::at(call.name_span, format!("unknown prior `{}`", call.name)).hint(suggestion(&call.name)));
    };
    let bound = bind(call, signature)?;
    let discrete = bound.flag("discrete")?;
    let mut note = None;
    let domain = match call.name.as_str() {
        "uniform" if discrete => int(&bound, false)?,
        "randint" => int(&bound, false)?,
        "loguniform" if discrete => int(&bound, true)?,
        "lograndint" => int(&bound, true)?,
        "uniform" => {
            let (low, high) = range(&bound, false)?;
            let step = precision(&bound, low.abs().max(high.abs()), high - low)?;
            Domain::Float { low, high, log: false, step, prior: None }
        }
        "loguniform" => {
            let (low, high) = range(&bound, true)?;
            if precision(&bound, high, f64::INFINITY)?.is_some() {
                note = Some("`precision` changes nothing on a logarithmic scale: values have full precision".into());
            }
            Domain::Float { low, high, log: true, step: None, prior: None }
        }
        "quniform" => stepped(&bound, discrete)?,
        "normal" => normal(&bound, discrete)?,
        "choices" => Domain::Categorical { choices: list(&bound)? },
        "ordinal" => Domain::Ordinal { choices: list(&bound)? },
        "bool" => Domain::Bool {},
        _ => fidelity(&bound)?,
    };
    let default = bound.get("default_value").map(|arg| default(arg, &domain)).transpose()?;
    Ok(Meaning { domain, default, note })
}

fn bind<'a>(call: &'a Call, signature: &'static Signature) -> Result<Bound<'a>, Bad> {
    let mut bound = Bound { call, args: Vec::new() };
    for (place, arg) in call.args.iter().enumerate() {
        let name = match &arg.name {
            None => signature.takes.get(place).copied().ok_or_else(|| {
                let bad = Bad::at(arg.span, format!("`{}` takes no such argument", call.name));
                bad.hint(match signature.takes {
                    ["choices"] => format!("put the choices into one list: {}", signature.usage),
                    _ => format!("write {}", signature.usage),
                })
            })?,
            Some((name, span)) => {
                let all = || signature.takes.iter().chain(signature.options).copied();
                all().find(|known| known == name).ok_or_else(|| {
                    let bad = Bad::at(*span, format!("`{}` has no option `{name}`", call.name));
                    match (name.as_str(), nearest(name, all())) {
                        ("shape", _) => bad.hint("declare one parameter for each element"),
                        (_, Some(near)) => bad.hint(format!("did you mean `{near}`?")),
                        ("default", _) => bad.hint("did you mean `default_value`?"),
                        _ if signature.options.is_empty() => bad.hint(format!("write {}", signature.usage)),
                        _ => bad.hint(format!("it has {}", signature.options.join(", "))),
                    }
                })?
            }
        };
        if bound.get(name).is_some() {
            return Err(Bad::at(arg.span, format!("`{name}` is given twice")));
        }
        bound.args.push((name, arg));
    }
    Ok(bound)
}

fn range(bound: &Bound<'_>, log: bool) -> Result<(f64, f64), Bad> {
    let (low, low_span) = bound.number("low")?;
    let (high, high_span) = bound.number("high")?;
    if log && low <= 0.0 {
        return Err(Bad::at(low_span, "a logarithmic scale needs a `low` above 0").hint("as in loguniform(1e-5, 1)"));
    }
    if low >= high {
        return Err(Bad::at(high_span, format!("`high` must be above `low`, which is {low}")));
    }
    Ok((low, high))
}

fn int(bound: &Bound<'_>, log: bool) -> Result<Domain, Bad> {
    let (low, high) = whole_range(bound, log)?;
    Ok(Domain::Int { low, high, log, step: None, prior: None })
}

fn whole_range(bound: &Bound<'_>, log: bool) -> Result<(i64, i64), Bad> {
    let (low, low_span) = bound.whole("low")?;
    let (high, high_span) = bound.whole("high")?;
    if log && low <= 0 {
        return Err(Bad::at(low_span, "a logarithmic scale needs a `low` above 0"));
    }
    if low >= high {
        return Err(Bad::at(high_span, format!("`high` must be above `low`, which is {low}")));
    }
    if let Some(arg) = bound.get("precision") {
        return Err(Bad::at(arg.span, "whole numbers have no `precision`"));
    }
    Ok((low, high))
}

fn stepped(bound: &Bound<'_>, discrete: bool) -> Result<Domain, Bad> {
    if discrete {
        let (low, high) = whole_range(bound, false)?;
        let (step, span) = bound.whole("q")?;
        if step <= 0 || step > high - low {
            return Err(Bad::at(span, format!("the step must be between 1 and {}", high - low)));
        }
        return Ok(Domain::Int { low, high, log: false, step: Some(step), prior: None });
    }
    let (low, high) = range(bound, false)?;
    let (step, span) = bound.number("q")?;
    if step <= 0.0 || step > high - low {
        return Err(Bad::at(span, format!("the step must be above 0 and at most {}", high - low)));
    }
    Ok(Domain::Float { low, high, log: false, step: Some(step), prior: None })
}

/// Five standard deviations to either side hold all but one in a million draws.
const NORMAL_REACH: f64 = 5.0;

fn normal(bound: &Bound<'_>, discrete: bool) -> Result<Domain, Bad> {
    let (mu, _) = bound.number("mu")?;
    let (sigma, span) = bound.number("sigma")?;
    if sigma <= 0.0 {
        return Err(Bad::at(span, "the standard deviation must be above 0"));
    }
    let (low, high) = (mu - NORMAL_REACH * sigma, mu + NORMAL_REACH * sigma);
    let prior = Some(Prior::Normal(mu, sigma));
    if discrete {
        if let Some(arg) = bound.get("precision") {
            return Err(Bad::at(arg.span, "whole numbers have no `precision`"));
        }
        return Ok(Domain::Int { low: low.floor() as i64, high: high.ceil() as i64, log: false, step: None, prior });
    }
    match precision(bound, low.abs().max(high.abs()), high - low)? {
        None => Ok(Domain::Float { low, high, log: false, step: None, prior }),
        Some(step) => {
            let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
            Ok(Domain::Float { low, high, log: false, step: Some(step), prior })
        }
    }
}

/// `precision=N` as a step: the unit of the N-th significant digit of the largest value.
fn precision(bound: &Bound<'_>, largest: f64, width: f64) -> Result<Option<f64>, Bad> {
    let Some(arg) = bound.get("precision") else { return Ok(None) };
    if arg.value.is_null() {
        return Ok(None);
    }
    let digits = whole(&arg.value)
        .filter(|digits| (1..=15).contains(digits))
        .ok_or_else(|| Bad::at(arg.span, "`precision` is a number of significant digits, 1 to 15"))?;
    let exponent = largest.log10().floor() as i32 - digits as i32 + 1;
    // Parsing the decimal text gives the double nearest to it, which powi need not.
    let step: f64 = format!("1e{exponent}").parse().unwrap_or(f64::MIN_POSITIVE);
    if step > width {
        return Err(Bad::at(arg.span, "at this precision the range holds a single value").hint("give more digits"));
    }
    Ok(Some(step))
}

fn list(bound: &Bound<'_>) -> Result<Vec<Value>, Bad> {
    let arg = bound.need("choices")?;
    let usage = || format!("write {}", usage(&bound.call.name));
    let Value::Array(choices) = &arg.value else {
        return Err(Bad::at(arg.span, format!("`{}` takes a list", bound.call.name)).hint(usage()));
    };
    if choices.is_empty() {
        return Err(Bad::at(arg.span, "the list of choices is empty").hint(usage()));
    }
    for (place, choice) in choices.iter().enumerate() {
        if choice.is_array() {
            return Err(Bad::at(arg.span, "a choice is a text, a number, True, False or None"));
        }
        if choices[..place].contains(choice) {
            return Err(Bad::at(arg.span, format!("the choice {choice} stands there twice")));
        }
    }
    Ok(choices.clone())
}

fn fidelity(bound: &Bound<'_>) -> Result<Domain, Bad> {
    let (low, low_span) = bound.whole("low")?;
    let (high, high_span) = bound.whole("high")?;
    if low < 1 {
        return Err(Bad::at(low_span, "a fidelity starts at 1 or above"));
    }
    if low >= high {
        return Err(Bad::at(high_span, format!("`high` must be above `low`, which is {low}")));
    }
    let base = match bound.get("base") {
        None => 3,
        Some(_) => {
            let (base, span) = bound.whole("base")?;
            if base < 2 {
                return Err(Bad::at(span, "`base` must be 2 or more"));
            }
            base
        }
    };
    Ok(Domain::Fidelity { low, high, base })
}

fn default(arg: &Arg, domain: &Domain) -> Result<Value, Bad> {
    let bad = |what: String| Bad::at(arg.span, format!("`default_value` {what}"));
    match domain {
        Domain::Float { low, high, .. } => {
            let value = arg.value.as_f64().filter(|v| (*low..=*high).contains(v));
            value.map(Value::from).ok_or_else(|| bad(format!("must be a number from {low} to {high}")))
        }
        Domain::Int { low, high, .. } | Domain::Fidelity { low, high, .. } => {
            let value = whole(&arg.value).filter(|v| (*low..=*high).contains(v));
            value.map(Value::from).ok_or_else(|| bad(format!("must be a whole number from {low} to {high}")))
        }
        Domain::Categorical { choices } | Domain::Ordinal { choices } => {
            if choices.contains(&arg.value) {
                Ok(arg.value.clone())
            } else {
                Err(bad("must be one of the choices".into()))
            }
        }
        Domain::Bool {} => {
            if arg.value.is_boolean() {
                Ok(arg.value.clone())
            } else {
                Err(bad("must be True or False".into()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::markers::parse::marker;

    fn read(text: &str) -> Result<Meaning, Bad> {
        meaning(&marker(text)?.0)
    }

    fn shape(text: &str) -> Value {
        let read = read(text).unwrap();
        let mut out = serde_json::to_value(read.domain).unwrap();
        if let Some(default) = read.default {
            out["default"] = default;
        }
        out
    }

    #[test]
    fn each_prior_has_its_form_in_the_contract() {
        for (text, form) in [
            ("uniform(0, 1)", json!({"type": "float", "low": 0.0, "high": 1.0})),
            ("uniform(low=-1, high=1.5)", json!({"type": "float", "low": -1.0, "high": 1.5})),
            ("loguniform(1e-5, 1)", json!({"type": "float", "low": 1e-5, "high": 1.0, "log": true})),
            ("randint(1, 12)", json!({"type": "int", "low": 1, "high": 12})),
            ("uniform(1, 12, discrete=True)", json!({"type": "int", "low": 1, "high": 12})),
            ("lograndint(1, 1e3)", json!({"type": "int", "low": 1, "high": 1000, "log": true})),
            ("loguniform(8, 512, discrete=True)", json!({"type": "int", "low": 8, "high": 512, "log": true})),
            ("quniform(0, 0.9, 0.05)", json!({"type": "float", "low": 0.0, "high": 0.9, "step": 0.05})),
            ("quniform(0, 64, 8, discrete=True)", json!({"type": "int", "low": 0, "high": 64, "step": 8})),
            ("normal(0.1, 0.02)", json!({"type": "float", "low": 0.0, "high": 0.2, "prior": {"normal": [0.1, 0.02]}})),
            (
                "normal(5, 1, discrete=True)",
                json!({"type": "int", "low": 0, "high": 10, "prior": {"normal": [5.0, 1.0]}}),
            ),
            (
                r#"choices(["sgd","adam", None, 3])"#,
                json!({"type": "categorical", "choices": ["sgd", "adam", null, 3]}),
            ),
            ("ordinal(('s', 'm'))", json!({"type": "ordinal", "choices": ["s", "m"]})),
            ("bool()", json!({"type": "bool"})),
            ("fidelity(1, 81)", json!({"type": "fidelity", "low": 1, "high": 81, "base": 3})),
            ("fidelity(1, 16, base=2)", json!({"type": "fidelity", "low": 1, "high": 16, "base": 2})),
            ("fidelity(1, 16, 4)", json!({"type": "fidelity", "low": 1, "high": 16, "base": 4})),
            ("uniform(0, 1, default_value=0.5)", json!({"type": "float", "low": 0.0, "high": 1.0, "default": 0.5})),
            ("bool(default_value=False)", json!({"type": "bool", "default": false})),
        ] {
            assert_eq!(shape(text), form, "{text}");
        }
    }

    #[test]
    fn precision_is_a_step_of_significant_digits() {
        assert_eq!(shape("uniform(0, 1, precision=3)")["step"], json!(0.01));
        assert_eq!(shape("uniform(0, 250, precision=2)")["step"], json!(10.0));
        assert_eq!(shape("uniform(0, 1, precision=None)").get("step"), None);
        assert_eq!(
            shape("normal(0, 1, precision=2)"),
            json!({
            "type": "float", "low": -5.0, "high": 5.0, "step": 0.1, "prior": {"normal": [0.0, 1.0]}})
        );
        assert!(read("loguniform(1e-5, 1, precision=4)").unwrap().note.is_some());
    }

    #[test]
    fn wrong_arguments_are_pointed_at() {
        for (text, span, said) in [
            ("uniform(1, 0)", (11, 12), "`high` must be above `low`"),
            ("uniform(1)", (9, 10), "`uniform` needs `high`"),
            ("uniform(0, 1, 2)", (14, 15), "takes no such argument"),
            ("uniform(0, 1, discret=True)", (14, 21), "has no option `discret`"),
            ("uniform(0, 1, discrete=1)", (23, 24), "must be True or False"),
            ("uniform(0, \"1\")", (11, 14), "`high` must be a number"),
            ("uniform(0, 1, low=2)", (18, 19), "`low` is given twice"),
            ("loguniform(0, 1)", (11, 12), "needs a `low` above 0"),
            ("lograndint(0, 4)", (11, 12), "needs a `low` above 0"),
            ("randint(1, 2.5)", (11, 14), "must be a whole number"),
            ("quniform(0, 1, 2)", (15, 16), "the step must be"),
            ("normal(0, 0)", (10, 11), "must be above 0"),
            ("choices(\"a\", \"b\")", (13, 16), "takes no such argument"),
            ("choices(\"a\")", (8, 11), "takes a list"),
            ("choices([])", (8, 10), "is empty"),
            ("choices([1, 1])", (8, 14), "stands there twice"),
            ("choices([[1]])", (8, 13), "a choice is a text"),
            ("fidelity(0, 4)", (9, 10), "starts at 1"),
            ("fidelity(1, 4, base=1)", (20, 21), "2 or more"),
            ("uniform(0, 1, default_value=3)", (28, 29), "must be a number from 0 to 1"),
            ("choices([\"a\"], default_value=\"b\")", (29, 32), "must be one of the choices"),
            ("uniform(0, 1, shape=3)", (14, 19), "has no option `shape`"),
            ("uniform(100, 101, precision=1)", (28, 29), "holds a single value"),
            ("randint(1, 5, precision=3)", (14, 23), "has no option `precision`"),
            ("uniform(1, 5, discrete=True, precision=3)", (39, 40), "whole numbers have no"),
        ] {
            let bad = read(text).unwrap_err();
            assert_eq!((bad.start, bad.end), span, "{text}: {}", bad.message);
            assert!(bad.message.contains(said), "{text}: {}", bad.message);
        }
    }

    #[test]
    fn names_of_other_tools_are_translated() {
        assert!(suggestion("gaussian").contains("`normal`"));
        assert!(suggestion("loguniforn").contains("`loguniform`"));
        assert!(suggestion("zzzzzzzzz").starts_with("there are uniform, "));
    }
}
