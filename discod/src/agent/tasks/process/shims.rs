//! Shims: starting them, waiting for their ends, asking them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use disco_shim::{Ended, Error, Exit, Folder, Probe, Probed, Spec, Task, boot_id};
use parking_lot::Mutex;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::spec;
use crate::agent::tasks::driver::{Cause, End, NotStarted, Start};

/// How much longer than its command a probe may take: it ends what the command started.
const SLACK: Duration = Duration::from_secs(12);
/// Bytes of a probe's answer.
const ANSWER: u64 = 64 << 10;
/// Within which a shim answers to a start, unless the machine is broken.
const STARTS_WITHIN: Duration = Duration::from_secs(30);
/// How often the end of a shim is looked for where it cannot be awaited.
const LOOK: Duration = Duration::from_millis(200);

/// The program that is the shims and the probes.
#[derive(Clone, Debug)]
pub(in crate::agent::tasks) struct Program(PathBuf);

/// The shims that this process started, until they have ended: it must wait for its children.
pub(super) struct Shims {
    program: Program,
    children: Mutex<BTreeMap<(u64, u64), Child>>,
}

// === impl Program ===

impl Program {
    /// The daemon itself, also after its file was replaced.
    pub(in crate::agent::tasks) fn own() -> Self {
        Self("/proc/self/exe".into())
    }

    /// Another one with the same subcommands.
    #[cfg(test)]
    pub(in crate::agent::tasks) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    fn command(&self, words: &[OsString]) -> Command {
        let mut command = Command::new(&self.0);
        command.arg0("discod").args(words);
        command
    }
}

// === impl Shims ===

impl Shims {
    pub(super) fn new(program: Program) -> Self {
        Self { program, children: Mutex::default() }
    }

    /// Starts a task. Blocks until it was executed, or could not be.
    pub(super) fn start(&self, folder: &Folder, key: (u64, u64), spec: &Spec) -> Result<Start, NotStarted> {
        let command = self.program.command(&["shim".into(), folder.path().into()]);
        let refused = |error: disco_shim::Error| NotStarted::Refused(format!("its shim does not start: {error}"));
        let (mut child, start) = disco_shim::Start::task(command, spec, STARTS_WITHIN).map_err(refused)?;
        if let disco_shim::Start::Failed(why) = start {
            // It ends at once; a zombie would stay otherwise.
            let _status = child.wait();
            return Err(spec::not_started(why));
        }
        self.children.lock().insert(key, child);
        match folder.task().map_err(refused)? {
            Some(task) => Ok(started(key.1, &task, None)),
            None => Err(NotStarted::Refused("its shim has recorded nothing".to_owned())),
        }
    }

    /// The start in this folder; `None` if the shim started nothing there.
    pub(super) fn look(folder: &Folder, number: u64) -> Result<Option<Start>> {
        let task = match folder.task() {
            Ok(Some(task)) => task,
            Ok(None) => return Ok(None),
            // Nothing is known of it, and nothing can be: it counts as a start that ended.
            Err(error @ Error::Content { .. }) => {
                tracing::error!(%error, "the record of a task's start is damaged");
                return Ok(Some(Start { number, pid: 0, at_ms: unknown().at_ms, end: Some(unknown()) }));
            }
            Err(error) => return Err(error.into()),
        };
        let end = match exit(folder)? {
            Some(end) => Some(end),
            // The end is recorded before the shim ends, so a second look finds it.
            None if !task.shim.runs()? => Some(exit(folder)?.unwrap_or_else(|| lost(&task))),
            None => None,
        };
        Ok(Some(started(number, &task, end)))
    }

