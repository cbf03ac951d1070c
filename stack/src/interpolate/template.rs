//! `$A`, `${A}`, `${A-x}`, `${A:-x}`, `${A?e}`, `${A:?e}`, `${A+y}`, `${A:+y}` with nesting, and `$$`. A default is evaluated only
//! where it is needed.

/// Where a template gets its variables, and what it does without one.
pub(crate) trait Variables {
    /// The value, `None` where it is not set.
    fn get(&self, name: &str) -> Option<String>;
    /// Called for a variable that is not set and has no default; `written` is as the template has it. `Some` goes on with that
    /// value.
    fn unset(&mut self, name: &str, written: &str) -> Option<String>;
}

/// Why a template has no value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// Not the grammar; from `written` on.
    Malformed { written: String },
    /// `${A:?text}` without a value, or `${A}` that [`Variables::unset`] refused, without text.
    Missing { name: String, written: String, text: Option<String> },
    /// More than [`DEEPEST`] templates within each other, or more than [`MOST_BYTES`] bytes.
    TooLarge,
}

const DEEPEST: usize = 32;
/// A process cannot be given a longer variable than 128 KiB; a block of configuration may hold several.
const MOST_BYTES: usize = 1 << 20;

/// The text with all variables replaced.
pub(crate) fn expand(text: &str, variables: &mut dyn Variables) -> Result<String, Fault> {
    let value = expand_within(text, variables, 0)?;
    if value.len() > MOST_BYTES { Err(Fault::TooLarge) } else { Ok(value) }
}

fn expand_within(text: &str, variables: &mut dyn Variables, depth: usize) -> Result<String, Fault> {
    if depth > DEEPEST {
        return Err(Fault::TooLarge);
    }
    let mut value = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        value.push_str(&rest[..at]);
        let from = &rest[at..];
        let after = &from[1..];
        if let Some(after) = after.strip_prefix('$') {
            value.push('$');
            rest = after;
        } else if let Some(inside) = after.strip_prefix('{') {
            let end = closing_brace(inside).ok_or_else(|| malformed(from))?;
            let written = &from[..end + 3];
            value.push_str(&braced(&inside[..end], written, variables, depth)?);
            rest = &inside[end + 1..];
        } else {
            let length = name_length(after);
            if length == 0 {
                return Err(malformed(from));
            }
            let (name, written) = (&after[..length], &from[..=length]);
            value.push_str(&plain(name, written, variables)?);
            rest = &after[length..];
        }
        if value.len() > MOST_BYTES {
            return Err(Fault::TooLarge);
        }
    }
    value.push_str(rest);
    Ok(value)
}

fn malformed(from: &str) -> Fault {
    Fault::Malformed { written: from.chars().take(20).collect() }
}

fn plain(name: &str, written: &str, variables: &mut dyn Variables) -> Result<String, Fault> {
    if let Some(value) = variables.get(name) {
        return Ok(value);
    }
    variables.unset(name, written).ok_or_else(|| Fault::Missing {
        name: name.to_owned(),
        written: written.to_owned(),
        text: None,
    })
}

fn braced(inside: &str, written: &str, variables: &mut dyn Variables, depth: usize) -> Result<String, Fault> {
    let length = name_length(inside);
    if length == 0 {
        return Err(malformed(written));
    }
    let (name, operator) = inside.split_at(length);
    if operator.is_empty() {
        return plain(name, written, variables);
    }
    let (empty_counts_as_unset, operator) = match operator.strip_prefix(':') {
        Some(operator) => (true, operator),
        None => (false, operator),
    };
    let set = variables.get(name).filter(|value| !(empty_counts_as_unset && value.is_empty()));
    let mut characters = operator.chars();
    let kind = characters.next();
    let word = characters.as_str();
    match (kind, set) {
        (Some('-'), Some(value)) | (Some('?'), Some(value)) => Ok(value),
        (Some('-'), None) | (Some('+'), Some(_)) => expand_within(word, variables, depth + 1),
        (Some('+'), None) => Ok(String::new()),
        (Some('?'), None) => {
            let text = expand_within(word, variables, depth + 1)?;
            Err(Fault::Missing { name: name.to_owned(), written: written.to_owned(), text: Some(text) })
        }
        _ => Err(malformed(written)),
    }
}

/// The name at the beginning; 0 where no name begins.
fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(text.len())
}

/// The brace that ends what follows `${`; braces within are counted.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 1_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    struct Set(BTreeMap<&'static str, &'static str>);

    impl Variables for Set {
        fn get(&self, name: &str) -> Option<String> {
            self.0.get(name).map(|value| (*value).to_owned())
        }

        fn unset(&mut self, _: &str, _: &str) -> Option<String> {
            None
        }
    }

    fn expanded(text: &str) -> Result<String, Fault> {
        expand(text, &mut Set(BTreeMap::from([("A", "a"), ("EMPTY", ""), ("_x1", "low")])))
    }

    #[test]
    fn every_form_has_the_value_of_the_specification() {
        for (text, value) in [
            ("$A", "a"),
            ("${A}", "a"),
            ("x${A}y$A-z", "xaya-z"),
            ("$_x1.", "low."),
            ("$$A $${A} $$$A", "$A ${A} $a"),
            ("${EMPTY}", ""),
            ("${EMPTY-d}", ""),
            ("${EMPTY:-d}", "d"),
            ("${NO-d}", "d"),
            ("${NO:-}", ""),
            ("${A+alt}", "alt"),
            ("${EMPTY+alt}", "alt"),
            ("${EMPTY:+alt}", ""),
            ("${NO+alt}", ""),
            ("${NO:+alt}", ""),
            ("${A?e}", "a"),
            ("${EMPTY?e}", ""),
            ("${A:?e}", "a"),
            ("${NO:-${A}}", "a"),
            ("${NO:-x${NO2:-y${A}}z}", "xyaz"),
            ("${NO:-{\"k\": 1}}", "{\"k\": 1}"),
            ("${NO:-$$}", "$"),
            ("${NO:-a:b-c?d}", "a:b-c?d"),
            ("${A:+${NO:-deep}}", "deep"),
            ("no dollar", "no dollar"),
        ] {
            assert_eq!(expanded(text).as_deref(), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_not_needed_is_not_evaluated() {
        for text in ["${A:-${NO:?x}}", "${A-${NO}}", "${A:?${NO}}", "${NO:+${NO2:?x}}"] {
            assert!(expanded(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_missing_value_is_named() {
        let missing = |name: &str, written: &str, text: Option<&str>| Fault::Missing {
            name: name.to_owned(),
            written: written.to_owned(),
            text: text.map(str::to_owned),
        };
        assert_eq!(expanded("x $NO y"), Err(missing("NO", "$NO", None)));
        assert_eq!(expanded("${NO}"), Err(missing("NO", "${NO}", None)));
        assert_eq!(expanded("${NO?say}"), Err(missing("NO", "${NO?say}", Some("say"))));
        assert_eq!(expanded("${EMPTY:?say $A}"), Err(missing("EMPTY", "${EMPTY:?say $A}", Some("say a"))));
    }

    #[test]
    fn what_is_no_template_is_refused_from_its_dollar_on() {
        for text in ["$", "a $ b", "$1", "${}", "${A", "${A:}", "${A!x}", "${ A}", "$(date)", "${1}"] {
            assert!(matches!(expanded(text), Err(Fault::Malformed { .. })), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = "${NO:-".repeat(100) + "x" + &"}".repeat(100);
        assert_eq!(expanded(&deep), Err(Fault::TooLarge));
    }
}
