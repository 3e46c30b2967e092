//! CSV as RFC 4180 has it: a header line, CRLF, quotes where needed; an empty cell is a missing value.

use std::io::{self, Write};

use super::{
    Trials,
    columns::{self, Cell},
};
use crate::http::render;

/// Writes all trials.
pub(super) fn write(mut trials: Trials, out: &mut impl Write) -> io::Result<()> {
    let columns = trials.study(columns::of)?;
    let header: Vec<Cell> = columns.iter().map(|c| Cell::Text(c.name.clone())).collect();
    row(&header, out)?;
    loop {
        let rows = trials
            .next(|node, study, trial| columns.iter().map(|c| c.cell(node, study, trial)).collect::<Vec<Cell>>())?;
        if rows.is_empty() {
            return Ok(());
        }
        for cells in rows {
            row(&cells, out)?;
        }
    }
}

fn row(cells: &[Cell], out: &mut impl Write) -> io::Result<()> {
    for (i, cell) in cells.iter().enumerate() {
        if i > 0 {
            out.write_all(b",")?;
        }
        match cell {
            Cell::Null => {}
            Cell::Text(text) => quoted(text, out)?,
            Cell::Int(n) => write!(out, "{n}")?,
            // As JSON has it: the shortest text that reads back as the same number.
            Cell::Float(n) => out.write_all(serde_json::to_string(n)?.as_bytes())?,
            Cell::Bool(b) => write!(out, "{b}")?,
            Cell::Time(ms) => out.write_all(render::time(*ms).as_bytes())?,
        }
    }
    out.write_all(b"\r\n")
}

/// An empty text is written `""`, which tells it from a missing one.
fn quoted(text: &str, out: &mut impl Write) -> io::Result<()> {
    if !text.is_empty() && !text.contains([',', '"', '\n', '\r']) && text == text.trim() {
        return out.write_all(text.as_bytes());
    }
    write!(out, "\"{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_csv_needs_it() {
        let mut out = Vec::new();
        let cells = [
            Cell::Text("a".into()),
            Cell::Text("a,\"b\"\n".into()),
            Cell::Null,
            Cell::Text(String::new()),
            Cell::Float(1e-9),
            Cell::Float(0.1 + 0.2),
            Cell::Int(-3),
            Cell::Bool(true),
            Cell::Time(0),
        ];
        row(&cells, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "a,\"a,\"\"b\"\"\n\",,\"\",1e-9,0.30000000000000004,-3,true,1970-01-01T00:00:00.000Z\r\n");
    }
}
