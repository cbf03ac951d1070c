//! The other ends of a program's standard streams.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Stdio};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::{PART, Size};
use crate::User;
use crate::launch::Streams;

/// The end of input, as a terminal's user types it.
const END_OF_INPUT: u8 = 4;

/// The other ends of the streams. An absent one is closed.
#[derive(Default)]
pub struct Ends {
    terminal: Option<OwnedFd>,
    input: Option<OwnedFd>,
    output: Option<OwnedFd>,
    error: Option<OwnedFd>,
    /// What the program has not read yet.
    waiting: Vec<u8>,
    /// No input comes behind `waiting`.
    over: bool,
    /// The last byte of the input ended a line.
    at_start: bool,
}

impl Ends {
    /// A terminal, and the program's side of it.
    pub fn terminal(size: Size, user: Option<&User>) -> io::Result<(Self, Streams)> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let program = ioctl_tiocgptpeer(&master, flags)?;
        if let Some(user) = user {
            // So that the program can open it by its name.
            rustix::fs::fchown(&program, Some(rustix::fs::Uid::from_raw(user.uid)), None)?;
        }
        rustix::io::ioctl_fionbio(&master, true)?;
        let streams = Streams {
            input: Stdio::from(program.try_clone()?),
            output: Stdio::from(program.try_clone()?),
            error: Stdio::from(program),
            are_a_terminal: true,
        };
        let ends = Self { terminal: Some(master), at_start: true, ..Self::default() };
        ends.resize(size);
        Ok((ends, streams))
    }

    /// Pipes; their ends are taken from the child by [`Self::take_pipes`].
    pub fn pipes() -> (Self, Streams) {
        let (input, output, error) = (Stdio::piped(), Stdio::piped(), Stdio::piped());
        (Self::default(), Streams { input, output, error, are_a_terminal: false })
    }

    pub fn take_pipes(&mut self, child: &mut Child) -> io::Result<()> {
        self.input = child.stdin.take().map(OwnedFd::from);
        self.output = child.stdout.take().map(OwnedFd::from);
        self.error = child.stderr.take().map(OwnedFd::from);
        for pipe in [&self.input, &self.output, &self.error].into_iter().flatten() {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(())
    }

    pub fn resize(&self, size: Size) {
        let size = Winsize { ws_col: size.columns, ws_row: size.rows, ws_xpixel: 0, ws_ypixel: 0 };
        if let Some(terminal) = &self.terminal {
            // A terminal of the wrong size is better than none.
            let _unchanged = tcsetwinsize(terminal, size);
        }
    }

    pub fn add_input(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last() {
            self.at_start = *last == b'\n';
        }
        self.waiting.extend_from_slice(bytes);
    }

    pub fn end_input(&mut self) {
        if self.terminal.is_some() && !self.over {
            // The first one only passes on a line that has begun.
            let count = if self.at_start { 1 } else { 2 };
            self.waiting.extend(std::iter::repeat_n(END_OF_INPUT, count));
        }
        self.over = true;
    }

    /// Bytes of input that the program has not read.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Writes input; returns how many bytes are not waiting any more: the program took them, or never will.
    pub fn write(&mut self) -> usize {
        let mut taken = 0;
        while let Some(input) = self.input.as_ref().or(self.terminal.as_ref())
            && !self.waiting.is_empty()
        {
            match rustix::io::write(input, &self.waiting) {
                Ok(count) => {
                    self.waiting.drain(..count);
                    taken += count;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return taken,
                // The program has closed its input; a terminal stays open for its output.
                Err(_) => {
                    self.input = None;
                    break;
                }
            }
        }
        taken += self.waiting.len();
        self.waiting.clear();
        if self.over {
            self.input = None;
        }
        taken
    }

    /// Passes what the program has written, `true` for its standard error, as long as `has_space`. False if nothing was there.
    pub fn read(&mut self, mut take: impl FnMut(bool, &[u8]) -> bool) -> bool {
        let mut buffer = [0; PART];
        let mut any = false;
        let sources = [(&mut self.output, false), (&mut self.error, true), (&mut self.terminal, false)];
        for (source, is_error) in sources {
            while let Some(open) = source {
                match rustix::io::read(&*open, &mut buffer) {
                    Ok(count @ 1..) => {
                        any = true;
                        if !take(is_error, &buffer[..count]) {
                            return true;
                        }
                    }
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => break,
                    // A terminal whose other side is closed answers with an error.
                    Ok(_) | Err(_) => *source = None,
                }
            }
        }
        any
    }

    /// What to wait for. Output only if there is space for it.
    pub fn awaited(&self, has_space: bool) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let reads = if has_space { PollFlags::IN } else { PollFlags::empty() };
        let writes = if self.waiting.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
        let output = [&self.output, &self.error].into_iter().flatten().map(move |end| (end.as_fd(), reads));
        let input = self.input.as_ref().map(|end| (end.as_fd(), writes));
        let terminal = self.terminal.as_ref().map(|end| (end.as_fd(), reads | writes));
        // Nothing to wait for: an end that was closed by the program would wake without end.
        output.chain(input).chain(terminal).filter(|(_, flags)| !flags.is_empty())
    }
}
