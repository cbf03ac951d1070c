use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    error::Failure,
    printer::{Style, View},
};

/// The result of one check.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    name: String,
    state: State,
    detail: String,
    /// The next step for the operator, if one is needed.
    next: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warn,
    Fail,
}

impl Check {
    fn new(name: &str, state: State, detail: String) -> Self {
        Self { name: name.to_owned(), state, detail, next: None }
    }

    pub(super) fn good(name: &str, detail: impl Into<String>) -> Self {
        Self::new(name, State::Ok, detail.into())
    }

    pub(super) fn doubtful(name: &str, detail: impl Into<String>) -> Self {
        Self::new(name, State::Warn, detail.into())
    }

    pub(super) fn bad(name: &str, detail: impl Into<String>) -> Self {
        Self::new(name, State::Fail, detail.into())
    }

    pub(super) fn failure(name: &str, failure: &Failure) -> Self {
        let mut detail = match failure.place() {
            Some(place) => format!("{}:{}:{}: {}", place.file, place.line, place.column, failure.message()),
            None => failure.message().to_owned(),
        };
        for cause in failure.causes() {
            detail.push_str(&format!(": {cause}"));
        }
        let check = Self::bad(name, detail);
        match failure.next_step() {
            Some(next) => check.next(next),
            None => check,
        }
    }

    pub(super) fn is_good(&self) -> bool {
        self.state == State::Ok
    }

    pub(super) fn is_bad(&self) -> bool {
        self.state == State::Fail
    }

    pub(super) fn next(mut self, step: impl Into<String>) -> Self {
        self.next = Some(step.into());
        self
    }
}

pub(super) struct Report(pub(super) Vec<Check>);

impl Report {
    pub(super) fn failed(&self) -> bool {
        self.0.iter().any(Check::is_bad)
    }
}

impl View for Report {
    fn json(&self) -> Value {
        json!(self.0)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().filter(|check| check.state != State::Ok).map(|check| check.name.clone()).collect()
    }

    fn text(&self, style: Style) -> String {
        let mut text = String::new();
        for check in &self.0 {
            let mark = match check.state {
                State::Ok => style.good("ok  "),
                State::Warn => style.warning("warn"),
                State::Fail => style.bad("fail"),
            };
            text.push_str(&format!("{mark}  {:<12} {}\n", check.name, check.detail));
            if let Some(next) = &check.next {
                text.push_str(&format!("{:18} {} {next}\n", "", style.accent("hint:")));
            }
        }
        text
    }
}
