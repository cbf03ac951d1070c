//! Types of values on the command line.

use std::str::FromStr;

use clap::ValueEnum;
use jiff::SignedDuration;
use serde::Deserialize;

/// Format of the data on standard output.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Human-readable.
    #[default]
    Table,
    /// Human-readable, with all columns at their full width, whatever the terminal.
    Wide,
    /// One JSON document; streams are written as `jsonl`.
    Json,
    /// One JSON object per line.
    Jsonl,
    /// Names only, one per line.
    Name,
}

/// `NAME=VALUE`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for Variable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self { name: name.to_owned(), value: value.to_owned() }),
            _ => Err("expected `NAME=VALUE`".to_owned()),
        }
    }
}

/// Parses `90`, `90s` or `1m30s`; a plain number is seconds. Rejects zero and negative values.
pub(crate) fn parse_duration(text: &str) -> Result<SignedDuration, String> {
    let duration = match text.parse::<u32>() {
        Ok(seconds) => SignedDuration::from_secs(seconds.into()),
        Err(_) => text.parse::<SignedDuration>().map_err(|_| "expected a time such as `30s` or `1m30s`".to_owned())?,
    };
    if duration.is_positive() { Ok(duration) } else { Err("must be more than zero".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_or_carry_a_unit() {
        assert_eq!(parse_duration("90"), Ok(SignedDuration::from_secs(90)));
        assert_eq!(parse_duration("1m30s"), Ok(SignedDuration::from_secs(90)));
        assert_eq!(parse_duration("250ms"), Ok(SignedDuration::from_millis(250)));
        for bad in ["", "0", "-1s", "soon", "5 parsecs"] {
            assert!(parse_duration(bad).is_err(), "`{bad}` was taken");
        }
    }

    #[test]
    fn variables_have_a_name() {
        assert_eq!("a=b=c".parse(), Ok(Variable { name: "a".to_owned(), value: "b=c".to_owned() }));
        assert!("=b".parse::<Variable>().is_err());
        assert!("a".parse::<Variable>().is_err());
    }
}
