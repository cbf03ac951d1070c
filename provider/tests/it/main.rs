//! Machines, SSH and installing with real parts: processes, sockets, keys and, where it is there, OpenSSH's server.

mod local;
mod machine;
mod setup;
