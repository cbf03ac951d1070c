//! One key as a register: the sequential specification for checking histories.

use todc_utils::Specification;

/// An operation on a key, with its outcome once it is known. Every value is written once, so a value names its write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Write a value.
    Put(u64),
    /// Remove it.
    Delete,
    /// Write a value if the present value (or its absence) is the expected one; else return the present value.
    Swap {
        /// The expected value.
        expected: Option<u64>,
        /// The new value.
        value: u64,
        /// The present value, if it was another one. Only known afterwards.
        found: Outcome,
    },
    /// Read the value. Only known afterwards.
    Read(Option<u64>),
}

/// The outcome of a swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded, or its outcome is unknown.
    Done,
    /// It failed: this value was present.
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
