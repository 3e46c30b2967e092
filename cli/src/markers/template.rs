//! Markers inside a text file: `NAME~prior(…)`, `NAME~'prior(…) if …'`, and Oríon's `key: orion~prior(…)`.
//!
//! The whole marker, its quotes too, becomes a `{name}` placeholder; what stands around it stays. Other braces keep the
//! meaning they have in any template: `{name}` of a parameter is its value again, all others are literal.

use metaopt_schema::space::Param;

use super::{
    MarkerError,
    lex::{Bad, name_len},
    parse, prior,
};

/// A template whose markers became placeholders.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Template {
    /// The file's new text.
    pub text: String,
    /// Its parameters.
    pub params: Vec<Param>,
    /// Things understood that change nothing.
    pub notes: Vec<String>,
}

/// A marker found in a line.
struct Found {
    name: String,
    /// Bytes of the line that the placeholder replaces.
    from: usize,
    to: usize,
    param: Param,
    note: Option<String>,
}

/// Fills placeholders in for the markers of `text`; `None` when it holds none. `file` is for messages.
pub fn rewrite(file: &str, text: &str) -> Result<Option<Template>, MarkerError> {
    let mut out = Template::default();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let located = |error: MarkerError| MarkerError { place: Some(format!("{file}:{}", number + 1)), ..error };
        let mut from = 0;
        while let Some(found) = find(line, from).map_err(located)? {
            out.text.push_str(&line[from..found.from]);
            out.text.push_str(&format!("{{{}}}", found.name));
            from = found.to;
            if out.params.iter().any(|other| other.name == found.name) {
                let bad = Bad::at((found.from, found.to), format!("`{}` is declared twice", found.name));
                return Err(located(MarkerError::new(line.trim_end(), 0, bad)));
            }
            out.notes.extend(found.note.map(|note| format!("{}: {note}", found.name)));
            out.params.push(found.param);
        }
        out.text.push_str(&line[from..]);
    }
    Ok((!out.params.is_empty()).then_some(out))
}

fn find(line: &str, from: usize) -> Result<Option<Found>, MarkerError> {
    let shown = line.trim_end();
    for (tilde, _) in line.match_indices('~').filter(|(at, _)| *at >= from) {
        let before = &line[from..tilde];
        let start = from + name_start(before);
        let name = &line[start..tilde];
        if name.is_empty() || name_len(name) != name.len() {
            continue;
        }
        let rest = &line[tilde + 1..];
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let text_at = tilde + 1 + quote.map_or(0, char::len_utf8);
        let called = name_len(&line[text_at..]);
        if called == 0 || !line[text_at + called..].trim_start().starts_with('(') {
            continue;
        }
        let fail = |bad: Bad| MarkerError::new(shown, 0, bad);
        let (name, start) = if name == "orion" {
            let key = key_before(&line[from..start]).ok_or_else(|| {
                fail(
                    Bad::at((start, tilde), "`orion~` needs a key before it")
                        .hint("as in `lr: orion~loguniform(1e-5, 1)`, or name the parameter: `lr~loguniform(1e-5, 1)`"),
                )
            })?;
            (key.to_owned(), start)
        } else {
            (name.to_owned(), start)
        };
        let (param, note, to) = match quote {
            None => {
                let (call, end) = parse::call_at(line, text_at).map_err(fail)?;
                let meaning = prior::meaning(&call).map_err(fail)?;
                let param = Param { name: name.clone(), domain: meaning.domain, default: meaning.default, when: None };
                (param, meaning.note, end)
            }
            Some(quote) => {
                let end = closing(&line[text_at..], quote).ok_or_else(|| {
                    fail(Bad::at((tilde + 1, tilde + 2), format!("the text that starts with {quote} has no end")))
                })?;
                let text = &line[text_at..text_at + end];
                let (param, note) = super::read(&name, text).map_err(|bad| MarkerError::new(shown, text_at, bad))?;
                (param, note, text_at + end + quote.len_utf8())
            }
        };
        return Ok(Some(Found { name, from: start, to, param, note }));
    }
    Ok(None)
}

/// Where the name that `text` ends with starts.
fn name_start(text: &str) -> usize {
    let start = text
        .char_indices()
        .rev()
        .take_while(|(_, c)| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
        .last()
        .map_or(text.len(), |(at, _)| at);
    let name = &text[start..];
    start + (name.len() - name.trim_start_matches(['-', '.']).len())
}

/// The closing quote: the last one of its kind before the marker's own parentheses balance out.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            c if c == quote && depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

/// The key of `key: `, `"key": ` or `key = ` that a line's start ends with.
fn key_before(text: &str) -> Option<&str> {
    let text = text.trim_end().trim_end_matches(['"', '\'']).trim_end();
    let text = text.strip_suffix([':', '='])?.trim_end().trim_end_matches(['"', '\'']);
    let key = &text[name_start(text)..];
    (!key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(before: &str) -> String {
        rewrite("config.yaml", before).unwrap().unwrap().text
    }

    #[test]
    fn markers_become_placeholders_and_the_rest_stays() {
        assert_eq!(text("lr: lr~loguniform(1e-5, 1)  # {x}\n"), "lr: {lr}  # {x}\n");
        assert_eq!(text("a=a~uniform(0, 1), b=b~bool()"), "a={a}, b={b}");
        assert_eq!(text("opt: \"opt~choices(['a'])\""), "opt: \"{opt}\"");
        assert_eq!(text("x\ny: m~'uniform(0, 1) if opt == \"sgd\"'\n"), "x\ny: {m}\n");
    }

    #[test]
    fn orions_own_form_takes_its_name_from_the_key() {
        let template = rewrite(
            "c",
            "model:\n  lr: orion~loguniform(1e-5, 1)\n\"drop\": \"orion~uniform(0, 1)\"\nn = orion~randint(1, 3)\n",
        );
        let template = template.unwrap().unwrap();
        let names: Vec<_> = template.params.iter().map(|param| param.name.as_str()).collect();
        assert_eq!(names, ["lr", "drop", "n"]);
        assert_eq!(template.text, "model:\n  lr: {lr}\n\"drop\": \"{drop}\"\nn = {n}\n");
        assert!(rewrite("c", "- orion~bool()").unwrap_err().message.contains("needs a key"));
    }

    #[test]
    fn a_file_without_markers_is_left_alone() {
        assert_eq!(rewrite("c", "lr: {lr}\npath: ~/data\nabout: a~b\n").unwrap(), None);
    }

    #[test]
    fn errors_name_file_line_and_character() {
        let error = rewrite("c.yaml", "a: 1\nlr: lr~loguniforn(1, 2)\n").unwrap_err();
        assert_eq!(error.place.as_deref(), Some("c.yaml:2"));
        assert_eq!(error.block(), "  lr: lr~loguniforn(1, 2)\n         ^^^^^^^^^^");
        let error = rewrite("c", "a~uniform(0, 1)\na~uniform(0, 2)").unwrap_err();
        assert!(error.message.contains("declared twice"));
    }
}
