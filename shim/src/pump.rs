use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::SystemTime;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::output::{CHUNK, Source, Writer};

/// Moves what the task writes from its pipes to disk. It always reads, so that the task never waits for a disk.
pub struct Pump {
    pipes: Vec<(Source, OwnedFd)>,
    writer: Writer,
    buffer: Box<[u8; CHUNK]>,
}

impl Pump {
    pub fn new(pipes: Vec<(Source, OwnedFd)>, writer: Writer) -> std::io::Result<Self> {
        for (_, pipe) in &pipes {
            fcntl_setfl(pipe, fcntl_getfl(pipe)? | OFlags::NONBLOCK)?;
        }
        Ok(Self { pipes, writer, buffer: Box::new([0; CHUNK]) })
    }

    /// The pipes that are not closed.
    pub fn pipes(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.pipes.iter().map(|(_, pipe)| pipe.as_fd())
    }

    /// Bytes that could not be written.
    pub const fn lost_in_all(&self) -> u64 {
        self.writer.lost_in_all()
    }

    /// Reads each pipe once. Returns whether any had something.
    pub fn turn(&mut self) -> bool {
        let mut moved = false;
        let at_ms = now_ms();
        let Self { pipes, writer, buffer } = self;
        pipes.retain(|(source, pipe)| match rustix::io::read(pipe, &mut buffer[..]) {
            Ok(0) => false,
            Ok(length) => {
                moved = true;
                // The writer counts what it could not write, and says so in the output when it can.
                let _counted = writer.write(*source, &buffer[..length], at_ms);
                true
            }
            Err(error) => matches!(std::io::Error::from(error).kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        });
        moved
    }
}

/// Milliseconds since 1970; 0 for a clock before that.
pub fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
