//! The local terminal, for a program that runs elsewhere.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::fs::OFlags;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, ttyname};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, ReadBuf};

/// Columns and rows of the terminal on standard output; those of a usual one if it is something else.
#[must_use]
pub fn size() -> (u32, u32) {
    let known = tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
    known.map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
}

/// The terminal, opened anew so that making it non-blocking does not affect other processes that use it.
#[derive(Debug)]
pub struct Terminal {
    file: AsyncFd<File>,
}

impl Terminal {
    /// `None` when standard input or output is something else.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open() -> io::Result<Option<Self>> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Ok(None);
        }
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
        let open = |path: &Path| OpenOptions::new().read(true).custom_flags(flags).open(path);
        // Usually the controlling one; a process that was given a terminal without controlling it knows the device.
        let file = open(Path::new("/dev/tty")).or_else(|error| match ttyname(io::stdin(), Vec::new()) {
            Ok(name) => open(Path::new(OsStr::from_bytes(name.as_bytes()))),
            Err(_) => Err(error),
        })?;
        #[expect(unsafe_code, reason = "the safe way to watch a file is deprecated")]
        // SAFETY: a `File` has the same descriptor all its life, and owns it.
        let file = unsafe { AsyncFd::register(file) }?;
        Ok(Some(Self { file }))
    }
}

impl AsyncRead for Terminal {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.file.poll_read_ready(cx))?;
            let space = buf.initialize_unfilled();
            match guard.try_io(|file| file.get_ref().read(space)) {
                Ok(count) => return Poll::Ready(count.map(|count| buf.advance(count))),
                Err(_would_block) => {}
            }
        }
    }
}

/// Puts the terminal on standard input into raw mode, until the result is dropped or this process panics.
///
/// # Errors
/// Its mode cannot be changed.
pub fn raw() -> io::Result<Raw> {
    let before = tcgetattr(io::stdin())?;
    let mut raw = before.clone();
    raw.make_raw();
    tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
    let restored = before.clone();
    let report = std::panic::take_hook();
    // A panic may end the process without dropping anything, and its message needs lines.
    std::panic::set_hook(Box::new(move |panic| {
        restore(&restored);
        report(panic);
    }));
    Ok(Raw { before })
}

/// The raw mode of the terminal.
#[derive(Debug)]
pub struct Raw {
    before: Termios,
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore(&self.before);
    }
}

fn restore(before: &Termios) {
    // Nothing can be done about a terminal that is gone.
    let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
}
