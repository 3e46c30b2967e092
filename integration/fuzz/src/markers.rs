//! Markers on a command line: each becomes one parameter and one placeholder, or an error that points into its line.
//!
//! Input: arguments, one a line.

use metaopt::markers::{MarkerError, any, expand, order};
use metaopt_schema::{space::Param, template};

pub fn run(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let command: Vec<String> = text.lines().map(str::to_owned).collect();
    let expanded = match expand(&command) {
        Ok(expanded) => expanded,
        Err(error) => {
            points_into_its_line(&error);
            return false;
        }
    };
    assert_eq!(any(&command), !expanded.params.is_empty());
    assert!(expanded.command.len() >= command.len());
    are_parameters(&expanded.params);
    for param in &expanded.params {
        let placeholder = format!("{{{}}}", param.name);
        let mut with = expanded.command.iter().filter(|arg| arg.ends_with(&placeholder));
        assert!(with.any(|arg| template::parse(arg).is_ok()), "{placeholder} can't be filled in");
    }
    let known = expanded.params.len();
    if let Ok(sorted) = order::parents_first(expanded.params) {
        assert_eq!(sorted.len(), known);
        for (at, param) in sorted.iter().enumerate() {
            for parent in param.when.iter().flat_map(|when| when.keys()) {
                assert!(sorted[at..].iter().all(|later| later.name != *parent), "a child before its parent");
            }
        }
    }
    known > 0
}

/// The carets stand below the line, or right behind its end.
pub fn points_into_its_line(error: &MarkerError) {
    let length = error.line.chars().count();
    assert!(error.width >= 1 && error.column + error.width <= length + 1, "{}\n{}", error.message, error.block());
}

/// Names are unique, and every parameter is one that JSON carries.
pub fn are_parameters(params: &[Param]) {
    for (at, param) in params.iter().enumerate() {
        assert!(params[..at].iter().all(|other| other.name != param.name));
        let json = serde_json::to_string(param).expect("a parameter is JSON");
        assert_eq!(serde_json::from_str::<Param>(&json).ok().as_ref(), Some(param), "{json}");
    }
}
