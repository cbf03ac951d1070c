//! Prometheus' text format, version 0.0.4.
//!
//! One family after the other, each with its help, its type and all its samples; no series twice.

use std::collections::BTreeSet;
use std::fmt::{Display, Write};

/// What the values of a family are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only increases, or begins again at 0. Its name ends in `_total`.
    Counter,
    Gauge,
}

/// A document.
#[derive(Debug, Default)]
pub(super) struct Text {
    text: String,
    families: BTreeSet<String>,
}

/// A family of a document to which samples are added.
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
    series: BTreeSet<String>,
}

// === impl Text ===

impl Text {
    /// Begins a family. Each may be begun once.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        debug_assert!(is_name(name) && (kind == Kind::Counter) == name.ends_with("_total"), "{name}");
        let is_new = self.families.insert(name.to_owned());
        debug_assert!(is_new, "{name} twice");
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Into a string, which cannot fail.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family { text: &mut self.text, name, series: BTreeSet::new() }
    }

    /// A family of one sample without labels.
    pub(super) fn one(&mut self, name: &'static str, kind: Kind, help: &str, value: impl Into<Value>) {
        self.family(name, kind, help).add(&[], value);
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

// === impl Family ===

impl Family<'_> {
    /// Adds a sample. One whose labels were added before is left out.
    pub(super) fn add(&mut self, labels: &[(&str, &str)], value: impl Into<Value>) {
        let mut shown = String::new();
        for (at, (name, text)) in labels.iter().enumerate() {
            debug_assert!(is_name(name) && !name.contains(':') && !name.starts_with("__"), "{name}");
            let _ = write!(shown, "{}{name}=\"{}\"", if at == 0 { "" } else { "," }, escaped(text));
        }
        if !self.series.insert(shown.clone()) {
            return;
        }
        let labels = if shown.is_empty() { shown } else { format!("{{{shown}}}") };
        let _ = writeln!(self.text, "{}{labels} {}", self.name, value.into());
    }
}

/// The value of a sample.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value {
    Whole(u64),
    Real(f64),
}

impl Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(value) => write!(f, "{value}"),
            Self::Real(value) if value.is_nan() => f.write_str("NaN"),
            Self::Real(value) if value.is_infinite() => f.write_str(if *value > 0.0 { "+Inf" } else { "-Inf" }),
            Self::Real(value) => write!(f, "{value}"),
        }
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_' || byte == b':');
    first && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':')
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_its_help_its_type_and_its_samples_together() {
        let mut text = Text::default();
        let mut family = text.family("disco_a_total", Kind::Counter, "What\\it is.\nMore.");
        family.add(&[("name", "a \"b\"\\\nc"), ("index", "1")], 3_u64);
        family.add(&[("name", "d"), ("index", "1")], 0.25);
        text.one("disco_b", Kind::Gauge, "Other.", true);
        assert_eq!(
            text.finish(),
            "# HELP disco_a_total What\\\\it is.\\nMore.\n# TYPE disco_a_total counter\n\
             disco_a_total{name=\"a \\\"b\\\"\\\\\\nc\",index=\"1\"} 3\ndisco_a_total{name=\"d\",index=\"1\"} 0.25\n\
             # HELP disco_b Other.\n# TYPE disco_b gauge\ndisco_b 1\n"
        );
    }

    #[test]
    fn no_series_is_there_twice() {
        let mut text = Text::default();
        let mut family = text.family("a", Kind::Gauge, "A.");
        family.add(&[("x", "1")], 1_u64);
        family.add(&[("x", "1")], 2_u64);
        assert_eq!(text.finish().lines().filter(|line| line.starts_with("a{")).count(), 1);
    }

    #[test]
    fn values_are_numbers_as_the_format_has_them() {
        let shown = |value: f64| Value::Real(value).to_string();
        assert_eq!([shown(0.0), shown(1e21), shown(1.5e-7)], ["0", "1000000000000000000000", "0.00000015"]);
        assert_eq!([shown(f64::NAN), shown(f64::INFINITY), shown(f64::NEG_INFINITY)], ["NaN", "+Inf", "-Inf"]);
        assert_eq!(Value::Whole(u64::MAX).to_string(), "18446744073709551615");
    }

    #[test]
    fn names_have_the_allowed_characters() {
        assert!(is_name("disco_raft:x_1") && is_name("_a"));
        assert!(!is_name("") && !is_name("1a") && !is_name("a-b") && !is_name("ä"));
    }
}
