//! Markers, as in Oríon: `--lr~'loguniform(1e-5, 1)'` on a command line or in a template file.
//!
//! Owns: what counts as a marker, and turning it into a parameter and a `{name}` placeholder. Arguments that hold no
//! marker pass untouched, braces too, since their placeholders belong to the user.
//! Must not: touch files or the daemon.

pub mod lex;
pub mod order;
pub mod parse;
pub mod prior;
pub mod template;

use metaopt_schema::space::Param;

use self::lex::{Bad, name_len};
use crate::failure::Failure;

/// A wrong marker, with the text to point into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkerError {
    /// What is wrong.
    pub message: String,
    /// Where it stands, when that isn't the command line: `config.yaml:3`.
    pub place: Option<String>,
    /// The line to show.
    pub line: String,
    /// Characters before the first to point at.
    pub column: usize,
    /// How many characters to point at, at least one.
    pub width: usize,
    /// How to mend it.
    pub hint: Option<String>,
}

impl MarkerError {
    /// `bad` happened in `line`, whose byte `offset` is byte 0 of the marker.
    pub fn new(line: &str, offset: usize, bad: Bad) -> Self {
        let chars = |bytes: usize| line.get(..bytes.min(line.len())).map_or(0, |text| text.chars().count());
        let (start, end) = (chars(offset + bad.start), chars(offset + bad.end));
        Self {
            message: bad.message,
            place: None,
            line: line.to_owned(),
            column: start,
            width: end.saturating_sub(start).max(1),
            hint: bad.hint,
        }
    }

    /// The line, and carets under what is wrong.
    pub fn block(&self) -> String {
        format!("  {}\n  {}{}", self.line, " ".repeat(self.column), "^".repeat(self.width))
    }
}

impl From<MarkerError> for Failure {
    fn from(error: MarkerError) -> Self {
        let message = match &error.place {
            Some(place) => format!("{place}: {}", error.message),
            None => error.message.clone(),
        };
        let failure = Failure::usage(message).block(error.block());
        match error.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// A command whose markers became placeholders.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expanded {
    /// The command, with `{name}` for each marker.
    pub command: Vec<String>,
    /// The parameters, in the order in which they stand.
    pub params: Vec<Param>,
    /// Things understood that change nothing.
    pub notes: Vec<String>,
}

/// Where a marker stands in an argument.
struct Split<'a> {
    /// What becomes the literal part: `--lr` or `--lr=`; empty for a bare `name~…`.
    flag: &'a str,
    name: &'a str,
    /// Where the marker's text begins.
    offset: usize,
    text: &'a str,
}

/// Finds a marker in an argument; `None` when it is an ordinary one.
///
/// With dashes in front, anything behind the `~` but a path is meant as a marker, so that a slip is told rather than
/// passed on. Without dashes only what looks like a prior is, for `HEAD~1` and `notes.txt~` mean something else.
fn split(arg: &str) -> Option<Split<'_>> {
    let tilde = arg.find('~')?;
    let head = &arg[..tilde];
    let rest = &arg[tilde + 1..];
    let dashes = head.len() - head.trim_start_matches('-').len();
    let bare = head[dashes..].strip_suffix('=').unwrap_or(&head[dashes..]);
    let starts_well = bare.chars().next().is_some_and(|c| c.is_alphanumeric() || c == '_');
    if dashes > 2 || !starts_well || name_len(bare) != bare.len() || rest.is_empty() || rest.starts_with('/') {
        return None;
    }
    // Shells without quotes of their own pass ours on.
    let (text, quoted) = unquote(rest);
    if dashes == 0 {
        let called = name_len(text);
        if called == 0 || !text[called..].trim_start().starts_with('(') {
            return None;
        }
    }
    let flag = if dashes == 0 && !head.ends_with('=') { "" } else { head };
    Some(Split { flag, name: bare, offset: tilde + 1 + usize::from(quoted), text })
}

/// `text` without a matching pair of quotes around it, and whether there was one.
fn unquote(text: &str) -> (&str, bool) {
    for quote in ['\'', '"'] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return (inner, true);
        }
    }
    (text, false)
}

/// Reads the text of one marker.
pub(crate) fn read(name: &str, text: &str) -> Result<(Param, Option<String>), Bad> {
    let (call, when) = parse::marker(text)?;
    let meaning = prior::meaning(&call)?;
    Ok((Param { name: name.to_owned(), domain: meaning.domain, default: meaning.default, when }, meaning.note))
}

/// Whether any argument holds a marker (or means to).
pub fn any(command: &[String]) -> bool {
    command.iter().any(|arg| split(arg).is_some())
}

