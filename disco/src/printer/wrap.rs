//! Breaks lines between words, so that a terminal does not break them within a word.

/// `text` without lines longer than `width`, where the first line begins in column `indent` and all others are indented by it. A
/// command or value between backticks is never broken, so that it can be copied. `None`: as it is.
pub(crate) fn wrap(text: &str, width: Option<u16>, indent: usize) -> String {
    let Some(width) = width.map(usize::from).filter(|width| *width > indent + SHORTEST) else {
        return text.to_owned();
    };
    let lines: Vec<String> = text.lines().map(|line| wrap_line(line, width, indent)).collect();
    lines.join(&format!("\n{}", " ".repeat(indent)))
}

/// Fewest columns for words: in fewer, broken words are easier to read than one word a line.
const SHORTEST: usize = 20;

fn wrap_line(line: &str, width: usize, indent: usize) -> String {
    // Lines with their own layout, such as the end of a log.
    if line.starts_with(' ') {
        return line.to_owned();
    }
    let mut out = String::new();
    let mut column = indent;
    for word in words(line) {
        let length = word.chars().count();
        if !out.is_empty() {
            if column + 1 + length > width {
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                column = indent;
            } else {
                out.push(' ');
                column += 1;
            }
        }
        out.push_str(&word);
        column += length;
    }
    out
}

/// The words of a line; what is between backticks is part of one word.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut quoted = false;
    for part in line.split(' ') {
        match words.last_mut() {
            Some(last) if quoted => {
                last.push(' ');
                last.push_str(part);
            }
            _ => words.push(part.to_owned()),
        }
        quoted ^= part.matches('`').count() % 2 == 1;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_never_within_a_command() {
        let text = "the leader continues: follow it with `disco deployments -o wide` and `disco events`";
        let wrapped = wrap(text, Some(40), 6);
        assert_eq!(
            wrapped,
            "the leader continues: follow it\n      with `disco deployments -o wide`\n      and `disco events`"
        );
        assert_eq!(wrap(text, None, 6), text);
        assert_eq!(wrap(text, Some(20), 6), text);
        assert_eq!(wrap("a\n  log\nb", Some(80), 2), "a\n    log\n  b");
    }

    #[test]
    fn text_that_fits_is_unchanged() {
        for text in ["", "two words", "an odd ` mark that is never closed"] {
            assert_eq!(wrap(text, Some(80), 0), text);
        }
    }
}
