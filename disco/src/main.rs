//! `disco`: the client of Disco clusters.
//!
//! A command is a thin file under `commands/`: resolved settings and the printer go in, an [`exit::ExitStatus`] comes out.
//! `cli` defines the command line, `project` the folder and its private state, `client` the connection to the nodes, `founding`
//! creates and repairs clusters, `upgrade` installs new binaries, `workload`
//! deploys stacks and reads what runs, `exec` runs programs beside tasks, `host` implements the scripts' API, and `printer` writes all output.

mod app;
mod cli;
mod client;
mod commands;
mod context;
mod deployment;
mod environment;
mod error;
mod exec;
mod exit;
mod founding;
mod host;
mod printer;
mod progress;
mod project;
mod question;
mod remote;
mod upgrade;
mod view;
mod workload;

use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all: a machine of the local provider needs a process without anything else in it.
    if let Some(ended) = app::run_machine_subcommand() {
        return ended;
    }
    // Before any thread starts: the engine reads its environment only once.
    disco_runtime_js::prepare_process();
    // Fails only if a provider is already installed, which is then the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    app::run_completion();
    app::run()
}
