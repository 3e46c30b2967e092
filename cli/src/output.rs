//! Standard output is data, standard error is talk.

use std::io::{IsTerminal, Write};

use serde_json::Value;

use crate::{
    failure::Failure,
    render::{
        strip::for_terminal,
        style::{Style, terminal_width},
        table::Table,
    },
};

/// How a command speaks.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// `--json`
    pub json: bool,
    /// Standard output is a terminal.
    pub terminal: bool,
    /// Colours of standard output.
    pub style: Style,
    /// Colours of standard error.
    pub talk: Style,
}

impl Output {
    /// For this process's standard output and error.
    pub fn new(json: bool) -> Self {
        Self { json, terminal: std::io::stdout().is_terminal(), style: Style::stdout(), talk: Style::stderr() }
    }

    /// Prints data. A reader that has gone (`| head`) ends the command quietly.
    pub fn print(&self, text: &str) -> Result<(), Failure> {
        if self.terminal { self.write(for_terminal(text).as_bytes()) } else { self.write(text.as_bytes()) }
    }

    /// Prints bytes.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Failure::silent(0)),
            Err(error) => Err(Failure::failed("cannot write to standard output").cause(error)),
        }
    }

    /// Prints a line of data.
    pub fn line(&self, text: impl AsRef<str>) -> Result<(), Failure> {
        self.print(&format!("{}\n", text.as_ref()))
    }

    /// Prints a body as JSON: indented for a terminal, one line in a pipe.
    pub fn body(&self, body: &Value) -> Result<(), Failure> {
        self.line(if self.terminal { format!("{body:#}") } else { body.to_string() })
    }

    /// Prints a table: aligned in a terminal, tabs in a pipe.
    pub fn table(&self, table: &Table) -> Result<(), Failure> {
        if self.terminal {
            self.print(&table.aligned(terminal_width(), |head| self.style.faint(head)))
        } else {
            self.print(&table.tabs())
        }
    }

    /// Says something to people.
    pub fn say(&self, text: impl AsRef<str>) {
        eprintln!("{}", for_terminal(text.as_ref()));
    }

    /// Says a hint to people at a terminal.
    pub fn hint(&self, text: impl AsRef<str>) {
        if std::io::stderr().is_terminal() {
            eprintln!("{} {}", self.talk.accent("hint:"), for_terminal(text.as_ref()));
        }
    }
}
