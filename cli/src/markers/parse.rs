//! The grammar of a marker: `prior(arguments) [if CONDITION and CONDITION …]`.
//!
//! Owns the syntax only; what the arguments of each prior mean stands in `prior.rs`.

use indexmap::IndexMap;
use serde_json::Value;

use super::{
    lex::{Bad, Lexer, Token},
    prior,
};

/// Bytes from … to.
pub type Span = (usize, usize);

/// One argument of a prior.
#[derive(Clone, Debug)]
pub struct Arg {
    /// `name=` before it, and where that stood.
    pub name: Option<(String, Span)>,
    /// The value; lists are arrays.
    pub value: Value,
    /// Where the value stood.
    pub span: Span,
}

/// `name(args)` as written.
#[derive(Clone, Debug)]
pub struct Call {
    /// The prior's name.
    pub name: String,
    /// Where the name stood.
    pub name_span: Span,
    /// In order.
    pub args: Vec<Arg>,
    /// Where the closing parenthesis stood.
    pub close: Span,
}

/// A clause `if …`: parents and the values for which the parameter is active.
pub type When = IndexMap<String, Vec<Value>>;

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token,
    span: Span,
    /// Where the token before this one ended.
    before: usize,
}

/// Parses a whole marker; anything left over is an error.
pub fn marker(text: &str) -> Result<(Call, Option<When>), Bad> {
    let mut parser = Parser::new(text, 0)?;
    let call = parser.call()?;
    parser.advance()?;
    let when = match &parser.token {
        Token::End => None,
        Token::Name(word) if word == "if" => {
            parser.advance()?;
            Some(parser.clause()?)
        }
        other => {
            return Err(Bad::at(parser.span, format!("unexpected {} after the prior", other.describe()))
                .hint("only an `if` clause may follow, as in `uniform(0, 1) if opt == \"sgd\"`"));
        }
    };
    Ok((call, when))
}

