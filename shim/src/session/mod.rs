//! `discod session`: runs one further program beside a running task, for a client that sees and controls it.
//!
//! ```text
//!            frames (stdin): input, size of the terminal, signals          pipes or a terminal
//! discod ───────────────────────────────────────────────────> session ───────────────────────> program
//!        <───────────────────────────────────────────────────
//!            frames (stdout): output, what of the input was read, the end
//! ```
//!
//! Invariants:
//! - The program ends with the session, with everything that it has started: when its own first process ends, when the
//!   task ends, and when the other end of the pipes is closed, as the client or the daemon is gone.
//! - Memory is bounded: at most [`INPUT`] bytes wait for the program, which the sender counts by [`Answer::Taken`], and
//!   no output is read while [`OUTPUT`] bytes wait for the receiver.
//! - The last answer is [`Answer::Ended`], after all output.

mod frame;
mod run;
mod streams;

pub use frame::{Answer, Frames, Request};
pub use run::run;
use serde::{Deserialize, Serialize};

use crate::{Process, Spec};

/// Bytes of input that may wait for the program. A sender has at most as many on the way.
pub const INPUT: usize = 256 << 10;
/// Bytes of output that may wait for the receiver, roughly.
pub const OUTPUT: usize = 64 << 10;
/// Bytes of input or output in one frame, at most.
pub const PART: usize = 32 << 10;

/// What a session runs: the first frame on its standard input, as JSON.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// The program. Of its control group, only an existing one is used: that of the task, whose limits apply to the
    /// program as well.
    pub program: Spec,
    /// The first process of the task.
    pub task: Process,
    /// The program's standard streams are a terminal of this size; absent: they are pipes.
    pub terminal: Option<Size>,
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Size {
    /// Of a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// How a session ended.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The program has ended by itself, or by a signal.
    Ended {
        /// Its exit status; absent if a signal ended it.
        code: Option<i32>,
        /// The number of the signal that ended it.
        signal: Option<i32>,
    },
    /// The task has ended, and the program with it.
    TaskEnded,
    /// The program could not be executed.
    NotExecuted {
        /// There is no such program, rather than one that cannot be executed.
        missing: bool,
        /// Why, in words.
        why: String,
    },
}
