//! The script engine: runs `client.js` in `disco` and `cluster.js` in `discod`.
//!
//! # Use
//! ```no_run
//! # use std::sync::Arc;
//! # use disco_runtime_js::*;
//! # async fn example(console: Arc<dyn console::Console>, cluster: Arc<dyn cluster::ClusterHost>) -> Result<(), ScriptError> {
//! // First line of `main`, before any thread:
//! prepare_process();
//!
//! let hosts = Hosts { cluster: Some(cluster), ..Hosts::new(console) };
//! let engine = ScriptEngine::start(EngineOptions {
//!     env: process_env(|name| !name.contains("SECRET")),
//!     ..EngineOptions::new(hosts)
//! })?;
//! let loaded = engine
//!     .load(ModuleSource::directory("client.js", "."), LoadOptions { init: Some(CallOptions::new()), ..Default::default() })
//!     .await?;
//! if loaded.has("bootstrap") {
//!     let text = engine.call("bootstrap", vec![Arg::Cluster], CallOptions::new()).await?;
//! }
//! # Ok(()) }
//! ```
//!
//! # Invariants
//! - All JavaScript runs on one dedicated thread. Its effects go through the traits in the `interface` modules; the
//!   thread never blocks on them, and they never see an engine type.
//! - A [`ScriptEngine::call`] in progress does not delay another, unless it computes.
//! - Each load is a new version of the modules in the same isolate. A new isolate is made only after a limit was
//!   exceeded or after many loads, because a dropped isolate leaks memory; the version is then loaded again.
//! - Everything that a call or a version has started ends with it.
//! - The engine converts no values of scripts: they are converted to text in JavaScript.
//! - A thread that cannot be interrupted in a script is abandoned and replaced by another one.
//! - Only source text is ever run, never stored bytecode.
//! - Only `src/engine/` depends on a particular engine.

pub mod ask;
mod call;
mod capabilities;
pub mod cluster;
pub mod console;
mod crypto;
mod engine;
mod env;
mod error;
mod error_code;
mod handle;
mod intl;
pub mod kv;
mod net;
mod options;
pub mod plan;
mod process;
mod source;
mod text;
mod types;
mod url;

pub use call::{AbortHandle, Arg, CallOptions};
pub use capabilities::Capabilities;
pub use engine::prepare_process;
pub use error::{HostError, ScriptError, ScriptErrorKind};
pub use error_code::ErrorCode;
pub use handle::{LoadOptions, Loaded, ScriptEngine};
pub use options::{EngineOptions, Hosts, Limits, process_env};
pub use process::{ShellCommand, ShellError, ShellOutput};
pub use serde_json::Value as Json;
pub use source::{ModuleSource, ScriptFiles};
pub use types::{DISCO_D_TS, JSCONFIG_JSON};