/// Turns the markers of a command into parameters and placeholders.
pub fn expand(command: &[String]) -> Result<Expanded, MarkerError> {
    let mut out = Expanded::default();
    for arg in command {
        let Some(found) = split(arg) else {
            out.command.push(arg.clone());
            continue;
        };
        let (param, note) = read(found.name, found.text).map_err(|bad| MarkerError::new(arg, found.offset, bad))?;
        if out.params.iter().any(|other| other.name == param.name) {
            let at = arg.find(found.name).unwrap_or(0);
            let bad = Bad::at((0, found.name.len()), format!("`{}` is declared twice", param.name))
                .hint(format!("to use its value again, write {{{}}}", param.name));
            return Err(MarkerError::new(arg, at, bad));
        }
        let placeholder = format!("{{{}}}", found.name);
        if found.flag.is_empty() || found.flag.ends_with('=') {
            out.command.push(format!("{}{placeholder}", found.flag));
        } else {
            out.command.extend([found.flag.to_owned(), placeholder]);
        }
        out.notes.extend(note.map(|note| format!("{}: {note}", param.name)));
        out.params.push(param);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn args(list: &[&str]) -> Vec<String> {
        list.iter().map(|arg| (*arg).to_owned()).collect()
    }

    fn command(list: &[&str]) -> Vec<String> {
        expand(&args(list)).unwrap().command
    }

    #[test]
    fn flags_keep_their_shape() {
        assert_eq!(command(&["t.py", "--lr~loguniform(1e-5, 1)"]), args(&["t.py", "--lr", "{lr}"]));
        assert_eq!(command(&["t.py", "--lr=~uniform(0, 1)"]), args(&["t.py", "--lr={lr}"]));
        assert_eq!(command(&["t.py", "-x~uniform(0, 1)"]), args(&["t.py", "-x", "{x}"]));
        assert_eq!(command(&["t.py", "--a-b.c~bool()"]), args(&["t.py", "--a-b.c", "{a-b.c}"]));
        assert_eq!(command(&["t.py", "lr=~uniform(0, 1)"]), args(&["t.py", "lr={lr}"]));
        assert_eq!(command(&["t.py", "lr~uniform(0, 1)"]), args(&["t.py", "{lr}"]));
    }

    #[test]
    fn quotes_that_the_shell_left_are_taken_off() {
        let expanded = expand(&args(&["--opt~'choices([\"sgd\"])'"])).unwrap();
        assert_eq!(expanded.command, args(&["--opt", "{opt}"]));
        let error = expand(&args(&["--lr~'uniform(1, 0)'"])).unwrap_err();
        assert_eq!(error.column, "--lr~'uniform(1, ".len());
    }

    #[test]
    fn ordinary_arguments_pass_untouched() {
        let plain = [
            "python",
            "train.py",
            "{trial.id}",
            "{{x}}",
            "HEAD~1",
            "~/data",
            "--out=~/runs",
            "a~",
            "--x~",
            "---y~bool()",
            "f~g",
        ];
        assert_eq!(command(&plain), args(&plain));
        assert!(!any(&args(&plain)));
    }

    #[test]
    fn the_clause_of_the_contracts_example() {
        let expanded = expand(&args(&[
            "train.py",
            "--momentum~uniform(0, 1) if opt == \"sgd\"",
            "--opt~choices([\"sgd\",\"adam\"])",
        ]))
        .unwrap();
        assert_eq!(
            serde_json::to_value(&expanded.params).unwrap(),
            json!([
                {"name": "momentum", "type": "float", "low": 0.0, "high": 1.0, "when": {"opt": ["sgd"]}},
                {"name": "opt", "type": "categorical", "choices": ["sgd", "adam"]}])
        );
    }

    #[test]
    fn errors_point_into_the_whole_argument() {
        let error = expand(&args(&["--größe~loguniforn(1e-5, 1)"])).unwrap_err();
        assert_eq!(
            error.block(),
            "  --größe~loguniforn(1e-5, 1)\n          ^^^^^^^^^^".to_owned(),
            "characters are counted, not bytes"
        );
        assert!(error.hint.unwrap().contains("`loguniform`"));
        let error = expand(&args(&["--lr~0.1"])).unwrap_err();
        assert_eq!((error.column, error.width), (5, 3));
    }

    #[test]
    fn a_name_declared_twice_is_refused() {
        let error = expand(&args(&["--lr~uniform(0, 1)", "-lr~uniform(0, 2)"])).unwrap_err();
        assert!(error.message.contains("`lr` is declared twice"));
        assert_eq!((error.column, error.width), (1, 2));
    }
}
