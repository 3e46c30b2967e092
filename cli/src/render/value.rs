//! Numbers, parameters, durations and times as people read them.

use std::time::Duration;

use serde_json::{Map, Value};

use super::strip::strip;

/// Six significant digits, without trailing zeros.
pub fn number(x: f64) -> String {
    if x == 0.0 {
        return "0".into();
    }
    if !x.is_finite() {
        return x.to_string();
    }
    let exponent = x.abs().log10().floor() as i32;
    let trim = |text: String| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    };
    if (-4..9).contains(&exponent) {
        let decimals = (5 - exponent).max(0) as usize;
        return trim(format!("{x:.decimals$}"));
    }
    let text = format!("{x:.5e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => format!("{}e{exponent}", trim(mantissa.to_owned())),
        None => text,
    }
}

/// A JSON value in few characters; texts without quotes.
pub fn short(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => strip(text),
        Value::Number(n) if n.is_f64() => number(n.as_f64().unwrap_or(f64::NAN)),
        other => other.to_string(),
    }
}

/// A JSON value exactly: what a script would be given.
pub fn exact(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `lr=0.01 layers=3`
pub fn pairs(values: Option<&Value>) -> String {
    match values.and_then(Value::as_object) {
        None => String::new(),
        Some(map) => map.iter().map(|(name, value)| format!("{name}={}", short(value))).collect::<Vec<_>>().join(" "),
    }
}

/// The objectives' values of a trial: `loss 0.031  acc 0.9`.
pub fn metrics(values: &Map<String, Value>, names: &[String]) -> String {
    let shown = names.iter().filter_map(|name| values.get(name).map(|value| format!("{name} {}", short(value))));
    shown.collect::<Vec<_>>().join("  ")
}

/// `850ms`, `4.2s`, `2m05s`, `3h10m`, `2d04h`.
pub fn duration(d: Duration) -> String {
    let s = d.as_secs();
    match s {
        0 => format!("{}ms", d.as_millis()),
        1..=9 => format!("{:.1}s", d.as_secs_f64()),
        10..=59 => format!("{s}s"),
        60..=3599 => format!("{}m{:02}s", s / 60, s % 60),
        3600..=86_399 => format!("{}h{:02}m", s / 3600, s % 3600 / 60),
        _ => format!("{}d{:02}h", s / 86_400, s % 86_400 / 3600),
    }
}

/// Seconds as in JSON; nothing for null or nonsense.
pub fn seconds(value: &Value) -> Option<String> {
    value.as_f64().and_then(|s| Duration::try_from_secs_f64(s).ok()).map(duration)
}

/// How long ago an RFC 3339 time was.
pub fn ago(time: &Value) -> Option<String> {
    between(time, &Value::Null)
}

/// From one RFC 3339 time to another, or to now when that is null.
pub fn between(from: &Value, to: &Value) -> Option<String> {
    let read = |value: &Value| value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let end = match to {
        Value::Null => jiff::Timestamp::now(),
        other => read(other)?,
    };
    Some(duration(end.duration_since(read(from)?).unsigned_abs()))
}

/// `1.4 MiB`
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut size = n as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// `1 file`, `2 files`
pub fn counted(n: usize, thing: &str) -> String {
    format!("{n} {thing}{}", if n == 1 { "" } else { "s" })
}

/// One argument as a POSIX shell would need it.
pub fn shell(arg: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_-./=:,@%+".contains(c);
    if !arg.is_empty() && arg.chars().all(safe) { arg.to_owned() } else { format!("'{}'", arg.replace('\'', r"'\''")) }
}

/// A parameter's range: `1e-5 … 1, log`.
pub fn range(param: &Value) -> String {
    let text = |key: &str| param.get(key).filter(|v| !v.is_null()).map(short);
    let mut out = match (text("low"), text("high"), param.get("choices").and_then(Value::as_array)) {
        (Some(low), Some(high), _) => format!("{low} … {high}"),
        (_, _, Some(choices)) => choices.iter().map(short).collect::<Vec<_>>().join(" | "),
        _ => "true | false".into(),
    };
    if param.get("log") == Some(&Value::Bool(true)) {
        out.push_str(", log");
    }
    if let Some(step) = text("step") {
        out.push_str(&format!(", step {step}"));
    }
    if let Some(normal) = param.pointer("/prior/normal").and_then(Value::as_array) {
        let numbers: Vec<_> = normal.iter().map(short).collect();
        out.push_str(&format!(", normal({})", numbers.join(", ")));
    }
    if param.get("type").and_then(Value::as_str) == Some("fidelity")
        && let Some(base) = text("base")
    {
        out.push_str(&format!(", base {base}"));
    }
    out
}

/// A parameter's condition: `opt = sgd | adam`.
pub fn condition(param: &Value) -> String {
    let Some(when) = param.get("when").and_then(Value::as_object) else { return String::new() };
    let one = |(parent, values): (&String, &Value)| {
        let values = values.as_array().map(|list| list.iter().map(short).collect::<Vec<_>>().join(" | "));
        format!("{parent} = {}", values.unwrap_or_default())
    };
    when.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_have_six_digits_and_no_idle_zeros() {
        for (x, text) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.031, "0.031"),
            (0.123_456_78, "0.123457"),
            (1e-5, "1e-5"),
            (0.000_12, "0.00012"),
            (1.5e-7, "1.5e-7"),
            (-1234.5, "-1234.5"),
            (123_456_789.0, "123456789"),
            (2.5e12, "2.5e12"),
        ] {
            assert_eq!(number(x), text);
        }
    }

    #[test]
    fn durations_have_two_units_at_most() {
        let text = |s: f64| duration(Duration::from_secs_f64(s));
        assert_eq!(
            [text(0.85), text(4.2), text(59.0), text(125.0), text(11_400.0), text(190_000.0)],
            ["850ms", "4.2s", "59s", "2m05s", "3h10m", "2d04h"]
        );
    }

    #[test]
    fn shell_quoting_only_where_needed() {
        assert_eq!(shell("--lr=0.1"), "--lr=0.1");
        assert_eq!(shell("it's"), r"'it'\''s'");
        assert_eq!(shell(""), "''");
    }

    #[test]
    fn ranges_and_conditions_in_words() {
        let param = json!({"name": "lr", "type": "float", "low": 1e-4, "high": 1.0, "log": true, "when": {"opt": ["sgd", "adam"]}});
        assert_eq!(range(&param), "0.0001 … 1, log");
        assert_eq!(condition(&param), "opt = sgd | adam");
        assert_eq!(range(&json!({"type": "bool"})), "true | false");
        assert_eq!(range(&json!({"type": "fidelity", "low": 1, "high": 81, "base": 3})), "1 … 81, base 3");
        assert_eq!(pairs(Some(&json!({"a": 1, "b": "x", "c": 0.5}))), "a=1 b=x c=0.5");
    }

    #[test]
    fn sizes() {
        assert_eq!([bytes(12), bytes(2048), bytes(3 << 20)], ["12 B", "2.0 KiB", "3.0 MiB"]);
    }
}
