//! Single values.

use super::{Form, Read};
use crate::{
    problem::Problem,
    yaml::{Core, Node, Value, core},
};

impl Form<'_> {
    /// Text. A number or boolean without quotes is refused, as in Compose: nobody can see what was meant by `1.10`.
    pub(super) fn text(&self, node: Node) -> Read {
        match node.value {
            Value::Text(_) => Ok(node),
            Value::Plain(text) => match core(&text) {
                Core::Text => Ok(Node::text(node.place, text)),
                found => {
                    let what = if matches!(found, Core::Bool(_)) { "a boolean" } else { "a number" };
                    let message = format!("`{}` is {what}, `{text}`: expected text", self.name());
                    Err(Problem::at(node.place, message).hint(format!("quote it: \"{text}\"")))
                }
            },
            _ => Err(self.wrong(&node, "text")),
        }
    }

    /// Text, a number or a boolean, as it is written.
    pub(super) fn scalar(&self, node: Node) -> Read {
        match node.value {
            Value::Text(text) | Value::Plain(text) => Ok(Node::text(node.place, text)),
            _ => Err(self.wrong(&node, "text or a number")),
        }
    }

    /// Also `yes`, `on`, `y` and their opposites of YAML 1.1, with a warning.
    pub(super) fn bool(&mut self, node: Node) -> Read {
        let value = match node.scalar().map(str::to_ascii_lowercase).as_deref() {
            Some("true") => true,
            Some("false") => false,
            Some(old @ ("yes" | "on" | "y" | "no" | "off" | "n")) => {
                let value = matches!(old, "yes" | "on" | "y");
                let message =
                    format!("`{}`: `{old}` is not a boolean in YAML 1.2; it counts as `{value}`", self.name());
                self.findings.warn(Problem::at(node.place, message).hint(format!("write `{value}`")));
                value
            }
            _ => return Err(self.wrong(&node, "`true` or `false`")),
        };
        Ok(Node::new(node.place, Value::Bool(value)))
    }

    pub(super) fn int(&self, node: Node) -> Read {
        match node.scalar().map(core) {
            Some(Core::Int(value)) => Ok(Node::new(node.place, Value::Int(value))),
            _ => Err(self.wrong(&node, "a whole number")),
        }
    }

    pub(super) fn number(&self, node: Node) -> Read {
        let value = match node.scalar().map(core) {
            Some(Core::Int(value)) => Value::Int(value),
            Some(Core::Float(value)) if value.is_finite() => Value::Float(value),
            _ => return Err(self.wrong(&node, "a number such as `0.5`")),
        };
        let negative = match &value {
            Value::Int(value) => *value < 0,
            Value::Float(value) => *value < 0.0,
            _ => false,
        };
        if negative {
            return Err(self.wrong(&node, "a number that is not negative"));
        }
        Ok(Node::new(node.place, value))
    }

    pub(super) fn one_of(&self, node: Node, names: &[&str]) -> Read {
        match node.scalar() {
            Some(text) if names.contains(&text) => Ok(Node::text(node.place, text)),
            _ => {
                let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                Err(self.wrong(&node, &format!("one of {}", names.join(", "))))
            }
        }
    }

    /// Canonical as four octal digits. `440` without quotes and without leading zero is 0440: nobody means 0670.
    pub(super) fn mode(&mut self, node: Node) -> Read {
        let Some(text) = node.scalar() else { return Err(self.wrong(&node, "octal permissions such as \"0440\"")) };
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o7777);
        let Some(mode) = mode.filter(|_| digits.bytes().all(|b| b.is_ascii_digit())) else {
            return Err(self.wrong(&node, "octal permissions such as \"0440\""));
        };
        if matches!(node.value, Value::Plain(_)) && !text.starts_with('0') {
            let message =
                format!("`{}`: `{text}` counts as octal {mode:04o}; Compose reads a decimal number", self.name());
            self.findings.warn(Problem::at(node.place, message).hint(format!("write \"{mode:04o}\"")));
        }
        Ok(Node::text(node.place, format!("{mode:04o}")))
    }

    pub(super) fn device_count(&self, node: Node) -> Read {
        match node.scalar() {
            Some("all") => Ok(Node::new(node.place, Value::Int(-1))),
            _ => match self.int(node.clone())? {
                Node { value: Value::Int(count), .. } if count < -1 => Err(self.wrong(&node, "a number or `all`")),
                read => Ok(read),
            },
        }
    }

    /// `no` without quotes is text in YAML 1.2.
    pub(super) fn restart(&self, node: Node) -> Read {
        let known = match node.scalar() {
            Some("no" | "always" | "unless-stopped" | "on-failure") => true,
            Some(text) => text.strip_prefix("on-failure:").is_some_and(|n| n.parse::<u32>().is_ok()),
            None => false,
        };
        match node.scalar() {
            Some(text) if known => Ok(Node::text(node.place, text)),
            _ => {
                let expected = "one of `no`, `always`, `unless-stopped`, `on-failure`, `on-failure:N`";
                let problem = self.wrong(&node, expected);
                Err(if node.scalar() == Some("false") { problem.hint("quote it: \"no\"") } else { problem })
            }
        }
    }

    pub(super) fn pull_policy(&self, node: Node) -> Read {
        let known = match node.scalar() {
            Some("always" | "never" | "missing" | "if_not_present" | "daily" | "weekly") => true,
            Some(text) => text.strip_prefix("every_").is_some_and(|every| super::parse_duration(every).is_ok()),
            None => false,
        };
        match node.scalar() {
            Some(text) if known => Ok(Node::text(node.place, text)),
            Some(text @ ("build" | "refresh")) => {
                let message = format!("`{}`: Disco does not support `{text}`", self.name());
                Err(Problem::at(node.place, message).hint("use `always`, or `every_DURATION` such as `every_12h`"))
            }
            _ => Err(self.wrong(&node, "`always`, `never`, `missing`, `daily`, `weekly` or `every_DURATION`")),
        }
    }

    pub(super) fn duration(&self, node: Node) -> Read {
        let Some(text) = node.scalar() else { return Err(self.wrong(&node, "a duration such as `30s`")) };
        match super::parse_duration(text) {
            Ok(nanoseconds) => Ok(Node::text(node.place, super::show_duration(nanoseconds))),
            Err(why) => Err(self.invalid(&node, &why)),
        }
    }

    /// Canonical as decimal bytes.
    pub(super) fn size(&self, node: Node, or_unlimited: bool) -> Read {
        let Some(text) = node.scalar() else { return Err(self.wrong(&node, "a size such as `50m`")) };
        if or_unlimited && text == "-1" {
            return Ok(Node::text(node.place, "-1"));
        }
        match super::parse_size(text) {
            Ok(bytes) => Ok(Node::text(node.place, bytes.to_string())),
            Err(why) => Err(self.invalid(&node, &why)),
        }
    }
}
