//! What clients do with one key, as a register: the specification by which histories are judged.

use todc_utils::Specification;

/// An operation on a key, with its outcome once it is known. Every value is written once, so a value names its write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Write a value.
    Put(u64),
    /// Remove it.
    Delete,
    /// Write a value if another (or none) is there; else see what is there.
    Swap {
        /// What should be there.
        expected: Option<u64>,
        /// What shall be there.
        value: u64,
        /// What was there, if it was something else. Only known afterwards.
        found: Outcome,
    },
    /// See what is there. Only known afterwards.
    Read(Option<u64>),
}

/// How a swap came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done, or its outcome is not known.
    Done,
    /// This was there instead.
    Other(Option<u64>),
}

/// A key of the store.
pub struct Key;

impl Specification for Key {
    type State = Option<u64>;
    type Operation = Operation;

    fn init() -> Option<u64> {
        None
    }

    fn apply(operation: &Operation, state: &Option<u64>) -> (bool, Option<u64>) {
        match operation {
            Operation::Put(value) => (true, Some(*value)),
            Operation::Delete => (true, None),
            Operation::Swap { expected, value, found: Outcome::Done } => (state == expected, Some(*value)),
            Operation::Swap { expected, found: Outcome::Other(found), .. } => {
                (state == found && state != expected, *state)
            }
            Operation::Read(value) => (state == value, *state),
        }
    }
}
