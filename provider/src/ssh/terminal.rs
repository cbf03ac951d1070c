//! A remote shell on the local terminal.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use russh::ChannelMsg;
use rustix::fs::OFlags;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, ttyname};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::signal::unix::{SignalKind, signal};

use super::exec::name_of;
use super::{Session, SshError, Status};

impl Session {
    /// Connects this process's standard streams with a remote command or shell, until that ends. If standard input and output are
    /// a terminal, the remote side gets one as well.
    ///
    /// # Errors
    /// The connection's, and those of the terminal.
    pub async fn interactive(&self, command: Option<&str>) -> Result<Status, SshError> {
        let failed = |error| self.protocol_error(error);
        let channel = self.handle.channel_open_session().await.map_err(failed)?;
        let (mut reader, writer) = channel.split();
        let terminal = Terminal::open().map_err(SshError::Terminal)?;
        if terminal.is_some() {
            let term = std::env::var("TERM").unwrap_or_else(|_| "xterm".to_owned());
            let (columns, rows) = size();
            writer.request_pty(false, &term, columns, rows, 0, 0, &[]).await.map_err(failed)?;
        }
        match command {
            Some(command) => writer.exec(true, command).await.map_err(failed)?,
            None => writer.request_shell(true).await.map_err(failed)?,
        }
        // Restored when dropped.
        let _raw = terminal.as_ref().map(Terminal::raw).transpose().map_err(SshError::Terminal)?;
        let mut input: Box<dyn AsyncRead + Send + Unpin> = match terminal {
            Some(terminal) => Box::new(terminal),
            None => Box::new(tokio::io::stdin()),
        };
        let mut resized = signal(SignalKind::window_change()).map_err(SshError::Terminal)?;
        let (mut stdout, mut stderr) = (tokio::io::stdout(), tokio::io::stderr());
        let (mut status, mut listening, mut buffer) = (None, true, BytesMut::with_capacity(4096));
        loop {
            tokio::select! {
                message = reader.wait() => match message {
                    Some(ChannelMsg::Data { data }) => {
                        stdout.write_all(&data).await.map_err(SshError::Terminal)?;
                        stdout.flush().await.map_err(SshError::Terminal)?;
                    }
                    Some(ChannelMsg::ExtendedData { data, .. }) => {
                        stderr.write_all(&data).await.map_err(SshError::Terminal)?;
                        stderr.flush().await.map_err(SshError::Terminal)?;
                    }
                    Some(ChannelMsg::ExitStatus { exit_status }) => status = Some(Status::Code(exit_status)),
                    Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                        status = Some(Status::Signal(name_of(&signal_name)));
                    }
                    Some(ChannelMsg::Failure) => {
                        return Err(SshError::CommandRefused { endpoint: self.target().endpoint() });
                    }
                    Some(ChannelMsg::Close) | None => break,
                    Some(_) => {}
                },
                count = input.read_buf(&mut buffer), if listening => match count {
                    Ok(1..) => {
                        // The other side may have ended; its status is on the way.
                        listening = writer.data_bytes(buffer.split().freeze()).await.is_ok();
                    }
                    _ => {
                        listening = false;
                        let _ = writer.eof().await;
                    }
                },
                _ = resized.recv() => {
                    let (columns, rows) = size();
                    writer.window_change(columns, rows, 0, 0).await.map_err(failed)?;
                }
            }
        }
        status.ok_or_else(|| SshError::Disconnected { endpoint: self.target().endpoint() })
    }
}

fn size() -> (u32, u32) {
    tcgetwinsize(io::stdout()).map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
}

/// The terminal, opened anew so that making it non-blocking does not affect other processes that use it.
struct Terminal {
    file: AsyncFd<File>,
}

impl Terminal {
    /// `None` when standard input or output is something else.
    fn open() -> io::Result<Option<Self>> {
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

    /// Puts the terminal into raw mode, until the result is dropped.
    fn raw(&self) -> io::Result<Raw> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Raw { before })
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

struct Raw {
    before: Termios,
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
