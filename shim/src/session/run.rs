//! The life of a session.

use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions};

use super::streams::Ends;
use super::{Answer, Finish, Frames, INPUT, OUTPUT, PART, Request, Session};
use crate::cgroup::Cgroup;
use crate::launch::launch_with;
use crate::process::boottime_ms;
use crate::run::{chain, leave_the_daemon};
use crate::spec::signal;
use crate::{Error, descendants};

/// How long killed processes may take to end.
const CLEAR_LIMIT_MS: u64 = 10_000;
/// How often what is left is killed again, as it may have forked meanwhile.
const CLEAR_MS: u64 = 5;
/// Bytes of input of which the sender is not notified yet, at most.
const UNREPORTED: usize = 16 << 10;

/// Runs the session that the first frame on standard input describes. To be called by a process of one thread that does nothing
/// else.
///
/// # Errors
/// The frames cannot be read or written.
pub fn run() -> Result<(), Error> {
    leave_the_daemon()?;
    for stream in [rustix::stdio::stdin(), rustix::stdio::stdout()] {
        rustix::io::ioctl_fionbio(stream, true).map_err(std::io::Error::from)?;
    }
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGCHLD);
    mask.thread_block().map_err(std::io::Error::from)?;
    let signals =
        SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(std::io::Error::from)?;
    let mut peer = Peer::default();
    let session = loop {
        match peer.frames.request()? {
            Some(Request::Start(session)) => break session,
            Some(_) => return Err(std::io::Error::from(ErrorKind::InvalidData).into()),
            None if peer.is_gone => return Ok(()),
            None => {
                wait(&mut [PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::IN)], None)?;
                peer.read();
            }
        }
    };
    match Running::start(&session) {
        Ok(running) => running.until_ended(peer, &signals),
        Err(error) => {
            let missing = matches!(&error, Error::Launch { source, .. } if source.kind() == ErrorKind::NotFound);
            peer.send(&Answer::Ended(Finish::NotExecuted { missing, why: chain(&error) }))?;
            peer.flush()
        }
    }
}

/// The daemon at the other end.
#[derive(Default)]
struct Peer {
    frames: Frames,
    /// Answers that it has not read yet.
    waiting: Vec<u8>,
    is_gone: bool,
}

struct Running {
    child: Child,
    ends: Ends,
    /// Readable when the task's first process has ended; absent once it has.
    task: Option<OwnedFd>,
    status: Option<ExitStatus>,
    task_ended: bool,
    /// Bytes of input that were taken since the last report.
    taken: usize,
}

// === impl Peer ===

