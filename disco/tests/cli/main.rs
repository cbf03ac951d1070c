//! Tests of the command line: exit codes, standard output and standard error of the real binary, without a cluster. The crate
//! `disco-tests` tests whole clusters.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may end there")]

mod certificates;
mod completion;
mod deploy;
mod environment;
mod init;
mod interrupt;
mod keys;
mod lock;
mod project;
mod questions;
mod scripts;
mod stack;
mod support;
mod terminal;
mod unreachable;
mod usage;
