//! `environment`, `labels`, build arguments: mappings, or lists of `NAME=value`. Values stay as written.

use super::{Form, Read};
use crate::{
    problem::Problem,
    schema::Null,
    yaml::{Entry, Map, Node, Tag, Value, core, shorten},
};

impl Form<'_> {
    /// Canonical as a mapping of texts; a name without a value is `Null` where that means "from the environment".
    pub(super) fn pairs(&mut self, node: Node, null: Null) -> Read {
        let place = node.place;
        let mut pairs = Map::new();
        match node.value {
            Value::Map(map) => {
                for (name, entry) in map {
                    let tag = entry.node.tag;
                    if tag == Tag::Reset {
                        let node = Node { value: Value::Null, ..entry.node };
                        pairs.insert(name, Entry { place: entry.place, node });
                        continue;
                    }
                    let mut value = self.pair_value(&name, entry.node, null)?;
                    value.tag = tag;
                    pairs.insert(name, Entry { place: entry.place, node: value });
                }
            }
            Value::List(list) => {
                for item in list {
                    self.refuse_item_tag(&item);
                    let at = item.place;
                    let Some(text) = item.scalar() else {
                        let problem = self.wrong(&item, "`NAME=value`");
                        return Err(match &item.value {
                            Value::Map(_) => problem.hint("leave out the `-`, or write `=` instead of `: `"),
                            _ => problem,
                        });
                    };
                    let (name, value) = match text.split_once('=') {
                        Some((name, value)) => (name, Value::Text(value.to_owned())),
                        None => (text, empty(null)),
                    };
                    // The later of two lines wins, at its place.
                    pairs.insert(name.to_owned(), Entry { place: at, node: Node::new(at, value) });
                }
            }
            _ => return Err(self.wrong(&node, "a mapping, or a list of `NAME=value`")),
        }
        if let Some((name, entry)) = pairs.iter().find(|(name, _)| name.is_empty()) {
            return Err(Problem::at(entry.place, format!("`{}`: the name before `={name}` is missing", self.name())));
        }
        Ok(Node::new(place, Value::Map(pairs)))
    }

    fn pair_value(&mut self, name: &str, node: Node, null: Null) -> Read {
        match node.value {
            Value::Null => Ok(Node::new(node.place, empty(null))),
            Value::Text(text) => Ok(Node::text(node.place, text)),
            Value::Plain(text) => {
                if let Some(other) = rewritten_by_compose(&text) {
                    let message =
                        format!("`{}.{name}` is `{text}` as written; Compose 2 makes {other} of it", self.name());
                    self.findings.warn(Problem::at(node.place, message).hint(format!("quote it: \"{text}\"")));
                }
                Ok(Node::text(node.place, text))
            }
            _ => {
                let found = node.describe();
                let message = format!("`{}.{}` is {found}: expected text or a number", self.name(), shorten(name));
                Err(Problem::at(node.place, message))
            }
        }
    }
}

fn empty(null: Null) -> Value {
    match null {
        Null::Inherited => Value::Null,
        Null::Empty => Value::Text(String::new()),
    }
}

/// What Compose 2 makes of a scalar without quotes, where that is not what is written. Its reader knows the numbers of YAML 1.1, and
/// prints them as Go does.
fn rewritten_by_compose(text: &str) -> Option<String> {
    let made = match text {
        "True" | "TRUE" => "true".to_owned(),
        "False" | "FALSE" => "false".to_owned(),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => "+Inf".to_owned(),
        "-.inf" | "-.Inf" | "-.INF" => "-Inf".to_owned(),
        ".nan" | ".NaN" | ".NAN" => "NaN".to_owned(),
        _ if is_date(text) => return Some("an error".to_owned()),
        _ => match integer_of_go(text) {
            Some(number) => number.to_string(),
            None => float_of_go(text)?,
        },
    };
    (made != text).then(|| format!("`{made}`"))
}

/// `YYYY-M-D`, with a time or without.
fn is_date(text: &str) -> bool {
    let date = text.split(['T', 't', ' ']).next().unwrap_or_default();
    let parts: Vec<&str> = date.split('-').collect();
    let number = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
    };
    matches!(parts[..], [year, month, day] if number(year, 4..=4) && number(month, 1..=2) && number(day, 1..=2))
}

/// Underscores, `0x`, `0o`, `0b`, and octal by a leading zero.
fn integer_of_go(text: &str) -> Option<i128> {
    let plain = text.replace('_', "");
    let (negative, unsigned) = match plain.strip_prefix(['-', '+']) {
        Some(unsigned) => (plain.starts_with('-'), unsigned),
        None => (false, plain.as_str()),
    };
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+')) {
        return None;
    }
    let lower = unsigned.to_ascii_lowercase();
    let (digits, radix) = if let Some(digits) = lower.strip_prefix("0x") {
        (digits, 16)
    } else if let Some(digits) = lower.strip_prefix("0o") {
        (digits, 8)
    } else if let Some(digits) = lower.strip_prefix("0b") {
        (digits, 2)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (&lower[1..], 8)
    } else {
        (lower.as_str(), 10)
    };
    if digits.starts_with(['-', '+']) {
        return None;
    }
    let value = i128::from(u64::from_str_radix(digits, radix).ok()?);
    Some(if negative { -value } else { value })
}

/// As Go's `%v` prints a float: the shortest that reads back, with an exponent from 1e21 on and below 1e-4.
fn float_of_go(text: &str) -> Option<String> {
    if text.starts_with('_') {
        return None;
    }
    let plain = text.replace('_', "");
    // Octal by a leading zero, where that is no number: `0999` is a float in Compose's reader.
    let crate::yaml::Core::Float(value) = core(&plain) else {
        return match core(&plain) {
            crate::yaml::Core::Int(value) => Some(value.to_string()),
            _ => None,
        };
    };
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e21).contains(&magnitude) {
        let shown = format!("{value:e}");
        let (mantissa, exponent) = shown.split_once('e')?;
        let (sign, digits) = match exponent.strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', exponent),
        };
        return Some(format!("{mantissa}e{sign}{digits:0>2}"));
    }
    Some(format!("{value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compose_would_rewrite_is_known() {
        for (text, made) in [
            ("1.10", "`1.1`"),
            ("1.0", "`1`"),
            ("0755", "`493`"),
            ("1e3", "`1000`"),
            ("1_000", "`1000`"),
            ("0x1F", "`31`"),
            ("+1", "`1`"),
            ("True", "`true`"),
            ("1e21", "`1e+21`"),
            ("0.00001", "`1e-05`"),
            (".5", "`0.5`"),
            ("0999", "`999`"),
            ("2001-12-14", "an error"),
        ] {
            assert_eq!(rewritten_by_compose(text).as_deref(), Some(made), "{text}");
        }
        for text in ["1", "1.5", "true", "yes", "12:30:45", "22:22", "1.2.3", "abc", "-1", "0", "", "1-2-3", "e3", "_1"]
        {
            assert_eq!(rewritten_by_compose(text), None, "{text}");
        }
    }
}
