//! An SSH client: connecting, running commands, sending files.
//!
//! Invariants:
//! - A server's key is always checked, see [`HostKeyPolicy`]; it is not possible to connect without.
//! - Everything has a time limit, and every error names the `host:port`.
//! - Results on which decisions depend come from a [`Session::script`], which separates them from the login shell's output.
//! - One channel is open at a time, as a server may allow no more.
//! - Dropping anything here only closes channels or the connection: remote processes that must survive have to be detached
//!   there.

mod command;
pub mod config;
mod error;
mod exec;
mod frame;
mod handler;
mod host_key;
mod key_pair;
mod known_hosts;
mod login;
mod script;
mod session;
mod terminal;
mod user_hosts;

pub use command::quote;
pub use config::{ConfigError, Hop, Route, SshConfig};
pub use error::SshError;
pub use exec::{Output, Status, Stream};
pub use host_key::{HostKeyPolicy, HostKeySeen};
pub use key_pair::KeyPair;
pub use login::{Login, UserKeys};
pub use session::{ConnectOptions, Session};
