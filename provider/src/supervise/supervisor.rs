//! The supervisor itself.

use std::future::pending;
use std::io::{self, PipeWriter};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, getpid, getppid, kill_process, set_parent_process_death_signal};
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::end::{End, NOT_STARTED};
use super::log::Log;
use super::reporter::Reporter;
use super::{ENDS, Ends, SERVICE_DIR, Service, SuperviseError, now_ms, oom, status};
use crate::process::ProcessName;
use crate::{detach, files};

/// The pause before a restart of the program, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A program that ran this long has recovered.
const WELL_AFTER: Duration = Duration::from_secs(60);
/// How much of the program's output is read at once.
const CHUNK: usize = 16 * 1024;
/// How much of its last output is retained for finding the reason of its end.
const TAIL: usize = 4 * 1024;

/// Supervises the service in a folder, which is this process's working directory, until it ends.
pub(super) fn supervise(dir: &Path) -> Result<(), SuperviseError> {
    let lock = dir.join(status::LOCK);
    let _lock = files::try_lock(&lock)
        .map_err(SuperviseError::io("lock", &lock))?
        .ok_or_else(|| SuperviseError::Running { dir: dir.to_path_buf() })?;
    let start = |source| SuperviseError::Start { source };
    status::write_supervisor(dir, ProcessName::own().map_err(start)?)?;
    let machine = Machine::find()?;
    let log = Log::open(dir).map_err(SuperviseError::io("open", dir.join("log")))?;
    // One thread: the program's life is tied to the thread that starts it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(start)?;
    runtime.block_on(async {
        let (reader, writer) = io::pipe().map_err(start)?;
        let output = pipe::Receiver::from_owned_fd(reader.into()).map_err(start)?;
        let events = Events {
            term: signal(SignalKind::terminate()).map_err(start)?,
            hup: signal(SignalKind::hangup()).map_err(start)?,
            machine: machine.watch().map_err(start)?,
            output,
            log,
            tail: Vec::new(),
        };
        let ends = Ends::read(dir);
        Supervisor { dir, writer, events, ends, killed_before: None, reporter: Reporter::default() }.run().await
    })
}

/// The machine of the local provider that this process runs on, if any.
struct Machine(Option<OwnedFd>);

impl Machine {
    fn find() -> Result<Self, SuperviseError> {
        let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
        let (Some(pid), Some(start_time)) = (number("DISCO_MACHINE_PID"), number("DISCO_MACHINE_START_TIME")) else {
            return Ok(Self(None));
        };
        let process = ProcessName { pid: u32::try_from(pid).unwrap_or(u32::MAX), start_time };
        Ok(Self(Some(process.open().ok_or(SuperviseError::NoMachine)?)))
    }

    fn watch(self) -> io::Result<Option<AsyncFd<OwnedFd>>> {
        #[expect(unsafe_code, reason = "the safe way to watch a descriptor is deprecated")]
        // SAFETY: an `OwnedFd` has the same descriptor all its life, and owns it.
        self.0.map(|handle| unsafe { AsyncFd::register(handle) }.map_err(Into::into)).transpose()
    }
}

/// Events other than the program's end.
struct Events {
    term: tokio::signal::unix::Signal,
    hup: tokio::signal::unix::Signal,
    machine: Option<AsyncFd<OwnedFd>>,
    output: pipe::Receiver,
    log: Log,
    /// The last output of the program since its start.
    tail: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// Stop the program and the supervisor gracefully.
    Stop,
    /// Restart the program.
    Reload,
    /// The machine is gone: end at once.
    MachineGone,
}

