use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Row, Table as Comfy, presets};

use unicode_width::UnicodeWidthStr;

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
        let widths = headings.iter().map(|text| text.width()).collect();
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
            *width = (*width).max(cell.content().width());
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
        let last = match self.style.width {
            Some(width) => self.fit(&mut table, width),
            None => self.headings.len().checked_sub(1),
        };
        // Blanks behind it, with a colour around them, would make a line too long.
        if let Some(last) = last.and_then(|at| table.column_mut(at)) {
            last.set_padding((0, 0));
        }
        table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }

    /// Hides columns and limits the others; returns the last column that is shown.
    fn fit(&self, table: &mut Comfy, width: u16) -> Option<usize> {
        let between = usize::from(BETWEEN);
        // No blanks follow the last column.
        let available = usize::from(width) + between;
        let mut needed: usize = self.widths.iter().map(|column| column + between).sum();
        let mut shown: Vec<usize> = (0..self.headings.len()).collect();
        for heading in self.spare {
            if needed <= available {
                break;
            }
            if let Some(at) = self.headings.iter().position(|own| own == heading) {
                needed -= self.widths[at] + between;
                shown.retain(|other| *other != at);
                if let Some(column) = table.column_mut(at) {
                    column.set_constraint(ColumnConstraint::Hidden);
                }
            }
        }
        if needed > available {
            // The longest columns give way.
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        shown.last().copied()
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
        colored(width, false)
    }

    fn colored(width: Option<u16>, color: bool) -> String {
        let style = Style { color, width };
        let mut table = Table::new(style, &["ID", "NAME", "REASON", "VERSION"]).spare(&["VERSION"]);
        for id in 1..3 {
            let reason = "cannot connect to it at all: the connection was refused";
            table.row(vec![cell::plain(id), cell::plain("web"), cell::bad(reason), cell::plain("0.1.0")]);
        }
        table.text()
    }

    #[test]
    fn a_line_in_colour_is_no_longer_than_the_terminal() {
        for line in colored(Some(40), true).lines() {
            let parts = line.split('\u{1b}');
            // Each sequence ends with `m`.
            let plain: String = parts
                .enumerate()
                .map(|(at, part)| if at == 0 { part } else { part.split_once('m').map_or("", |(_, rest)| rest) })
                .collect();
            assert!(plain.chars().count() <= 40, "{plain:?}");
        }
    }

    #[test]
    fn a_wide_character_takes_two_columns_of_the_terminal() {
        let mut table = Table::new(Style { color: false, width: Some(24) }, &["NAME", "VERSION"]).spare(&["VERSION"]);
        table.row(vec![cell::plain("クラスタの名前です"), cell::plain("0.1.0")]);
        let text = table.text();
        assert!(text.lines().all(|line| line.width() <= 24), "{text}");
        assert!(!text.contains("VERSION") && text.contains("クラスタの名前です"), "{text}");
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
