//! Cuts the text of a marker into tokens, one at a time, remembering where each stood.
//!
//! Lazy, because a marker in a template file ends at its closing parenthesis, and what follows is anything.
//! Must not know what priors exist.

use serde_json::Value;

/// What was wrong, and between which bytes of the marker's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// First byte to point at.
    pub start: usize,
    /// One past the last byte to point at; equal to `start` at the end of the text.
    pub end: usize,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
}

impl Bad {
    /// An error at a span.
    pub fn at(span: (usize, usize), message: impl Into<String>) -> Self {
        Self { start: span.0, end: span.1, message: message.into(), hint: None }
    }
    /// The same with advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// One token.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// A name: of a prior, an option, a parameter or a keyword.
    Name(String),
    /// A number, a quoted text, `True`, `False` or `None`.
    Value(Value),
    /// One of `( ) [ ] { } , = ==` or another sign.
    Sign(&'static str),
    /// The text is over.
    End,
}

impl Token {
    /// For messages.
    pub fn describe(&self) -> String {
        match self {
            Self::Name(name) => format!("`{name}`"),
            Self::Value(value) => format!("`{value}`"),
            Self::Sign(sign) => format!("`{sign}`"),
            Self::End => "the end".into(),
        }
    }
}

const SIGNS: [&str; 19] =
    ["==", "!=", "<=", ">=", "**", "(", ")", "[", "]", "{", "}", ",", "=", "<", ">", ":", "*", "/", "+"];

/// Reads tokens from `text`, starting anywhere in it.
#[derive(Clone, Debug)]
pub struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    /// Starts at the byte `at`.
    pub fn new(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    /// Where the next token is looked for.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next token and its span.
    pub fn next_token(&mut self) -> Result<(Token, (usize, usize)), Bad> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        let start = self.at;
        let rest = &self.text[start..];
        let Some(first) = rest.chars().next() else {
            return Ok((Token::End, (start, start)));
        };
        let second = rest[first.len_utf8()..].chars().next().unwrap_or(' ');
        if first == '"' || first == '\'' {
            return self.quoted(first);
        }
        let signed = matches!(first, '+' | '-') && (second.is_ascii_digit() || second == '.');
        if first.is_ascii_digit() || signed || (first == '.' && second.is_ascii_digit()) {
            return self.number();
        }
        if first.is_alphabetic() || first == '_' {
            let len = name_len(rest);
            let name = &rest[..len];
            self.at += len;
            let token = match name {
                "True" | "true" => Token::Value(Value::Bool(true)),
                "False" | "false" => Token::Value(Value::Bool(false)),
                "None" | "null" => Token::Value(Value::Null),
                _ => Token::Name(name.to_owned()),
            };
            return Ok((token, (start, self.at)));
        }
        match SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            Some(sign) => {
                self.at += sign.len();
                Ok((Token::Sign(sign), (start, self.at)))
            }
            None => Err(Bad::at((start, start + first.len_utf8()), format!("unexpected `{first}`"))),
        }
    }

    fn number(&mut self) -> Result<(Token, (usize, usize)), Bad> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut end = start;
        while let Some(&byte) = bytes.get(end) {
            let sign_of_exponent =
                matches!(byte, b'+' | b'-') && (end == start || matches!(bytes[end - 1], b'e' | b'E'));
            if byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_' || sign_of_exponent {
                end += 1;
            } else {
                break;
            }
        }
        self.at = end;
        let text = &self.text[start..end];
        let bad = || Bad::at((start, end), format!("`{text}` is not a number"));
        if let Ok(int) = text.parse::<i64>() {
            return Ok((Token::Value(int.into()), (start, end)));
        }
        let float = text.parse::<f64>().ok().filter(|f| f.is_finite()).ok_or_else(bad)?;
        let value = serde_json::Number::from_f64(float).ok_or_else(bad)?;
        Ok((Token::Value(Value::Number(value)), (start, end)))
    }

    fn quoted(&mut self, quote: char) -> Result<(Token, (usize, usize)), Bad> {
        let start = self.at;
        let mut out = String::new();
        let mut chars = self.text[start + 1..].char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.at = start + 1 + at + 1;
                    return Ok((Token::Value(Value::String(out)), (start, self.at)));
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => out.push('\n'),
                    Some((_, 't')) => out.push('\t'),
                    Some((_, c)) => out.push(c),
                    None => break,
                },
                c => out.push(c),
            }
        }
        Err(Bad::at((start, start + 1), format!("the text that starts with {quote} has no end"))
            .hint(format!("close it with {quote}")))
    }
}

/// Bytes of the name that `text` starts with: letters, digits, `_`, and inner `-` and `.`.
pub fn name_len(text: &str) -> usize {
    let mut end = 0;
    for (at, c) in text.char_indices() {
        if c.is_alphanumeric() || c == '_' {
            end = at + c.len_utf8();
        } else if !matches!(c, '-' | '.') {
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn all(text: &str) -> Result<Vec<Token>, Bad> {
        let mut lexer = Lexer::new(text, 0);
        let mut out = Vec::new();
        loop {
            match lexer.next_token()?.0 {
                Token::End => return Ok(out),
                token => out.push(token),
            }
        }
    }

    #[test]
    fn numbers_keep_whether_they_are_whole() {
        let values = [json!(1), json!(-2), json!(1e-5), json!(0.5), json!(1000.0), json!(3)];
        assert_eq!(all("1 -2 1e-5 .5 1e3 +3").unwrap(), values.map(Token::Value).to_vec());
    }

    #[test]
    fn python_and_json_spell_constants_their_own_way() {
        let values = [json!(true), json!(true), json!(false), json!(null), json!(null)];
        assert_eq!(all("True true False None null").unwrap(), values.map(Token::Value).to_vec());
    }

    #[test]
    fn names_may_hold_dashes_and_dots_inside_but_not_at_their_end() {
        assert_eq!(all("batch-size== 3").unwrap()[0], Token::Name("batch-size".into()));
        assert_eq!(all("opt.lr").unwrap(), vec![Token::Name("opt.lr".into())]);
    }

    #[test]
    fn quotes_of_either_kind_and_escapes() {
        assert_eq!(all(r#"'a"b' "c\"d""#).unwrap(), vec![Token::Value(json!("a\"b")), Token::Value(json!("c\"d"))]);
        let bad = all("choices('a)").unwrap_err();
        assert_eq!((bad.start, bad.end), (8, 9));
    }

    #[test]
    fn a_number_run_into_letters_is_pointed_at_whole() {
        let bad = all("uniform(1, 1O)").unwrap_err();
        assert_eq!((bad.start, bad.end, bad.message.as_str()), (11, 13, "`1O` is not a number"));
        assert!(all("1e999").is_err());
    }
}
