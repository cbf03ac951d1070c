//! The process that is a machine of the local provider: an SSH server on its own address.
//!
//! Invariants:
//! - One process per machine, by the lock `running` in its folder.
//! - Everything that runs on a machine dies with it, even after `kill -9`: commands are its direct children and the kernel kills
//!   them when it dies; all other processes carry the machine's mark in their environment, and a watcher (a second process, see
//!   `watcher`) kills them as soon as the machine is gone.
//! - A machine does not die with other processes: neither with the client that started it nor with another machine.
//! - Its working directory is its folder, and it stores no path to it, so that the folder may be moved while it runs.

mod args;
mod channel;
mod command;
mod environment;
mod error;
mod handler;
mod pty;
mod pump;
mod server;
mod shutdown;
mod watcher;

use std::ffi::OsString;
use std::fs::File;
use std::net::TcpListener;
use std::time::{Duration, Instant};

pub(crate) use args::MachineArgs;
use args::Part;
pub use error::MachineError;

use crate::local::{MachineFolder, MachineRecord};
use crate::process::ProcessName;
use crate::{detach, files};

/// The hidden subcommand that has to call [`run`] with the arguments that follow it.
pub const SUBCOMMAND: &str = "machine";

/// How long a machine waits for the watcher of its last run.
const LOCK_LIMIT: Duration = Duration::from_secs(5);
const LOCK_INTERVAL: Duration = Duration::from_millis(5);

/// Runs the hidden subcommand `machine` with the arguments after that word. Returns when the machine has been shut down.
///
/// It must be the first thing that a process does: on the main thread, with no other thread running and no runtime made,
/// because the kernel ties the lives of a machine's commands to the thread that starts them.
///
/// # Errors
/// Unknown arguments, no such machine, an address in use. A detached machine also reports the error to the process that
/// started it.
pub fn run(args: &[OsString]) -> Result<(), MachineError> {
    let args = MachineArgs::parse(args)?;
    match args.part {
        Part::Detach => {
            let again = args.with(Part::Machine).words();
            detach::start_second(&process_title(), &again).map_err(MachineError::Detach)
        }
        Part::Watch(machine) => {
            watcher::watch(&args.id, machine);
            Ok(())
        }
        Part::Machine => {
            detach::leave_session();
            serve(args).inspect_err(|error| detach::report_error(error))
        }
    }
}

fn serve(args: MachineArgs) -> Result<(), MachineError> {
    let folder = MachineFolder::here(&args.id);
    let record: Option<MachineRecord> = folder.record()?.filter(|record| record.id == args.id);
    let record = record.ok_or_else(|| MachineError::NoSuchMachine {
        path: std::env::current_dir().unwrap_or_else(|_| folder.path().to_owned()),
    })?;
    let _running = take_lock(&folder)?;
    folder.forget_process().map_err(MachineError::io("write", folder.path()))?;
    let address = record.ssh_address();
    let listener =
        TcpListener::bind(address).map_err(|source| MachineError::Listen { address: address.to_string(), source })?;
    let process = ProcessName::own().map_err(MachineError::Runtime)?;
    watcher::start(args, process).map_err(MachineError::Runtime)?;
    // One thread: see `run`.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(MachineError::Runtime)?;
    runtime.block_on(async {
        let server = server::Server::new(folder.clone(), &record, process, listener)?;
        // From here on the machine counts as running.
        folder.write_process(process).map_err(MachineError::io("write", folder.path()))?;
        detach::report_ready().map_err(MachineError::Runtime)?;
        server.run().await
    })
}

/// Takes the lock by which this process is the machine. A process that checks whether it is held takes it for a moment.
fn take_lock(folder: &MachineFolder) -> Result<File, MachineError> {
    let path = folder.running_lock();
    let deadline = Instant::now() + LOCK_LIMIT;
    loop {
        if let Some(lock) = files::try_lock(&path).map_err(MachineError::io("lock", &path))? {
            return Ok(lock);
        }
        if folder.running()?.is_some() || Instant::now() >= deadline {
            return Err(MachineError::Running { id: folder.id().to_owned() });
        }
        std::thread::sleep(LOCK_INTERVAL);
    }
}

/// The program's name in the output of `ps`.
fn process_title() -> String {
    std::env::args().next().unwrap_or_else(|| "disco".to_owned())
}
