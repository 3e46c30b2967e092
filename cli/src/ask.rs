//! Questions to people at a terminal.

use std::io::{BufRead, IsTerminal, Write};

use crate::{failure::Failure, interrupt};

/// Somebody can answer.
pub fn possible() -> bool {
    std::io::stdin().is_terminal()
}

/// A yes or no; no unless it is said. `what` needs the yes, in the words of the failure where nobody can be asked.
pub fn yes(question: &str, what: &str) -> Result<bool, Failure> {
    if !possible() {
        return Err(Failure::usage(format!("{what} needs a yes")).hint("add --yes"));
    }
    let answer = line(&format!("{question} [y/N] "));
    Ok(matches!(answer.to_lowercase().as_str(), "y" | "yes"))
}

/// One line; empty where there is none.
pub fn line(prompt: &str) -> String {
    eprint!("{prompt}");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let _ = interrupt::while_asking(|| std::io::stdin().lock().read_line(&mut answer));
    answer.trim().to_owned()
}
