//! Separates the output of a remote script from all other output of the remote side.
//!
//! A login shell may be any program, and may print anything before, during and after the command. So the command line
//! contains nothing that shells interpret differently, the script is sent by standard input, and its output comes back between
//! two random markers, with its length and its exit status inside:
//!
//! ```text
//! standard input:   #HEAD … script … #TAIL  input of the script
//! standard output:  noise HEADTAIL0000000008HEAD output.0 TAILHEAD noise
//! ```
//!
//! Invariant: whatever is added anywhere, [`Frame::read`] returns exactly the script's output and status, or nothing.

use ring::rand::{SecureRandom, SystemRandom};

/// Digits of the length. Their number is fixed and a marker follows, so that anything added between is noticed.
const DIGITS: usize = 10;

/// The markers of one script.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    head: String,
    tail: String,
}

/// The result between the markers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Framed {
    pub(super) status: u32,
    pub(super) output: Vec<u8>,
}

impl Frame {
    /// Makes markers of 128 random bits each; `None` if the system has no random numbers.
    pub(super) fn random() -> Option<Self> {
        let random = SystemRandom::new();
        let marker = || {
            let mut bytes = [0; 16];
            random.fill(&mut bytes).ok()?;
            Some(hex::encode(bytes))
        };
        Some(Self { head: marker()?, tail: marker()? })
    }

    /// The command line for [`Self::script`]. It has no character that shells interpret differently: no line break, `!`,
    /// backslash or quote within its only pair of quotes.
    pub(super) fn command(&self, script: &str) -> String {
        // Byte by byte, as the script's own input follows.
        format!(
            "exec /bin/sh -c 's=$(dd bs=1 count={} 2>/dev/null); case $s in \"#{}\"*\"#{}\") eval \"$s\";; \
             *) echo \"the login shell has read input of the script\" >&2; exit 125;; esac'",
            script.len(),
            self.head,
            self.tail
        )
    }

    /// The script as it is sent. It may call `exit`.
    pub(super) fn script(&self, script: &str) -> String {
        let (head, tail) = (&self.head, &self.tail);
        // The markers are only assembled there, so that a shell that prints what it runs does not print them. In the locale `C` a
        // length counts bytes; it is set after the script, which runs with the user's locale.
        format!(
            "#{head}\ndisco_h={head} disco_t={tail}\ndisco_run() {{\n{script}\n}}\n\
             printf '%s%s\\n' \"$disco_h\" \"$disco_t\" >&2\n\
             disco_o=$( (disco_run); printf '.%s' \"$?\")\n\
             printf '%s%s\\n' \"$disco_t\" \"$disco_h\" >&2\n\
             LC_ALL=C\n\
             printf '%s%s%0{DIGITS}d%s\\n%s\\n%s%s\\n' \"$disco_h\" \"$disco_t\" \"${{#disco_o}}\" \"$disco_h\" \
             \"$disco_o\" \"$disco_t\" \"$disco_h\"\n\
             exit 0\n#{tail}"
        )
    }

    /// The result between the markers; `None` if it is not clear.
    pub(super) fn read(&self, stdout: &[u8]) -> Option<Framed> {
        let (begin, end) = (format!("{}{}", self.head, self.tail), format!("\n{}{}", self.tail, self.head));
        let at = find(stdout, begin.as_bytes())? + begin.len();
        if find(&stdout[at..], begin.as_bytes()).is_some() {
            return None;
        }
        let digits = stdout.get(at..at + DIGITS)?;
        let closed = format!("{}\n", self.head);
        if !digits.iter().all(u8::is_ascii_digit) || !stdout[at + DIGITS..].starts_with(closed.as_bytes()) {
            return None;
        }
        let length: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
        let start = at + DIGITS + closed.len();
        let body = stdout.get(start..start.checked_add(length)?)?;
        if !stdout[start + length..].starts_with(end.as_bytes()) {
            return None;
        }
        let dot = body.iter().rposition(|byte| *byte == b'.')?;
        let status = std::str::from_utf8(&body[dot + 1..]).ok()?;
        Some(Framed { status: status.parse().ok()?, output: body[..dot].to_vec() })
    }

