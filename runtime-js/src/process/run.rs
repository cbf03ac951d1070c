//! Runs a command so that nothing of it is left behind when the one who waits for it goes away.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use crate::HostError;

/// How long output is still read after the command itself has ended: something in the background may hold it open.
const TAIL: Duration = Duration::from_millis(500);

/// What a command left.
pub(super) struct Output {
    /// Exit status; 128 + signal for one that was killed.
    pub(super) code: i32,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    /// There was more output than allowed: the rest was dropped.
    pub(super) truncated: bool,
}

/// Runs `command` by `sh -c`. Dropping the future kills it and all that it started.
pub(super) async fn run(
    command: &str,
    directory: Option<&Path>,
    env: &BTreeMap<String, String>,
    output_limit: usize,
) -> Result<Output, HostError> {
    let mut process = Command::new("sh");
    process.arg("-c").arg(command).env_clear().envs(env);
    process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own, so that all of it can be killed.
    process.process_group(0).kill_on_drop(true);
    if let Some(directory) = directory {
        process.current_dir(directory);
    }
    #[cfg(target_os = "linux")]
    die_with_parent(&mut process);
    let mut child = process.spawn().map_err(|error| HostError::new(format!("cannot start `sh`: {error}")))?;
    let mut group = Group::of(&child);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());

    let mut output = Output { code: -1, stdout: Vec::new(), stderr: Vec::new(), truncated: false };
    let status = {
        let reading = async {
            let (first, second) = tokio::join!(
                read(stdout, &mut output.stdout, output_limit),
                read(stderr, &mut output.stderr, output_limit)
            );
            first || second
        };
        tokio::pin!(reading);
        let mut truncated = None;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status,
                cut = &mut reading, if truncated.is_none() => truncated = Some(cut),
            }
        };
        if truncated.is_none() {
            truncated = tokio::time::timeout(TAIL, reading).await.ok();
        }
        output.truncated = truncated.unwrap_or(false);
        status
    };
    // It has ended by itself: what it left in the background is meant to stay.
    group.spare();
    output.code = exit_code(status.map_err(|error| HostError::new(format!("cannot wait for the command: {error}")))?);
    Ok(output)
}

/// Reads all, keeps `limit` bytes; true if there were more.
async fn read(from: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>, limit: usize) -> bool {
    let Some(mut from) = from else { return false };
    let mut truncated = false;
    let mut buffer = [0; 8192];
    // An error of a pipe means that there is nothing more to read.
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let room = limit.saturating_sub(into.len());
        into.extend_from_slice(&buffer[..count.min(room)]);
        truncated |= count > room;
    }
    truncated
}

fn exit_code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

/// The command dies with the thread that started it, also when this process is killed.
#[cfg(target_os = "linux")]
fn die_with_parent(process: &mut Command) {
    let parent = rustix::process::getpid();
    let before_exec = move || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // The parent may have died before.
        if rustix::process::getppid() != Some(parent) {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        // The script thread gives way to others, which commands need not; where that cannot be undone, so be it.
        let _ = rustix::process::setpriority_process(None, 0);
        Ok(())
    };
    #[expect(unsafe_code, reason = "there is no safe way to run code between fork and exec")]
    // SAFETY: makes system calls alone and touches no memory that another thread could have locked.
    unsafe {
        process.pre_exec(before_exec);
    }
}

/// Kills a process group when dropped.
struct Group(Option<rustix::process::Pid>);

impl Group {
    fn of(child: &tokio::process::Child) -> Self {
        Self(child.id().and_then(|id| rustix::process::Pid::from_raw(id as i32)))
    }

    fn spare(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended just now.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}
