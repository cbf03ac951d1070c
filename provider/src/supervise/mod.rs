//! A plain service supervisor, for machines where no systemd runs: keeps one program running, and its log small.
//!
//! ```text
//!            ┌───────────── after 100 ms … 5 s ─────────────┐
//!            v                                              │ ended otherwise
//! start ─> running ──SIGHUP──> stopping ──> running         │
//!            │ └──────────────ended───────────┬─────────────┘
//!            │                                └─ exit code 0 ──> done
//!            └──SIGTERM──> stopping ──> done
//! ```
//! Files in its folder: `service.json` (the program, see [`Service`]), `lock` (held by the supervisor), `supervisor.json`
//! and `child.json` (its process and the program's), `log` and `log.1` (the program's output, at most 4 MiB each), `ends.json` (its
//! unexpected ends, see [`Ends`]).
//!
//! The supervisor reports each such end to the cluster on behalf of the program ([`REPORT_SUBCOMMAND`]). systemd calls the same
//! subcommand after each end, which then also counts it ([`count_systemd`]).
//!
//! Invariants: one supervisor per folder; the program never outlives its supervisor; neither outlives the machine of the
//! local provider that they run on. Both have the folder as their working directory and hold no other path to it, so that it may
//! be moved meanwhile; in a copy of it nothing is supervised, whatever its files contain.

mod args;
mod end;
mod ends;
mod error;
mod log;
mod oom;
mod reporter;
mod service;
mod status;
mod supervisor;
mod systemd;

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use args::{Action, SuperviseArgs};
pub use end::RESTART_CODE;
pub use ends::{Ends, EndsTold};
pub use error::SuperviseError;
use rustix::process::Signal;
pub use service::Service;
pub use status::ServiceStatus;
pub use systemd::count as count_systemd;

use crate::{detach, files};

/// The hidden subcommand that has to call [`run`] with the arguments that follow it.
pub const SUBCOMMAND: &str = "supervise";
/// The hidden subcommand that reports an end of the program to the cluster: `--dir DIR` (the service's folder), `--systemd` if systemd
/// calls it, and after `--` the program's own arguments.
pub const REPORT_SUBCOMMAND: &str = "report-end";
/// The variable with the supervisor's record for that subcommand ([`Ends`] as JSON), as the file may not be writable.
pub const ENDS: &str = "DISCO_ENDS";
/// The variable with the service's folder for the program, where its ends are recorded.
pub const SERVICE_DIR: &str = "DISCO_SERVICE_DIR";

/// How long a supervisor may take to start its program.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How much longer than the program's own limit the supervisor may take to end.
const STOP_SLACK: Duration = Duration::from_secs(5);
const INTERVAL: Duration = Duration::from_millis(5);

/// Runs the hidden subcommand `supervise` with the arguments after that word: `--dir DIR` and one of `--detach` (start in
/// the background, unless it runs), `--stop`, `--reload` (restart the program), `--status` (JSON on standard output),
/// or none (supervise until the end).
///
/// It must be the first thing that a process does, on the main thread, with no runtime made: the kernel ties the
/// program's life to the thread that starts it.
///
/// # Errors
/// Unknown arguments, no readable `service.json`, a program that cannot be started.
pub fn run(args: &[OsString]) -> Result<(), SuperviseError> {
    let SuperviseArgs { dir, action } = SuperviseArgs::parse(args)?;
    match action {
        Action::Supervise => {
            detach::leave_session();
            // From here on the folder may be moved: the working directory follows it, for the program as well.
            std::env::set_current_dir(&dir).map_err(SuperviseError::io("open", &dir))?;
            supervisor::supervise(Path::new(".")).inspect_err(|error| detach::report_error(error))
        }
        Action::Detach => start(&dir),
        Action::Launch => {
            let again: [OsString; 3] = [SUBCOMMAND.into(), "--dir".into(), dir.into()];
            detach::start_second(&process_title(), &again).map_err(|source| SuperviseError::Start { source })
        }
        Action::Stop => stop(&dir),
        Action::Reload => {
            if let Some(process) = status::supervisor(&dir)? {
                process.signal(Signal::HUP);
            }
            Ok(())
        }
        Action::Status => {
            let text = serde_json::to_string(&ServiceStatus::read(&dir)?).unwrap_or_default();
            writeln!(std::io::stdout(), "{text}").map_err(|source| SuperviseError::Start { source })
        }
    }
}

/// Starts a supervisor in the background. Does nothing when there is one.
fn start(dir: &Path) -> Result<(), SuperviseError> {
    // Read here as well, so that an error is reported directly and not only in the log.
    Service::read(dir)?;
    if is_supervised(dir)? {
        return Ok(());
    }
    let log = dir.join("log");
    let stderr = OpenOptions::new().create(true).append(true).open(&log).map_err(SuperviseError::io("open", &log))?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0(process_title()).args([SUBCOMMAND, "--launch", "--dir"]).arg(dir).stderr(stderr);
    detach::start(&mut command, START_LIMIT).map_err(|source| SuperviseError::Start { source })
}

/// Stops the supervisor and its program gracefully. Does nothing if there is none.
fn stop(dir: &Path) -> Result<(), SuperviseError> {
    // An unreadable service file must not prevent the stop.
    let limit = Service::read(dir).map_or(Service::STOP_LIMIT, |service| service.stop_limit()) + STOP_SLACK;
    let Some(process) = status::supervisor(dir)? else { return Ok(()) };
    process.signal(Signal::TERM);
    if !process.wait(limit) {
        // Its program dies with it.
        process.signal(Signal::KILL);
        process.wait(STOP_SLACK);
    }
    let deadline = Instant::now() + STOP_SLACK;
    while is_supervised(dir)? || status::child(dir)?.is_some() {
        if Instant::now() >= deadline {
            return Err(SuperviseError::Stuck { dir: dir.to_path_buf() });
        }
        std::thread::sleep(INTERVAL);
    }
    Ok(())
}

/// The program's name in the output of `ps`.
fn process_title() -> String {
    std::env::args().next().unwrap_or_else(|| "discod".to_owned())
}

/// Milliseconds since 1970.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn is_supervised(dir: &Path) -> Result<bool, SuperviseError> {
    let path = dir.join(status::LOCK);
    files::is_locked(&path).map_err(SuperviseError::io("lock", path))
}
