//! Commands that run on a machine.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::process::{ExitStatus, Stdio};

use russh::Sig;
use rustix::process::{Pid, Signal, getpid, getppid, kill_process_group, set_parent_process_death_signal, setsid};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::process::Child;

use super::environment::Environment;
use super::pty::{Pty, Size};
use super::server::Shared;

/// The command that starts the machine's services, if it exists.
const SERVICES: &str = "service/start";

/// A command's output.
pub(super) type Output = Box<dyn AsyncRead + Send + Unpin>;
type Input = Box<dyn AsyncWrite + Send + Unpin>;

/// A running command.
pub(super) struct Command {
    child: Child,
    group: Group,
    input: Option<Input>,
    output: Option<(Output, Output)>,
    pty: Option<Pty>,
}

/// The process group of a command. Processes that the command starts in a new session are not part of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group(Option<Pid>);

/// Starts a command with `sh -c`, or a login shell if there is no command.
pub(super) fn spawn(shared: &Shared, command: Option<&[u8]>, terminal: Option<&Size>) -> io::Result<Command> {
    let environment = shared.environment()?;
    let mut builder = match command {
        Some(command) => {
            let mut builder = tokio::process::Command::new("/bin/sh");
            builder.arg("-c").arg(OsStr::from_bytes(command));
            builder
        }
        None => {
            let shell = environment.shell();
            let mut builder = tokio::process::Command::new(shell);
            // The mark of a login shell.
            builder.arg0(format!("-{}", shell.file_name().unwrap_or_default().display()));
            builder
        }
    };
    prepare(&mut builder, &environment);
    let Some(size) = terminal else {
        builder.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        bind_life(&mut builder, false);
        let mut child = builder.spawn()?;
        let missing = || io::Error::other("a pipe is missing");
        let input: Input = Box::new(child.stdin.take().ok_or_else(missing)?);
        let stdout: Output = Box::new(child.stdout.take().ok_or_else(missing)?);
        let stderr: Output = Box::new(child.stderr.take().ok_or_else(missing)?);
        let group = Group::new(&child);
        return Ok(Command { child, group, input: Some(input), output: Some((stdout, stderr)), pty: None });
    };
    let (pty, slave) = Pty::open(size)?;
    builder.env("TERM", &size.term);
    builder.stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave);
    bind_life(&mut builder, true);
    let child = builder.spawn()?;
    // The builder still holds the command's side of the terminal.
    drop(builder);
    let group = Group::new(&child);
    let output: (Output, Output) = (Box::new(pty.clone()), Box::new(tokio::io::empty()));
    Ok(Command { child, group, input: Some(Box::new(pty.clone())), output: Some(output), pty: Some(pty) })
}

/// Starts the machine's services.
pub(super) fn start_services(shared: &Shared) -> Option<Child> {
    let environment = shared.environment();
    let environment = environment.inspect_err(|error| tracing::error!(%error, "cannot start services")).ok()?;
    let path = environment.prefix().join(SERVICES);
    if !path.exists() {
        return None;
    }
    let mut builder = tokio::process::Command::new(&path);
    prepare(&mut builder, &environment);
    builder.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).process_group(0);
    bind_life(&mut builder, false);
    builder.spawn().inspect_err(|error| tracing::error!(%error, path = %path.display(), "cannot start services")).ok()
}

fn prepare(builder: &mut tokio::process::Command, environment: &Environment) {
    builder.env_clear().envs(environment.entries()).current_dir(environment.home());
}

/// Ties the command's life to this process, and gives it its terminal.
fn bind_life(builder: &mut tokio::process::Command, on_terminal: bool) {
    let machine = getpid();
    let set_up = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before that call.
        if getppid() != Some(machine) {
            return Err(io::Error::from(rustix::io::Errno::SRCH));
        }
        if on_terminal {
            setsid()?;
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
        }
        Ok(())
    };
    #[expect(unsafe_code, reason = "std has no other way to set the death signal of a child")]
    // SAFETY: between fork and exec only system calls are made, without allocating and without locks.
    unsafe {
        builder.pre_exec(set_up);
    }
}

impl Command {
    /// Its standard input.
    pub(super) fn take_input(&mut self) -> Option<Input> {
        self.input.take()
    }

    /// Its standard output and standard error; on a terminal the second is empty.
    pub(super) fn take_output(&mut self) -> (Output, Output) {
        self.output.take().unwrap_or_else(|| (Box::new(tokio::io::empty()), Box::new(tokio::io::empty())))
    }

    /// Its terminal.
    pub(super) fn pty(&self) -> Option<Pty> {
        self.pty.clone()
    }

    pub(super) fn group(&self) -> Group {
        self.group
    }

    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Kills it with everything that it started and did not detach.
    pub(super) async fn kill(mut self) {
        if let Some(group) = self.group.0 {
            // No such group: it has ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait().await;
    }
}

impl Group {
    fn new(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    /// Forwards a signal of the client. Unknown ones are ignored, as the protocol requires.
    pub(super) fn signal(self, signal: &Sig) {
        let signal = match signal {
            Sig::ABRT => Signal::ABORT,
            Sig::ALRM => Signal::ALARM,
            Sig::FPE => Signal::FPE,
            Sig::HUP => Signal::HUP,
            Sig::ILL => Signal::ILL,
            Sig::INT => Signal::INT,
            Sig::KILL => Signal::KILL,
            Sig::PIPE => Signal::PIPE,
            Sig::QUIT => Signal::QUIT,
            Sig::SEGV => Signal::SEGV,
            Sig::TERM => Signal::TERM,
            Sig::USR1 => Signal::USR1,
            Sig::Custom(_) => return,
        };
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, signal);
        }
    }
}
