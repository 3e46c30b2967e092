//! Growing a space while its study runs.
//!
//! Law: taken in the canonical order of edits, [`Space::merge`] is a pure fold, so replicas with the same edits have the
//! same space; a range only ever grows, so every configuration that was valid stays valid.

use serde_json::Value;

use super::{Domain, Param, Space, domain::same, validate};
use crate::{FieldError, problem::Fields};

impl Space {
    /// Reads the `space` of a PATCH (pointers below `/space`): shapes only, [`Space::extend`] checks the rest.
    pub fn parse_edit(body: &Value) -> Result<Space, Vec<FieldError>> {
        let mut errors = Fields::new();
        let params = validate::read(body, "/space", &mut errors).into_iter().flatten().collect();
        errors.done(Space { params })
    }

    /// This space with parameters added (each with a default) and ranges widened; what contradicts is an error.
    pub fn extend(&self, edit: &Space) -> Result<Space, Vec<FieldError>> {
        let mut errors = Fields::new();
        let grown = self.grow(edit, true, &mut errors);
        errors.done(grown)
    }

    /// For folding edits that were made concurrently: takes what does not contradict, and says what does.
    pub fn merge(&self, edit: &Space) -> (Space, Vec<FieldError>) {
        let mut errors = Fields::new();
        (self.grow(edit, false, &mut errors), errors.0)
    }

    /// `strict`: narrowing is an error too (a person asked for it); among concurrent edits it only means that another one
    /// widened further.
    fn grow(&self, edit: &Space, strict: bool, errors: &mut Fields) -> Space {
        let mut grown = self.clone();
        for (i, change) in edit.params.iter().enumerate() {
            let at = format!("/space/{i}");
            let mut wrong = Fields::new();
            let mut next = grown.clone();
            if edit.params[..i].iter().any(|earlier| earlier.name == change.name) {
                wrong.add(format!("{at}/name"), format!("`{}` is named twice in this edit", change.name));
            } else if let Some(old) = next.params.iter_mut().find(|p| p.name == change.name) {
                widen(old, change, strict, &at, &mut wrong);
            } else {
                if change.default.is_none() && !change.domain.is_fidelity() {
                    wrong.add(
                        format!("{at}/default"),
                        format!(
                            "`{}` is new, so it needs a `default`: the value that earlier trials count as having had",
                            change.name
                        ),
                    );
                }
                next.params.push(change.clone());
            }
            // The result must be a space that could have been created, too.
            if wrong.0.is_empty() {
                let params: Vec<Option<Param>> = next.params.iter().cloned().map(Some).collect();
                let names: Vec<Option<String>> = next.params.iter().map(|p| Some(p.name.clone())).collect();
                let mut found = Fields::new();
                validate::check(&params, &names, "/all", &mut found);
                let place = next.params.iter().position(|p| p.name == change.name).unwrap_or(0);
                let own = format!("/all/{place}");
                for error in found.0 {
                    // Faults that this change causes in others are told at this change.
                    let pointer =
                        error.pointer.strip_prefix(&own).filter(|rest| rest.is_empty() || rest.starts_with('/'));
                    wrong.add(format!("{at}{}", pointer.unwrap_or("")), error.detail);
                }
            }
            if wrong.0.is_empty() {
                grown = next;
            }
            errors.0.append(&mut wrong.0);
        }
        grown
    }
}

