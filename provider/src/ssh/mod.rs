//! An SSH client: connecting, running commands, sending files.
//!
//! Invariants:
//! - A server's key is always checked, see [`HostKeyPolicy`]; there is no way to connect without.
//! - Everything has a time limit, and every error names the `host:port`.
//! - What decides something comes from a [`Session::script`], whose answer is told apart from all that a login shell prints.
//! - One channel is open at a time, as a server may allow no more.
//! - Dropping anything here closes channels or the connection and nothing else: what must survive on the other side has to
//!   be detached there.

mod command;
mod error;
mod exec;
mod frame;
mod handler;
mod host_key;
mod key_pair;
mod known_hosts;
mod script;
mod session;
mod terminal;

pub use command::quote;
pub use error::SshError;
pub use exec::{Output, Status, Stream};
pub use host_key::{HostKeyPolicy, HostKeySeen};
pub use key_pair::KeyPair;
pub use session::{ConnectOptions, Session};
