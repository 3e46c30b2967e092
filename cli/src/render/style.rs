//! Colours, for terminals that want them.

use std::io::IsTerminal;

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    colours: bool,
}

impl Style {
    /// Never any colour.
    pub fn plain() -> Self {
        Self { colours: false }
    }
    /// For text on standard output.
    pub fn stdout() -> Self {
        Self { colours: wanted() && std::io::stdout().is_terminal() }
    }
    /// For text on standard error.
    pub fn stderr() -> Self {
        Self { colours: wanted() && std::io::stderr().is_terminal() }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colours && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
    /// Headings and names.
    pub fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }
    /// What matters less.
    pub fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }
    /// Success.
    pub fn good(self, text: &str) -> String {
        self.paint("32", text)
    }
    /// Failure.
    pub fn bad(self, text: &str) -> String {
        self.paint("1;31", text)
    }
    /// Attention.
    pub fn warn(self, text: &str) -> String {
        self.paint("33", text)
    }
    /// Hints and what is under way.
    pub fn accent(self, text: &str) -> String {
        self.paint("36", text)
    }
    /// A study's, trial's or node's state in its colour.
    pub fn state(self, state: &str) -> String {
        match state {
            "complete" | "alive" | "free" => self.good(state),
            "running" | "busy" => self.accent(state),
            "fail" | "lost" | "quarantined" => self.bad(state),
            "paused" | "suspect" | "draining" | "infeasible" | "busy_foreign" => self.warn(state),
            _ => self.faint(state),
        }
    }
}

/// <https://no-color.org>: any text in `NO_COLOR` but the empty one turns colours off.
fn wanted() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !no_color && !dumb
}

/// Columns of the terminal behind standard error or output; 100 where it can't tell.
pub fn terminal_width() -> usize {
    let of = |width: Result<rustix::termios::Winsize, rustix::io::Errno>| {
        width.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0)
    };
    of(rustix::termios::tcgetwinsize(std::io::stderr()))
        .or_else(|| of(rustix::termios::tcgetwinsize(std::io::stdout())))
        .unwrap_or(100)
}
