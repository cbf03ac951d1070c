//! The exit codes. The numbers are part of the interface and never change their meaning.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ExitStatus {
    /// Done.
    Done,
    /// Failed, and no more specific status applies.
    Failed,
    /// The command line, a setting or a script is wrong, or a confirmation is needed and there is no terminal.
    Usage,
    /// The peer authenticated the client and does not allow the request.
    Denied,
    /// No node answers, or there is no quorum.
    Unreachable,
    /// A guard refused an operation that would lose quorum or data.
    Guarded,
    /// A named object does not exist.
    NotFound,
    /// The plan has changes (`plan --exit-code`).
    Changes,
    /// The operator cancelled.
    Cancelled,
    /// The time limit was reached; the cluster continues the work.
    TimedOut,
    /// Failed, and the previous state was restored.
    RolledBack,
    /// A task of the new version fits on no node.
    Unplaced,
    /// The exit code of a program that was run on a node.
    Program(u8),
}

impl ExitStatus {
    /// Every code of Disco's own with its meaning, in their order. The help, the manual page and the README have this table.
    pub(crate) const TABLE: [(Self, &'static str); 12] = [
        (Self::Done, "done"),
        (Self::Failed, "failed"),
        (Self::Usage, "usage, configuration or script error, or a confirmation is needed"),
        (Self::Denied, "not allowed"),
        (Self::Unreachable, "cluster unreachable, or without quorum"),
        (Self::Guarded, "refused by a guard: quorum or data would be lost"),
        (Self::NotFound, "no such thing"),
        (Self::Changes, "there are changes (`plan --exit-code`)"),
        (Self::Cancelled, "cancelled"),
        (Self::TimedOut, "timed out; the work goes on in the cluster"),
        (Self::RolledBack, "failed and rolled back"),
        (Self::Unplaced, "could not be placed on the nodes"),
    ];

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Denied => 3,
            Self::Unreachable => 4,
            Self::Guarded => 5,
            Self::NotFound => 6,
            Self::Changes => 7,
            Self::Cancelled => 8,
            Self::TimedOut => 9,
            Self::RolledBack => 10,
            Self::Unplaced => 11,
            Self::Program(code) => code,
        }
    }

    /// The exit code of a program: the system passes on its lowest eight bits.
    pub(crate) fn of_program(code: i32) -> Self {
        Self::Program(u8::try_from(code & 0xff).unwrap_or(u8::MAX))
    }

    /// The end of `disco --help`.
    pub(crate) fn help() -> String {
        let codes = Self::TABLE.iter().map(|(status, meaning)| format!("  {:>2}  {meaning}\n", status.code()));
        let codes: String = codes.collect();
        format!("Exit codes:\n{codes}\nRun `disco COMMAND --help` for a command's options and examples.")
    }
}

/// The number of a signal by its name, or of `signal 34`; shells add 128 to it (signal(7)).
pub(crate) fn signal_number(name: &str) -> Option<u8> {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    let by_name = name.strip_prefix("SIG").and_then(|name| NAMES.iter().position(|known| *known == name));
    let by_name = by_name.and_then(|at| u8::try_from(at + 1).ok());
    by_name.or_else(|| name.strip_prefix("signal ")?.parse().ok())
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_code_in_its_order() {
        for (at, (status, _)) in ExitStatus::TABLE.iter().enumerate() {
            assert_eq!(usize::from(status.code()), at);
        }
        assert_eq!(ExitStatus::TABLE.last().map(|(status, _)| *status), Some(ExitStatus::Unplaced));
    }

    #[test]
    fn a_program_and_a_signal_have_their_codes() {
        assert_eq!([3, 255, 256, -1].map(|code| ExitStatus::of_program(code).code()), [3, 255, 0, 255]);
        let numbers = ["SIGHUP", "SIGKILL", "SIGSEGV", "SIGTERM", "SIGSYS", "signal 34"].map(signal_number);
        assert_eq!(numbers, [1, 9, 11, 15, 31, 34].map(Some));
        assert_eq!(signal_number("SIGNOTHING"), None);
    }

    #[test]
    fn the_readme_has_the_table() {
        let readme = include_str!("../../README.md");
        let rows = ExitStatus::TABLE.iter().map(|(status, meaning)| format!("| {} | {meaning} |\n", status.code()));
        let table = format!("| exit code | |\n|---|---|\n{}", rows.collect::<String>());
        assert!(readme.contains(&table), "README.md must contain this table:\n{table}");
    }
}
