//! How a program ended, as text.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// The most characters of the reason.
const WORDS: usize = 500;
/// A program that ends with this code requests a restart, and has logged the reason: `EX_TEMPFAIL` of sysexits.h.
pub const RESTART_CODE: u8 = 75;
/// The text for a kill by the kernel's OOM killer.
pub(super) const NO_MEMORY: &str = "killed by the kernel: out of memory";
/// The text for a program that could not be started.
pub(super) const NOT_STARTED: &str = "not started";

/// How a program ended unexpectedly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Code(i32),
    Signal(i32),
    NoMemory,
    NotStarted,
}

// === impl End ===

impl End {
    /// The end of a process; `killed_for_memory`: the OOM killer was active since it was started.
    pub(super) fn of(status: ExitStatus, killed_for_memory: bool) -> Self {
        match (status.signal(), status.code()) {
            (Some(9), _) if killed_for_memory => Self::NoMemory,
            (Some(signal), _) => Self::Signal(signal),
            (None, code) => Self::Code(code.unwrap_or(-1)),
        }
    }

    /// The end by systemd's variables for `ExecStopPost=`, see systemd.exec(5); `None` if it ended well. An unknown signal
    /// is 0.
    pub(super) fn of_systemd(result: &str, code: &str, status: &str) -> Option<Self> {
        match (result, code) {
            // `timeout`: a stop that was requested and took too long.
            ("success" | "timeout", _) => None,
            ("oom-kill", _) => Some(Self::NoMemory),
            (_, "exited") => Some(Self::Code(status.parse().unwrap_or(-1))),
            (_, "") => Some(Self::NotStarted),
            _ => Some(Self::Signal(SIGNALS.iter().find(|(_, name)| *name == status).map_or(0, |(number, _)| *number))),
        }
    }

    /// Whether it requested a restart.
    pub(super) fn is_wanted(self) -> bool {
        self == Self::Code(i32::from(RESTART_CODE))
    }

    /// As text.
    pub(super) fn how(self) -> String {
        match self {
            Self::Code(code) => format!("exit code {code}"),
            Self::NoMemory => NO_MEMORY.to_owned(),
            Self::NotStarted => NOT_STARTED.to_owned(),
            Self::Signal(0) => "a signal".to_owned(),
            Self::Signal(number) => match SIGNALS.iter().find(|(known, _)| *known == number) {
                Some((_, name)) => format!("signal {number} (SIG{name})"),
                None => format!("signal {number}"),
            },
        }
    }

    /// Whether the reason may be in its output.
    pub(super) fn has_words(self) -> bool {
        // A panic ends a program that aborts on panics; other aborts print the reason, too.
        matches!(self, Self::Code(_) | Self::Signal(6))
    }

    /// The reason, from the last lines of its output. A killed process could not print one.
    pub(super) fn words(self, output: &str) -> String {
        if self.has_words() { last_words(output) } else { String::new() }
    }
}

/// Signals that end programs.
const SIGNALS: [(i32, &str); 12] = [
    (1, "HUP"),
    (2, "INT"),
    (3, "QUIT"),
    (4, "ILL"),
    (6, "ABRT"),
    (7, "BUS"),
    (8, "FPE"),
    (9, "KILL"),
    (11, "SEGV"),
    (13, "PIPE"),
    (15, "TERM"),
    (31, "SYS"),
];

/// The reason in a program's output: the message of its last panic, its last error, or its last line.
fn last_words(output: &str) -> String {
    let lines: Vec<&str> = output.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let panic = lines.iter().rposition(|line| line.starts_with("thread '") && line.contains("panicked at"));
    let words = if let Some(at) = panic {
        let place = lines[at].split_once("panicked at ").map_or(lines[at], |(_, place)| place.trim_end_matches(':'));
        let message = lines.get(at + 1).filter(|line| !line.starts_with("note:"));
        message.map_or_else(|| format!("panicked at {place}"), |message| format!("panicked at {place}: {message}"))
    } else {
        let error = lines.iter().rev().find_map(|line| line.strip_prefix("discod: "));
        // The hint is in the log; this is one line.
        error.or_else(|| lines.last().copied()).unwrap_or_default().to_owned()
    };
    // Terminals and shells interpret these characters; clients of earlier versions print them with a shell's `echo`.
    let plain = |sign: char| match sign {
        '"' | '\\' => '\'',
        sign if sign.is_control() => ' ',
        sign => sign,
    };
    words.chars().map(plain).take(WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_found_in_what_was_written() {
        let error = "2026 INFO started\ndiscod: opening the log: read-only file system\nhint: make it writable\n";
        assert_eq!(End::Code(1).words(error), "opening the log: read-only file system");
        let panic =
            "INFO a\nthread 'main' (17) panicked at discod/src/a.rs:3:5:\nthe list is empty\nnote: run with it\n";
        assert_eq!(End::Signal(6).words(panic), "panicked at discod/src/a.rs:3:5: the list is empty");
        assert_eq!(End::Code(101).words("one\ntwo\n\n"), "two");
        assert_eq!(End::Code(1).words(""), "");
        assert_eq!(End::Signal(9).words("2026 INFO started\n"), "");
        assert_eq!(End::Code(1).words("discod: \"a\\b\"\tis \u{1b}[1mthere\n"), "'a'b' is  [1mthere");
        assert_eq!(End::Code(1).words(&"é".repeat(4000)).chars().count(), WORDS);
    }

    #[test]
    fn an_end_is_named() {
        assert_eq!(End::of(ExitStatus::from_raw(9), false).how(), "signal 9 (SIGKILL)");
        assert_eq!(End::of(ExitStatus::from_raw(9), true).how(), NO_MEMORY);
        assert_eq!(End::of(ExitStatus::from_raw(6), true).how(), "signal 6 (SIGABRT)");
        assert_eq!(End::of(ExitStatus::from_raw(1 << 8), true).how(), "exit code 1");
        assert!(End::of(ExitStatus::from_raw(75 << 8), false).is_wanted());
    }

    #[test]
    fn systemd_tells_the_same() {
        assert_eq!(End::of_systemd("success", "exited", "0"), None);
        assert_eq!(End::of_systemd("timeout", "killed", "KILL"), None);
        assert_eq!(End::of_systemd("resources", "", ""), Some(End::NotStarted));
        assert_eq!(End::of_systemd("exit-code", "exited", "1"), Some(End::Code(1)));
        assert_eq!(End::of_systemd("signal", "killed", "KILL"), Some(End::Signal(9)));
        assert_eq!(End::of_systemd("core-dump", "dumped", "ABRT"), Some(End::Signal(6)));
        assert_eq!(End::of_systemd("oom-kill", "killed", "KILL"), Some(End::NoMemory));
        assert_eq!(End::of_systemd("signal", "killed", "RTMIN+3").map(End::how), Some("a signal".to_owned()));
    }
}
