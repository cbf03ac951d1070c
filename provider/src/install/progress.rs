//! Telling how far an installation is.

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Looking at what is there.
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
    /// Nothing: all is as it should be.
    Done,
}

/// Is told how far an installation is. Called often; it must not block.
pub trait InstallProgress: Send + Sync {
    /// Another step has begun.
    fn step(&self, step: Step);

    /// So many bytes of a binary were sent, of so many. A binary that is there already is not sent and not told.
    fn sent(&self, name: &'static str, sent: u64, total: u64);
}

/// For whom it is all the same.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl InstallProgress for NoProgress {
    fn step(&self, _step: Step) {}

    fn sent(&self, _name: &'static str, _sent: u64, _total: u64) {}
}
