use serde_json::Value;

use super::Style;

/// A command's result in each of the formats.
pub(crate) trait View {
    /// The stable JSON document.
    fn json(&self) -> Value;

    /// The document as rows, for one object per line.
    fn rows(&self) -> Vec<Value> {
        match self.json() {
            Value::Array(rows) => rows,
            one => vec![one],
        }
    }

    /// The names, which other commands accept as arguments.
    fn names(&self) -> Vec<String>;

    /// Human-readable text; ends with a newline unless it is empty.
    fn text(&self, style: Style) -> String;
}

/// One object of a stream.
pub(crate) trait Item {
    fn json(&self) -> Value;
    fn name(&self) -> String;
    /// One line, without the newline.
    fn text(&self, style: Style) -> String;
}
