use std::fmt;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use serde_json::Value;

use crate::wait_for;

/// The result of a command.
#[derive(Clone)]
pub struct Output {
    /// The command line.
    pub command: String,
    /// Exit code; negative: ended by this signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The duration.
    pub took: Duration,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` ended with {} after {:.2} s\n--- stdout\n{}--- stderr\n{}---",
            self.command,
            self.code,
            self.took.as_secs_f64(),
            self.stdout,
            self.stderr
        )
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Output {
    /// Checks the exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert!(self.code == code, "expected exit code {code}: {self}");
        self
    }

    /// Checks that it succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.expect(0)
    }

    /// Checks that standard error contains these texts.
    #[track_caller]
    pub fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "standard error does not say `{text}`: {self}");
        }
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON ({error}): {self}"))
    }

    /// Standard output as one JSON value for each line.
    #[track_caller]
    pub fn jsonl(&self) -> Vec<Value> {
        let line =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("`{line}` is not JSON ({error}): {self}"));
        self.stdout.lines().map(line).collect()
    }
}

/// A running command. Killed when dropped.
pub struct Running {
    command: String,
    child: Child,
    start: Instant,
    out: Pipe,
    err: Pipe,
}

/// Read continuously, so that the writer never blocks.
struct Pipe {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Pipe {
    fn new(source: Option<impl Read + Send + 'static>) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let reader = source.map(|mut source| {
            let text = Arc::clone(&text);
            std::thread::spawn(move || {
                let mut part = [0; 4096];
                while let Ok(count @ 1..) = source.read(&mut part) {
                    text.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&part[..count]);
                }
            })
        });
        Self { text, reader }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// The whole output, once the last process that holds the other end has ended.
    fn all(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("reading does not panic");
        }
        self.so_far()
    }
}

impl Running {
    /// Follows a child; its command line is for messages.
    #[must_use]
    pub fn new(command: String, mut child: Child, start: Instant) -> Self {
        let (out, err) = (Pipe::new(child.stdout.take()), Pipe::new(child.stderr.take()));
        Self { command, child, start, out, err }
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        // A process that has ended needs none; it is not reaped before this value is dropped, so the id is its own.
        let _ = kill_process(pid(self.child.id()), signal);
    }

    /// Its standard output up to now.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.out.so_far()
    }

    /// Its standard error up to now.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.err.so_far()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// Waits for its end up to the limit. Returns whether it has ended.
    pub fn ended_within(&mut self, limit: Duration) -> bool {
        let handle = pidfd_open(pid(self.child.id()), PidfdFlags::empty()).expect("it is not reaped yet");
        let limit = Timespec::try_from(limit).expect("no test waits for centuries");
        // Readable once it has ended.
        poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&limit)).expect("a process can be polled") > 0
    }

    /// Waits until standard output has this text.
    #[track_caller]
    pub fn wait_for_stdout(&mut self, limit: Duration, text: &str) {
        wait_for(limit, &format!("`{text}` from `{}`", self.command.clone()), || {
            if self.stdout().contains(text) {
                return Ok(());
            }
            let ended = if self.has_ended() { " (it has ended)" } else { "" };
            Err(format!("stdout {:?}, stderr {:?}{ended}", self.stdout(), self.stderr()))
        });
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(mut self, limit: Duration) -> Output {
        let status = wait_for(limit, &format!("the end of `{}`", self.command.clone()), || {
            let ended = self.child.try_wait().expect("a child can be waited for");
            ended.ok_or_else(|| format!("it runs\n--- stdout\n{}--- stderr\n{}---", self.stdout(), self.stderr()))
        });
        let took = self.start.elapsed();
        Output {
            command: self.command.clone(),
            code: status.code().unwrap_or_else(|| -status.signal().unwrap_or(0)),
            stdout: self.out.all(),
            stderr: self.err.all(),
            took,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).expect("process ids are small")).expect("process ids are not 0")
}