/// Parses the prior that `text[at..]` starts with, and answers the byte after its closing parenthesis.
pub fn call_at(text: &str, at: usize) -> Result<(Call, usize), Bad> {
    let mut parser = Parser::new(text, at)?;
    let call = parser.call()?;
    let end = call.close.1;
    Ok((call, end))
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, at: usize) -> Result<Self, Bad> {
        let mut lexer = Lexer::new(text, at);
        let (token, span) = lexer.next_token()?;
        Ok(Self { lexer, token, span, before: at })
    }

    fn advance(&mut self) -> Result<(), Bad> {
        self.before = self.span.1;
        (self.token, self.span) = self.lexer.next_token()?;
        Ok(())
    }

    fn is(&self, sign: &str) -> bool {
        matches!(&self.token, Token::Sign(s) if *s == sign)
    }

    fn unexpected(&self, wanted: &str) -> Bad {
        Bad::at(self.span, format!("expected {wanted}, found {}", self.token.describe()))
    }

    /// Leaves the closing parenthesis as the current token: what follows it may not be ours.
    fn call(&mut self) -> Result<Call, Bad> {
        let Token::Name(name) = self.token.clone() else {
            return Err(self.unexpected("a prior").hint(format!("write one of {}", prior::names().join(", "))));
        };
        let name_span = self.span;
        if !prior::is_known(&name) {
            return Err(Bad::at(name_span, format!("unknown prior `{name}`")).hint(prior::suggestion(&name)));
        }
        self.advance()?;
        if !self.is("(") {
            return Err(Bad::at((name_span.1, name_span.1), format!("expected `(` after `{name}`"))
                .hint(format!("write {}", prior::usage(&name))));
        }
        self.advance()?;
        let mut args = Vec::new();
        while !self.is(")") {
            args.push(self.arg()?);
            if self.is(",") {
                self.advance()?;
            } else if !self.is(")") {
                return Err(self.unexpected("`,` or `)`"));
            }
        }
        Ok(Call { name, name_span, args, close: self.span })
    }

    fn arg(&mut self) -> Result<Arg, Bad> {
        if let Token::Name(name) = self.token.clone() {
            let span = self.span;
            self.advance()?;
            if !self.is("=") {
                return Err(Bad::at(span, format!("`{name}` is not a value"))
                    .hint(format!("quote texts: \"{name}\"; options are written `{name}=…`")));
            }
            self.advance()?;
            let (value, value_span) = self.value()?;
            return Ok(Arg { name: Some((name, span)), value, span: value_span });
        }
        let (value, span) = self.value()?;
        Ok(Arg { name: None, value, span })
    }

    fn value(&mut self) -> Result<(Value, Span), Bad> {
        if self.is("[") || self.is("(") {
            let close = if self.is("[") { "]" } else { ")" };
            let start = self.span.0;
            self.advance()?;
            let mut items = Vec::new();
            while !self.is(close) {
                items.push(self.value()?.0);
                if self.is(",") {
                    self.advance()?;
                } else if !self.is(close) {
                    return Err(self.unexpected(&format!("`,` or `{close}`")));
                }
            }
            let end = self.span.1;
            self.advance()?;
            return Ok((Value::Array(items), (start, end)));
        }
        let span = self.span;
        match self.token.clone() {
            Token::Value(value) => {
                self.advance()?;
                Ok((value, span))
            }
            Token::Name(name) => {
                Err(Bad::at(span, format!("`{name}` is not a value")).hint(format!("quote texts: \"{name}\"")))
            }
            Token::Sign("{") => Err(Bad::at(span, "choices with weights are not known here")
                .hint("list the choices: choices([\"a\", \"b\"])")),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn clause(&mut self) -> Result<When, Bad> {
        let mut when = When::new();
        loop {
            let start = self.span.0;
            let (parent, values) = self.condition()?;
            let kept = match when.get(&parent) {
                None => values,
                Some(before) => before.iter().filter(|value| values.contains(value)).cloned().collect(),
            };
            if kept.is_empty() {
                return Err(Bad::at((start, self.before), format!("no value of `{parent}` satisfies this"))
                    .hint("for any of several values write `in [\"a\", \"b\"]`"));
            }
            when.insert(parent, kept);
            match &self.token {
                Token::End => return Ok(when),
                Token::Name(word) if word == "and" => self.advance()?,
                Token::Name(word) if word == "or" => {
                    return Err(Bad::at(self.span, "`or` is not known in an `if` clause")
                        .hint("for any of several values write `opt in [\"sgd\", \"adam\"]`"));
                }
                _ => return Err(self.unexpected("`and` or the end")),
            }
        }
    }

    fn condition(&mut self) -> Result<(String, Vec<Value>), Bad> {
        let Token::Name(parent) = self.token.clone() else {
            return Err(self.unexpected("the name of another parameter"));
        };
        if parent == "not" {
            return Err(Bad::at(self.span, "`not` is not known in an `if` clause")
                .hint("write the values for which it is active: `amp == False`"));
        }
        self.advance()?;
        match self.token.clone() {
            Token::Sign("==") => {
                self.advance()?;
                let (value, span) = self.value()?;
                if value.is_array() {
                    return Err(Bad::at(span, "`==` compares with one value").hint("for several write `in [...]`"));
                }
                Ok((parent, vec![value]))
            }
            Token::Name(word) if word == "in" => {
                self.advance()?;
                let (value, span) = self.value()?;
                match value {
                    Value::Array(values) if !values.is_empty() => Ok((parent, values)),
                    _ => Err(Bad::at(span, "`in` needs a list of values").hint("as in `opt in [\"sgd\", \"adam\"]`")),
                }
            }
            Token::Sign("=") => Err(Bad::at(self.span, "a comparison is written `==`")),
            _ => Err(self.unexpected("`==` or `in`").hint("an `if` clause knows `==`, `in` and `and`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn when(text: &str) -> Result<When, Bad> {
        Ok(marker(&format!("uniform(0, 1) if {text}"))?.1.unwrap())
    }

    #[test]
    fn arguments_by_position_and_by_name() {
        let (call, when) = marker("uniform(0, 1, discrete=True)").unwrap();
        assert_eq!(call.args.len(), 3);
        assert_eq!(call.args[2].name.as_ref().unwrap().0, "discrete");
        assert!(when.is_none());
    }

    #[test]
    fn clauses_know_equals_in_and_and() {
        assert_eq!(when(r#"opt == "sgd""#).unwrap()["opt"], vec![json!("sgd")]);
        let two = when(r#"opt in ["sgd", 'adam'] and amp == True"#).unwrap();
        assert_eq!((two["opt"].len(), &two["amp"]), (2, &vec![json!(true)]));
        assert_eq!(when("n in [1, 2, 3] and n in [2, 4]").unwrap()["n"], vec![json!(2)]);
    }

    #[test]
    fn what_a_clause_does_not_know_is_named() {
        for (text, said) in [
            (r#"opt = "sgd""#, "a comparison is written `==`"),
            (r#"opt == "a" or opt == "b""#, "`or` is not known"),
            ("not amp", "`not` is not known"),
            (r#"opt != "sgd""#, "expected `==` or `in`"),
            ("opt == sgd", "`sgd` is not a value"),
            ("opt in \"sgd\"", "`in` needs a list"),
            (r#"opt == "a" and opt == "b""#, "no value of `opt` satisfies this"),
            ("", "expected the name of another parameter, found the end"),
        ] {
            let bad = when(text).unwrap_err();
            assert!(bad.message.contains(said), "{text}: {}", bad.message);
        }
    }

    #[test]
    fn a_call_in_front_of_other_text_ends_at_its_parenthesis() {
        let text = "lr: uniform(0, 1)  # a $ comment";
        let (call, end) = call_at(text, 4).unwrap();
        assert_eq!((call.name.as_str(), end), ("uniform", 17));
    }

    #[test]
    fn syntax_errors_point_at_their_character() {
        for (text, span, said) in [
            ("loguniforn(1e-5, 1)", (0, 10), "unknown prior `loguniforn`"),
            ("uniform", (7, 7), "expected `(` after `uniform`"),
            ("uniform(0 1)", (10, 11), "expected `,` or `)`, found `1`"),
            ("uniform(0, 1", (12, 12), "expected `,` or `)`, found the end"),
            ("uniform(0, 1) of x", (14, 16), "unexpected `of` after the prior"),
            ("choices([sgd, adam])", (9, 12), "`sgd` is not a value"),
            ("uniform(0, $)", (11, 12), "unexpected `$`"),
            ("0.1", (0, 3), "expected a prior, found `0.1`"),
            ("choices({'a': 1})", (8, 9), "choices with weights"),
        ] {
            let bad = marker(text).unwrap_err();
            assert_eq!((bad.start, bad.end), span, "{text}: {}", bad.message);
            assert!(bad.message.contains(said), "{text}: {}", bad.message);
        }
    }
}
