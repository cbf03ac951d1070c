//! The socket of a shim: requests and answers are lines of JSON.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use serde::{Deserialize, Serialize};

use crate::Error;

/// Connections at once; the next one waits. `discod` needs one.
const CONNECTIONS: usize = 8;

/// Bytes of a request.
const REQUEST: usize = 4096;

/// What a shim is asked to do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// End the task: by the stop signal, and by a kill after `grace_ms` (of the specification when absent).
    Stop {
        /// Milliseconds.
        grace_ms: Option<u64>,
    },
    /// Send a signal to the task's first process.
    Signal {
        /// Such as `SIGHUP`.
        name: String,
    },
    /// Kill the task when the clock of [`crate::boottime_ms`] reaches this; never for `None`.
    Fence {
        /// Milliseconds.
        at_ms: Option<u64>,
    },
}

/// The answer to a request.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is done, or has begun.
    Done,
    /// It is not; why.
    Refused(String),
}

/// The socket and its connections.
pub struct Control {
    listener: UnixListener,
    connections: Vec<Connection>,
}

struct Connection {
    stream: UnixStream,
    read: Vec<u8>,
}

impl Control {
    /// Listens at `socket` in the current folder: a path of any length would not fit an address (107 bytes, unix(7)).
    pub fn open() -> Result<Self, Error> {
        let listener = UnixListener::bind("socket")?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, connections: Vec::new() })
    }

    /// What to wait for.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let listener = (self.connections.len() < CONNECTIONS).then(|| self.listener.as_fd());
        listener.into_iter().chain(self.connections.iter().map(|connection| connection.stream.as_fd()))
    }

    /// Accepts, reads, and answers each whole request by `answer`.
    pub fn turn(&mut self, mut answer: impl FnMut(Request) -> Answer) {
        while self.connections.len() < CONNECTIONS {
            let Ok((stream, _)) = self.listener.accept() else { break };
            if stream.set_nonblocking(true).is_ok() {
                self.connections.push(Connection { stream, read: Vec::new() });
            }
        }
        self.connections.retain_mut(|connection| connection.turn(&mut answer));
    }
}

impl Connection {
    /// Whether to keep it.
    fn turn(&mut self, answer: &mut impl FnMut(Request) -> Answer) -> bool {
        let mut buffer = [0; 512];
        let open = loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break false,
                Ok(length) if self.read.len() + length <= REQUEST => self.read.extend_from_slice(&buffer[..length]),
                Ok(_) => {
                    self.send(&Answer::Refused(format!("a request is longer than {REQUEST} bytes")));
                    return false;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break true,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(_) => return false,
            }
        };
        while let Some(end) = memchr::memchr(b'\n', &self.read) {
            let line: Vec<u8> = self.read.drain(..=end).collect();
            let reply = match serde_json::from_slice(&line) {
                Ok(request) => answer(request),
                Err(error) => Answer::Refused(format!("not a request: {error}")),
            };
            if !self.send(&reply) {
                return false;
            }
        }
        open
    }

    /// Whether it could be sent. An answer is small: it does not fit only if many before it were not read.
    fn send(&mut self, answer: &Answer) -> bool {
        let Ok(mut line) = serde_json::to_vec(answer) else { return false };
        line.push(b'\n');
        self.stream.write_all(&line).is_ok()
    }
}
