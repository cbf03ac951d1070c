//! Runs a shell command, for `$` and for `node.run`.
//!
//! Invariants:
//! - A command is the leader of its own process group, and dies with the thread that started it. When its time limit passes, or the
//!   future is dropped, the group is killed.
//! - If it ended by itself, its background processes (`server &`) continue, even when this process ends: their output always has a
//!   reader.
//! - The limit on output never blocks a command: all output is read, the beginning is retained, and the result has a flag.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tempfile::NamedTempFile;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};

/// Time to read a command's output after its end, if a background process keeps the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// A longer command is passed to the shell in a file: Linux allows at most 128 KiB in one argument (`MAX_ARG_STRLEN`).
const ARGUMENT_BYTES: usize = 100_000;
/// Runs the text of the file that is its first argument, with no arguments.
const RUN_FILE: &str = "eval \"shift\n$(cat \"$1\")\"";

/// A shell command with its environment and limits.
#[derive(Debug, Clone, Default)]
pub struct ShellCommand {
    /// The command for `sh`, of any length.
    pub text: String,
    /// Its working directory; `None`: that of this process.
    pub directory: Option<PathBuf>,
    /// Its whole environment.
    pub env: BTreeMap<String, String>,
    /// Its standard input; `None`: empty.
    pub stdin: Option<Vec<u8>>,
    /// The status of a pipeline is that of its last failed command. `bash` runs it if `sh` does not support this.
    pub pipefail: bool,
    /// The most bytes of standard output, and of standard error.
    pub output_bytes: usize,
    /// The time limit, after which it is killed; `None`: no limit.
    pub limit: Option<Duration>,
}

/// The result of a command.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ShellOutput {
    /// Exit status; 128 + signal for one that was killed.
    pub code: i32,
    /// The beginning, up to [`ShellCommand::output_bytes`].
    pub stdout: Vec<u8>,
    /// The beginning, up to [`ShellCommand::output_bytes`].
    pub stderr: Vec<u8>,
    /// An output exceeded the limit: the rest was dropped.
    pub truncated: bool,
    /// It was killed because its time limit passed.
    pub timed_out: bool,
}

