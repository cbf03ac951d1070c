//! What would be done, found out without doing it.
//!
//! Invariant: nothing in here changes anything, here or at a provider. A provider says by its `plan_…` methods what its other
//! methods would do at this moment; [`Recorder`] puts these in the place of the others.

mod change;
mod recorder;

pub use change::{Action, COMMAND, Change, Changes, FILE, MACHINE, existing};
pub use recorder::Recorder;
