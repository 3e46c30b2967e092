//! Takes terminal escapes out of text that came from elsewhere: a log must not move the cursor, retitle the window
//! or answer the terminal's questions.

/// Removes escape sequences and control characters over any number of chunks.
#[derive(Clone, Debug, Default)]
pub struct Stripper {
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum State {
    #[default]
    Text,
    /// After a carriage return, which was told as a line feed already.
    Return,
    Escape,
    /// After `ESC [`, until a final byte.
    Control,
    /// After `ESC ]`, `P`, `X`, `^` or `_`, until BEL or `ESC \`.
    Words,
    WordsEscape,
    /// After `ESC (` and the like: one more character.
    Charset,
}

impl Stripper {
    /// `text` without escapes. Line feeds and tabs stay; a carriage return becomes a line feed unless one follows.
    pub fn strip(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            let before = std::mem::take(&mut self.state);
            self.state = match (before, c) {
                (State::Return, '\n') => State::Text,
                // A line's end closes what never ended, so that a broken log can't swallow the rest of itself.
                (_, '\n') => {
                    out.push('\n');
                    State::Text
                }
                (State::Text | State::Return, '\x1b') => State::Escape,
                (State::Text | State::Return, '\u{9b}') => State::Control,
                (State::Text | State::Return, '\u{9d}' | '\u{90}') => State::Words,
                (State::Text | State::Return, '\r') => {
                    out.push('\n');
                    State::Return
                }
                (State::Text | State::Return, c) if (c.is_control() && c != '\t') || reorders(c) => State::Text,
                (State::Text | State::Return, c) => {
                    out.push(c);
                    State::Text
                }
                (State::Escape, '[') => State::Control,
                (State::Escape, ']' | 'P' | 'X' | '^' | '_') => State::Words,
                (State::Escape, '(' | ')' | '*' | '+' | '#' | '%' | ' ') => State::Charset,
                (State::Escape, '\x1b') => State::Escape,
                (State::Escape | State::Charset, _) => State::Text,
                (State::Control, c) if ('@'..='~').contains(&c) => State::Text,
                (State::Control, '\x1b') => State::Escape,
                (State::Control, _) => State::Control,
                (State::Words | State::WordsEscape, '\x07' | '\u{9c}') => State::Text,
                (State::Words | State::WordsEscape, '\x1b') => State::WordsEscape,
                (State::WordsEscape, '\\') => State::Text,
                (State::Words | State::WordsEscape, _) => State::Words,
            };
        }
        out
    }
}

/// A text of ours for a terminal: whatever a terminal would obey is out, but for our own colours (and ends of lines).
///
/// The last gate before a terminal. Texts from elsewhere are stripped where they are put in, so that columns stay
/// right; what is forgotten there is harmless here.
pub fn for_terminal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| (c.is_control() && c != '\n' && c != '\t') || reorders(c)) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match colour(rest) {
            Some(length) => {
                out.push_str(&rest[..length]);
                rest = &rest[length..];
            }
            None => {
                // seen, not obeyed
                out.push(char::REPLACEMENT_CHARACTER);
                rest = rest.chars().next().map_or("", |c| &rest[c.len_utf8()..]);
            }
        }
    }
    out.push_str(rest);
    out
}

/// The length of `ESC [ digits and semicolons m` at the start.
fn colour(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("\x1b[")?;
    let end = inner.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    inner[end..].starts_with('m').then_some(2 + end + 1)
}

/// Characters that make a line read in another order than it is written.
fn reorders(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// One text, whole.
pub fn strip(text: &str) -> String {
    Stripper::default().strip(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_vanish_and_text_stays() {
        assert_eq!(strip("\x1b[31mred\x1b[0m größe\n"), "red größe\n");
        assert_eq!(strip("a\x1b]0;title\x07b\x1b]8;;u\x1b\\c"), "abc");
        assert_eq!(strip("\x1b(Bx\x07y\x1bcz"), "xyz");
        assert_eq!(strip("1%\r2%\r\nend"), "1%\n2%\nend");
        assert_eq!(strip("\u{9b}31mx"), "x");
        assert_eq!(strip("\x1b]0;never\nnext"), "\nnext");
    }

    #[test]
    fn only_colours_reach_a_terminal() {
        assert_eq!(for_terminal("\x1b[1;31mred\x1b[0m\n\tok"), "\x1b[1;31mred\x1b[0m\n\tok");
        for hostile in
            ["\x1b]0;title\x07", "\x1b[2J", "\x1b[31", "\x1bc", "\u{9b}2J", "\x07", "a\rb", "\u{202e}gpj", "\x1b[6n"]
        {
            let shown = for_terminal(hostile);
            assert!(!shown.contains(|c: char| c.is_control() || reorders(c)), "{shown:?}");
        }
    }

    #[test]
    fn a_sequence_cut_by_a_chunks_border_vanishes_too() {
        let mut stripper = Stripper::default();
        assert_eq!(stripper.strip("a\x1b[3"), "a");
        assert_eq!(stripper.strip("1mb"), "b");
        assert_eq!(stripper.strip("c\r"), "c\n");
        assert_eq!(stripper.strip("\nd"), "d", "one line's end, however it is cut");
    }

    #[test]
    fn a_sequence_that_never_ends_costs_no_line() {
        assert_eq!(strip("\x1b]0;title\x1b\nnext"), "\nnext");
        assert_eq!(strip("\x1b[3\nnext"), "\nnext");
        assert_eq!(strip("\x1b]0;title\x1b\x1b\\next"), "next");
    }
}
