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
//! - All JavaScript runs on one thread of its own. What it waits for outside goes through the traits in the
//!   `interface` modules; the thread never blocks on them, and they never see an engine type.
//! - A [`ScriptEngine::call`] under way does not hold up another, unless it computes.
//! - Each load is a new version of the modules in the same isolate. A new isolate is made only after a limit was
//!   broken or after many loads, because one that was dropped leaves memory behind; the version is then loaded again.
//! - What a call or a version has started ends with it.
//! - No value of a script is converted by the engine: texts of them are made in JavaScript.
//! - A thread that cannot be brought back from a script is given up, and another one takes its place.
//! - Only source text is ever run, never stored bytecode.
//! - Only `src/engine/` knows which engine it is.

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
