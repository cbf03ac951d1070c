//! The engine itself: the only module that depends on a particular engine.
//!
//! ```text
//! handle ──requests──▶ thread ──┬─ driver: polls the isolate's event loop (state)
//!                               └─ one task per request: starts JavaScript, waits for its completion (load, run)
//!                      isolate ── ops ──▶ calls (completions), hosts
//!                      watchdog (own thread): stops a poll that takes too long, and abandons the thread if that fails
//! ```

mod calls;
mod errors;
mod extension;
mod heap;
mod isolate;
mod load;
mod loader;
#[cfg(feature = "quickjs")]
mod nowasm;
mod ops;
mod process;
mod run;
mod shared;
mod state;
mod strikes;
#[cfg(feature = "quickjs")]
mod temporal;
mod thread;
mod watchdog;

pub(crate) use errors::OpError;
pub use process::prepare_process;
pub(crate) use shared::{Shared, SharedWatch};
pub(crate) use strikes::SharedStrikes;
pub(crate) use thread::{Beginning, ScriptThread, spawn};
pub(crate) use watchdog::Stuck;