impl Peer {
    /// Takes what it has sent.
    fn read(&mut self) {
        let mut buffer = [0; PART];
        loop {
            match rustix::io::read(rustix::stdio::stdin(), &mut buffer) {
                Ok(count @ 1..) => {
                    self.frames.add(&buffer[..count]);
                    // The rest waits until this is handled.
                    return;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Ok(_) | Err(_) => {
                    self.is_gone = true;
                    return;
                }
            }
        }
    }

    fn send(&mut self, answer: &Answer) -> Result<(), Error> {
        self.waiting.extend(answer.encode()?);
        Ok(())
    }

    /// Writes as much as it takes at once.
    fn write(&mut self) {
        while !self.waiting.is_empty() && !self.is_gone {
            match rustix::io::write(rustix::stdio::stdout(), &self.waiting) {
                Ok(count) => {
                    self.waiting.drain(..count);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => self.is_gone = true,
            }
        }
    }

    /// Writes everything, unless it is gone.
    fn flush(&mut self) -> Result<(), Error> {
        self.write();
        while !self.waiting.is_empty() && !self.is_gone {
            wait(&mut [PollFd::from_borrowed_fd(rustix::stdio::stdout(), PollFlags::OUT)], None)?;
            self.write();
        }
        Ok(())
    }

    fn has_space(&self) -> bool {
        self.waiting.len() < OUTPUT
    }
}

// === impl Running ===

impl Running {
    fn start(session: &Session) -> Result<Self, Error> {
        let Session { program, task, terminal } = session;
        let cgroup = program.cgroup.as_deref().and_then(Cgroup::existing);
        let (mut ends, streams) = match terminal {
            Some(size) => Ends::terminal(*size, program.user.as_ref())?,
            None => Ends::pipes(),
        };
        // Opened first: an end of the task afterwards is not missed.
        let task = task.open()?;
        let mut child = launch_with(program, cgroup.as_ref(), streams)?;
        ends.take_pipes(&mut child)?;
        let task_ended = task.is_none();
        Ok(Self { child, ends, task, status: None, task_ended, taken: 0 })
    }

    fn until_ended(mut self, mut peer: Peer, signals: &SignalFd) -> Result<(), Error> {
        let mut failed = peer.send(&Answer::Started);
        while failed.is_ok() && self.status.is_none() && !peer.is_gone && !self.task_ended {
            failed = self.wait(&peer, signals).and_then(|()| self.turn(&mut peer));
            while let Ok(Some(_)) = signals.read_signal() {}
            self.reap();
        }
        // Also after a failure: what the program started would outlive this process.
        let limit_ms = boottime_ms() + CLEAR_LIMIT_MS;
        while descendants::kill() > 0 && boottime_ms() < limit_ms {
            std::thread::sleep(std::time::Duration::from_millis(CLEAR_MS));
            self.reap();
        }
        self.reap();
        failed?;
        // No process that could write is left: what is in the pipes now is all that there will be.
        while !peer.is_gone {
            let mut sent = Ok(());
            let any = self.ends.read(|error, bytes| {
                sent = peer.send(&Answer::Output { error, bytes: bytes.to_vec() });
                sent.is_ok() && peer.has_space()
            });
            sent?;
            if !any {
                break;
            }
            peer.flush()?;
        }
        let finish = match self.status {
            _ if self.task_ended => Finish::TaskEnded,
            Some(status) => Finish::Ended { code: status.code(), signal: status.signal() },
            None => Finish::Ended { code: None, signal: Some(Signal::SIGKILL as i32) },
        };
        peer.send(&Answer::Ended(finish))?;
        peer.flush()
    }

    /// Until there is something to do.
    fn wait(&self, peer: &Peer, signals: &SignalFd) -> Result<(), Error> {
        // A sender that ignores the bound of the input has to wait; its end is noticed all the same.
        let reads = if self.ends.waiting() < INPUT { PollFlags::IN } else { PollFlags::empty() };
        let mut awaited =
            vec![PollFd::new(signals, PollFlags::IN), PollFd::from_borrowed_fd(rustix::stdio::stdin(), reads)];
        if !peer.waiting.is_empty() {
            awaited.push(PollFd::from_borrowed_fd(rustix::stdio::stdout(), PollFlags::OUT));
        }
        if let Some(task) = &self.task {
            awaited.push(PollFd::new(task, PollFlags::IN));
        }
        awaited.extend(self.ends.awaited(peer.has_space()).map(|(end, flags)| PollFd::from_borrowed_fd(end, flags)));
        wait(&mut awaited, None)
    }

    fn turn(&mut self, peer: &mut Peer) -> Result<(), Error> {
        if self.ends.waiting() < INPUT {
            peer.read();
        } else {
            peer.is_gone |= is_closed(rustix::stdio::stdin())?;
        }
        while let Some(request) = peer.frames.request()? {
            match request {
                Request::Start(_) => return Err(std::io::Error::from(ErrorKind::InvalidData).into()),
                Request::Input(bytes) => self.ends.add_input(&bytes),
                Request::EndOfInput => self.ends.end_input(),
                Request::Resize(size) => self.ends.resize(size),
                Request::Signal(name) => self.signal(&name),
            }
        }
        self.taken += self.ends.write();
        if self.taken >= UNREPORTED || (self.taken > 0 && self.ends.waiting() == 0) {
            peer.send(&Answer::Taken(u32::try_from(std::mem::take(&mut self.taken)).unwrap_or(u32::MAX)))?;
        }
        if peer.has_space() {
            let mut sent = Ok(());
            self.ends.read(|error, bytes| {
                sent = peer.send(&Answer::Output { error, bytes: bytes.to_vec() });
                sent.is_ok() && peer.has_space()
            });
            sent?;
        }
        peer.write();
        if let Some(task) = &self.task {
            self.task_ended = is_readable(task.as_fd())?;
        }
        Ok(())
    }

    /// To the program's process group. Its first process was not reaped yet, so that its id is no other's.
    fn signal(&self, name: &str) {
        let Ok(found) = signal(name) else { return };
        let (Some(pid), Some(found)) =
            (Pid::from_raw(self.child.id().cast_signed()), rustix::process::Signal::from_named_raw(found as i32))
        else {
            return;
        };
        if self.status.is_none() {
            let _ended_meanwhile = rustix::process::kill_process_group(pid, found);
        }
    }

    /// Takes the status of every child that has ended: of the program, and of what it left to this process.
    fn reap(&mut self) {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid.as_raw_nonzero().get().cast_unsigned() == self.child.id() => {
                    self.status.get_or_insert(ExitStatus::from_raw(status.as_raw()));
                }
                Ok(Some(_)) | Err(Errno::INTR) => (),
                Ok(None) | Err(_) => return,
            }
        }
    }
}

fn wait(awaited: &mut [PollFd<'_>], limit: Option<&Timespec>) -> Result<(), Error> {
    match poll(awaited, limit) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(std::io::Error::from(error).into()),
    }
}

/// Whether the other end of a pipe is closed.
fn is_closed(pipe: std::os::fd::BorrowedFd<'_>) -> Result<bool, Error> {
    look(pipe, PollFlags::empty()).map(|found| found.intersects(PollFlags::HUP | PollFlags::ERR))
}

fn is_readable(descriptor: std::os::fd::BorrowedFd<'_>) -> Result<bool, Error> {
    look(descriptor, PollFlags::IN).map(|found| found.contains(PollFlags::IN))
}

/// What can be done with a descriptor at this moment.
fn look(descriptor: std::os::fd::BorrowedFd<'_>, flags: PollFlags) -> Result<PollFlags, Error> {
    let mut awaited = [PollFd::from_borrowed_fd(descriptor, flags)];
    wait(&mut awaited, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    Ok(awaited[0].revents())
}