impl Events {
    /// The next event. Meanwhile the program's output goes to the log. Nothing is lost if it is dropped.
    async fn next(&mut self) -> Event {
        let mut chunk = vec![0; CHUNK];
        loop {
            tokio::select! {
                _ = self.term.recv() => return Event::Stop,
                _ = self.hup.recv() => return Event::Reload,
                () = gone(self.machine.as_ref()) => return Event::MachineGone,
                ready = self.output.readable() => match ready.and_then(|()| self.output.try_read(&mut chunk)) {
                    Ok(count) => self.keep(&chunk[..count]),
                    // Readiness was a false alarm.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => {
                        self.log.note(&format!("cannot read the program's output: {error}"));
                        pending::<()>().await;
                    }
                },
            }
        }
    }

    /// Reads the program's output that is still in the pipe after its end.
    fn drain(&mut self) {
        let mut chunk = vec![0; CHUNK];
        while let Ok(count @ 1..) = self.output.try_read(&mut chunk) {
            self.keep(&chunk[..count]);
        }
    }

    fn keep(&mut self, text: &[u8]) {
        self.log.write(text);
        self.tail.extend_from_slice(text);
        // Rarely, as it moves the rest.
        if self.tail.len() > 2 * TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
    }
}

async fn gone(machine: Option<&AsyncFd<OwnedFd>>) {
    match machine {
        // The handle of a process becomes readable when the process has ended.
        Some(handle) => drop(handle.readable().await),
        None => pending().await,
    }
}

/// Why the program no longer runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    Crashed,
    Reload,
}

struct Supervisor<'a> {
    dir: &'a Path,
    writer: PipeWriter,
    events: Events,
    ends: Ends,
    /// The count of OOM kills at the program's start.
    killed_before: Option<u64>,
    reporter: Reporter,
}

