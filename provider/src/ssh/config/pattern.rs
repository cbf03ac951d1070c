//! Patterns with `*` and `?`.

/// Whether the whole text matches the pattern.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut read) = (0, 0);
    // The last `*`, and how much of the text it has taken.
    let mut star: Option<(usize, usize)> = None;
    while read < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(sign) if *sign == '?' || *sign == text[read] => {
                at += 1;
                read += 1;
            }
            _ => match star {
                Some((before, taken)) => {
                    star = Some((before, taken + 1));
                    at = before + 1;
                    read = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|sign| *sign == '*')
}

/// Whether the text matches one of the patterns, and none of those that begin with `!`.
pub(in crate::ssh) fn matches_list<'a>(patterns: impl IntoIterator<Item = &'a str>, text: &str) -> bool {
    let mut found = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(pattern) if matches(pattern, text) => return false,
            Some(_) => {}
            None => found |= matches(pattern, text),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_stand_for_other_signs() {
        for (pattern, text) in
            [("*", ""), ("web-?", "web-1"), ("*.de", "a.b.de"), ("a*b*c", "aXbYbZc"), ("10.0.*", "10.0.7")]
        {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("web-?", "web-12"), ("?", ""), ("*.de", "de"), ("a*c", "ab"), ("", "a"), ("A", "a")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_negated_pattern_excludes_what_others_include() {
        assert!(matches_list(["web-*", "!web-9"], "web-1"));
        assert!(!matches_list(["web-*", "!web-9"], "web-9"));
        assert!(!matches_list(["!web-9"], "web-1"));
    }
}
