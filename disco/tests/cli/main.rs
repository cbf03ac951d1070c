//! The command line, as another program sees it: exit codes, standard output and standard error of the real binary. No
//! cluster runs here; whole clusters are tried in the crate `disco-tests`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on may end there")]

mod certificates;
mod completion;
mod environment;
mod init;
mod interrupt;
mod keys;
mod lock;
mod project;
mod questions;
mod scripts;
mod support;
mod terminal;
mod unreachable;
mod usage;
