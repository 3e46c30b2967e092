//! Placeholders in commands and text files: `{name}` stands for a parameter, `{trial.…}` for a fact of the trial.
//!
//! Owns: their grammar, their check at submit and their expansion. Must not: read files or environments.
//!
//! In a command `{{` and `}}` are literal braces and every other brace must belong to a placeholder. In a text file
//! braces are too common for that (JSON, C, TeX): there only `{name}` of a *known* name is a placeholder, `{{name}}`
//! of a known name is the literal `{name}`, and every other brace stays as it is.

use serde_json::Value;

use crate::{
    problem::{FieldError, Fields},
    space::Params,
};

/// The names beside parameters.
pub const TRIAL_NAMES: [&str; 4] = ["trial.id", "trial.label", "trial.checkpoint_dir", "trial.output_dir"];

/// What the `{trial.…}` placeholders stand for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialVars {
    /// `{trial.id}`
    pub id: String,
    /// `{trial.label}`
    pub label: String,
    /// `{trial.checkpoint_dir}`
    pub checkpoint_dir: String,
    /// `{trial.output_dir}`
    pub output_dir: String,
}

impl TrialVars {
    fn get(&self, name: &str) -> Option<&str> {
        match name {
            "trial.id" => Some(&self.id),
            "trial.label" => Some(&self.label),
            "trial.checkpoint_dir" => Some(&self.checkpoint_dir),
            "trial.output_dir" => Some(&self.output_dir),
            _ => None,
        }
    }
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// As it stands.
    Text(&'a str),
    /// The name between braces.
    Placeholder(&'a str),
}

/// Splits one argument; the error says what is wrong with its braces.
pub fn parse(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        if at > 0 {
            pieces.push(Piece::Text(&rest[..at]));
        }
        let brace = &rest[at..];
        if brace.starts_with("{{") || brace.starts_with("}}") {
            pieces.push(Piece::Text(&brace[..1]));
            rest = &brace[2..];
        } else if brace.starts_with('}') {
            return Err(format!("`{text}` has a `}}` without its `{{`; write `}}}}` for a literal brace"));
        } else {
            let end = brace
                .find('}')
                .ok_or_else(|| format!("`{text}` has a `{{` without its `}}`; write `{{{{` for a literal brace"))?;
            let name = &brace[1..end];
            if name.is_empty() || name.contains('{') {
                return Err(format!(
                    "`{}` in `{text}` is no placeholder; write `{{{{` and `}}}}` for literal braces",
                    &brace[..=end]
                ));
            }
            pieces.push(Piece::Placeholder(name));
            rest = &brace[end + 1..];
        }
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

/// Checks a command against the names of its space; every error points to its argument (`/run/command/3`).
pub fn check<S: AsRef<str>>(command: &[String], space_names: &[S]) -> Result<(), Vec<FieldError>> {
    let mut fields = Fields::new();
    for (index, argument) in command.iter().enumerate() {
        let pointer = || format!("/run/command/{index}");
        match parse(argument) {
            Err(detail) => fields.add(pointer(), detail),
            Ok(pieces) => {
                for piece in pieces {
                    if let Piece::Placeholder(name) = piece
                        && !is_known(name, space_names)
                    {
                        fields.add(pointer(), unknown(name, space_names));
                    }
                }
            }
        }
    }
    fields.done(())
}

fn is_known<S: AsRef<str>>(name: &str, space_names: &[S]) -> bool {
    TRIAL_NAMES.contains(&name) || space_names.iter().any(|known| known.as_ref() == name)
}

fn unknown<S: AsRef<str>>(name: &str, space_names: &[S]) -> String {
    let known: Vec<&str> = space_names.iter().map(AsRef::as_ref).chain(TRIAL_NAMES).collect();
    let nearest = known.iter().min_by_key(|candidate| distance(name, candidate));
    match nearest {
        Some(near) if distance(name, near) <= near.chars().count().max(name.chars().count()).div_ceil(2) => {
            format!("`{{{name}}}` names no parameter; did you mean `{{{near}}}`? (`{{{{` is a literal brace)")
        }
        _ => format!(
            "`{{{name}}}` names no parameter; there are {} (`{{{{` is a literal brace)",
            known.iter().map(|known| format!("`{{{known}}}`")).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// Levenshtein's distance, for the hint only.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// The command of one trial. `params` holds the active parameters, `space_names` all of them.
///
/// An argument with a placeholder of an inactive parameter is left out; where it is nothing but that placeholder and
/// follows a plain flag (`--momentum {momentum}`), the flag is left out too.
///
/// # Errors
/// Says which argument [`check`] would have refused.
pub fn expand<S: AsRef<str>>(
    command: &[String],
    params: &Params,
    space_names: &[S],
    vars: &TrialVars,
) -> Result<Vec<String>, String> {
    let mut out: Vec<String> = Vec::with_capacity(command.len());
    // whether the last of `out` is a flag of its own, written plainly
    let mut flag_before = false;
    for argument in command {
        let pieces = parse(argument)?;
        let mut text = String::new();
        let mut inactive = false;
        let mut plain = true;
        for piece in &pieces {
            match piece {
                Piece::Text(part) => text.push_str(part),
                Piece::Placeholder(name) => {
                    plain = false;
                    match lookup(name, params, vars) {
                        Some(value) => text.push_str(&value),
                        None if is_known(name, space_names) => inactive = true,
                        None => return Err(unknown(name, space_names)),
                    }
                }
            }
        }
        if inactive {
            if flag_before && matches!(pieces.as_slice(), [Piece::Placeholder(_)]) {
                out.pop();
            }
            flag_before = false;
            continue;
        }
        flag_before = plain && text.starts_with('-') && !text.contains('=');
        out.push(text);
    }
    Ok(out)
}

/// A text file of one trial; see the module's header for its looser grammar. Inactive parameters expand to nothing.
pub fn expand_text<S: AsRef<str>>(text: &str, params: &Params, space_names: &[S], vars: &TrialVars) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(name) = known_name(&rest[1..], space_names) {
            out.push_str(&lookup(name, params, vars).unwrap_or_default());
            rest = &rest[name.len() + 2..];
        } else if let Some(name) = rest[1..].strip_prefix('{').and_then(|inner| known_name(inner, space_names))
            && rest[name.len() + 3..].starts_with('}')
        {
            out.push_str(&rest[1..name.len() + 3]);
            rest = &rest[name.len() + 4..];
        } else {
            out.push('{');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

/// The known name that `text` starts with, when a `}` follows it.
fn known_name<'a, S: AsRef<str>>(text: &'a str, space_names: &[S]) -> Option<&'a str> {
    let name = &text[..text.find('}')?];
    is_known(name, space_names).then_some(name)
}

fn lookup(name: &str, params: &Params, vars: &TrialVars) -> Option<String> {
    params.get(name).map(plain).or_else(|| vars.get(name).map(str::to_owned))
}

/// A value as plain text: strings as they are, numbers in their shortest form that reads back the same, `true`,
/// `false`, `null`.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use serde_json::json;

    use super::*;

    const NAMES: [&str; 4] = ["lr", "opt", "momentum", "amp"];

    fn vars() -> TrialVars {
        TrialVars {
            id: "n.7".into(),
            label: "gpu1-7".into(),
            checkpoint_dir: "/d/ck".into(),
            output_dir: "/d/out".into(),
        }
    }

    fn params(pairs: &[(&str, Value)]) -> Params {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn run(command: &str, pairs: &[(&str, Value)]) -> String {
        expand(&words(command), &params(pairs), &NAMES, &vars()).unwrap().join(" ")
    }

    #[test]
    fn values_are_printed_as_plain_text() {
        let pairs = [("lr", json!(1e-5)), ("opt", json!("sg d")), ("amp", json!(true)), ("momentum", json!(null))];
        assert_eq!(run("x --lr={lr} {opt} {amp} {momentum}", &pairs), "x --lr=0.00001 sg d true null");
        assert_eq!(run("{lr}/{lr}", &[("lr", json!(0.1))]), "0.1/0.1");
        assert_eq!(run("{lr}", &[("lr", json!(3))]), "3");
    }

    #[test]
    fn trial_facts_and_literal_braces_expand_anywhere() {
        assert_eq!(
            run("{{x}} {trial.id}-{trial.label} {trial.checkpoint_dir}/a {trial.output_dir}", &[]),
            "{x} n.7-gpu1-7 /d/ck/a /d/out"
        );
    }

    #[test]
    fn an_inactive_parameter_takes_its_flag_with_it() {
        assert_eq!(run("t --momentum {momentum} --lr 1", &[]), "t --lr 1");
        assert_eq!(run("t --momentum={momentum} --lr 1", &[]), "t --lr 1");
        assert_eq!(run("t -m {momentum}", &[]), "t");
    }

    #[test]
    fn only_a_plain_flag_right_before_is_taken() {
        assert_eq!(run("t --a=b {momentum}", &[]), "t --a=b", "a flag with a value of its own stays");
        assert_eq!(run("t pos {momentum}", &[]), "t pos");
        assert_eq!(run("t --x m{momentum}", &[]), "t --x", "only an argument that is nothing but the placeholder");
        assert_eq!(run("t --{opt} {momentum}", &[("opt", json!("o"))]), "t --o");
        assert_eq!(run("t --v {momentum} {momentum}", &[]), "t", "one flag is taken once");
    }

    #[test]
    fn check_points_at_the_argument_and_the_nearest_name() {
        let errors = check(&words("python train.py --lr {lrr} {lr {} }"), &NAMES).unwrap_err();
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/run/command/3", "/run/command/4", "/run/command/5", "/run/command/6"]);
        assert!(errors[0].detail.contains("did you mean `{lr}`"), "{}", errors[0].detail);
        assert!(errors[1].detail.contains("without its `}`"), "{}", errors[1].detail);
        assert!(check(&words("{lr} {trial.id} {{ok}}"), &NAMES).is_ok());
    }

    #[test]
    fn an_unknown_name_far_from_all_lists_all() {
        let errors = check(&words("{completely_different}"), &["lr"]).unwrap_err();
        assert!(errors[0].detail.contains("`{trial.output_dir}`"), "{}", errors[0].detail);
    }

    #[test]
    fn expanding_an_unknown_name_is_an_error_not_an_omission() {
        assert!(expand(&words("{nope}"), &params(&[]), &NAMES, &vars()).is_err());
    }

    #[test]
    fn text_files_keep_their_own_braces() {
        let text = "{\"a\": {\"lr\": {lr}, \"m\": \"{momentum}\"}} {{lr}} {x} {é {{ }} {";
        let out = expand_text(text, &params(&[("lr", json!(0.5))]), &NAMES, &vars());
        assert_eq!(out, "{\"a\": {\"lr\": 0.5, \"m\": \"\"}} {lr} {x} {é {{ }} {");
    }

    #[test]
    fn a_doubled_opening_brace_alone_is_no_escape_in_text() {
        let out = expand_text("{{lr}, 1}", &params(&[("lr", json!(2))]), &NAMES, &vars());
        assert_eq!(out, "{2, 1}");
    }
}
