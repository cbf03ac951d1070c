use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::SystemTime;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pipe::fcntl_setpipe_size;

use crate::output::{CHUNK, CHUNKS_AT_ONCE, Source, Writer};

/// Bytes that a pipe holds, where the kernel allows it: the default of `pipe-max-size` (pipe(7)).
const PIPE: usize = 1 << 20;
/// Bytes that one call reads, and another one writes.
const READ: usize = CHUNKS_AT_ONCE * CHUNK;
/// Output of at least so many bytes in one turn comes fast.
const FAST: usize = CHUNK / 2;
/// For so long fast output gathers in its pipe, so that one turn moves more of it.
const REST_MS: u64 = 5;

/// Moves what the task writes from its pipes to disk. The task never waits for a disk unless its pipe is full.
pub struct Pump {
    pipes: Vec<(Source, OwnedFd)>,
    writer: Writer,
    buffer: Vec<u8>,
    /// Until then output gathers; a time of [`crate::boottime_ms`].
    rests_until: Option<u64>,
}

impl Pump {
    pub fn new(pipes: Vec<(Source, OwnedFd)>, writer: Writer) -> std::io::Result<Self> {
        for (_, pipe) in &pipes {
            fcntl_setfl(pipe, fcntl_getfl(pipe)? | OFlags::NONBLOCK)?;
            // Refused where the user has many large pipes: it works with a small one too.
            let _refused = fcntl_setpipe_size(pipe, PIPE);
        }
        // Its memory is used only as far as one call has filled it.
        Ok(Self { pipes, writer, buffer: vec![0; READ], rests_until: None })
    }

    /// The pipes that are not closed and not left to gather output.
    pub fn pipes(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let rests = self.rests_until.is_some();
        self.pipes.iter().filter(move |_| !rests).map(|(_, pipe)| pipe.as_fd())
    }

    /// Until when output gathers, if it does.
    pub const fn rests_until(&self) -> Option<u64> {
        self.rests_until
    }

    /// Bytes that could not be written.
    pub const fn lost_in_all(&self) -> u64 {
        self.writer.lost_in_all()
    }

    /// Moves what has come, unless it gathers.
    pub fn turn(&mut self, now_ms: u64) {
        if self.rests_until.is_some_and(|until| until > now_ms) {
            return;
        }
        let moved = self.read();
        // With a pipe that is half full the task would have to wait soon.
        self.rests_until = (FAST..PIPE / 2).contains(&moved).then_some(now_ms + REST_MS);
    }

    /// Moves all that the pipes hold.
    pub fn drain(&mut self) {
        while self.read() > 0 {}
    }

    /// Reads each pipe until it is empty, or for as many bytes as one holds. Returns how many it was.
    fn read(&mut self) -> usize {
        let at_ms = now_ms();
        let Self { pipes, writer, buffer, .. } = self;
        let mut moved = 0;
        pipes.retain(|(source, pipe)| {
            let mut of_this = 0;
            while of_this < PIPE {
                match rustix::io::read(pipe, &mut buffer[..]) {
                    Ok(0) => return false,
                    Ok(length) => {
                        of_this += length;
                        moved += length;
                        // The writer counts what it could not write, and says so in the output when it can.
                        let _counted = writer.write(*source, &buffer[..length], at_ms);
                        if length < buffer.len() {
                            break;
                        }
                    }
                    Err(error) => {
                        let kind = std::io::Error::from(error).kind();
                        return matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted);
                    }
                }
            }
            true
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