fn widen(old: &mut Param, change: &Param, strict: bool, at: &str, wrong: &mut Fields) {
    let name = old.name.clone();
    let kind = (old.domain.type_name(), change.domain.type_name());
    if kind.0 != kind.1 {
        return wrong.add(
            format!("{at}/type"),
            format!("`{name}` is of type {}; it can't become {}: add another parameter", kind.0, kind.1),
        );
    }
    if change.when.is_some() && change.when != old.when {
        wrong.add(
            format!("{at}/when"),
            format!("when `{name}` is active can't change; leave `when` out, or add another parameter"),
        );
    }
    let narrower = |end: &str| format!("this would narrow the range of `{name}`; `{end}` may only move outwards");
    let fixed = |field: &str| {
        format!("`{field}` of `{name}` can't change: earlier trials were drawn with it; add another parameter")
    };
    match (&mut old.domain, &change.domain) {
        (
            Domain::Float { low, high, log, step, prior },
            Domain::Float { low: l, high: h, log: g, step: s, prior: p },
        ) => {
            if log != g {
                wrong.add(format!("{at}/log"), fixed("log"));
            }
            if s.is_some() && step != s {
                wrong.add(format!("{at}/step"), fixed("step"));
            }
            if let Some(step) = step {
                let moved = (*low - l) / *step;
                // Stricter than values are compared (1e-6 of a step), so that the old ones are still found.
                if *l < *low && (moved - moved.round()).abs() > 4e-7 {
                    wrong.add(format!("{at}/low"), format!("`low` of `{name}` must move by whole steps of {step}, so that earlier values stay on the grid"));
                }
            }
            ends(low, high, *l, *h, strict, at, &narrower, wrong);
            if p.is_some() {
                *prior = p.clone();
            }
        }
        (Domain::Int { low, high, log, step, prior }, Domain::Int { low: l, high: h, log: g, step: s, prior: p }) => {
            if log != g {
                wrong.add(format!("{at}/log"), fixed("log"));
            }
            if s.is_some() && step.unwrap_or(1) != s.unwrap_or(1) {
                wrong.add(format!("{at}/step"), fixed("step"));
            }
            if *l < *low && low.abs_diff(*l) % step.unwrap_or(1).unsigned_abs().max(1) != 0 {
                wrong.add(
                    format!("{at}/low"),
                    format!(
                        "`low` of `{name}` must move by whole steps of {}, so that earlier values stay on the grid",
                        step.unwrap_or(1)
                    ),
                );
            }
            ends(low, high, *l, *h, strict, at, &narrower, wrong);
            if p.is_some() {
                *prior = p.clone();
            }
        }
        (Domain::Fidelity { low, high, base }, Domain::Fidelity { low: l, high: h, base: b }) => {
            if base != b {
                wrong.add(format!("{at}/base"), fixed("base"));
            }
            ends(low, high, *l, *h, strict, at, &narrower, wrong);
        }
        (Domain::Categorical { choices }, Domain::Categorical { choices: more }) => {
            if strict && let Some(gone) = choices.iter().find(|c| !more.iter().any(|m| same(m, c))) {
                wrong.add(
                    format!("{at}/choices"),
                    format!("choice {gone} of `{name}` can't be removed; list all old choices and the new ones"),
                );
            }
            // Old ones keep their places; the order of a categorical means nothing.
            let new: Vec<Value> = more.iter().filter(|m| !choices.iter().any(|c| same(m, c))).cloned().collect();
            choices.extend(new);
        }
        (Domain::Ordinal { choices }, Domain::Ordinal { choices: more }) => {
            if subsequence(choices, more) {
                *choices = more.clone();
            } else if strict || !subsequence(more, choices) {
                wrong.add(format!("{at}/choices"), format!("`choices` of `{name}` must hold all old ones in their old order; new ones may stand anywhere between"));
            }
        }
        _ => {}
    }
    if change.default.is_some() {
        old.default = change.default.clone();
    }
}

#[allow(clippy::too_many_arguments, reason = "both ends of two ranges, and where to complain")]
fn ends<T: PartialOrd + Copy>(
    low: &mut T,
    high: &mut T,
    l: T,
    h: T,
    strict: bool,
    at: &str,
    narrower: &dyn Fn(&str) -> String,
    wrong: &mut Fields,
) {
    if l < *low {
        *low = l;
    } else if strict && l > *low {
        wrong.add(format!("{at}/low"), narrower("low"));
    }
    if h > *high {
        *high = h;
    } else if strict && h < *high {
        wrong.add(format!("{at}/high"), narrower("high"));
    }
}

