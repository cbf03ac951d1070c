//! The grammar of `.env` and of `env_file`, one for both.
//!
//! ```text
//! # comment
//! NAME=text up to the end of the line; " #" begins a comment, so a#b is text
//! NAME='literal, also over several lines; \' is a quote'
//! NAME="escapes \n \r \t \\ \" \$, variables ${A}, also over several lines"
//! export NAME=value        `export` is ignored
//! NAME=                    empty
//! NAME                     from the environment; without it there, not set
//! ```
//!
//! Variables in text without quotes and in double quotes are replaced as in a stack file. One that is set neither outside nor further
//! up in the file is an error.

use std::{collections::BTreeMap, iter::Peekable, str::CharIndices};

use crate::{
    environment::Environment,
    interpolate::{Fault, Variables, describe, expand},
    place::{Place, Sources},
    problem::{Findings, Problem},
};

/// One line: where its name stands, and its value, `None` for a name without `=` that the environment does not have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) value: Option<String>,
}

/// Reads a file; `start` is the place of its first character. Of a name twice, the later line wins.
pub(crate) fn parse(
    text: &str,
    start: Place,
    environment: &Environment,
    sources: &Sources,
    findings: &mut Findings,
) -> Vec<Line> {
    let text = normal(text);
    let mut lines = Vec::new();
    let mut own = BTreeMap::new();
    let mut reader = Reader::new(&text, start);
    while let Some(statement) = reader.statement() {
        let line = match statement {
            Err(problem) => {
                findings.error(problem);
                reader.skip_line();
                continue;
            }
            Ok((name, place, Written::Inherited)) => {
                Line { value: environment.get(&name).map(str::to_owned), name, place }
            }
            Ok((name, place, Written::Literal(value))) => Line { name, place, value: Some(value) },
            Ok((name, place, Written::Template { template, at })) => {
                let mut variables = Lookup { environment, own: &own };
                match expand(&template, &mut variables) {
                    Ok(value) => Line { name, place, value: Some(value) },
                    Err(fault) => {
                        findings.error(explain(fault, at, sources));
                        continue;
                    }
                }
            }
        };
        if let Some(value) = &line.value {
            own.insert(line.name.clone(), value.clone());
        }
        lines.push(line);
    }
    lines
}

/// `format: raw`: everything behind the first `=` as it stands.
pub(crate) fn parse_raw(text: &str, start: Place, environment: &Environment) -> Vec<Line> {
    let mut lines = Vec::new();
    for (number, line) in normal(text).lines().enumerate() {
        let trimmed = line.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let place = Place { line: start.line + u32::try_from(number).unwrap_or(u32::MAX - start.line), ..start };
        let (name, value) = match trimmed.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(value.to_owned())),
            None => (trimmed.trim_end(), environment.get(trimmed.trim_end()).map(str::to_owned)),
        };
        lines.push(Line { name: name.to_owned(), place, value });
    }
    lines
}

/// Without a byte order mark, and with `\n` alone as the end of a line.
fn normal(text: &str) -> String {
    text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n")
}

fn explain(fault: Fault, at: Place, sources: &Sources) -> Problem {
    let single_quotes = "in single quotes a value is literal; `\\$` in double quotes and `$$` give a dollar sign";
    match &fault {
        // What follows the `$` may be a part of a password.
        Fault::Malformed { written } => {
            let at = sources.find(at, written).unwrap_or(at);
            Problem::at(at, "a `$` that does not begin a variable").hint(single_quotes)
        }
        Fault::Missing { text: None, .. } => describe(fault, at, sources).hint(single_quotes),
        _ => describe(fault, at, sources),
    }
}

struct Lookup<'a> {
    environment: &'a Environment,
    own: &'a BTreeMap<String, String>,
}

impl Variables for Lookup<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.environment.get(name).or_else(|| self.own.get(name).map(String::as_str)).map(str::to_owned)
    }

    fn unset(&mut self, _: &str, _: &str) -> Option<String> {
        None
    }
}

enum Written {
    Inherited,
    Literal(String),
    Template { template: String, at: Place },
}

struct Reader<'a> {
    text: &'a str,
    characters: Peekable<CharIndices<'a>>,
    place: Place,
}

type Statement = Result<(String, Place, Written), Problem>;

