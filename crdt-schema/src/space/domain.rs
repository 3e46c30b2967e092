//! Values of one parameter: cells of finite domains, canonical values, comparison of JSON scalars.

use serde_json::{Number, Value};

use super::Domain;
use crate::shape::{describe, whole};

/// Equal as people mean it: numbers by value (1 = 1.0), everything else as JSON ("1" ≠ 1, true ≠ 1).
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => match (x.as_i64(), y.as_i64()) {
            (Some(x), Some(y)) => x == y,
            _ => x.as_f64() == y.as_f64(),
        },
        _ => a == b,
    }
}

/// A float rounded to 12 significant digits, without a negative zero: what is stored, run and hashed.
pub fn round12(value: f64) -> f64 {
    let rounded = format!("{value:.11e}").parse().unwrap_or(value);
    if rounded == 0.0 { 0.0 } else { rounded }
}

/// Digits after the point in the shortest decimal form.
fn decimals(value: f64) -> usize {
    let text = format!("{value}");
    text.split_once('.').map_or(0, |(_, digits)| digits.len())
}

/// The `i`th multiple of `step` above `low`, with no more decimals than those two have.
pub fn stepped(low: f64, step: f64, i: u64) -> f64 {
    let value = low + i as f64 * step;
    let digits = decimals(low).max(decimals(step));
    let value = if digits <= 20 { format!("{value:.digits$}").parse().unwrap_or(value) } else { value };
    if value == 0.0 { 0.0 } else { value }
}

fn number(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

impl Domain {
    /// The word in JSON.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Float { .. } => "float",
            Self::Int { .. } => "int",
            Self::Categorical { .. } => "categorical",
            Self::Ordinal { .. } => "ordinal",
            Self::Bool {} => "bool",
            Self::Fidelity { .. } => "fidelity",
        }
    }

    /// Chosen by the early-stopping rule rather than by the sampler.
    pub fn is_fidelity(&self) -> bool {
        matches!(self, Self::Fidelity { .. })
    }

    /// How many values there are, at least 1; none: a continuous range.
    pub fn cells(&self) -> Option<u64> {
        match self {
            Self::Float { low, high, .. } if low >= high => Some(1),
            Self::Float { step: None, .. } => None,
            // The slack keeps `high` in reach where (high - low) / step falls just short of a whole number.
            Self::Float { low, high, step: Some(step), .. } => Some(((high - low) / step + 1e-9).floor() as u64 + 1),
            Self::Int { low, high, step, .. } => Some(int_cells(*low, *high, step.unwrap_or(1))),
            Self::Fidelity { low, high, .. } => Some(int_cells(*low, *high, 1)),
            Self::Categorical { choices } | Self::Ordinal { choices } => Some(choices.len().max(1) as u64),
            Self::Bool {} => Some(2),
        }
    }

    /// The value of cell `i` (the last one where `i` is too large); null for a continuous range.
    pub fn cell_value(&self, i: u64) -> Value {
        let i = i.min(self.cells().unwrap_or(1) - 1);
        match self {
            Self::Float { low, step: Some(step), .. } => number(stepped(*low, *step, i)),
            Self::Float { low, high, .. } if low >= high => number(*low),
            Self::Float { .. } => Value::Null,
            Self::Int { low, step, .. } => {
                low.wrapping_add_unsigned(i.wrapping_mul(step.unwrap_or(1).unsigned_abs())).into()
            }
            Self::Fidelity { low, .. } => low.wrapping_add_unsigned(i).into(),
            Self::Categorical { choices } | Self::Ordinal { choices } => {
                choices.get(i as usize).cloned().unwrap_or(Value::Null)
            }
            Self::Bool {} => Value::Bool(i == 1),
        }
    }

    /// The cell that holds `value` exactly (floats: within a millionth of a step).
    pub fn cell_of(&self, value: &Value) -> Option<u64> {
        match self {
            Self::Float { low, high, .. } if low >= high => (value.as_f64()? == *low).then_some(0),
            Self::Float { low, step: Some(step), .. } => {
                let at = (value.as_f64()? - low) / step;
                let i = at.round();
                ((at - i).abs() <= 1e-6 && i >= 0.0 && i < self.cells()? as f64).then_some(i as u64)
            }
            Self::Float { .. } => None,
            Self::Int { low, high, .. } | Self::Fidelity { low, high, .. } => {
                let step = if let Self::Int { step: Some(step), .. } = self { step.unsigned_abs().max(1) } else { 1 };
                let value = whole(value)?;
                let above = value.abs_diff(*low);
                (value >= *low && value <= *high && above % step == 0).then(|| above / step)
            }
            Self::Categorical { choices } | Self::Ordinal { choices } => {
                choices.iter().position(|choice| same(choice, value)).map(|i| i as u64)
            }
            Self::Bool {} => value.as_bool().map(u64::from),
        }
    }

    /// `value` as it is stored and shown (floats rounded, choices as declared), or what is wrong with it.
    pub fn canonical(&self, value: &Value) -> Result<Value, String> {
        if let Self::Float { low, high, step: None, .. } = self {
            let Some(v) = value.as_f64() else { return Err(format!("must be a number, not {}", describe(value))) };
            return if v >= *low && v <= *high {
                Ok(number(round12(v).clamp(*low, *high)))
            } else {
                Err(format!("{v} is outside the range {low} to {high}"))
            };
        }
        if let Some(cell) = self.cell_of(value) {
            return Ok(self.cell_value(cell));
        }
        Err(match self {
            Self::Float { low, high, step, .. } => match value.as_f64() {
                None => format!("must be a number, not {}", describe(value)),
                Some(v) if v < *low || v > *high => format!("{v} is outside the range {low} to {high}"),
                Some(v) => {
                    let i = step.map_or(0.0, |step| ((v - low) / step).floor());
                    let (below, above) = (self.cell_value(i as u64), self.cell_value(i as u64 + 1));
                    format!("{v} is not {low} plus a multiple of the step; the nearest are {below} and {above}")
                }
            },
            Self::Int { low, high, .. } | Self::Fidelity { low, high, .. } => match whole(value) {
                None => format!("must be a whole number, not {}", describe(value)),
                Some(v) if v < *low || v > *high => format!("{v} is outside the range {low} to {high}"),
                Some(v) => format!("{v} is not {low} plus a multiple of the step"),
            },
            Self::Bool {} => format!("must be true or false, not {}", describe(value)),
            Self::Categorical { choices } | Self::Ordinal { choices } => {
                let mut shown: Vec<String> = choices.iter().take(12).map(Value::to_string).collect();
                if choices.len() > shown.len() {
                    shown.push("…".into());
                }
                format!("{value} is none of the choices {}", shown.join(", "))
            }
        })
    }
}

