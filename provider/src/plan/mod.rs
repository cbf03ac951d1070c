//! Plans changes without making them.
//!
//! Invariant: this module changes nothing, neither here nor at a provider. The `plan_…` methods of a provider return what its
//! other methods would do now; [`Recorder`] calls them in place of the others.

mod change;
mod recorder;

pub use change::{Action, COMMAND, Change, Changes, FILE, MACHINE, existing};
pub use recorder::Recorder;
