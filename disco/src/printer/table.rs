use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table as Comfy, presets};

use super::Style;

/// Rows under headings, without borders: easy to read, cut and grep.
pub(crate) struct Table(Comfy);

impl Table {
    pub(crate) fn new(style: Style, headings: &[&str]) -> Self {
        let mut table = Comfy::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if style.color {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        table.set_header(headings.iter().map(|text| Cell::new(text).add_attribute(Attribute::Bold)));
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        Self(table)
    }

    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.0.add_row(cells);
    }

    /// The text, without trailing blanks.
    pub(crate) fn text(&self) -> String {
        self.0.lines().map(|line| format!("{}\n", line.trim_end())).collect()
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
