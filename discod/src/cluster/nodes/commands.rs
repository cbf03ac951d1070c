//! Commands that operators and scripts run on this node.
//!
//! A command is a child of the daemon in its own process group. It does not outlive its request: when its time limit
//! passes, the request is dropped or the daemon dies, it is killed. Processes that it left in the background (`server
//! &`) when it ended by itself continue.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use disco_provider::local::OwnMachine;
use disco_runtime_js::{ShellCommand, ShellError, ShellOutput, process_env};
use thiserror::Error;
use tokio::sync::Semaphore;

/// Time limit of a command if the request sets none.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest time limit that a request may set.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(3600);
/// Retained bytes of standard output, and of standard error.
pub const OUTPUT_BYTES: usize = 1 << 20;

/// Concurrent commands; others wait. For the whole process, like the machine.
static SLOTS: Semaphore = Semaphore::const_new(8);
/// How long a command waits for a slot.
const TURN: Duration = Duration::from_secs(30);
/// Why a command was not run.
#[derive(Debug, Error)]
pub enum CommandError {
    /// Too many other commands run.
    #[error("{} commands are running on this node, and none of them ended within {} s", 8, TURN.as_secs())]
    Busy,
    /// The shell could not be started or waited for.
    #[error(transparent)]
    Shell(#[from] ShellError),
}

/// Runs `sh -c command` and waits for its end.
///
/// # Errors
/// The command could not be run. A command that fails is not an error.
pub async fn run(command: &str, limit: Duration) -> Result<ShellOutput, CommandError> {
    let turn = tokio::time::timeout(TURN, SLOTS.acquire()).await;
    // The semaphore is never closed.
    let _turn = turn.map_err(|_| CommandError::Busy)?.map_err(|_| CommandError::Busy)?;
    // The shell dies with the thread that starts it: a worker of the async runtime, which lives as long as the daemon.
    let shell = ShellCommand {
        text: command.to_owned(),
        directory: Some(folder()),
        env: environment(),
        output_bytes: OUTPUT_BYTES,
        limit: Some(limit.min(MAX_TIMEOUT)),
        ..ShellCommand::default()
    };
    Ok(shell.run().await?)
}

/// The process's own environment without the daemon's settings, which do not concern commands.
fn environment() -> BTreeMap<String, String> {
    let mut environment = process_env(|name| !name.starts_with("DISCOD_"));
    if let Ok(Some(machine)) = OwnMachine::find() {
        let places = machine.environment().into_iter();
        environment
            .extend(places.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))));
    }
    environment
}

fn folder() -> PathBuf {
    match OwnMachine::find() {
        // The machine's folder may have moved since this process started.
        Ok(Some(machine)) => return machine.home(),
        // The folder was removed: run in what is left of it, and in no other folder.
        Err(_) => return PathBuf::from("."),
        Ok(None) => {}
    }
    let home = std::env::var_os("HOME").map(PathBuf::from);
    home.filter(|home| home.is_dir()).unwrap_or_else(|| PathBuf::from("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn runs_at_home_without_the_daemons_settings() {
        let output = run("pwd; env | grep ^DISCOD_; exit 3", DEFAULT_TIMEOUT).await.unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!((output.code, stdout.trim_end()), (3, folder().canonicalize().unwrap().to_str().unwrap()));
    }

    #[tokio::test]
    async fn ends_at_the_time_limit_and_reports_dropped_output() {
        let output = run("head -c 3000000 /dev/zero", DEFAULT_TIMEOUT).await.unwrap();
        assert!(output.truncated && output.stdout.len() == OUTPUT_BYTES, "{}", output.code);
        assert!(run("sleep 600", Duration::from_millis(50)).await.unwrap().timed_out);
    }
}
