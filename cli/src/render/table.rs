//! Tables: aligned columns in a terminal, tab-separated lines without a heading in a pipe.

use super::strip::strip;

/// Rows of texts under headings.
#[derive(Clone, Debug, Default)]
pub struct Table {
    heads: Vec<String>,
    rows: Vec<Vec<Cell>>,
}

/// A text and its shown form, which may carry colours.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    plain: String,
    shown: Option<String>,
    right: bool,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        // One line, and nothing in it that a terminal would obey.
        let plain = strip(&text.into()).replace(['\n', '\t'], " ");
        Self { plain, shown: None, right: false }
    }
}

impl Cell {
    /// Shows it so, for instance in colour.
    pub fn paint(mut self, paint: impl FnOnce(&str) -> String) -> Self {
        self.shown = Some(paint(&self.plain));
        self
    }
    /// Aligned to the right: numbers.
    pub fn right(mut self) -> Self {
        self.right = true;
        self
    }
}

impl Table {
    /// An empty table.
    pub fn new<S: Into<String>>(heads: impl IntoIterator<Item = S>) -> Self {
        Self { heads: heads.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Without rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Headings of the columns that don't fit.
    pub fn left_out(&self, width: usize) -> &[String] {
        &self.heads[self.fits(&self.widths(), width)..]
    }

    fn widths(&self) -> Vec<usize> {
        let count = |text: &str| text.chars().count();
        self.heads
            .iter()
            .enumerate()
            .map(|(at, head)| {
                let cells = self.rows.iter().filter_map(|row| row.get(at)).map(|cell| count(&cell.plain));
                cells.max().unwrap_or(0).max(count(head))
            })
            .collect()
    }

    fn fits(&self, widths: &[usize], width: usize) -> usize {
        let mut used = 0;
        widths
            .iter()
            .enumerate()
            .take_while(|(at, w)| {
                used += *w + 2;
                *at < 2 || used <= width + 2
            })
            .count()
    }

    /// For a terminal of `width` columns: columns that don't fit are left out, the first two never.
    pub fn aligned(&self, width: usize, head: impl Fn(&str) -> String) -> String {
        let count = |text: &str| text.chars().count();
        let widths = self.widths();
        let fits = self.fits(&widths, width);
        let mut out = String::new();
        let mut line = |cells: Vec<(String, usize, bool)>| {
            let mut text = String::new();
            for (at, (shown, plain_width, right)) in cells.into_iter().enumerate() {
                let pad = " ".repeat(widths[at].saturating_sub(plain_width));
                let gap = if at == 0 { "" } else { "  " };
                let (before, after) = if right { (pad.as_str(), "") } else { ("", pad.as_str()) };
                text.push_str(&format!("{gap}{before}{shown}{after}"));
            }
            out.push_str(text.trim_end());
            out.push('\n');
        };
        let right = |at: usize| self.rows.iter().any(|row| row.get(at).is_some_and(|cell| cell.right));
        line(self.heads.iter().take(fits).enumerate().map(|(at, h)| (head(h), count(h), right(at))).collect());
        for row in &self.rows {
            line(
                row.iter()
                    .take(fits)
                    .map(|cell| {
                        (cell.shown.clone().unwrap_or_else(|| cell.plain.clone()), count(&cell.plain), cell.right)
                    })
                    .collect(),
            );
        }
        out
    }

    /// For a pipe.
    pub fn tabs(&self) -> String {
        let mut out = String::new();
        for row in &self.rows {
            let cells: Vec<_> = row.iter().map(|cell| cell.plain.as_str()).collect();
            out.push_str(&cells.join("\t"));
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["name", "state", "best"]);
        table.row(vec!["größe".into(), Cell::from("running").paint(|s| format!("<{s}>")), Cell::from("1").right()]);
        table.row(vec!["m".into(), "paused".into(), Cell::from("0.25").right()]);
        table
    }

    #[test]
    fn columns_align_by_characters_whatever_the_colours() {
        let text = table().aligned(80, str::to_uppercase);
        assert_eq!(text, "NAME   STATE    BEST\ngröße  <running>     1\nm      paused   0.25\n");
    }

    #[test]
    fn a_narrow_terminal_loses_the_last_columns() {
        assert_eq!((table().left_out(15), table().left_out(80)), (&["best".to_owned()][..], &[][..]));
        assert_eq!(table().aligned(15, str::to_owned), "name   state\ngröße  <running>\nm      paused\n");
    }

    #[test]
    fn a_pipe_gets_tabs_and_no_heading() {
        assert_eq!(table().tabs(), "größe\trunning\t1\nm\tpaused\t0.25\n");
    }

    #[test]
    fn cells_are_one_line_without_escapes() {
        let mut table = Table::new(["a"]);
        table.row(vec!["x\ny\x1b[31m\tz".into()]);
        assert_eq!(table.tabs(), "x y z\n");
    }
}
