//! What a plan needs from its host.

/// Receives each action that a planned call would perform: see [`Capabilities::PLAN`](crate::Capabilities::PLAN).
pub trait Plan: Send + Sync {
    /// Called on the script thread: must not block.
    fn would_run(&self, what: WouldRun);
}

/// A planned action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WouldRun {
    /// `command` or `request`.
    pub kind: String,
    /// The command, or method and address.
    pub name: String,
    /// Details, as text.
    pub details: String,
}
