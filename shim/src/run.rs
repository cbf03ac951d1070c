//! The life of a shim.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, WaitOptions, pidfd_open, pidfd_send_signal, set_child_subreaper};

use crate::cgroup::Cgroup;
use crate::client::Start;
use crate::control::{Answer, Control, Request};
use crate::folder::{Ended, Exit, Task};
use crate::launch::launch;
use crate::output::Writer;
use crate::process::{Process, boottime_ms};
use crate::pump::{Pump, now_ms};
use crate::spec::signal;
use crate::timer::Timer;
use crate::{Error, Folder, Spec, descendants};

/// How often what is left of an ended task is killed again, as it may have forked meanwhile.
const CLEAR_MS: u64 = 20;

/// How long a task may take to be gone after a kill. What is left then waits in the kernel for a device.
const CLEAR_LIMIT_MS: u64 = 10_000;

/// Runs one task in `folder`: reads its specification from standard input, answers on standard output, and returns when the
/// task has ended and its end is on disk. To be called by a process of one thread that does nothing else.
pub fn run(folder: PathBuf) -> Result<(), Error> {
    leave_the_daemon()?;
    let started = read_spec().and_then(|spec| Shim::start(Folder::new(folder), spec));
    let answer = match &started {
        Ok(_) => Start::Started,
        Err(error) => Start::Failed(chain(error)),
    };
    say(&answer);
    started?.until_ended()
}

/// Nothing of the daemon stays: neither its session nor descriptors that it let through, which would keep its sockets open.
pub(crate) fn leave_the_daemon() -> Result<(), Error> {
    // Fails only for the leader of a group, which has left its session already.
    let _leader = rustix::process::setsid();
    // By its number: musl has no function of this name.
    // SAFETY: nothing in this process uses a descriptor yet, but for the standard ones.
    #[expect(unsafe_code, reason = "no safe wrapper of close_range is in the tree")]
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    if closed != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    set_child_subreaper(Some(rustix::process::getpid())).map_err(std::io::Error::from)?;
    Ok(())
}

fn read_spec() -> Result<Spec, Error> {
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text)?;
    serde_json::from_slice(&text).map_err(Error::Spec)
}

/// Answers the daemon and lets go of its pipes.
fn say(start: &Start) {
    let mut stdout = std::io::stdout();
    if let Ok(mut line) = serde_json::to_vec(start) {
        line.push(b'\n');
        // The daemon may have ended meanwhile; the next one finds `task.json`.
        let _no_daemon = stdout.write_all(&line).and_then(|()| stdout.flush());
    }
    if let Ok(null) = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null") {
        let _stay_open = rustix::stdio::dup2_stdin(&null);
        let _stay_open = rustix::stdio::dup2_stdout(&null);
        let _stay_open = rustix::stdio::dup2_stderr(&null);
    }
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

struct Shim {
    folder: Folder,
    _lock: std::fs::File,
    spec: Spec,
    stop_signal: Signal,
    cgroup: Option<Cgroup>,
    child: Child,
    pump: Pump,
    control: Control,
    timer: Timer,
    signals: SignalFd,
    state: State,
    fence_ms: Option<u64>,
}

/// Times are of [`boottime_ms`].
#[derive(Clone, Copy)]
enum State {
    Running,
    /// A stop was requested; the kill comes at this time.
    Stopping {
        kill_ms: u64,
    },
    /// The whole task has been killed, and its first process has not ended yet.
    Killing(Ended),
    /// The first process has ended, and what it left is being killed.
    Clearing {
        status: ExitStatus,
        ended: Ended,
        since_ms: u64,
        next_ms: u64,
    },
}

