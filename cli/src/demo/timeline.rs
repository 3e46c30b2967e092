//! Who ran what, when: one line a slot, one mark an attempt.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::json::{list, text};

/// One attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its node's name.
    pub node: String,
    /// Seconds from the study's start.
    pub from: f64,
    /// The same; none: unknown.
    pub to: f64,
    /// The trial's position in the study.
    pub number: u64,
    /// How it ended.
    pub reason: String,
}

/// All attempts of a study's trials.
pub fn spans(trials: &[Value]) -> Vec<Span> {
    let time = |value: &Value, name: &str| {
        text(value, name).parse::<jiff::Timestamp>().ok().map(|t| t.as_millisecond() as f64 / 1000.0)
    };
    let mut spans = Vec::new();
    for trial in trials {
        let number = trial.get("number").and_then(Value::as_u64).unwrap_or(0);
        for attempt in list(trial, "attempts") {
            let (Some(from), to) = (time(attempt, "started_at"), time(attempt, "ended_at")) else { continue };
            let (node, reason) = (text(attempt, "node").to_owned(), text(attempt, "reason").to_owned());
            spans.push(Span { node, from, to: to.unwrap_or(from), number, reason });
        }
    }
    let start = spans.iter().map(|span| span.from).fold(f64::INFINITY, f64::min);
    for span in &mut spans {
        span.from -= start;
        span.to -= start;
    }
    spans.sort_by(|a, b| a.from.total_cmp(&b.from).then(a.number.cmp(&b.number)));
    spans
}

/// The lines of a chart `width` characters wide: `=` for work that counted, `x` for work that was lost with its node.
pub fn chart(spans: &[Span], width: usize) -> Vec<String> {
    let end = spans.iter().map(|span| span.to).fold(0.1, f64::max);
    let column = |at: f64| ((at / end * width as f64) as usize).min(width.saturating_sub(1));
    // Lines of each node: an attempt goes on the first that is free when it begins.
    let mut lines: BTreeMap<&str, Vec<(f64, Vec<char>)>> = BTreeMap::new();
    for span in spans {
        let rows = lines.entry(&span.node).or_default();
        let row = match rows.iter().position(|(busy, _)| *busy <= span.from + 1e-9) {
            Some(row) => row,
            None => {
                rows.push((0.0, vec![' '; width]));
                rows.len() - 1
            }
        };
        let lost = span.reason.starts_with("lost");
        let mark = match span.reason.as_str() {
            _ if lost => 'x',
            "pruned" => '-',
            "superseded" => '~',
            _ => '=',
        };
        let (from, to) = (column(span.from), column(span.to));
        let (busy, cells) = &mut rows[row];
        *busy = span.to;
        for (i, cell) in cells.iter_mut().enumerate().take(to + 1).skip(from) {
            *cell = if i == from { '|' } else { mark };
        }
    }
    let name = lines.keys().map(|name| name.len()).max().unwrap_or(0);
    let mut chart = Vec::new();
    for (node, rows) in &lines {
        for (i, (_, cells)) in rows.iter().enumerate() {
            let label = if i == 0 { *node } else { "" };
            chart.push(format!("  {label:name$}  {}", cells.iter().collect::<String>().trim_end()));
        }
    }
    let (scale, room) = (format!("{end:.0} s"), width.saturating_sub(1));
    chart.push(format!("  {:name$}  0{scale:>room$}", ""));
    chart
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn attempts_stand_on_the_lines_of_their_nodes() {
        let at = |s: f64| format!("2026-01-01T00:00:{s:06.3}Z");
        let attempt = |node: &str, from, to, reason: &str| json!({"node": node, "started_at": at(from), "ended_at": at(to), "reason": reason});
        let trials = [
            json!({"number": 0, "attempts": [attempt("b", 1.0, 5.0, "lost_node"), attempt("a", 6.0, 9.0, "exit")]}),
            json!({"number": 1, "attempts": [attempt("a", 1.0, 6.0, "exit")]}),
            json!({"number": 2, "attempts": [attempt("a", 2.0, 4.0, "pruned")]}),
        ];
        let spans = spans(&trials);
        assert_eq!((spans[0].from, spans.last().unwrap().to), (0.0, 8.0));
        let chart = chart(&spans, 16);
        assert_eq!(chart[0], "  a  |=========|=====");
        assert_eq!(chart[1], "       |----");
        assert_eq!(chart[2], "  b  |xxxxxxxx");
        assert!(chart[3].trim_end().ends_with("8 s"), "{chart:?}");
    }
}
