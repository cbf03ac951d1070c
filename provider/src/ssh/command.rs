//! Words for a remote shell.

/// Quotes a word so that a POSIX shell takes it as it is.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_gives_the_words_back() {
        for word in ["plain", "", "two words", "it's", "$HOME `id` \"x\" \\", "new\nline", "~", "a;b", "*"] {
            let script = format!("printf %s {}", quote(word));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }
}
