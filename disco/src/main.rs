//! `disco`: the client of Disco clusters.
//!
//! A command is a thin file under `commands/`: resolved settings and the printer go in, an [`exit::ExitStatus`] comes out.
//! `cli` holds the command line alone, `project` the folder and its private state, `client` the connection to any node,
//! `founding` the making of a cluster, `upgrade` new binaries for it, `host` what scripts can do here, and `printer` everything that is written.

mod app;
mod cli;
mod client;
mod commands;
mod context;
mod deployment;
mod environment;
mod error;
mod exit;
mod founding;
mod host;
mod printer;
mod project;
mod question;
mod remote;
mod upgrade;
mod view;

use std::process::ExitCode;

fn main() -> ExitCode {
    // A machine of the local provider must be alone in its process: before anything else.
    if let Some(ended) = app::be_machine_when_asked() {
        return ended;
    }
    // Before any thread: the engine reads its environment only once.
    disco_runtime_js::prepare_process();
    // Fails only when a provider is installed already, which is then the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    app::complete_when_asked();
    app::run()
}
