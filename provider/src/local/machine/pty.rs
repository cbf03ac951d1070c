//! Pseudo-terminals.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The client's terminal settings.
#[derive(Debug, Clone)]
pub(super) struct Size {
    columns: u16,
    rows: u16,
    /// The value of `TERM`.
    pub(super) term: String,
}

impl Size {
    pub(super) fn new(columns: u32, rows: u32, term: String) -> Self {
        Self { columns: clamp(columns), rows: clamp(rows), term }
    }
}

fn clamp(cells: u32) -> u16 {
    u16::try_from(cells).unwrap_or(u16::MAX)
}

/// The server's side of a terminal.
#[derive(Debug, Clone)]
pub(super) struct Pty {
    master: Arc<AsyncFd<File>>,
}

impl Pty {
    /// Makes a terminal; the second part is the command's side.
    pub(super) fn open(size: &Size) -> io::Result<(Self, OwnedFd)> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let slave = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        fcntl_setfl(&master, fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
        #[expect(unsafe_code, reason = "the safe way to watch a file is deprecated")]
        // SAFETY: a `File` has the same descriptor all its life, and owns it.
        let master = unsafe { AsyncFd::register(File::from(master)) }?;
        let pty = Self { master: Arc::new(master) };
        pty.resize(size.columns.into(), size.rows.into());
        Ok((pty, slave))
    }

    /// Sets a new size.
    pub(super) fn resize(&self, columns: u32, rows: u32) {
        let size = Winsize { ws_col: clamp(columns), ws_row: clamp(rows), ws_xpixel: 0, ws_ypixel: 0 };
        // A terminal of the wrong size is better than none.
        let _ = tcsetwinsize(self.master.get_ref(), size);
    }
}

impl AsyncRead for Pty {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.master.poll_read_ready(cx))?;
            let space = buf.initialize_unfilled();
            match guard.try_io(|master| master.get_ref().read(space)) {
                Ok(count) => return Poll::Ready(count.map(|count| buf.advance(count))),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Pty {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.master.poll_write_ready(cx))?;
            match guard.try_io(|master| master.get_ref().write(data)) {
                Ok(count) => return Poll::Ready(count),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
