use serde_json::Value;

use super::Style;

/// A command's result in each of the formats.
pub(crate) trait View {
    /// The stable document.
    fn json(&self) -> Value;

    /// The same, one object per line.
    fn rows(&self) -> Vec<Value> {
        match self.json() {
            Value::Array(rows) => rows,
            one => vec![one],
        }
    }

    /// What another command could be given.
    fn names(&self) -> Vec<String>;

    /// For people; ends with a line end unless it is empty.
    fn text(&self, style: Style) -> String;
}

/// One object of a stream.
pub(crate) trait Item {
    fn json(&self) -> Value;
    fn name(&self) -> String;
    /// One line, without its end.
    fn text(&self, style: Style) -> String;
}