    /// Whether the shim of a start was killed, so that something of its task may be left.
    pub(super) fn was_killed(folder: &Folder) -> Result<bool> {
        match folder.task() {
            Ok(Some(task)) => Ok(exit(folder)?.is_none() && !task.shim.runs()? && exit(folder)?.is_none()),
            // Damaged: its control group is not known.
            Ok(None) | Err(Error::Content { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns when the shim of a start has ended. Its end is absent if it was killed.
    ///
    /// # Errors
    /// It cannot be known whether it runs.
    pub(super) async fn ended(&self, folder: &Folder, key: (u64, u64)) -> Result<Option<End>> {
        let task = match folder.task() {
            Ok(Some(task)) => task,
            Ok(None) => return Ok(None),
            Err(error @ Error::Content { .. }) => {
                tracing::error!(%error, "the record of a task's start is damaged");
                return Ok(Some(unknown()));
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(handle) = task.shim.open()? {
            wait(handle, &task).await;
        }
        self.reap(key)?;
        exit(folder)
    }

    /// Takes the status of a child that has ended.
    fn reap(&self, key: (u64, u64)) -> Result<()> {
        let mut children = self.children.lock();
        if let Some(child) = children.get_mut(&key) {
            anyhow::ensure!(child.try_wait()?.is_some(), "a shim still runs");
            children.remove(&key);
        }
        Ok(())
    }

    /// A program beside a task, which is described to it on its standard input.
    pub(super) fn session(&self) -> tokio::process::Command {
        self.program.command(&["session".into()]).into()
    }

    /// Runs a command that checks a task. It is not waited for if this is dropped, and ends at its limit all the same.
    pub(super) async fn check(&self, probe: Probe) -> Result<Probed> {
        let command = self.program.command(&["probe".into()]);
        let limit = Duration::from_millis(probe.limit_ms).saturating_add(SLACK);
        tokio::spawn(async move {
            let mut command = tokio::process::Command::from(command);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
            let mut child = command.spawn().context("starting a probe")?;
            let mut answer = Vec::new();
            let talk = async {
                if let Some(mut stdin) = child.stdin.take() {
                    stdin.write_all(&serde_json::to_vec(&probe)?).await?;
                }
                if let Some(stdout) = child.stdout.take() {
                    stdout.take(ANSWER).read_to_end(&mut answer).await?;
                }
                child.wait().await?;
                anyhow::Ok(())
            };
            tokio::time::timeout(limit, talk).await.context("the probe does not end")??;
            serde_json::from_slice(&answer).context("the probe has ended without an answer")
        })
        .await?
    }
}

fn started(number: u64, task: &Task, end: Option<End>) -> Start {
    Start { number, pid: task.process.pid.cast_unsigned(), at_ms: task.started_at_ms, end }
}

/// How the start in this folder ended, if its shim has recorded that.
fn exit(folder: &Folder) -> Result<Option<End>> {
    match folder.exit() {
        Ok(exit) => Ok(exit.as_ref().map(end)),
        Err(error @ Error::Content { .. }) => {
            tracing::error!(%error, "the record of a task's end is damaged");
            Ok(Some(unknown()))
        }
        Err(error) => Err(error.into()),
    }
}

fn end(exit: &Exit) -> End {
    let cause = match exit.ended {
        Ended::ByItself => Cause::ByItself,
        Ended::Stopped => Cause::Stopped,
        Ended::Killed => Cause::Killed,
        Ended::Fenced => Cause::Fenced,
    };
    let (code, signal) = (exit.code, exit.signal.clone());
    End { cause, code, signal, out_of_memory: exit.out_of_memory, at_ms: exit.ended_at_ms }
}

/// The end of a task whose shim ended before it.
pub(super) fn lost(task: &Task) -> End {
    let same_boot = boot_id().is_ok_and(|boot| boot == task.shim.boot);
    let cause = if same_boot { Cause::ShimKilled } else { Cause::MachineRestarted };
    // When exactly is not known; the last possible moment is now.
    End { cause, ..unknown() }
}

/// The end of a task of which nothing is known.
pub(super) fn unknown() -> End {
    let at_ms = u64::try_from(crate::clock::unix_ms()).unwrap_or(0);
    End { cause: Cause::ShimKilled, code: None, signal: None, out_of_memory: false, at_ms }
}

/// Until a process has ended.
async fn wait(handle: OwnedFd, task: &Task) {
    #[expect(unsafe_code, reason = "the safe way to watch a descriptor is deprecated")]
    // SAFETY: an `OwnedFd` has the same descriptor all its life, and owns it.
    let watched = unsafe { AsyncFd::register(handle) };
    if let Ok(watched) = watched
        && watched.readable().await.is_ok()
        && matches!(task.shim.runs(), Ok(false))
    {
        return;
    }
    // What cannot be known may well run.
    while task.shim.runs().unwrap_or(true) {
        tokio::time::sleep(LOOK).await;
    }
}
