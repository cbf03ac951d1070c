//! What the process's exit code means. The numbers are part of the interface and never change their meaning.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ExitStatus {
    /// Done.
    Done,
    /// Failed, and none of the following says it better.
    Failed,
    /// The command line, a setting or a script is wrong, or a confirmation is needed that nobody can give.
    Usage,
    /// The peer knows who asks and does not allow it.
    Denied,
    /// No node answers, or none has a quorum.
    Unreachable,
    /// A guard refused what would lose quorum or data.
    Guarded,
    /// What was named does not exist.
    NotFound,
    /// A plan holds changes, and it was asked whether it does.
    Changes,
    /// The operator cancelled.
    Cancelled,
    /// The time given ran out; what was begun in the cluster goes on there.
    TimedOut,
    /// It failed, and all is as it was before.
    RolledBack,
    /// The exit code of a program that was run on a node.
    Program(u8),
}

impl ExitStatus {
    fn code(self) -> u8 {
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
