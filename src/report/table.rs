//! Tables of text cells, printed plain, as Markdown or as CSV.

use super::markup::markdown;

/// A head, and rows with as many cells as the head.
pub(super) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(head: &[&str]) -> Table {
        Table {
            head: head.iter().map(|&cell| cell.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, row: Vec<String>) {
        debug_assert_eq!(row.len(), self.head.len());
        self.rows.push(row);
    }

    pub(super) fn head(&self) -> &[String] {
        &self.head
    }

    pub(super) fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// Plain text. Spaces align the first column to the left and the others to the right.
    pub(super) fn plain(&self) -> String {
        let widths = self.widths();
        let mut text = String::new();
        for row in std::iter::once(&self.head).chain(&self.rows) {
            let mut line = String::new();
            for (i, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                match i {
                    0 => line += &format!("  {cell:<width$}"),
                    _ => line += &format!("  {cell:>width$}"),
                }
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }

    /// A table in the Markdown of GitHub.
    pub(super) fn markdown(&self) -> String {
        let line = |row: &[String]| {
            let cells: Vec<String> = row.iter().map(|cell| markdown(cell.trim())).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let rule = format!("|---{}\n", "|---:".repeat(self.head.len() - 1) + "|");
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        line(&self.head) + &rule + &rows
    }

    /// CSV as in RFC 4180, with line feeds.
    pub(super) fn csv(&self) -> String {
        let mut text = String::new();
        for row in std::iter::once(&self.head).chain(&self.rows) {
            let cells: Vec<String> = row.iter().map(|cell| quoted(cell)).collect();
            text += &cells.join(",");
            text.push('\n');
        }
        text
    }

    /// Characters of the widest cell of each column.
    fn widths(&self) -> Vec<usize> {
        let rows = || std::iter::once(&self.head).chain(&self.rows);
        let width = |column: usize| rows().map(|row| row[column].chars().count()).max();
        (0..self.head.len())
            .map(|column| width(column).unwrap_or(0))
            .collect()
    }
}

/// A cell of CSV, in quotes if it needs them.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["name", "bytes"]);
        table.push(vec!["a|b, \"c\"".to_owned(), "7".to_owned()]);
        table.push(vec!["é".to_owned(), "123456".to_owned()]);
        table
    }

    #[test]
    fn columns_are_aligned() {
        let expected = "  name       bytes\n  a|b, \"c\"       7\n  é         123456\n";
        assert_eq!(table().plain(), expected);
    }

    #[test]
    fn cells_are_escaped() {
        let markdown = "| name | bytes |\n|---|---:|\n| a\\|b, \"c\" | 7 |\n| é | 123456 |\n";
        assert_eq!(table().markdown(), markdown);
        assert_eq!(
            table().csv(),
            "name,bytes\n\"a|b, \"\"c\"\"\",7\né,123456\n"
        );
    }
}