impl Supervisor<'_> {
    async fn run(mut self) -> Result<(), SuperviseError> {
        // If the first start fails, the caller gets the error.
        let mut service = Service::read(self.dir)?;
        let mut child = self.spawn(&service)?;
        detach::report_ready().map_err(|source| SuperviseError::Start { source })?;
        silence_stderr().map_err(|source| SuperviseError::Start { source })?;
        let mut pause = FIRST_PAUSE;
        loop {
            let started = Instant::now();
            let crashed = match self.watch(&mut child, &service).await {
                Outcome::Done => return Ok(()),
                Outcome::Crashed => true,
                Outcome::Reload => false,
            };
            if !crashed || started.elapsed() >= WELL_AFTER {
                pause = FIRST_PAUSE;
            }
            if crashed && !self.pause(&mut pause).await {
                return Ok(());
            }
            (service, child) = loop {
                match Service::read(self.dir).and_then(|service| Ok((self.spawn(&service)?, service))) {
                    Ok((child, service)) => break (service, child),
                    Err(error) => {
                        let words = in_one_line(&error);
                        self.events.log.note(&words);
                        self.count_end(NOT_STARTED.to_owned(), words, &service);
                    }
                }
                if !self.pause(&mut pause).await {
                    return Ok(());
                }
            };
        }
    }

    /// Waits for the program's end, or ends it when an event requests that.
    async fn watch(&mut self, child: &mut Child, service: &Service) -> Outcome {
        let event = tokio::select! {
            status = child.wait() => {
                self.events.drain();
                return if self.is_done(status, service) { Outcome::Done } else { Outcome::Crashed };
            }
            event = self.events.next() => event,
        };
        self.end(child, service, event).await;
        if event != Event::Reload {
            return Outcome::Done;
        }
        self.events.log.note("restarting the program");
        Outcome::Reload
    }

    /// Waits before the program is restarted, and longer the next time. False if the supervisor should end instead.
    async fn pause(&mut self, pause: &mut Duration) -> bool {
        let event = tokio::time::timeout(*pause, self.events.next()).await;
        *pause = (*pause * 2).min(LONGEST_PAUSE);
        matches!(event, Err(_) | Ok(Event::Reload))
    }

    /// Whether the program is done for good.
    fn is_done(&mut self, status: io::Result<ExitStatus>, service: &Service) -> bool {
        match status {
            Ok(status) if status.success() => {
                self.events.log.note("the program ended with exit code 0 and is not restarted");
                true
            }
            Ok(status) => {
                self.events.log.note(&format!("the program ended: {status}"));
                let end =
                    End::of(status, oom::kills().zip(self.killed_before).is_some_and(|(now, before)| now > before));
                if !end.is_wanted() {
                    let words = end.words(&String::from_utf8_lossy(&self.events.tail));
                    self.count_end(end.how(), words, service);
                }
                false
            }
            Err(error) => {
                self.events.log.note(&format!("cannot wait for the program: {error}"));
                false
            }
        }
    }

    /// Counts an unexpected end, and has it reported to the cluster, as the program cannot.
    fn count_end(&mut self, how: String, words: String, service: &Service) {
        self.ends.add(now_ms(), how, words);
        if let Err(error) = self.ends.write(self.dir) {
            // A full disk may be why the program ends: the report to the cluster is made from memory.
            self.events.log.note(&in_one_line(&error));
        }
        if let Err(error) = self.reporter.report(service, &self.ends) {
            self.events.log.note(&format!("cannot report the end to the cluster: {error}"));
        }
    }

    /// Ends the program as the event requests.
    async fn end(&mut self, child: &mut Child, service: &Service, event: Event) {
        if event != Event::MachineGone {
            if let Some(pid) = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
                // It was not reaped, so the id is still its own.
                let _ = kill_process(pid, Signal::TERM);
            }
            let limit = tokio::time::sleep(service.stop_limit());
            let mut limit = std::pin::pin!(limit);
            loop {
                tokio::select! {
                    _ = child.wait() => break,
                    () = &mut limit => {
                        self.events.log.note("the program did not end in time and is killed");
                        break;
                    }
                    event = self.events.next() => if event == Event::MachineGone { break },
                }
            }
        }
        // No error when it has ended.
        let _ = child.kill().await;
        self.events.drain();
    }

    fn spawn(&mut self, service: &Service) -> Result<Child, SuperviseError> {
        let failed = |source| SuperviseError::Program { program: service.program.clone(), source };
        self.events.tail.clear();
        self.killed_before = oom::kills();
        let mut command = Command::new(&service.program);
        command
            .args(&service.args)
            .envs(&service.env)
            .env(SERVICE_DIR, ".")
            .env(ENDS, serde_json::to_string(&self.ends).unwrap_or_default())
            .stdin(Stdio::null())
            .process_group(0);
        command.stdout(self.writer.try_clone().map_err(failed)?).stderr(self.writer.try_clone().map_err(failed)?);
        bind_life(&mut command);
        let child = command.spawn().map_err(failed)?;
        if let Some(process) = child.id().and_then(ProcessName::of) {
            // The disk is full: the program runs anyway, and belongs to this supervisor.
            if let Err(error) = status::write_child(self.dir, process) {
                self.events.log.note(&in_one_line(&error));
            }
        }
        Ok(child)
    }
}

/// An error with its cause, in one line.
fn in_one_line(error: &SuperviseError) -> String {
    let cause = std::error::Error::source(error).map(|source| format!(": {source}"));
    format!("{error}{}", cause.unwrap_or_default())
}

/// Ties the life of a child to this process.
pub(super) fn bind_life(command: &mut Command) {
    let supervisor = getpid();
    let bind = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before that call.
        if getppid() == Some(supervisor) { Ok(()) } else { Err(io::Error::from(rustix::io::Errno::SRCH)) }
    };
    #[expect(unsafe_code, reason = "std has no other way to set the death signal of a child")]
    // SAFETY: between fork and exec only system calls are made, without allocating and without locks.
    unsafe {
        command.pre_exec(bind);
    }
}

/// Closes the standard error of the process that started this one; messages go to the log.
fn silence_stderr() -> io::Result<()> {
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    Ok(rustix::stdio::dup2_stderr(&null)?)
}
