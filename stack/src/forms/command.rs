//! Commands: a list stays as it is, text is split as a shell would split it.

use super::{Form, Read};
use crate::{
    problem::Problem,
    yaml::{Node, Value},
};

impl Form<'_> {
    /// Canonical as a list; `[]` and empty text are an empty list, nothing stays nothing.
    pub(super) fn command(&mut self, node: Node) -> Read {
        match &node.value {
            Value::List(_) => self.texts(node),
            Value::Text(_) | Value::Plain(_) => {
                let place = node.place;
                let node = self.text(node)?;
                match split(super::text_of(&node)) {
                    Ok(words) => Ok(Node::new(
                        place,
                        Value::List(words.into_iter().map(|word| Node::text(place, word)).collect()),
                    )),
                    Err(why) => {
                        let hint = "write a list, or `sh -c \"…\"` if a shell is to run it";
                        Err(self.invalid(&node, &why).hint(hint))
                    }
                }
            }
            _ => Err(self.wrong(&node, "text or a list of texts")),
        }
    }

    /// Text becomes `CMD-SHELL`; it is never joined or split again.
    pub(super) fn health_test(&mut self, node: Node) -> Read {
        let place = node.place;
        match &node.value {
            Value::List(list) => {
                let first = list.first().and_then(Node::scalar).unwrap_or("NONE").to_owned();
                let count = list.len();
                if !matches!(first.as_str(), "NONE" | "CMD" | "CMD-SHELL") {
                    let problem = self.invalid(&list[0], "expected `NONE`, `CMD` or `CMD-SHELL` as the first item");
                    return Err(problem);
                }
                if count == 1 && first != "NONE" {
                    return Err(Problem::at(
                        place,
                        format!("`{}`: the command behind `{first}` is missing", self.name()),
                    ));
                }
                self.texts(node)
            }
            Value::Text(_) | Value::Plain(_) => {
                let node = self.text(node)?;
                Ok(Node::new(place, Value::List(vec![Node::text(place, "CMD-SHELL"), node])))
            }
            _ => Err(self.wrong(&node, "text or a list")),
        }
    }

    /// A list of texts, duplicates and order kept.
    pub(super) fn texts(&mut self, node: Node) -> Read {
        let place = node.place;
        let Value::List(list) = node.value else { return Err(self.wrong(&node, "a list of texts")) };
        let mut texts = Vec::with_capacity(list.len());
        for (index, item) in list.into_iter().enumerate() {
            self.refuse_item_tag(&item);
            self.path.push(index.to_string());
            let text = self.text(item);
            self.path.pop();
            texts.push(text?);
        }
        Ok(Node::new(place, Value::List(texts)))
    }
}

/// Splits text into words by the rules of a POSIX shell: quotes, backslashes, blanks. Nothing is replaced, and what only a running
/// shell can do is refused.
pub(crate) fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match c {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err("the closing `'` is missing".to_owned()),
                    }
                }
            }
            '"' => double_quoted(&mut characters, word.get_or_insert_default())?,
            '\\' => match characters.next() {
                Some('\n') => {}
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err("a `\\` at the end".to_owned()),
            },
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            ';' | '&' | '|' | '<' | '>' | '(' | ')' | '`' => {
                return Err(format!("an unquoted `{c}` needs a shell, and no shell runs this command"));
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

fn double_quoted(characters: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), String> {
    loop {
        match characters.next() {
            Some('"') => return Ok(()),
            Some('\\') => match characters.next() {
                Some('\n') => {}
                Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                Some(c) => word.extend(['\\', c]),
                None => return Err("the closing `\"` is missing".to_owned()),
            },
            Some(c) => word.push(c),
            None => return Err("the closing `\"` is missing".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell() {
        for (text, words) in [
            ("echo \"a b\" 'c d' e\\ f $X", &["echo", "a b", "c d", "e f", "$X"][..]),
            ("", &[]),
            ("  ", &[]),
            ("''", &[""]),
            ("a'b'\"c\"", &["abc"]),
            ("a   b\tc # d", &["a", "b", "c", "#", "d"]),
            ("first line\nsecond line\n", &["first", "line", "second", "line"]),
            ("\"a\\\"b\\\\c\\nd\"", &["a\"b\\c\\nd"]),
            ("sh -c \"a && b > c\"", &["sh", "-c", "a && b > c"]),
            ("a \\\n b", &["a", "b"]),
        ] {
            assert_eq!(split(text).unwrap(), words, "{text:?}");
        }
    }

    #[test]
    fn what_needs_a_shell_is_refused() {
        for text in ["a; b", "a && b", "a | b", "a > b", "a < b", "a `b`", "a (b)", "'a", "\"a", "a\\"] {
            assert!(split(text).is_err(), "{text:?}");
        }
    }
}
