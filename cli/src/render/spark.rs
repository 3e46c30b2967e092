//! Training curves in one line of blocks.

use std::collections::BTreeMap;

use serde_json::Value;

use super::value::number;
use crate::json::members;

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const WIDTH: usize = 40;

/// Each metric's curve: blocks, and its first and last value.
pub fn curves(points: &[Value]) -> Vec<(String, String)> {
    let mut series: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for point in points {
        for (metric, value) in members(point.get("values")) {
            if let Some(value) = value.as_f64() {
                series.entry(metric.clone()).or_default().push(value);
            }
        }
    }
    let enough = series.into_iter().filter(|(_, values)| values.len() > 1);
    enough.map(|(metric, values)| (metric, line(&values))).collect()
}

fn line(values: &[f64]) -> String {
    let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
    let count = values.len().min(WIDTH);
    let blocks: String = (0..count)
        .map(|i| {
            let value = values[i * (values.len() - 1) / (count - 1).max(1)];
            let level = if high > low { (value - low) / (high - low) } else { 0.0 };
            BLOCKS[((level * 7.0).round() as usize).min(7)]
        })
        .collect();
    format!("{blocks}  {} → {}", number(values[0]), number(values[values.len() - 1]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_curve_spans_its_range_and_ends_at_its_last_point() {
        let points: Vec<_> = (0..100).map(|i| json!({"step": i + 1, "values": {"loss": 100 - i, "x": null}})).collect();
        let curves = curves(&points);
        assert_eq!(curves.len(), 1);
        assert!(curves[0].1.starts_with('█') && curves[0].1.contains("▁  100 → 1"), "{}", curves[0].1);
    }

    #[test]
    fn a_flat_curve_is_low() {
        assert_eq!(line(&[2.0, 2.0]), "▁▁  2 → 2");
    }
}
