//! Where a value stands.

use std::fmt;

/// A position in one of the [`Sources`]. Both numbers count from 1; a column counts characters.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Place {
    /// Index into [`Sources`].
    pub file: u32,
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1, in characters.
    pub column: u32,
}

/// The texts that were read, in the order of reading.
#[derive(Clone, Default)]
pub struct Sources(Vec<Source>);

#[derive(Clone)]
struct Source {
    name: String,
    text: String,
    /// A file of variables: what stands behind `=` is not shown.
    private: bool,
}

impl fmt::Debug for Sources {
    /// Without texts, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|source| &source.name)).finish()
    }
}

impl Sources {
    /// Adds a text and returns the place of its first character.
    pub(crate) fn add(&mut self, name: &str, text: &str) -> Place {
        self.add_source(name, text, false)
    }

    /// Adds a file of variables, whose values are not shown.
    pub(crate) fn add_private(&mut self, name: &str, text: &str) -> Place {
        self.add_source(name, text, true)
    }

    fn add_source(&mut self, name: &str, text: &str, private: bool) -> Place {
        let file = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.push(Source { name: name.to_owned(), text: text.to_owned(), private });
        Place { file, line: 1, column: 1 }
    }

    /// The path of the file, as it was requested.
    pub fn name(&self, place: Place) -> &str {
        self.0.get(place.file as usize).map_or("?", |source| &source.name)
    }

    /// What to show of the line, and the column of the place in that: long lines are cut around it, and values of variables are left
    /// out.
    pub fn excerpt(&self, place: Place) -> Option<(String, u32)> {
        let source = self.0.get(place.file as usize)?;
        let line = source.text.lines().nth((place.line as usize).checked_sub(1)?)?.trim_end();
        if source.private {
            let name = line.split_once(['=', ':']).map_or_else(String::new, |(name, _)| format!("{name}=…"));
            let last = u32::try_from(name.chars().count()).unwrap_or(1).max(1);
            return Some((name, place.column.min(last)));
        }
        let column = place.column as usize;
        let first = if column > WIDEST { column - WIDEST / 2 } else { 0 };
        let mut shown: String = line.chars().skip(first).take(WIDEST).collect();
        if line.chars().nth(first + WIDEST).is_some() {
            shown.push('…');
        }
        Some((shown, u32::try_from(column - first).ok()?))
    }

    /// `FILE:LINE:COLUMN`.
    pub fn show(&self, place: Place) -> String {
        format!("{}:{}:{}", self.name(place), place.line, place.column)
    }

    /// The first position of `needle` in the value that begins at `place`. Values have escapes and folded lines, so the position
    /// within a value is not the position within the file.
    pub(crate) fn find(&self, place: Place, needle: &str) -> Option<Place> {
        let source = self.0.get(place.file as usize)?;
        let first = (place.line as usize).checked_sub(1)?;
        for (index, line) in source.text.lines().enumerate().skip(first).take(SEARCHED_LINES) {
            let skipped = if index == first { place.column as usize - 1 } else { 0 };
            let start = line.char_indices().nth(skipped).map_or(line.len(), |(at, _)| at);
            if let Some(at) = line[start..].find(needle) {
                let column = skipped + line[start..start + at].chars().count() + 1;
                return Some(Place {
                    file: place.file,
                    line: u32::try_from(index + 1).ok()?,
                    column: u32::try_from(column).ok()?,
                });
            }
        }
        None
    }
}

/// Columns of a line that are shown: more wraps in a terminal, and the caret stands under something else.
const WIDEST: usize = 200;

/// A block of text in a stack file is rarely longer; beyond it the place of the whole value is exact enough.
const SEARCHED_LINES: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_found_behind_its_values_place() {
        let mut sources = Sources::default();
        let start = sources.add("a.yml", "x: é ${A}\ny: |\n  two\n  ${B}\n");
        assert_eq!(sources.find(start, "${A}"), Some(Place { file: 0, line: 1, column: 6 }));
        let y = Place { file: 0, line: 2, column: 4 };
        assert_eq!(sources.find(y, "${B}"), Some(Place { file: 0, line: 4, column: 3 }));
        assert_eq!(sources.find(y, "${A}"), None);
        assert_eq!(sources.show(y), "a.yml:2:4");
    }
}