impl Shim {
    fn start(folder: Folder, spec: Spec) -> Result<Self, Error> {
        let stop_signal = signal(&spec.stop_signal)?;
        // Output may hold what only root and the task's user may read.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder.path()).map_err(|error| {
            std::io::Error::new(error.kind(), format!("making `{}`: {error}", folder.path().display()))
        })?;
        // Held as long as this process lives: two shims of one folder would start two tasks.
        let lock = fs_err::File::open(folder.path())?.into_file();
        let is_locked = rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok();
        if !is_locked || folder.task()?.is_some() || folder.exit()?.is_some() {
            return Err(Error::StartedBefore(folder.path().to_owned()));
        }
        if spec.fence_ms.is_some_and(|at| at <= boottime_ms()) {
            return Err(Error::Fenced);
        }
        let folder = Folder::new(fs_err::canonicalize(folder.path())?);
        std::env::set_current_dir(folder.path())?;
        // Of a shim that failed before it recorded its task.
        let _stale = fs_err::remove_file("socket");
        let control = Control::open()?;
        let mut mask = SigSet::empty();
        for caught in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            mask.add(caught);
        }
        mask.thread_block().map_err(std::io::Error::from)?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map_err(std::io::Error::from)?;
        let writer = Writer::open(folder.output(), spec.output_bytes)?;
        let timer = Timer::new()?;

        let (cgroup, not_limited) = match &spec.cgroup {
            Some(name) => Cgroup::make(Path::new(name), &spec.limits),
            None => (None, Vec::new()),
        };
        let launched = launch(&spec, cgroup.as_ref());
        let (child, pipes) = match launched {
            Ok(launched) => launched,
            Err(error) => {
                if let Some(cgroup) = cgroup {
                    cgroup.remove();
                }
                let _socket = fs_err::remove_file("socket");
                return Err(error);
            }
        };
        let pump = Pump::new(pipes, writer)?;
        let fence_ms = spec.fence_ms;
        let mut shim = Self {
            folder,
            _lock: lock,
            spec,
            stop_signal,
            cgroup,
            child,
            pump,
            control,
            timer,
            signals,
            state: State::Running,
            fence_ms,
        };
        if let Err(error) = shim.record(not_limited) {
            // No later daemon would find the task.
            let limit_ms = boottime_ms() + CLEAR_LIMIT_MS;
            while shim.kill_all() > 0 && boottime_ms() < limit_ms {
                shim.reap();
                std::thread::sleep(std::time::Duration::from_millis(CLEAR_MS));
            }
            if let Some(cgroup) = &shim.cgroup {
                cgroup.remove();
            }
            return Err(error);
        }
        Ok(shim)
    }

    fn record(&self, not_limited: Vec<String>) -> Result<(), Error> {
        let find = |pid: u32| {
            let gone = || std::io::Error::other(format!("/proc does not show process {pid}"));
            Process::find(pid.cast_signed())?.ok_or_else(gone)
        };
        let shim = find(std::process::id())?;
        // No other process reaps it: its entry stays until this process waits for it.
        let process = find(self.child.id())?;
        let cgroup = self.cgroup.as_ref().and(self.spec.cgroup.clone());
        self.folder.write_task(&Task { shim, process, cgroup, not_limited, started_at_ms: now_ms() })
    }

    fn until_ended(mut self) -> Result<(), Error> {
        loop {
            self.wait()?;
            while let Ok(Some(caught)) = self.signals.read_signal() {
                if caught.ssi_signo != Signal::SIGCHLD as u32 {
                    // The machine is being shut down, or its administrator ends the task.
                    self.stop(None);
                }
            }
            let Self { control, state, spec, stop_signal, child, fence_ms, .. } = &mut self;
            control.turn(|request| answer(&request, state, spec, *stop_signal, child, fence_ms));
            self.pump.turn(boottime_ms());
            self.keep_time();
            self.reap();
            if let Some(exit) = self.clear() {
                return self.end(&exit);
            }
        }
    }

    /// Until there is something to do.
    fn wait(&mut self) -> Result<(), Error> {
        let at = match self.state {
            State::Running => self.fence_ms,
            State::Stopping { kill_ms } => Some(self.fence_ms.map_or(kill_ms, |fence| fence.min(kill_ms))),
            State::Killing(_) => Some(boottime_ms() + CLEAR_MS),
            State::Clearing { next_ms, .. } => Some(next_ms),
        };
        let at = [at, self.pump.rests_until()].into_iter().flatten().min();
        self.timer.set(at)?;
        let mut awaited = vec![PollFd::new(&self.signals, PollFlags::IN), PollFd::new(&self.timer, PollFlags::IN)];
        awaited.extend(
            self.control.descriptors().chain(self.pump.pipes()).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)),
        );
        match poll(&mut awaited, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(std::io::Error::from(error).into()),
        }
    }

    fn keep_time(&mut self) {
        let now = boottime_ms();
        match self.state {
            State::Running | State::Stopping { .. } if self.fence_ms.is_some_and(|fence| fence <= now) => {
                self.kill(Ended::Fenced)
            }
            State::Stopping { kill_ms } if kill_ms <= now => self.kill(Ended::Killed),
            State::Killing(ended) => self.kill(ended),
            _ => (),
        }
    }

    fn stop(&mut self, grace_ms: Option<u64>) {
        stop(&mut self.state, &self.spec, self.stop_signal, &self.child, grace_ms);
    }

    /// Kills all of the task.
    fn kill(&mut self, ended: Ended) {
        self.state = State::Killing(ended);
        self.kill_all();
    }

    /// Returns how many processes were found.
    fn kill_all(&self) -> usize {
        let in_group = self.cgroup.as_ref().map_or(0, Cgroup::kill);
        in_group.max(descendants::kill())
    }

    /// Takes the status of every child that has ended: of the task's first process, and of those that it left to this one.
    fn reap(&mut self) {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status)))
                    if pid.as_raw_nonzero().get().cast_unsigned() == self.child.id()
                        && !matches!(self.state, State::Clearing { .. }) =>
                {
                    let ended = match self.state {
                        State::Running => Ended::ByItself,
                        State::Stopping { .. } => Ended::Stopped,
                        State::Killing(ended) | State::Clearing { ended, .. } => ended,
                    };
                    let now = boottime_ms();
                    let status = ExitStatus::from_raw(status.as_raw());
                    self.state = State::Clearing { status, ended, since_ms: now, next_ms: now };
                }
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => (),
                Ok(None) | Err(_) => break,
            }
        }
    }

    /// Kills what the task's first process left, until nothing is left and all output is read. Then: how it ended.
    fn clear(&mut self) -> Option<Exit> {
        let State::Clearing { status, ended, since_ms, .. } = self.state else { return None };
        let left = self.kill_all();
        self.reap();
        let now = boottime_ms();
        let over = now >= since_ms + CLEAR_LIMIT_MS;
        if left == 0 || over {
            // What is in the pipes now is all that there will be: no process that could write is left.
            self.pump.drain();
            return Some(Exit {
                code: status.code(),
                signal: status.signal().map(signal_name),
                ended,
                out_of_memory: self.cgroup.as_ref().is_some_and(Cgroup::ran_out_of_memory),
                dropped_bytes: self.pump.lost_in_all(),
                left,
                ended_at_ms: now_ms(),
            });
        }
        self.state = State::Clearing { status, ended, since_ms, next_ms: now + CLEAR_MS };
        None
    }

    fn end(self, exit: &Exit) -> Result<(), Error> {
        let Self { folder, cgroup, pump, .. } = self;
        // Its segment takes room as long as it is open.
        drop(pump);
        if let Some(cgroup) = &cgroup {
            cgroup.remove();
        }
        let mut written = folder.write_exit(exit);
        // On a full disk the end matters more than old output; and if that is not what fills it, than this process's time.
        while matches!(&written, Err(Error::File(error)) if is_full(error)) {
            if !crate::output::remove_oldest(&folder.output())? {
                std::thread::sleep(std::time::Duration::from_secs(1));
            }
            written = folder.write_exit(exit);
        }
        written?;
        let _socket = fs_err::remove_file("socket");
        Ok(())
    }
}

