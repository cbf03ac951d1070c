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
    /// The exit code of a program that was run on a node.
    Program(u8),
}

impl ExitStatus {
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
            Self::Program(code) => code,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}
