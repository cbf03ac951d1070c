//! The lines of `authorized_keys`, see sshd(8): options, kind, key, comment.
//!
//! Disco's own lines go before the existing ones, so that the rest stays unchanged byte for byte, even without a line break at
//! its end, and is unchanged again when Disco's lines are removed.

/// In the comment of a line if the file was made for it.
const MADE_FILE: &str = "disco:made-file";
/// In the comment of a line if the folder was made for it as well.
const MADE_FOLDER: &str = "disco:made-folder";

/// What existed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    File,
    Folder,
    Nothing,
}

/// What should exist afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum After {
    Content(Vec<u8>),
    NoFile,
    NoFolder,
}

/// The content with these keys; `None` if all are already authorized. A line that authorizes a key with options counts: an
/// additional line without options would lift their restrictions.
pub(super) fn with(content: &[u8], before: Before, keys: &[String]) -> Option<Vec<u8>> {
    let missing = keys.iter().map(|key| key.trim()).filter(|key| !key.is_empty() && !has(content, key));
    let lines: String = missing
        .map(|key| match before {
            Before::File => format!("{key}\n"),
            Before::Folder => format!("{key} {MADE_FILE}\n"),
            Before::Nothing => format!("{key} {MADE_FOLDER}\n"),
        })
        .collect();
    (!lines.is_empty()).then(|| [lines.as_bytes(), content].concat())
}

/// The content without the lines that authorize this key; `None` if there are no such lines.
pub(super) fn without(content: &[u8], key: &str) -> Option<After> {
    let words = key_of(key.as_bytes())?;
    let (own, rest): (Vec<_>, Vec<_>) =
        content.split_inclusive(|byte| *byte == b'\n').partition(|line| key_of(line) == Some(words));
    if own.is_empty() {
        return None;
    }
    let made = |mark: &str| own.iter().any(|line| line.trim_ascii_end().ends_with(mark.as_bytes()));
    let rest = rest.concat();
    Some(match rest.is_empty() {
        true if made(MADE_FOLDER) => After::NoFolder,
        true if made(MADE_FILE) => After::NoFile,
        _ => After::Content(rest),
    })
}

fn has(content: &[u8], key: &str) -> bool {
    let words = key_of(key.as_bytes());
    words.is_some() && content.split(|byte| *byte == b'\n').any(|line| key_of(line) == words)
}

/// Kind and key of a line.
fn key_of(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.trim_ascii();
    if line.is_empty() || line.starts_with(b"#") {
        return None;
    }
    let is_kind = |word: &[u8]| [&b"ssh-"[..], b"ecdsa-", b"sk-"].iter().any(|kind| word.starts_with(kind));
    let mut rest = line;
    if !is_kind(rest) {
        // Options end at a blank that is not within quotes.
        let (mut quoted, mut escaped) = (false, false);
        let end = line.iter().position(|byte| {
            let ends = !quoted && byte.is_ascii_whitespace();
            quoted ^= *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        })?;
        rest = line[end..].trim_ascii_start();
    }
    let mut words = rest.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let kind = words.next().filter(|kind| is_kind(kind))?;
    Some((kind, words.next()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAkey cluster@stage";

    fn added(content: &str) -> Option<Vec<u8>> {
        with(content.as_bytes(), Before::File, &[KEY.to_owned()])
    }

    #[test]
    fn a_key_with_options_is_let_in_already() {
        for line in [
            "from=\"10.0.0.0/8\" ssh-ed25519 AAAAkey",
            "command=\"echo \\\"a b\\\" ssh-ed25519 x\",no-pty ssh-ed25519 AAAAkey me",
            "  restrict ssh-ed25519  AAAAkey\r",
            KEY,
        ] {
            assert_eq!(added(&format!("# mine\n{line}\nssh-rsa AAAA x")), None, "{line}");
        }
        for line in
            ["# ssh-ed25519 AAAAkey", "ssh-ed25519 AAAAkeys", "command=\"ssh-ed25519 AAAAkey\" ssh-rsa AAAA", ""]
        {
            assert!(added(line).is_some(), "{line}");
        }
    }

    #[test]
    fn nothing_is_glued_to_a_last_line_without_a_break() {
        let content = added("ssh-rsa AAAA mine").unwrap();
        assert_eq!(String::from_utf8(content.clone()).unwrap(), format!("{KEY}\nssh-rsa AAAA mine"));
        assert_eq!(without(&content, KEY), Some(After::Content(b"ssh-rsa AAAA mine".to_vec())));
    }

    #[test]
    fn what_was_made_for_a_key_goes_with_it_unless_it_is_used() {
        let made = |before| with(b"", before, &[KEY.to_owned()]).unwrap();
        assert_eq!(without(&made(Before::File), KEY), Some(After::Content(Vec::new())));
        assert_eq!(without(&made(Before::Folder), KEY), Some(After::NoFile));
        assert_eq!(without(&made(Before::Nothing), KEY), Some(After::NoFolder));
        let used = [&made(Before::Nothing)[..], b"ssh-rsa AAAA later\n"].concat();
        assert_eq!(without(&used, KEY), Some(After::Content(b"ssh-rsa AAAA later\n".to_vec())));
    }

    #[test]
    fn a_line_with_another_key_stays_whatever_its_comment_is() {
        assert_eq!(without(b"ssh-rsa AAAA mine ssh-ed25519 AAAAkey cluster@stage\n", KEY), None);
        assert_eq!(without(b"", KEY), None);
    }

    proptest! {
        #[test]
        fn what_was_added_comes_out_and_leaves_the_file_as_it_was(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            let with = with(&content, Before::File, &[KEY.to_owned()]);
            let after = with.map(|with| without(&with, KEY));
            prop_assert!(after.is_none_or(|after| after == Some(After::Content(content))));
        }
    }
}
