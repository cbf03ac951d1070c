//! Commands that operators and scripts run on this node.
//!
//! A command is a child of the daemon in a process group of its own. It does not outlive its request: when the time is
//! over, the request is dropped or the daemon dies, it is killed. What it left in the background (`server &`) when it
//! ended by itself goes on.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, set_parent_process_death_signal};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// How long a command may take where the request does not say.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest time that a request may ask for.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(3600);
/// Bytes kept of standard output, and of standard error.
pub const OUTPUT_BYTES: usize = 1 << 20;

/// Commands that run at the same time; others wait. Of the whole process, as the machine is.
static SLOTS: Semaphore = Semaphore::const_new(8);
/// How long a command waits for its turn.
const TURN: Duration = Duration::from_secs(30);
/// After the end of a command: time to read what it wrote, while something in the background keeps the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What a command left.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Exit status; 128 + signal for one that was killed.
    pub code: i32,
    /// The first [`OUTPUT_BYTES`].
    pub stdout: Vec<u8>,
    /// The first [`OUTPUT_BYTES`].
    pub stderr: Vec<u8>,
    /// There was more output.
    pub truncated: bool,
    /// It was killed since its time was over.
    pub timed_out: bool,
}

/// Why a command was not run.
#[derive(Debug, Error)]
pub enum CommandError {
    /// Too many others run.
    #[error("{} commands run on this node already, and none ended within {} s", 8, TURN.as_secs())]
    Busy,
    /// The shell could not be started or waited for.
    #[error("cannot run `sh`")]
    Shell(#[source] io::Error),
}

/// Runs `sh -c command` and waits for its end.
///
/// # Errors
/// It could not be run. A command that fails is no error.
pub async fn run(command: &str, limit: Duration) -> Result<Output, CommandError> {
    let turn = tokio::time::timeout(TURN, SLOTS.acquire()).await;
    // Closed it is never.
    let _turn = turn.map_err(|_| CommandError::Busy)?.map_err(|_| CommandError::Busy)?;
    let mut child = shell(command).spawn().map_err(CommandError::Shell)?;
    let mut group = Group::of(&child);
    let deadline = Instant::now() + limit.min(MAX_TIMEOUT);
    let mut stdout = Capture::of(child.stdout.take());
    let mut stderr = Capture::of(child.stderr.take());

    let mut drained = false;
    let ended = {
        let reading = async { tokio::join!(stdout.drain(), stderr.drain()) };
        tokio::pin!(reading);
        let ended = loop {
            tokio::select! {
                biased;
                status = child.wait() => break Some(status.map_err(CommandError::Shell)?),
                _ = &mut reading, if !drained => drained = true,
                () = tokio::time::sleep_until(deadline) => break None,
            }
        };
        if ended.is_none() {
            group.kill();
        }
        if !drained {
            // Nothing more within the time is nothing at all.
            let _ = tokio::time::timeout(LAST_WORDS, &mut reading).await;
        }
        ended
    };
    let status = match ended {
        Some(status) => status,
        None => child.wait().await.map_err(CommandError::Shell)?,
    };
    group.forget();
    Ok(Output {
        code: code(status),
        truncated: stdout.truncated || stderr.truncated,
        stdout: stdout.kept,
        stderr: stderr.kept,
        timed_out: ended.is_none(),
    })
}

/// The shell in a group of its own, without the daemon's own settings and input.
fn shell(text: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(text)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .current_dir(folder())
        .process_group(0)
        .kill_on_drop(true);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DISCOD_") {
            command.env_remove(name);
        }
    }
    #[expect(unsafe_code, reason = "only the child itself can ask to die with its parent")]
    // SAFETY: between fork and exec only one system call is made; it touches no memory of the process. The parent that is
    // meant is the thread that forks: a worker of the async runtime, which lives as long as the daemon.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
    command
}

fn folder() -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    home.filter(|home| home.is_dir()).unwrap_or_else(|| PathBuf::from("/"))
}

fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

/// Kills a command with all that it started when the request for it is dropped.
struct Group(Option<Pid>);

// === impl Group ===

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    /// The first process has not been waited for, so its number is still its own.
    fn kill(&self) {
        if let Some(group) = self.0 {
            // It fails where nobody is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// It has ended: its number may become another's.
    fn forget(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads a pipe to its end, and keeps the beginning.
struct Capture<R> {
    pipe: Option<R>,
    kept: Vec<u8>,
    truncated: bool,
}

// === impl Capture ===

impl<R: AsyncRead + Unpin> Capture<R> {
    fn of(pipe: Option<R>) -> Self {
        Self { pipe, kept: Vec::new(), truncated: false }
    }

    async fn drain(&mut self) {
        let Some(pipe) = &mut self.pipe else { return };
        let mut buffer = vec![0; 8192];
        // A pipe that cannot be read any more has ended as well.
        while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
            let room = OUTPUT_BYTES - self.kept.len();
            self.kept.extend_from_slice(&buffer[..count.min(room)]);
            self.truncated |= count > room;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gives_status_and_output() {
        let output = run("echo out; echo err >&2; exit 3", DEFAULT_TIMEOUT).await.unwrap();
        assert_eq!((output.code, output.timed_out, output.truncated), (3, false, false));
        assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (b"out\n".as_slice(), b"err\n".as_slice()));
        assert_eq!(run("kill -TERM $$", DEFAULT_TIMEOUT).await.unwrap().code, 128 + 15);
    }

    #[tokio::test]
    async fn ends_the_whole_group_when_the_time_is_over() {
        let started = Instant::now();
        let output = run("sleep 600 & echo $!; wait", Duration::from_millis(300)).await.unwrap();
        assert!(output.timed_out && output.code == 128 + 9, "{output:?}");
        assert!(started.elapsed() < Duration::from_secs(10));
        ends(&output.stdout).await;
    }

    #[tokio::test]
    async fn ends_the_whole_group_when_nobody_waits_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let command = format!("sleep 600 & echo $! > {0}.tmp && mv {0}.tmp {0}; wait", file.display());
        let task = tokio::spawn(async move { run(&command, DEFAULT_TIMEOUT).await });
        let deadline = Instant::now() + Duration::from_secs(10);
        while !file.exists() {
            assert!(Instant::now() < deadline, "the command did not start");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        task.abort();
        ends(&std::fs::read(&file).unwrap()).await;
    }

    #[tokio::test]
    async fn does_not_wait_for_what_stays_in_the_background() {
        let started = Instant::now();
        let output = run("sleep 5 & echo started", DEFAULT_TIMEOUT).await.unwrap();
        assert_eq!((output.code, output.stdout.as_slice()), (0, b"started\n".as_slice()));
        assert!(started.elapsed() < Duration::from_secs(4));
    }

    #[tokio::test]
    async fn keeps_the_beginning_of_too_much_output() {
        let output = run("head -c 3000000 /dev/zero", DEFAULT_TIMEOUT).await.unwrap();
        assert_eq!((output.stdout.len(), output.truncated, output.code), (OUTPUT_BYTES, true, 0));
    }

    /// Waits until the process, whose number is in the text, is gone or a zombie.
    async fn ends(pid: &[u8]) {
        let pid = String::from_utf8_lossy(pid).trim().to_owned();
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if stat.is_empty() || stat.contains(") Z ") {
                return;
            }
            assert!(Instant::now() < deadline, "process {pid} still runs: {stat}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