impl<'a> Reader<'a> {
    fn new(text: &'a str, place: Place) -> Self {
        Self { text, characters: text.char_indices().peekable(), place }
    }

    fn peek(&mut self) -> Option<char> {
        self.characters.peek().map(|(_, c)| *c)
    }

    fn next(&mut self) -> Option<char> {
        let (_, c) = self.characters.next()?;
        if c == '\n' {
            self.place.line = self.place.line.saturating_add(1);
            self.place.column = 1;
        } else {
            self.place.column = self.place.column.saturating_add(1);
        }
        Some(c)
    }

    fn rest(&mut self) -> &'a str {
        let at = self.characters.peek().map_or(self.text.len(), |(at, _)| *at);
        &self.text[at..]
    }

    fn skip(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.next();
        }
    }

    fn skip_line(&mut self) {
        self.skip(|c| c != '\n');
    }

    fn take(&mut self, bytes: usize) {
        let end = self.rest().len() - bytes;
        while self.rest().len() > end {
            self.next();
        }
    }

    fn statement(&mut self) -> Option<Statement> {
        loop {
            self.skip(char::is_whitespace);
            match self.peek()? {
                '#' => self.skip_line(),
                _ => return Some(self.assignment()),
            }
        }
    }

    fn assignment(&mut self) -> Statement {
        let rest = self.rest();
        if let Some(after) = rest.strip_prefix("export")
            && after.starts_with(is_blank)
        {
            self.take("export".len());
            self.skip(is_blank);
        }
        let place = self.place;
        let rest = self.rest();
        let length = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
        let name = rest[..length].to_owned();
        self.take(length);
        self.skip(is_blank);
        match self.peek() {
            _ if name.is_empty() => Err(self.no_name()),
            None | Some('\n') => Ok((name, place, Written::Inherited)),
            Some('=' | ':') => {
                self.next();
                self.skip(is_blank);
                let value = self.value()?;
                Ok((name, place, value))
            }
            Some(_) => Err(self.no_name()),
        }
    }

    fn no_name(&mut self) -> Problem {
        let found: String = self.rest().chars().next().into_iter().collect();
        Problem::at(self.place, format!("`{found}` is not part of a variable's name: expected `NAME=VALUE`"))
    }

    fn value(&mut self) -> Result<Written, Problem> {
        let at = self.place;
        match self.peek() {
            Some('\'') => self.quoted('\'', at).map(Written::Literal),
            Some('"') => self.quoted('"', at).map(|template| Written::Template { template, at }),
            _ => {
                let line = self.rest().split('\n').next().unwrap_or_default();
                self.take(line.len());
                let value = match line.starts_with('#') {
                    // `NAME= # comment`: the space went with those before the value.
                    true if at.column > 1 && self.before_is_blank(line) => "",
                    _ => line.split(" #").next().unwrap_or_default(),
                };
                Ok(Written::Template { template: value.trim_end().to_owned(), at })
            }
        }
    }

    /// Whether a blank stands before the rest of this line.
    fn before_is_blank(&mut self, line: &str) -> bool {
        let end = self.text.len() - self.rest().len() - line.len();
        self.text[..end].ends_with(is_blank)
    }

    fn quoted(&mut self, quote: char, at: Place) -> Result<String, Problem> {
        self.next();
        let mut value = String::new();
        loop {
            match self.next() {
                None => return Err(Problem::at(at, format!("the closing `{quote}` is missing"))),
                Some(c) if c == quote => break,
                Some('\\') => match (quote, self.peek()) {
                    ('\'', Some('\'')) => {
                        value.push('\'');
                        self.next();
                    }
                    ('"', Some(escape @ ('n' | 'r' | 't' | '\\' | '"' | '$'))) => {
                        value.push_str(match escape {
                            'n' => "\n",
                            'r' => "\r",
                            't' => "\t",
                            '\\' => "\\",
                            '"' => "\"",
                            _ => "$$",
                        });
                        self.next();
                    }
                    _ => value.push('\\'),
                },
                Some(c) => value.push(c),
            }
        }
        let after = self.place;
        self.skip(is_blank);
        match self.peek() {
            None | Some('\n') => Ok(value),
            Some('#') if self.place != after => {
                self.skip_line();
                Ok(value)
            }
            Some(_) => {
                let message = format!("text behind the closing `{quote}`");
                Err(Problem::at(self.place, message).hint("write the whole value within quotes"))
            }
        }
    }
}

