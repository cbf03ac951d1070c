//! The signals of this process while a program runs elsewhere.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::ExitStatus;

/// What happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Caught {
    /// The terminal has another size.
    Resized,
    /// This process is to end.
    Signal { name: &'static str, number: u8 },
}

/// They do not end this process as long as this exists.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    hangup: Signal,
    resized: Signal,
}

impl Caught {
    /// The exit code of a process that the signal has ended.
    pub(super) fn status(self) -> ExitStatus {
        match self {
            Self::Resized => ExitStatus::Done,
            Self::Signal { number, .. } => ExitStatus::Program(128 + number),
        }
    }
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
            resized: signal(SignalKind::window_change())?,
        })
    }

    /// The next one. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Caught {
        let caught = |name, number| Caught::Signal { name, number };
        tokio::select! {
            _ = self.interrupt.recv() => caught("SIGINT", 2),
            _ = self.terminate.recv() => caught("SIGTERM", 15),
            _ = self.quit.recv() => caught("SIGQUIT", 3),
            _ = self.hangup.recv() => caught("SIGHUP", 1),
            _ = self.resized.recv() => Caught::Resized,
        }
    }

    /// The next one by which this process is to end.
    pub(super) async fn ended(&mut self) -> Caught {
        loop {
            match self.next().await {
                Caught::Resized => {}
                caught => return caught,
            }
        }
    }
}