fn subsequence(few: &[Value], many: &[Value]) -> bool {
    let mut rest = many.iter();
    few.iter().all(|wanted| rest.any(|have| same(wanted, have)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::space::Params;

    fn space(params: Value) -> Space {
        serde_json::from_value(params).unwrap()
    }

    fn base() -> Space {
        space(json!([
            {"name": "lr", "type": "float", "low": 0.01, "high": 0.1, "log": true},
            {"name": "n", "type": "int", "low": 2, "high": 8, "step": 2},
            {"name": "opt", "type": "categorical", "choices": ["sgd", "adam"]},
            {"name": "size", "type": "ordinal", "choices": ["s", "l"]},
        ]))
    }

    #[test]
    fn ranges_widen_choices_grow_and_new_parameters_join() {
        let edit = Space::parse_edit(&json!([
            {"name": "lr", "type": "float", "low": 0.001, "high": 0.1, "log": true},
            {"name": "opt", "type": "categorical", "choices": ["lion", "sgd", "adam"]},
            {"name": "size", "type": "ordinal", "choices": ["s", "m", "l"]},
            {"name": "beta", "type": "float", "low": 0, "high": 1, "default": 0.9, "when": {"opt": "lion"}},
        ]))
        .unwrap();
        let grown = base().extend(&edit).unwrap();
        let json = serde_json::to_value(&grown).unwrap();
        assert_eq!(json[0]["low"], json!(0.001));
        assert_eq!(json[2]["choices"], json!(["sgd", "adam", "lion"]));
        assert_eq!(json[3]["choices"], json!(["s", "m", "l"]));
        assert_eq!(json[4]["when"], json!({"opt": ["lion"]}));
    }

    #[test]
    fn contradictions_are_named_and_change_nothing() {
        let edit = space(json!([
            {"name": "lr", "type": "float", "low": 0.02, "high": 0.1},
            {"name": "n", "type": "int", "low": 1, "high": 8, "step": 2},
            {"name": "opt", "type": "categorical", "choices": ["sgd"]},
            {"name": "new", "type": "bool"},
            {"name": "size", "type": "bool"},
        ]));
        let errors = base().extend(&edit).unwrap_err();
        let at: Vec<&str> = errors.iter().map(|e| e.pointer.as_str()).collect();
        assert_eq!(
            at,
            ["/space/0/log", "/space/0/low", "/space/1/low", "/space/2/choices", "/space/3/default", "/space/4/type"]
        );
        assert_eq!(base().merge(&space(json!([{"name": "size", "type": "bool"}]))).0, base());
    }

    #[test]
    fn a_low_end_moves_by_whole_steps_so_that_old_values_are_still_found() {
        let float = |low: f64| space(json!([{"name": "x", "type": "float", "low": low, "high": 4, "step": 1}]));
        let old: Params = [("x".to_owned(), 3.0.into())].into();
        for (low, moves) in [(-2.0, true), (-2.0000003, true), (-2.0000009, false), (-2.5, false)] {
            let (grown, errors) = float(0.0).merge(&float(low));
            assert_eq!((grown == float(low), errors.is_empty()), (moves, moves), "{low}");
            assert!(grown.check_params(&old).is_ok(), "{low}");
        }
    }

    #[test]
    fn concurrent_widenings_merge_in_any_order() {
        let down = space(json!([{"name": "n", "type": "int", "low": 0, "high": 8, "step": 2}]));
        let up = space(json!([{"name": "n", "type": "int", "low": 2, "high": 12, "step": 2}]));
        let (one, faults) = base().merge(&down).0.merge(&up);
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(one, base().merge(&up).0.merge(&down).0);
        assert_eq!(serde_json::to_value(&one).unwrap()[1]["high"], json!(12));
    }
}