/// Why a command was not run.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The shell could not be started or waited for.
    #[error("cannot run `sh`")]
    Shell(#[source] io::Error),
    /// No shell of this machine supports `pipefail`.
    #[error("`pipefail` needs a shell that supports it: neither `sh` nor `bash` of this machine does")]
    NoPipefail,
    /// A long command could not be written to a temporary file.
    #[error("cannot write a command of {bytes} bytes to a temporary file")]
    File {
        /// Its length.
        bytes: usize,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ShellCommand {
    /// Runs it and waits for its end. Dropping the future kills it and everything that it started.
    ///
    /// # Errors
    /// It could not be run. A command that fails is no error.
    pub async fn run(mut self) -> Result<ShellOutput, ShellError> {
        let shell = if self.pipefail { self.pipefail_shell().await? } else { "sh" };
        // Deleted when the command has ended.
        let file = match self.text.len() > ARGUMENT_BYTES {
            true => Some(written(self.text.clone()).await?),
            false => None,
        };
        let mut child =
            self.command(shell, file.as_ref().map(NamedTempFile::path)).spawn().map_err(ShellError::Shell)?;
        let mut group = Group::of(&child);
        let input = feed(child.stdin.take(), self.stdin.take().unwrap_or_default());
        let mut stdout = Capture::of(child.stdout.take(), self.output_bytes);
        let mut stderr = Capture::of(child.stderr.take(), self.output_bytes);
        let limit = self.limit;
        let deadline = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        let ended = {
            let talking = async { tokio::join!(stdout.drain(), stderr.drain(), input) };
            tokio::pin!(talking, deadline);
            let mut silent = false;
            let ended = loop {
                tokio::select! {
                    biased;
                    status = child.wait() => break Some(status.map_err(ShellError::Shell)?),
                    _ = &mut talking, if !silent => silent = true,
                    () = &mut deadline => break None,
                }
            };
            if ended.is_none() {
                group.kill();
            }
            if !silent {
                // No output within the time limit counts as the end.
                let _ = tokio::time::timeout(LAST_WORDS, &mut talking).await;
            }
            ended
        };
        let status = match ended {
            Some(status) => status,
            None => child.wait().await.map_err(ShellError::Shell)?,
        };
        // It has ended by itself, or with its whole group: its id may be reused.
        group.forget();
        if ended.is_some() {
            stdout.hand_over();
            stderr.hand_over();
        }
        Ok(ShellOutput {
            code: exit_code(status),
            truncated: stdout.truncated || stderr.truncated,
            stdout: stdout.kept,
            stderr: stderr.kept,
            timed_out: ended.is_none(),
        })
    }

    /// The shell, in its own process group.
    fn command(&self, shell: &str, file: Option<&Path>) -> Command {
        let mut process = Command::new(shell);
        if self.pipefail {
            process.args(["-o", "pipefail"]);
        }
        match file {
            None => process.arg("-c").arg(&self.text),
            Some(path) => process.args(["-c", RUN_FILE, "sh"]).arg(path),
        };
        process.env_clear().envs(&self.env).stdout(Stdio::piped()).stderr(Stdio::piped());
        process.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        process.process_group(0).kill_on_drop(true);
        if let Some(directory) = &self.directory {
            process.current_dir(directory);
        }
        #[cfg(target_os = "linux")]
        die_with_parent(&mut process);
        process
    }

    /// The first shell that supports `pipefail`: Debian's `sh` does not.
    async fn pipefail_shell(&self) -> Result<&'static str, ShellError> {
        for shell in ["sh", "bash"] {
            let mut question = Command::new(shell);
            question.args(["-o", "pipefail", "-c", ":"]).env_clear().envs(&self.env).kill_on_drop(true);
            question.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            if question.status().await.is_ok_and(|status| status.success()) {
                return Ok(shell);
            }
        }
        Err(ShellError::NoPipefail)
    }
}

/// A file with this text that no other user can read.
async fn written(text: String) -> Result<NamedTempFile, ShellError> {
    let bytes = text.len();
    let writing = tokio::task::spawn_blocking(move || {
        let mut file = NamedTempFile::new()?;
        file.write_all(text.as_bytes())?;
        Ok(file)
    });
    let written = writing.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    written.map_err(|source| ShellError::File { bytes, source })
}

/// Writes standard input. It is no error if the command does not read all of it.
async fn feed(pipe: Option<ChildStdin>, bytes: Vec<u8>) {
    if let Some(mut pipe) = pipe {
        let _ = pipe.write_all(&bytes).await;
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

/// Makes the command die with the thread that started it, even if this process is killed.
#[cfg(target_os = "linux")]
fn die_with_parent(process: &mut Command) {
    let parent = rustix::process::getpid();
    let before_exec = move || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // The parent may already have died.
        if rustix::process::getppid() != Some(parent) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        // The script thread has a low priority, which commands should not inherit; a failure to reset it is ignored.
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
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw))
    }

    /// The first process has not been reaped, so its id is still its own.
    fn kill(&self) {
        if let Some(group) = self.0 {
            // It may have ended just now.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }

    fn forget(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads a pipe to its end, and retains the beginning.
struct Capture<R> {
    /// None once it has ended.
    pipe: Option<R>,
    kept: Vec<u8>,
    limit: usize,
    truncated: bool,
}

impl<R: AsyncRead + Unpin + TryInto<Stdio, Error = io::Error>> Capture<R> {
    fn of(pipe: Option<R>, limit: usize) -> Self {
        Self { pipe, kept: Vec::new(), limit, truncated: false }
    }

    async fn drain(&mut self) {
        let Some(pipe) = &mut self.pipe else { return };
        let mut buffer = vec![0; 8192];
        // A read error counts as the end.
        while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
            let room = self.limit.saturating_sub(self.kept.len());
            self.kept.extend_from_slice(&buffer[..count.min(room)]);
            self.truncated |= count > room;
        }
        self.pipe = None;
    }

    /// Background processes may still write, and would be killed by their next write to a closed pipe. A separate process keeps
    /// reading, since this one may end first: `disco` after a function, the daemon for an upgrade.
    fn hand_over(&mut self) {
        let Some(pipe) = self.pipe.take() else { return };
        let reader = pipe.try_into().and_then(|pipe: Stdio| {
            let mut reader = Command::new("cat");
            reader.stdin(pipe).stdout(Stdio::null()).stderr(Stdio::null()).current_dir("/").process_group(0).spawn()
        });
        if let Err(error) = reader {
            tracing::warn!(%error, "no reader for a command's background processes: they end at their next output");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn shell(text: &str) -> ShellCommand {
        ShellCommand {
            text: text.to_owned(),
            env: crate::process_env(|_| true),
            output_bytes: 1 << 20,
            limit: Some(Duration::from_secs(20)),
            ..ShellCommand::default()
        }
    }

    #[tokio::test]
    async fn gives_status_and_output() {
        let output = shell("echo out; echo err >&2; exit 3").run().await.unwrap();
        assert_eq!((output.code, output.timed_out, output.truncated), (3, false, false));
        assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (b"out\n".as_slice(), b"err\n".as_slice()));
        assert_eq!(shell("kill -TERM $$").run().await.unwrap().code, 128 + 15);
    }

    #[tokio::test]
    async fn ends_the_whole_group_when_the_time_is_over() {
        let started = Instant::now();
        let limited = ShellCommand { limit: Some(Duration::from_secs(3)), ..shell("sleep 600 & echo $!; wait") };
        let output = limited.run().await.unwrap();
        assert!(output.timed_out && output.code == 128 + 9, "{output:?}");
        assert!(started.elapsed() < Duration::from_secs(10));
        until(|| is_gone(&output.stdout), "the group's end").await;
    }

    #[tokio::test]
    async fn ends_the_whole_group_when_no_one_waits_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let text = format!("sleep 600 & echo $! > {0}.tmp && mv {0}.tmp {0}; wait", file.display());
        let task = tokio::spawn(shell(&text).run());
        until(|| file.exists(), "the command").await;
        task.abort();
        let pid = std::fs::read(&file).unwrap();
        until(|| is_gone(&pid), "the group's end").await;
    }

    #[tokio::test]
    async fn what_stays_in_the_background_holds_nothing_up_and_goes_on_writing() {
        let folder = tempfile::tempdir().unwrap();
        let (ticks, go) = (folder.path().join("ticks"), folder.path().join("go"));
        // More than a pipe holds (64 KiB), so that a pipe that is open and not read would stop it as well.
        let text = format!(
            "sh -c 'until [ -e {go} ]; do sleep 0.02; done; for i in 1 2 3 4 5; do head -c 50000 /dev/zero; echo err >&2; echo x >> {ticks}; done' & echo started",
            go = go.display(),
            ticks = ticks.display()
        );
        let output = shell(&text).run().await.unwrap();
        assert_eq!((output.code, output.timed_out, output.stdout.as_slice()), (0, false, b"started\n".as_slice()));
        std::fs::write(&go, "").unwrap();
        let written = || std::fs::read_to_string(&ticks).unwrap_or_default();
        until(|| written().lines().count() == 5, "five ticks").await;
    }

    #[tokio::test]
    async fn keeps_the_beginning_of_too_much_output_and_says_so() {
        let output = shell("head -c 3000000 /dev/zero").run().await.unwrap();
        assert_eq!((output.stdout.len(), output.truncated, output.code), (1 << 20, true, 0));
        let output = shell("head -c 3000000 /dev/zero >&2; exit 1").run().await.unwrap();
        assert_eq!((output.stderr.len(), output.truncated, output.code), (1 << 20, true, 1));
    }

    #[tokio::test]
    async fn a_text_may_be_longer_than_an_argument() {
        let long = format!("printf %s {} | wc -c; echo \"$#:$0\"; cat\n\n", "x".repeat(300_000));
        let command = ShellCommand { stdin: Some(b"read".to_vec()), ..shell(&long) };
        let output = command.run().await.unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "300000\n0:sh\nread", "{:?}", output.stderr);
        let broken = format!("# {}\nexit 7", "x".repeat(300_000));
        assert_eq!(shell(&broken).run().await.unwrap().code, 7);
    }

    #[tokio::test]
    async fn standard_input_of_any_length_is_given_and_need_not_be_read() {
        let much = ShellCommand { stdin: Some(vec![b'x'; 300_000]), ..shell("wc -c") };
        assert_eq!(much.run().await.unwrap().stdout, b"300000\n");
        let unread = ShellCommand { stdin: Some(vec![b'x'; 300_000]), ..shell("exit 4") };
        assert_eq!(unread.run().await.unwrap().code, 4);
        assert_eq!(shell("cat").run().await.unwrap().stdout, b"");
    }

    #[tokio::test]
    async fn a_pipeline_fails_with_any_of_its_commands_where_that_is_asked_for() {
        let code = async |command: ShellCommand| command.run().await.map(|output| output.code);
        assert_eq!(code(shell("false | cat")).await.unwrap(), 0);
        match code(ShellCommand { pipefail: true, ..shell("false | cat") }).await {
            Ok(code) => assert_eq!(code, 1),
            Err(error) => assert!(matches!(error, ShellError::NoPipefail), "{error}"),
        }
    }

    /// Whether the process whose number is in the text is gone, or a zombie.
    fn is_gone(pid: &[u8]) -> bool {
        let pid = String::from_utf8_lossy(pid).trim().to_owned();
        std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
    }

    async fn until(wanted: impl Fn() -> bool, what: &str) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !wanted() {
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
