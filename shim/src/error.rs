use std::path::{Path, PathBuf};

/// Why a shim could not be started or asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be used; the message names it.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// A file holds something else than was written there.
    #[error("`{}` is not valid", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The specification on standard input is not valid.
    #[error("the specification of the task is not valid")]
    Spec(#[source] serde_json::Error),
    /// The name of a signal is unknown.
    #[error("unknown signal `{0}`: expected a name such as SIGTERM")]
    Signal(String),
    /// The task could not be started.
    #[error("could not start `{}`: {step}", program.display())]
    Launch {
        /// What was to be executed.
        program: PathBuf,
        /// What failed, in words.
        step: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The folder belongs to a task that has been started before. A task is never started twice.
    #[error("`{}` belongs to a task that was started before", .0.display())]
    StartedBefore(PathBuf),
    /// The lease had run out before the task was started.
    #[error("the lease had run out before the task was started")]
    Fenced,
    /// The shim did not answer a start in time.
    #[error("the shim did not start the task within {0:?}")]
    Slow(std::time::Duration),
    /// The shim does not answer.
    #[error("the shim of `{}` does not answer", folder.display())]
    NoAnswer {
        /// The folder of the task.
        folder: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The shim refused a request.
    #[error("the shim refused: {0}")]
    Refused(String),
}

impl Error {
    /// For `map_err` of a JSON error: names the file.
    pub(crate) fn content(path: &Path) -> impl FnOnce(serde_json::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Content { path, source }
    }
}
