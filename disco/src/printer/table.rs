use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Row, Table as Comfy, presets};

use super::Style;

/// Blanks between two columns.
const BETWEEN: u16 = 2;

/// Rows under headings, without borders: easy to read, cut and grep.
///
/// On a terminal, a table fits its width: first without its spare columns, then with cells that end in `…`.
pub(crate) struct Table {
    table: Comfy,
    style: Style,
    headings: Vec<String>,
    /// Columns of the longest cell of each column.
    widths: Vec<usize>,
    spare: &'static [&'static str],
}

impl Table {
    pub(crate) fn new(style: Style, headings: &[&str]) -> Self {
        let mut table = Comfy::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_truncation_indicator("…");
        if style.color {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table.set_header(headings.iter().map(|text| Cell::new(text).add_attribute(Attribute::Bold)));
        for column in table.column_iter_mut() {
            column.set_padding((0, BETWEEN));
        }
        let widths = headings.iter().map(|text| text.chars().count()).collect();
        let headings = headings.iter().map(|text| (*text).to_owned()).collect();
        Self { table, style, headings, widths, spare: &[] }
    }

    /// These columns are left out, the first one first, where the terminal is too narrow for all.
    pub(crate) fn spare(mut self, headings: &'static [&'static str]) -> Self {
        self.spare = headings;
        self
    }

    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        for (width, cell) in self.widths.iter_mut().zip(&cells) {
            *width = (*width).max(cell.content().chars().count());
        }
        let mut row = Row::from(cells);
        if self.style.width.is_some() {
            row.max_height(1);
        }
        self.table.add_row(row);
    }

    /// The text, without trailing blanks.
    pub(crate) fn text(&self) -> String {
        let mut table = self.table.clone();
        if let Some(width) = self.style.width {
            self.fit(&mut table, width);
        }
        table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    fn fit(&self, table: &mut Comfy, width: u16) {
        // The blanks behind the last column are not printed.
        let available = usize::from(width) + usize::from(BETWEEN);
        let mut needed: usize = self.widths.iter().map(|column| column + usize::from(BETWEEN)).sum();
        let mut spare = self.spare.iter();
        while needed > available {
            let Some(heading) = spare.next() else {
                // The longest columns give way.
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width + BETWEEN);
                return;
            };
            if let Some(at) = self.headings.iter().position(|own| own == heading) {
                needed -= self.widths[at] + usize::from(BETWEEN);
                if let Some(column) = table.column_mut(at) {
                    column.set_constraint(ColumnConstraint::Hidden);
                }
            }
        }
    }
}

/// Cells of a [`Table`].
pub(crate) mod cell {
    use super::{Cell, Color};

    pub(crate) fn plain(text: impl ToString) -> Cell {
        Cell::new(text.to_string())
    }

    pub(crate) fn good(text: impl ToString) -> Cell {
        Cell::new(text.to_string()).fg(Color::DarkGreen)
    }

    pub(crate) fn warning(text: impl ToString) -> Cell {
        Cell::new(text.to_string()).fg(Color::DarkYellow)
    }

    pub(crate) fn bad(text: impl ToString) -> Cell {
        Cell::new(text.to_string()).fg(Color::DarkRed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(width: Option<u16>) -> String {
        let style = Style { color: false, width };
        let mut table = Table::new(style, &["ID", "NAME", "REASON", "VERSION"]).spare(&["VERSION"]);
        for id in 1..3 {
            let reason = "cannot connect to it at all: the connection was refused";
            table.row(vec![cell::plain(id), cell::plain("web"), cell::bad(reason), cell::plain("0.1.0")]);
        }
        table.text()
    }

    #[test]
    fn a_table_fits_the_terminal_and_is_whole_without_one() {
        let whole = table(None);
        assert!(whole.contains("VERSION") && whole.contains("was refused"), "{whole}");
        assert_eq!(table(Some(120)), whole);
        let fewer = table(Some(66));
        assert!(!fewer.contains("VERSION") && fewer.contains("was refused") && !fewer.contains('…'), "{fewer}");
        let cut = table(Some(40));
        assert!(cut.contains('…') && cut.lines().count() == 3, "{cut}");
        for (text, width) in [(fewer, 66), (cut, 40)] {
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
        }
    }
}