fn answer(
    request: &Request,
    state: &mut State,
    spec: &Spec,
    stop_signal: Signal,
    child: &Child,
    fence_ms: &mut Option<u64>,
) -> Answer {
    match request {
        // Its id may be another process's by now.
        Request::Signal { .. } if matches!(state, State::Clearing { .. }) => {
            return Answer::Refused("the task has ended".to_owned());
        }
        Request::Stop { grace_ms } => stop(state, spec, stop_signal, child, *grace_ms),
        Request::Fence { at_ms } => *fence_ms = *at_ms,
        Request::Signal { name } => match signal(name) {
            Ok(signal) => send(child, signal),
            Err(error) => return Answer::Refused(error.to_string()),
        },
    }
    Answer::Done
}

/// A second stop may shorten the grace time, never lengthen it.
fn stop(state: &mut State, spec: &Spec, stop_signal: Signal, child: &Child, grace_ms: Option<u64>) {
    let kill_ms = boottime_ms().saturating_add(grace_ms.unwrap_or(spec.grace_ms));
    match state {
        State::Running => {
            send(child, stop_signal);
            // A stopped process would act on nothing but a kill.
            send(child, Signal::SIGCONT);
            *state = State::Stopping { kill_ms };
        }
        State::Stopping { kill_ms: earlier } => *earlier = kill_ms.min(*earlier),
        State::Killing(_) | State::Clearing { .. } => (),
    }
}

/// To the task's first process, which must not have been reaped yet: its id is no other's until then.
fn send(child: &Child, signal: Signal) {
    let Some(pid) = Pid::from_raw(child.id().cast_signed()) else { return };
    let Ok(descriptor) = pidfd_open(pid, rustix::process::PidfdFlags::empty()) else { return };
    if let Some(signal) = rustix::process::Signal::from_named_raw(signal as i32) {
        let _ended_meanwhile = pidfd_send_signal(descriptor.as_fd(), signal);
    }
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

pub(crate) fn signal_name(number: i32) -> String {
    Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().to_owned())
}
