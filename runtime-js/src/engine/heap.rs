//! Determines which script has exceeded its memory limit.
//!
//! The engine reports it in the middle of an allocation, where nothing can be inspected. So the script gets a little more memory
//! ([`UNTIL_STOPPED`]), and is terminated at its next loop or call, where its place can be read. If it exceeds that as well before
//! that point, it is terminated without its place: from then on it gets no results from outside, since the engine's own functions end
//! the process if an allocation fails, and a little more memory for the function that it may be in ([`FOR_THE_END`]). Its next own
//! allocation fails, and the resulting exception shows the place. The call fails in any case, even if the script catches that.

use std::cell::Cell;

/// Additional memory beyond the limit until the script reaches a loop or call that is checked, which is every 10,000th.
pub(super) const UNTIL_STOPPED: usize = 8 << 20;
/// Further memory, for one function of the engine: no value that passes between a script and the host is larger.
pub(super) const FOR_THE_END: usize = 16 << 20;

/// The memory state of one isolate.
#[derive(Default)]
pub(super) struct HeapHit {
    /// The running call, 0 if unknown.
    call: Cell<Option<u32>>,
}

impl HeapHit {
    /// Records that the limit was exceeded while this call ran.
    pub(super) fn set(&self, call: u32) {
        self.call.set(Some(call));
    }

    /// The call that ran when the limit was exceeded.
    pub(super) fn hit(&self) -> Option<u32> {
        self.call.get()
    }

    /// Whether the limit was exceeded, possibly by this call.
    pub(super) fn is_of(&self, call: u32) -> bool {
        self.hit().is_some_and(|hit| hit == 0 || hit == call)
    }

    /// Resets the state for a new isolate.
    pub(super) fn clear(&self) {
        self.call.set(None);
    }
}
