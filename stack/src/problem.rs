//! What is wrong with a stack file, or deserves a word.

use std::{error::Error, fmt};

use crate::place::{Place, Sources};

/// One error or warning: what, with its value and the expected form; where; and what to do about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// Lower case, no full stop, literals in backticks.
    pub message: String,
    /// The value or key in question.
    pub place: Option<Place>,
    /// The next thing to do.
    pub hint: Option<String>,
    /// Other places that take part, each with its role.
    pub related: Vec<(String, Place)>,
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: None, hint: None, related: Vec::new() }
    }

    pub(crate) fn at(place: Place, message: impl Into<String>) -> Self {
        Self { place: Some(place), ..Self::new(message) }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn related(mut self, role: impl Into<String>, place: Place) -> Self {
        self.related.push((role.into(), place));
        self
    }

    /// The message with its places, source lines and hint, as a terminal without colour shows it.
    pub fn render(&self, sources: &Sources) -> String {
        let mut text = String::new();
        match self.place {
            Some(place) => {
                text.push_str(&format!("{}: {}\n", sources.show(place), self.message));
                text.push_str(&pointed(place, sources));
            }
            None => text.push_str(&format!("{}\n", self.message)),
        }
        for (role, place) in &self.related {
            text.push_str(&format!("{}: {role}\n", sources.show(*place)));
            text.push_str(&pointed(*place, sources));
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("hint: {hint}\n"));
        }
        text
    }
}

/// The source line with a caret under the column. Tabs are copied, so that the caret stands under it.
fn pointed(place: Place, sources: &Sources) -> String {
    let Some((line, column)) = sources.excerpt(place) else { return String::new() };
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    let indent: String =
        line.chars().take((column as usize).saturating_sub(1)).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    format!("{number} | {}\n{margin} | {indent}^\n", line.trim_end())
}

/// A stack file that is not accepted: all errors that the first failing stage found, in the order of their places.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Never empty.
    pub problems: Vec<Problem>,
    /// Warnings from before.
    pub warnings: Vec<Problem>,
    /// The texts to which the places refer.
    pub sources: Sources,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.problems.iter().map(|problem| problem.render(&self.sources)).collect();
        f.write_str(texts.join("\n").trim_end())
    }
}

impl Error for Refused {}

/// Collects the problems of a stage.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) errors: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
}

/// More errors help nobody; a file that is not a stack file at all would fill the terminal.
const MOST_ERRORS: usize = 20;

impl Findings {
    /// A value behind an alias is read once for each use: the same problem at the same place counts once.
    pub(crate) fn error(&mut self, problem: Problem) {
        if self.errors.len() < MOST_ERRORS && !self.errors.contains(&problem) {
            self.errors.push(problem);
        }
    }

    pub(crate) fn warn(&mut self, problem: Problem) {
        if self.warnings.len() < MOST_ERRORS && !self.warnings.contains(&problem) {
            self.warnings.push(problem);
        }
    }
}
