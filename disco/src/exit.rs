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

    /// The end of `disco --help`.
    pub(crate) fn help() -> String {
        let codes = Self::TABLE.iter().map(|(status, meaning)| format!("  {:>2}  {meaning}\n", status.code()));
        let codes: String = codes.collect();
        format!("Exit codes:\n{codes}\nRun `disco COMMAND --help` for a command's options and examples.")
    }
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
    fn the_readme_has_the_table() {
        let readme = include_str!("../../README.md");
        let rows = ExitStatus::TABLE.iter().map(|(status, meaning)| format!("| {} | {meaning} |\n", status.code()));
        let table = format!("| exit code | |\n|---|---|\n{}", rows.collect::<String>());
        assert!(readme.contains(&table), "README.md must contain this table:\n{table}");
    }
}
