//! Any JSON object as indented `key  value` lines.

use serde_json::Value;

use super::{style::Style, value};

/// `body`'s members, one a line; objects indented beneath their key.
pub fn lines(body: &Value, style: Style) -> String {
    let mut out = String::new();
    write(body, 0, style, &mut out);
    out
}

fn write(body: &Value, depth: usize, style: Style, out: &mut String) {
    let Some(map) = body.as_object() else {
        out.push_str(&format!("{}{}\n", "  ".repeat(depth), value::short(body)));
        return;
    };
    let width = map.keys().map(|key| key.chars().count()).max().unwrap_or(0);
    for (key, member) in map {
        let indent = "  ".repeat(depth);
        let pad = " ".repeat(width - key.chars().count());
        match member {
            Value::Object(inner) if !inner.is_empty() => {
                out.push_str(&format!("{indent}{}\n", style.faint(key)));
                write(member, depth + 1, style, out);
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                out.push_str(&format!("{indent}{}\n", style.faint(key)));
                for item in items {
                    out.push_str(&format!("{indent}  {}\n", value::pairs(Some(item))));
                }
            }
            Value::Array(items) => {
                let items: Vec<_> = items.iter().map(value::short).collect();
                out.push_str(&format!("{indent}{}{pad}  {}\n", style.faint(key), items.join(" ")));
            }
            _ => out.push_str(&format!("{indent}{}{pad}  {}\n", style.faint(key), value::short(member))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_members_are_indented() {
        let body = json!({"sampler": "tpe", "seed": 7, "saw": {"trials": 3}, "list": [1, 2]});
        assert_eq!(lines(&body, Style::plain()), "list     1 2\nsampler  tpe\nsaw\n  trials  3\nseed     7\n");
    }
}