    /// The script's standard error, as far as it can be separated.
    pub(super) fn errors<'a>(&self, stderr: &'a [u8]) -> &'a [u8] {
        let (begin, end) = (format!("{}{}\n", self.head, self.tail), format!("{}{}", self.tail, self.head));
        let start = find(stderr, begin.as_bytes()).map_or(0, |at| at + begin.len());
        let length = find(&stderr[start..], end.as_bytes()).unwrap_or(stderr.len() - start);
        &stderr[start..start + length]
    }
}

/// The output for an error message: without colours, terminal titles and other control characters, and shortened.
pub(super) fn shown(text: &[u8]) -> String {
    const LONGEST: usize = 300;
    let text = String::from_utf8_lossy(text);
    let (mut shown, mut rest) = (String::new(), text.chars().peekable());
    while let Some(sign) = rest.next() {
        match sign {
            // ECMA-48: `ESC [ … letter`, and `ESC ] … BEL` or `ESC ] … ESC \`.
            '\u{1b}' => match rest.next() {
                Some('[') => while rest.next().is_some_and(|sign| !('@'..='~').contains(&sign)) {},
                Some(']') => while rest.next().is_some_and(|sign| sign != '\u{7}' && sign != '\u{1b}') {},
                _ => {}
            },
            sign if sign.is_control() => shown.push(' '),
            sign => shown.push(sign),
        }
    }
    let words: Vec<&str> = shown.split_whitespace().collect();
    let all = words.join(" ");
    match all.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &all[..end]),
        None => all,
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Output, Stdio};

    use proptest::prelude::*;

    use super::*;

    /// What comes back of an answer without noise.
    fn answer(frame: &Frame, output: &[u8], status: u32) -> Vec<u8> {
        let body = [output, format!(".{status}").as_bytes()].concat();
        let head = format!("{}{}{:0DIGITS$}{}\n", frame.head, frame.tail, body.len(), frame.head);
        [head.as_bytes(), &body, format!("\n{}{}\n", frame.tail, frame.head).as_bytes()].concat()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        /// Noise before and after the frame changes nothing. With noise inside it the result is the same, or is refused.
        #[test]
        fn noise_changes_no_decision(
            output in proptest::collection::vec(any::<u8>(), 0..80),
            status in 0..256_u32,
            before in proptest::collection::vec(any::<u8>(), 0..80),
            after in proptest::collection::vec(any::<u8>(), 0..80),
            between in proptest::collection::vec((any::<proptest::sample::Index>(), "[0-9.\n ]{1,3}|\\PC{1,8}"), 1..4),
        ) {
            let frame = Frame::random().unwrap();
            let framed = Some(Framed { status, output: output.clone() });
            let clean = answer(&frame, &output, status);
            prop_assert_eq!(frame.read(&[&before[..], &clean, &after].concat()), framed);

            let mut noisy = clean.clone();
            for (at, noise) in &between {
                let at = at.index(noisy.len() + 1);
                noisy.splice(at..at, noise.bytes());
            }
            let read = frame.read(&[&before[..], &noisy, &after].concat());
            prop_assert!(read.is_none() || read == Some(Framed { status, output }), "{read:?}");
        }

        /// A truncated answer is refused.
        #[test]
        fn half_an_answer_is_none(output in proptest::collection::vec(any::<u8>(), 0..80), cut in 2..200_usize) {
            let frame = Frame::random().unwrap();
            let whole = answer(&frame, &output, 0);
            prop_assert_eq!(frame.read(&whole[..whole.len().saturating_sub(cut)]), None);
        }

        #[test]
        fn anything_can_be_shown(text in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(shown(&text).chars().all(|sign| !sign.is_control()) && shown(&text).chars().count() <= 301);
        }
    }

    /// Runs a program with the script, as a server does with a login shell.
    fn run(shell: &[&str], line: impl Fn(&str) -> String, frame: &Frame, script: &str, input: &[u8]) -> Output {
        let script = frame.script(script);
        let mut child = Command::new(shell[0])
            .args(&shell[1..])
            .args(["-c", &line(&frame.command(&script))])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A shell that reads nothing is no failure of the test.
        let _ = child.stdin.take().unwrap().write_all(&[script.as_bytes(), input].concat());
        child.wait_with_output().unwrap()
    }

    /// What shells differ in: quotes, backslashes, `!`, line breaks, lengths of letters that have two bytes.
    const SCRIPT: &str = "set -e\nprintf '%s|' \"it's\" 'a!b' '\\\\n' \"$(printf 'ü\\n%s' $((1 + 1)))\"\ncat\n\
                          echo why >&2\n[ -n \"$HOME\" ] || exit 4\nexit 3";
    const SAID: &str = "it's|a!b|\\\\n|ü\n2|in\nput\n";

    #[test]
    fn every_shell_gives_the_same_answer() {
        let mut seen = Vec::new();
        for shell in
            [&["sh"][..], &["bash"], &["dash"], &["busybox", "sh"], &["tcsh"], &["csh"], &["fish"], &["zsh"], &["mksh"]]
        {
            if Command::new(shell[0]).args(&shell[1..]).args(["-c", "exit 0"]).output().is_err() {
                continue;
            }
            let frame = Frame::random().unwrap();
            let output = run(shell, str::to_owned, &frame, SCRIPT, b"in\nput\n");
            let framed = Framed { status: 3, output: SAID.into() };
            assert_eq!(frame.read(&output.stdout), Some(framed), "{shell:?}: {output:?}");
            assert_eq!(frame.errors(&output.stderr), b"why\n", "{shell:?}: {output:?}");
            seen.push(shell[0]);
        }
        assert!(seen.contains(&"sh"), "{seen:?}");
    }

    #[test]
    fn a_shell_that_prints_changes_nothing() {
        let noises = [
            "echo hello; echo 0; echo belongs to nobody;",
            "printf '\\033]0;title\\007'; echo warning >&2; set -v; set -x;",
            "trap 'echo bye' EXIT; echo -n no line break;",
            "alias exec=echo; PS4=there;",
        ];
        for noise in noises {
            let frame = Frame::random().unwrap();
            let output = run(&["sh"], |line| format!("{noise} {line}"), &frame, SCRIPT, b"in\nput\n");
            assert_eq!(
                frame.read(&output.stdout),
                Some(Framed { status: 3, output: SAID.into() }),
                "{noise}: {output:?}"
            );
        }
    }

    #[test]
    fn a_shell_that_reads_the_script_runs_none_of_it() {
        let frame = Frame::random().unwrap();
        for eaten in ["read -r line;", "dd bs=1 count=100 > /dev/null 2>&1;", "cat > /dev/null;"] {
            let output =
                run(&["sh"], |line| format!("{eaten} {line}"), &frame, "echo ran", b"more\n".repeat(100).as_slice());
            assert_eq!(frame.read(&output.stdout), None, "{eaten} {output:?}");
            assert!(!String::from_utf8_lossy(&output.stdout).contains("ran"), "{eaten} {output:?}");
            assert_eq!(output.status.code(), Some(125), "{eaten} {output:?}");
        }
    }

    #[test]
    fn one_that_refuses_is_quoted() {
        let frame = Frame::random().unwrap();
        let refuse =
            |_: &str| "printf '\\033[31mThis account\\033[0m is currently\\nnot available.\\r\\n'; exit 1".to_owned();
        let output = run(&["sh"], refuse, &frame, "echo 1", b"");
        assert_eq!(frame.read(&output.stdout), None);
        assert_eq!(shown(&output.stdout), "This account is currently not available.");
    }
}
