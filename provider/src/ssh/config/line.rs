//! Lines of the configuration: a keyword, and its arguments.

/// A line that is neither empty nor a comment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// In lower case.
    pub(super) keyword: String,
    pub(super) arguments: Vec<String>,
}

/// Parses a line; `None` if it is empty or a comment.
///
/// # Errors
/// What is wrong.
pub(super) fn parse(text: &str) -> Result<Option<Line>, &'static str> {
    let text = text.trim();
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let end = text.find(|sign: char| sign.is_whitespace() || sign == '=' || sign == '"').unwrap_or(text.len());
    let (keyword, rest) = text.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    Ok(Some(Line { keyword: keyword.to_ascii_lowercase(), arguments: arguments(rest)? }))
}

/// Splits at blanks that are not quoted; a word that begins with `#` starts a comment.
fn arguments(text: &str) -> Result<Vec<String>, &'static str> {
    let mut found = Vec::new();
    let mut signs = text.chars().peekable();
    loop {
        while signs.next_if(|sign| sign.is_whitespace()).is_some() {}
        match signs.peek() {
            None | Some('#') => return Ok(found),
            Some(_) => {}
        }
        let (mut word, mut quoted) = (String::new(), None);
        while let Some(sign) = signs.next_if(|sign| quoted.is_some() || !sign.is_whitespace()) {
            match (sign, quoted) {
                ('\\', _) if signs.peek().is_some_and(|next| is_escaped(*next, quoted)) => word.extend(signs.next()),
                (sign, Some(end)) if sign == end => quoted = None,
                ('"' | '\'', None) => quoted = Some(sign),
                (sign, _) => word.push(sign),
            }
        }
        if quoted.is_some() {
            return Err("a quotation mark is missing");
        }
        found.push(word);
    }
}

/// Whether this sign may follow a backslash that stands for nothing itself.
fn is_escaped(sign: char, quoted: Option<char>) -> bool {
    matches!(sign, '"' | '\'' | '\\') || (sign == ' ' && quoted.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> (String, Vec<String>) {
        let line = parse(text).unwrap().unwrap();
        (line.keyword, line.arguments)
    }

    #[test]
    fn keywords_and_arguments_have_many_forms() {
        for (text, keyword, arguments) in [
            ("  HostName 10.0.0.7  ", "hostname", vec!["10.0.0.7"]),
            ("Port=22", "port", vec!["22"]),
            ("Port\t =  22", "port", vec!["22"]),
            ("Host web-1\t web-2 # both", "host", vec!["web-1", "web-2"]),
            ("IdentityFile \"~/my keys/id\"", "identityfile", vec!["~/my keys/id"]),
            ("IdentityFile=\"~/my keys/id\"", "identityfile", vec!["~/my keys/id"]),
            ("User 'a b'\\ c", "user", vec!["a b c"]),
            ("User a#b", "user", vec!["a#b"]),
        ] {
            assert_eq!(
                line(text),
                (keyword.to_owned(), arguments.iter().map(|one| (*one).to_owned()).collect()),
                "{text}"
            );
        }
        assert_eq!(parse("  # nothing"), Ok(None));
        assert_eq!(parse(""), Ok(None));
        assert!(parse("User \"a").is_err());
    }
}
