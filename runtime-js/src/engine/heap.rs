//! Which script has used up the memory that it may have.
//!
//! The engine tells of it in the middle of an allocation, where nothing can be looked at. So the script gets a little more
//! ([`UNTIL_STOPPED`]), and is ended at its next loop or call, where its place can be read. One that has used that up as well before
//! it comes there is ended without a look: from then on it gets nothing from outside, since the engine's own functions end the process
//! where they are refused memory, and a little more for the one that it may be in ([`FOR_THE_END`]). The next allocation of its own is
//! refused, and what it throws then says where. The call fails in any case, whatever the script makes of that.

use std::cell::Cell;

/// What a script gets beyond its limit until it comes to a loop or call that counts, which is each 10,000th.
pub(super) const UNTIL_STOPPED: usize = 8 << 20;
/// And beyond that, for one function of the engine: no value that passes between a script and what is outside is larger.
pub(super) const FOR_THE_END: usize = 16 << 20;

/// Of one isolate.
#[derive(Default)]
pub(super) struct HeapHit {
    /// The call that was running, 0 if that is not known.
    call: Cell<Option<u32>>,
}

impl HeapHit {
    /// The limit was met, while this call ran.
    pub(super) fn set(&self, call: u32) {
        self.call.set(Some(call));
    }

    /// The call that ran when the limit was met.
    pub(super) fn hit(&self) -> Option<u32> {
        self.call.get()
    }

    /// Whether the limit was met, and this call may have done it.
    pub(super) fn is_of(&self, call: u32) -> bool {
        self.hit().is_some_and(|hit| hit == 0 || hit == call)
    }

    /// The isolate is gone.
    pub(super) fn clear(&self) {
        self.call.set(None);
    }
}
