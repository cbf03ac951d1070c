//! The API of `client.js`: the client's implementation of the script engine's interfaces.

mod cluster;
mod console;
mod failures;
mod keys;
mod keys_watch;
mod planned;
mod prompt;
mod script;
mod script_failure;
mod services;

pub(crate) use self::{script::Script, script_failure::from_script_error};
