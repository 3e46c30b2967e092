//! How a command fails: an exit code, one line per cause, then hints. Standard output stays data; this is talk.

use std::fmt::Display;

use serde_json::Value;

use crate::render::style::Style;

/// Failed while doing it.
pub const FAILED: u8 = 1;
/// Asked wrongly.
pub const USAGE: u8 = 2;
/// No daemon to ask.
pub const NO_DAEMON: u8 = 3;
/// Asked about something that isn't there.
pub const NOT_FOUND: u8 = 4;
/// Interrupted.
pub const INTERRUPTED: u8 = 130;

/// Why a command didn't do what it was asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Failure {
    /// The process's exit code.
    pub code: u8,
    /// What failed; empty where everything was already said.
    pub message: String,
    /// Lines shown as they are under the message.
    pub block: Option<String>,
    /// Why, from near to far.
    pub causes: Vec<String>,
    /// What to do.
    pub hints: Vec<String>,
    /// The HTTP status, when the daemon refused.
    pub status: Option<u16>,
    /// What the daemon said, when it refused.
    pub problem: Option<Value>,
}

impl Failure {
    fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), ..Self::default() }
    }
    /// Exit code 1.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(FAILED, message)
    }
    /// Exit code 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(USAGE, message)
    }
    /// Exit code 3.
    pub fn no_daemon(message: impl Into<String>) -> Self {
        Self::new(NO_DAEMON, message)
    }
    /// Exit code 4.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(NOT_FOUND, message)
    }
    /// An exit code alone: everything was already said.
    pub fn silent(code: u8) -> Self {
        Self::new(code, "")
    }
    /// Adds a cause.
    pub fn cause(mut self, cause: impl Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }
    /// Adds a hint.
    pub fn hint(mut self, hint: impl Display) -> Self {
        self.hints.push(hint.to_string());
        self
    }
    /// Adds lines shown as they are.
    pub fn block(mut self, block: impl Into<String>) -> Self {
        self.block = Some(block.into());
        self
    }

    /// The lines for standard error.
    pub fn text(&self, style: Style) -> String {
        if self.message.is_empty() {
            return String::new();
        }
        let mut out = format!("{} {}\n", style.bad("error:"), self.message);
        if let Some(block) = &self.block {
            out.push_str(block);
            out.push('\n');
        }
        for cause in &self.causes {
            out.push_str(&format!("  {cause}\n"));
        }
        for hint in &self.hints {
            out.push_str(&format!("{} {hint}\n", style.accent("hint:")));
        }
        out
    }
}

/// Says what was being done when something else failed.
pub trait Doing<T> {
    /// `message` over the error as its cause.
    fn doing(self, message: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Display> Doing<T> for Result<T, E> {
    fn doing(self, message: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::failed(message()).cause(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_a_line_its_causes_and_its_hints() {
        let failure = Failure::failed("cannot read x").cause("no such file").hint("make it");
        assert_eq!(failure.text(Style::plain()), "error: cannot read x\n  no such file\nhint: make it\n");
        assert_eq!(Failure::silent(130).text(Style::plain()), "");
    }
}
