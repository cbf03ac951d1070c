//! Progress of an installation.

/// The current step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Checking what is installed.
    Checking,
    /// Sending a binary.
    Uploading {
        /// `disco` or `discod`.
        name: &'static str,
    },
    /// Making the node's identity.
    Identity,
    /// Writing the service's files and starting it.
    Starting,
    /// Nothing: everything is up to date.
    Done,
}

/// Receives the progress of an installation. Called often; it must not block.
pub trait InstallProgress: Send + Sync {
    /// Another step has begun.
    fn step(&self, step: Step);

    /// How many bytes of a binary were sent, of how many. Not called for a binary that is already installed.
    fn sent(&self, name: &'static str, sent: u64, total: u64);
}

/// Ignores the progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl InstallProgress for NoProgress {
    fn step(&self, _step: Step) {}

    fn sent(&self, _name: &'static str, _sent: u64, _total: u64) {}
}
