//! Replaces variables in the values of a tree. Keys stay as they are.

mod template;

pub(crate) use self::template::{Fault, Variables, expand};

use crate::{
    environment::Environment,
    place::{Place, Sources},
    problem::{Findings, Problem},
    yaml::{Node, Value},
};

/// What interpolation needs besides the tree.
pub(crate) struct Interpolation<'a> {
    pub(crate) environment: &'a Environment,
    /// A variable that is not set is a warning and empty, not an error.
    pub(crate) allow_unset: bool,
    pub(crate) sources: &'a Sources,
    pub(crate) findings: &'a mut Findings,
}

impl Interpolation<'_> {
    /// Replaces variables in all values of the tree. What they give is text, whatever it looks like.
    pub(crate) fn tree(&mut self, node: &mut Node) {
        if node.tag == crate::yaml::Tag::Reset {
            return;
        }
        let place = node.place;
        match &mut node.value {
            Value::Plain(text) | Value::Text(text) if text.contains('$') => {
                if let Some(value) = self.text(text, place) {
                    node.value = Value::Text(value);
                }
            }
            Value::List(list) => list.iter_mut().for_each(|node| self.tree(node)),
            Value::Map(map) => map.values_mut().for_each(|entry| self.tree(&mut entry.node)),
            _ => {}
        }
    }

    /// The value of one template; `None` after an error.
    pub(crate) fn text(&mut self, text: &str, place: Place) -> Option<String> {
        let mut variables = Lookup { environment: self.environment, allow_unset: self.allow_unset, unset: Vec::new() };
        let expanded = expand(text, &mut variables);
        for (name, written) in variables.unset {
            let at = self.sources.find(place, &written).unwrap_or(place);
            self.findings.warn(Problem::at(at, format!("the variable `{name}` is not set; it counts as empty")));
        }
        match expanded {
            Ok(value) => Some(value),
            Err(fault) => {
                self.findings.error(describe(fault, place, self.sources));
                None
            }
        }
    }
}

struct Lookup<'a> {
    environment: &'a Environment,
    allow_unset: bool,
    unset: Vec<(String, String)>,
}

impl Variables for Lookup<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.environment.get(name).map(str::to_owned)
    }

    fn unset(&mut self, name: &str, written: &str) -> Option<String> {
        if !self.allow_unset {
            return None;
        }
        self.unset.push((name.to_owned(), written.to_owned()));
        Some(String::new())
    }
}

pub(crate) fn describe(fault: Fault, place: Place, sources: &Sources) -> Problem {
    match fault {
        Fault::Malformed { written } => {
            let at = sources.find(place, &written).unwrap_or(place);
            Problem::at(
                at,
                format!("`{written}` is not a variable: expected `$NAME`, `${{NAME}}` or `${{NAME:-default}}`"),
            )
            .hint("write `$$` for a dollar sign")
        }
        Fault::Missing { name, written, text } => {
            let at = sources.find(place, &written).unwrap_or(place);
            match text {
                Some(text) if !text.is_empty() => Problem::at(at, format!("the variable `{name}` is not set: {text}")),
                _ => Problem::at(at, format!("the variable `{name}` is not set")),
            }
            .hint(format!("set `{name}`, in the environment, in `.env` or by `--set {name}=VALUE`, or write a default: `${{{name}:-}}`"))
        }
        Fault::TooLarge => Problem::at(place, "the value is longer than 1 MiB, or its variables are nested too deeply"),
    }
}
