//! Machines, SSH and installing with real parts: processes, sockets, keys and, where it is there, OpenSSH's server.

#![expect(clippy::unwrap_used, reason = "a failed unwrap shows what is wrong")]
#![expect(clippy::print_stdout, reason = "tests are skipped and measured in words")]

mod folders;
mod hosts;
mod install;
mod local;
mod machine;
mod others;
mod setup;
mod supervise;
mod terminal;
mod upgrade;
