//! `discod`: the Disco daemon.

mod agent;
mod api;
mod args;
mod clock;
mod clocks;
mod cluster;
mod contact;
mod controllers;
mod daemon;
mod ends;
mod holder;
mod home;
mod join;
mod last_report;
#[cfg(test)]
mod layers;
mod local;
mod memory;
mod node;
mod peers;
mod raft;
mod records;
mod script;

use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;

use crate::args::{Cli, Command};
use crate::daemon::Stopped;

fn main() -> ExitCode {
    // Before the first thread: the engine reads its switches from the environment.
    disco_runtime_js::prepare_process();
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        // Only a second call can fail, and this is the first line that could make one.
        return ExitCode::FAILURE;
    }
    match run(Cli::read()) {
        Ok(code) => code,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Some(Command::Identity(command)) => home::run_identity_command(&command).map(|()| ExitCode::SUCCESS),
        Some(Command::Supervise { args }) => Ok(disco_provider::supervise::run(&args).map(|()| ExitCode::SUCCESS)?),
        Some(Command::ReportEnd(args)) => last_report::run(&args).map(|()| ExitCode::SUCCESS),
        Some(Command::Shim { folder }) => Ok(disco_shim::run(folder).map(|()| ExitCode::SUCCESS)?),
        Some(Command::Probe) => Ok(disco_shim::probe().map(|()| ExitCode::SUCCESS)?),
        Some(Command::Session) => Ok(disco_shim::session::run().map(|()| ExitCode::SUCCESS)?),
        Some(Command::EndTasks { data_dir }) => agent::end_tasks(&data_dir).map(|()| ExitCode::SUCCESS),
        Some(Command::Machine { args }) => Ok(disco_provider::local::machine::run(&args).map(|()| ExitCode::SUCCESS)?),
        None => match cli.daemon {
            Some(args) => Ok(match runtime()?.block_on(daemon::run(args))? {
                Stopped::Done => ExitCode::SUCCESS,
                // The supervisor or systemd restarts the daemon, as after a failure, but does not count an end.
                Stopped::ToRestart => ExitCode::from(disco_provider::supervise::RESTART_CODE),
            }),
            None => {
                Cli::command().print_help().context("printing the help")?;
                Ok(ExitCode::from(2))
            }
        },
    }
}

/// One worker is enough for a control plane: the log and scripts have threads of their own, and every further worker
/// costs memory and wakes the others.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(8)
        .thread_name("discod")
        .thread_stack_size(1024 * 1024)
        .enable_all()
        .build()
        .context("starting the async runtime")
}

#[expect(clippy::print_stderr, reason = "the log may not have been started, or may go elsewhere")]
fn report(error: &anyhow::Error) {
    eprintln!("discod: {error:#}");
}
