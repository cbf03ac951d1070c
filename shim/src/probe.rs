//! `discod probe`: runs one command for a short time, and ends it with everything that it has started.
//!
//! A probe is a process of its own, as it must be the subreaper of what it runs: a command that is over time may have
//! left processes in other sessions. It writes no file.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::WaitOptions;
use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::launch::launch;
use crate::process::boottime_ms;
use crate::run::{chain, leave_the_daemon, signal_name};
use crate::{Error, Spec, descendants};

/// Bytes of the output that are retained, the last ones.
const OUTPUT: usize = 1_024;
/// Bytes that are read at once.
const BUFFER: usize = 4_096;
/// How long killed processes may take to end.
const CLEAR_LIMIT_MS: u64 = 10_000;
/// How often what is left is killed again, as it may have forked meanwhile.
const CLEAR_MS: u64 = 10;

/// What a probe runs. It is passed on standard input as JSON.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// The command. Of its control group, only an existing one is used: that of the task, whose limits apply to the
    /// command as well.
    pub command: Spec,
    /// Milliseconds after which the command is killed.
    pub limit_ms: u64,
}

/// The result of a probe: one line of JSON on its standard output.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Probed {
    /// The command has ended by itself.
    Ended {
        /// Its exit status; absent if a signal ended it.
        code: Option<i32>,
        /// The signal that ended it, such as `SIGSEGV`.
        signal: Option<String>,
        /// The last bytes that it wrote.
        output: String,
    },
    /// The command was killed at its limit.
    TimedOut {
        /// The last bytes that it wrote.
        output: String,
    },
    /// The command could not be started; why, in words.
    Failed(String),
}

/// Runs the probe that is on standard input, and writes its result to standard output. To be called by a process of one
/// thread that does nothing else.
///
/// # Errors
/// The probe cannot be read, or the result cannot be written.
pub fn probe() -> Result<(), Error> {
    leave_the_daemon()?;
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text)?;
    let probe: Probe = serde_json::from_slice(&text).map_err(Error::Spec)?;
    let result = run(&probe).unwrap_or_else(|error| Probed::Failed(chain(&error)));
    let mut line = serde_json::to_vec(&result).map_err(Error::Spec)?;
    line.push(b'\n');
    let mut stdout = std::io::stdout();
    Ok(stdout.write_all(&line).and_then(|()| stdout.flush())?)
}

fn run(probe: &Probe) -> Result<Probed, Error> {
    let limit_ms = boottime_ms().saturating_add(probe.limit_ms);
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.thread_block().map_err(std::io::Error::from)?;
    let signals =
        SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(std::io::Error::from)?;
    let cgroup = probe.command.cgroup.as_deref().and_then(Cgroup::existing);
    let (child, pipes) = launch(&probe.command, cgroup.as_ref())?;
    let mut output = Output { pipes: pipes.into_iter().map(|(_, pipe)| pipe).collect(), last: Vec::new() };
    for pipe in &output.pipes {
        rustix::io::ioctl_fionbio(pipe, true).map_err(std::io::Error::from)?;
    }
    let mut status = None;
    while status.is_none() && boottime_ms() < limit_ms {
        wait(&signals, &output.pipes, limit_ms.saturating_sub(boottime_ms()))?;
        while let Ok(Some(_)) = signals.read_signal() {}
        output.read();
        status = reap(child.id());
    }
    let clear_ms = boottime_ms() + CLEAR_LIMIT_MS;
    while descendants::kill() > 0 && boottime_ms() < clear_ms {
        std::thread::sleep(std::time::Duration::from_millis(CLEAR_MS));
        let _killed = reap(child.id());
    }
    output.read();
    let output = String::from_utf8_lossy(&output.last).into_owned();
    Ok(match status {
        Some(status) => Probed::Ended { code: status.code(), signal: status.signal().map(signal_name), output },
        None => Probed::TimedOut { output },
    })
}

/// Until the command has ended or written something, or the time is over.
fn wait(signals: &SignalFd, pipes: &[OwnedFd], limit_ms: u64) -> Result<(), Error> {
    let mut awaited = vec![PollFd::new(signals, PollFlags::IN)];
    awaited.extend(pipes.iter().map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)));
    // Bounded, as the clock of `poll` rests while the machine sleeps.
    let limit = Timespec::try_from(std::time::Duration::from_millis(limit_ms.min(1_000))).ok();
    match poll(&mut awaited, limit.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(std::io::Error::from(error).into()),
    }
}

/// The status of the command, if it has ended; reaps what it left to this process too.
fn reap(command: u32) -> Option<ExitStatus> {
    let mut found = None;
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get().cast_unsigned() == command => {
                found = Some(ExitStatus::from_raw(status.as_raw()));
            }
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => (),
            Ok(None) | Err(_) => return found,
        }
    }
}

/// What the command writes.
struct Output {
    pipes: Vec<OwnedFd>,
    last: Vec<u8>,
}

impl Output {
    /// Takes what is there.
    fn read(&mut self) {
        let mut buffer = [0; BUFFER];
        let last = &mut self.last;
        self.pipes.retain(|pipe| {
            // Bounded: a command that writes without end must not hold up its own limit.
            for _ in 0..64 {
                match rustix::io::read(pipe, &mut buffer) {
                    Ok(0) => return false,
                    Ok(length) => {
                        last.extend_from_slice(&buffer[..length]);
                        last.drain(..last.len().saturating_sub(OUTPUT));
                    }
                    Err(rustix::io::Errno::AGAIN) => return true,
                    Err(rustix::io::Errno::INTR) => (),
                    Err(_) => return false,
                }
            }
            true
        });
    }
}
