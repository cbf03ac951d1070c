//! A remote shell on the local terminal.

use bytes::BytesMut;
use russh::ChannelMsg;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};

use super::exec::name_of;
use super::{Session, SshError, Status};
use crate::terminal::{Terminal, raw, size};

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
        let _raw = terminal.as_ref().map(|_| raw()).transpose().map_err(SshError::Terminal)?;
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
