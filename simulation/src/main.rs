//! Whole clusters of Disco's control plane in one process, with faults, repeatable by a seed.
//!
//! Real: openraft as the daemon sets it up, the daemon's wire form, the store, the planner. Simulated: network, disks, time,
//! and when processes live. `docs/simulation.md` lists what is not covered.

mod args;
mod bug;
mod client;
mod cluster;
mod doors;
mod driver;
mod entries;
mod entropy;
mod events;
mod faults;
mod firewalls;
mod history;
mod invariants;
mod network;
mod node;
mod output;
mod rest;
mod run;
mod scenario;
mod storage;
mod types;
mod wire;

use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};

use anyhow::{Result, bail};
use clap::Parser;

use crate::args::Args;
use crate::run::Report;

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let passed = match args.seed {
        Some(seed) => one(&args, seed)?,
        None => driver::run(&args)?,
    };
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn one(args: &Args, seed: u64) -> Result<bool> {
    entropy::seed(seed);
    if !entropy::is_replaced() {
        bail!("the system's randomness is in use, so a seed would not give the same run twice");
    }
    // On a fresh thread, with pristine thread-local state.
    let (nodes, bug, rivals, trace) = (args.nodes.clone(), args.bug, args.rivals, args.trace);
    let thread = std::thread::Builder::new().stack_size(16 * 1024 * 1024);
    let (sender, receiver) = mpsc::channel();
    thread.spawn(move || sender.send(run::run(seed, &nodes, bug, rivals, trace)))?;
    let report = match receiver.recv_timeout(args.limit) {
        Ok(report) => report,
        // The thread ends with the process.
        Err(RecvTimeoutError::Timeout) => Report::without_end(seed, &args.nodes, args.limit),
        Err(RecvTimeoutError::Disconnected) => bail!("the simulation itself panicked at seed {seed}"),
    };
    if args.json {
        output::line(&serde_json::to_string(&report)?);
    } else {
        match driver::describe(args, &report) {
            Some(failure) => output::line(&failure),
            None => output::line(&format!("seed {seed} passed: {} nodes, {:.1} s", report.hosts, report.seconds)),
        }
        output::line(&format!("trace {}\n{:?}", report.trace, report.counts));
    }
    Ok(report.violation.is_none())
}