fn is_blank(c: char) -> bool {
    c != '\n' && c.is_whitespace()
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<(String, Option<String>)>, Vec<String>) {
        let environment = Environment::new(vec![BTreeMap::from([("HOME".to_owned(), "/root".to_owned())])]);
        let mut sources = Sources::default();
        let start = sources.add("v.env", text);
        let mut findings = Findings::default();
        let lines = parse(text, start, &environment, &sources, &mut findings);
        let errors = findings.errors.iter().map(|e| format!("{}:{}", e.place.unwrap().line, e.place.unwrap().column));
        (lines.into_iter().map(|line| (line.name, line.value)).collect(), errors.collect())
    }

    /// One row for each rule of the grammar.
    #[test]
    fn each_form_has_its_value() {
        for (text, value) in [
            ("A=x", Some("x")),
            ("A=x y  ", Some("x y")),
            ("A = x", Some("x")),
            ("A: x", Some("x")),
            ("A=", Some("")),
            ("A", None),
            ("HOME", Some("/root")),
            ("export A=x", Some("x")),
            ("export\tA=x", Some("x")),
            ("exported=x", Some("x")),
            ("A=a#b", Some("a#b")),
            ("A=a #b", Some("a")),
            ("A= # b", Some("")),
            ("A=#b", Some("#b")),
            ("A='a #b'", Some("a #b")),
            ("A='a' # b", Some("a")),
            ("A='$HOME ${X} \\n'", Some("$HOME ${X} \\n")),
            ("A='it\\'s'", Some("it's")),
            ("A='two\nlines'", Some("two\nlines")),
            ("A=\"$HOME\"", Some("/root")),
            ("A=\"a\\nb\\rc\\td\\\\e\\\"f\\$g\"", Some("a\nb\rc\td\\e\"f$g")),
            ("A=\"\\x\"", Some("\\x")),
            ("A=\"two\nlines\"", Some("two\nlines")),
            ("A=\"\"", Some("")),
            ("A=${HOME}/x", Some("/root/x")),
            ("A=${NO:-d}", Some("d")),
            ("A=$$x", Some("$x")),
            ("A=a'b'", Some("a'b'")),
            ("A=a=b", Some("a=b")),
            ("A=x\r", Some("x")),
            ("\u{feff}A=x\r\n", Some("x")),
            ("\n# c\n\n  A=x\n", Some("x")),
        ] {
            let (lines, errors) = read(text);
            assert_eq!(errors, Vec::<String>::new(), "{text:?}");
            assert_eq!(lines.last().map(|(_, value)| value.as_deref()), Some(value), "{text:?}");
            assert_eq!(lines.len(), 1, "{text:?}");
        }
    }

    #[test]
    fn a_value_may_use_those_above_it() {
        let (lines, errors) = read("A=1\nB=${A}2\nA=3\nC=\"$A$B\"\n");
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(lines.last(), Some(&("C".to_owned(), Some("312".to_owned()))));
    }

    #[test]
    fn what_is_wrong_has_its_place_and_the_rest_is_read() {
        let (lines, errors) = read("A=$2a$10$x\nB=1\nC=\"a\"b\nD=$NO\nE F=1\n=x\nG=2\nH=\"open");
        assert_eq!(errors, ["1:3", "3:6", "4:3", "5:3", "6:1", "8:3"]);
        let names: Vec<&str> = lines.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["B", "G"]);
    }

    #[test]
    fn a_raw_file_is_taken_as_it_stands() {
        let environment = Environment::new(vec![BTreeMap::from([("HOME".to_owned(), "/root".to_owned())])]);
        let start = Sources::default().add("r", "");
        let lines = parse_raw("# c\nA=\"x $y\" #z\nHOME\nNO\n", start, &environment);
        let values: Vec<Option<&str>> = lines.iter().map(|line| line.value.as_deref()).collect();
        assert_eq!(values, [Some("\"x $y\" #z"), Some("/root"), None]);
        assert_eq!(lines[2].place.line, 4);
    }
}