fn int_cells(low: i64, high: i64, step: i64) -> u64 {
    if low >= high || step <= 0 { 1 } else { (high.abs_diff(low) / step.unsigned_abs()).saturating_add(1) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn stepped_floats_have_clean_decimals_and_reach_their_high_end() {
        let domain = Domain::Float { low: 0.0, high: 0.9, log: false, step: Some(0.05), prior: None };
        assert_eq!(domain.cells(), Some(19));
        assert_eq!(domain.cell_value(3), json!(0.15));
        assert_eq!(domain.cell_value(18), json!(0.9));
        for i in 0..19 {
            assert_eq!(domain.cell_of(&domain.cell_value(i)), Some(i));
        }
        assert!(domain.canonical(&json!(0.07)).unwrap_err().contains("0.05 and 0.1"));
    }

    #[test]
    fn floats_are_rounded_to_twelve_digits_within_their_range() {
        let domain = Domain::Float { low: 0.1, high: 1.0 / 3.0, log: false, step: None, prior: None };
        assert_eq!(domain.canonical(&json!(0.123_456_789_012_345)), Ok(json!(0.123_456_789_012)));
        assert_eq!(domain.canonical(&json!(1.0 / 3.0)), Ok(json!(0.333_333_333_333)));
        assert_eq!(round12(-0.0).to_bits(), 0);
        assert!(round12(-1e-320) < 0.0);
    }

    #[test]
    fn choices_come_back_as_declared_and_kinds_do_not_mix() {
        let domain = Domain::Categorical { choices: vec![json!(1), json!("1"), json!(true), json!(null)] };
        assert_eq!(domain.canonical(&json!(1.0)), Ok(json!(1)));
        assert_eq!(domain.cell_of(&json!("1")), Some(1));
        assert_eq!(domain.cell_of(&json!(true)), Some(2));
        assert_eq!(domain.cell_of(&json!(null)), Some(3));
        assert_eq!(domain.cell_of(&json!(false)), None);
    }

    #[test]
    fn ints_span_negative_ranges_with_steps() {
        let domain = Domain::Int { low: -7, high: 8, log: false, step: Some(5), prior: None };
        assert_eq!(domain.cells(), Some(4));
        assert_eq!(
            (0..4).map(|i| domain.cell_value(i)).collect::<Vec<_>>(),
            [json!(-7), json!(-2), json!(3), json!(8)]
        );
        assert_eq!(domain.cell_of(&json!(0)), None);
    }
}
