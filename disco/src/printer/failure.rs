//! Formats a failure: message, place with its source line, causes, hint.

use serde_json::json;

use super::{Style, wrap::wrap};
use crate::error::{Failure, Place};

pub(super) fn render(failure: &Failure, style: Style, columns: Option<u16>) -> String {
    let mut text = format!("{} {}\n", style.bad("error:"), wrap(failure.message(), columns, "error: ".len()));
    if let Some(place) = failure.place() {
        text.push_str(&pointed(place, style));
    }
    for frame in failure.frames() {
        text.push_str(&format!("{}\n", style.dim(frame)));
    }
    for cause in failure.causes() {
        let cause = match columns {
            Some(_) => wrap(cause.trim_end(), columns, BECAUSE.len()),
            None => cause.trim_end().replace('\n', &format!("\n{}", " ".repeat(BECAUSE.len()))),
        };
        text.push_str(&format!("  {} {cause}\n", style.bold("because:")));
    }
    if let Some(hint) = failure.next_step() {
        text.push_str(&format!("{} {}\n", style.accent("hint:"), wrap(hint, columns, "hint: ".len())));
    }
    text
}

/// As it stands before a cause.
const BECAUSE: &str = "  because: ";

/// The failure as one line of JSON, for `-o json` and `-o jsonl`. Fields are added, never renamed.
pub(super) fn json(failure: &Failure) -> String {
    let place = failure.place().map(|at| json!({ "file": at.file, "line": at.line, "column": at.column }));
    let error = json!({
        "code": failure.code().as_str(),
        "exit": failure.status().code(),
        "message": failure.message(),
        "place": place,
        "causes": failure.causes(),
        "hint": failure.next_step(),
    });
    format!("{}\n", json!({ "error": error }))
}

/// ```text
///   --> cluster.js:12:7
///    |
/// 12 |   oops();
///    |   ^
/// ```
fn pointed(place: &Place, style: Style) -> String {
    let head = format!("{}:{}:{}", place.file, place.line, place.column);
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    let arrow = style.accent("-->");
    let bar = style.accent("|");
    let Some(source) = &place.source else {
        return format!("{margin}{arrow} {head}\n");
    };
    // Tabs are copied, so that the caret stands under the column.
    let before = (place.column as usize).saturating_sub(1);
    let indent: String = source.chars().take(before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let caret = style.bad("^");
    let source = source.trim_end();
    format!("{margin}{arrow} {head}\n{margin} {bar}\n{number} {bar} {source}\n{margin} {bar} {indent}{caret}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_of_json() {
        let failure = Failure::usage("wrong\nvalue").cause("why").hint("run `disco doctor`");
        let text = json(&failure);
        assert_eq!(text.lines().count(), 1);
        let error = &serde_json::from_str::<serde_json::Value>(&text).expect("JSON")["error"];
        assert_eq!(error["code"], "INVALID");
        assert_eq!(error["exit"], 2);
        assert_eq!(error["message"], "wrong\nvalue");
        assert_eq!(error["causes"], json!(["why"]));
        assert_eq!(error["hint"], "run `disco doctor`");
    }

    #[test]
    fn a_failure_shows_message_place_cause_and_hint() {
        let failure = Failure::usage("`client.js` failed: ReferenceError: oops is not defined")
            .at(Place { file: "client.js".to_owned(), line: 12, column: 4, source: Some("\t  oops();".to_owned()) })
            .cause("second\nline")
            .hint("fix it");
        let expected = "\
error: `client.js` failed: ReferenceError: oops is not defined
  --> client.js:12:4
   |
12 | \t  oops();
   | \t  ^
  because: second
           line
hint: fix it
";
        assert_eq!(render(&failure, Style::default(), None), expected);
    }
}
