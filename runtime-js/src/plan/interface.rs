//! What a plan needs from its host.

/// Hears of each thing that a planned call would have done: see [`Capabilities::PLAN`](crate::Capabilities::PLAN).
pub trait Plan: Send + Sync {
    /// Called on the script thread: must not block.
    fn would_run(&self, what: WouldRun);
}

/// Something that was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WouldRun {
    /// `command` or `request`.
    pub kind: String,
    /// The command, or method and address.
    pub name: String,
    /// More about it, for people.
    pub details: String,
}
