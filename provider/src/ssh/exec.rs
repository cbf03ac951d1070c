//! Remote commands.

use std::fmt;
use std::io::Cursor;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::{Bytes, BytesMut};
use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Session, SshError};

/// How long [`Session::exec`] waits.
const EXEC_LIMIT: Duration = Duration::from_secs(60);
/// The most output that [`Session::exec`] collects.
pub(super) const OUTPUT_LIMIT: usize = 4 << 20;
/// How much input is read at once.
const CHUNK: usize = 256 * 1024;
/// The pause after a refused channel; doubled each time, about 2.5 s in all.
const OPEN_PAUSE: Duration = Duration::from_millis(10);
const OPEN_TRIES: usize = 8;
/// Extended data of this kind is standard error.
const STDERR: u32 = 1;
/// How much of a command errors show.
const SHOWN: usize = 200;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// With this exit code.
    Code(u32),
    /// By a signal of this name, such as `KILL`.
    Signal(String),
}

impl Status {
    /// Whether it ended with exit code 0.
    pub fn success(&self) -> bool {
        *self == Self::Code(0)
    }
}

/// `exit code 1`, `signal KILL`.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(name) => write!(f, "signal {name}"),
        }
    }
}

/// A command's output and status.
#[derive(Debug, Clone)]
pub struct Output {
    /// How it ended.
    pub status: Status,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Standard output as text, trimmed.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }

    /// Standard error as text, trimmed.
    pub fn error_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim().to_owned()
    }
}

/// Which of a command's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

impl Session {
    /// Runs a command with the user's shell, without input, for at most a minute and with at most 4 MiB of output.
    ///
    /// # Errors
    /// Errors of the connection; a command that fails is not an error here.
    pub async fn exec(&self, command: &str) -> Result<Output, SshError> {
        self.exec_with(command, &[], EXEC_LIMIT).await
    }

    /// As [`Self::exec`], with input and a time limit.
    ///
    /// # Errors
    /// As [`Self::exec`].
    pub async fn exec_with(&self, command: &str, input: &[u8], limit: Duration) -> Result<Output, SshError> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let keep = |stream: Stream, data: Bytes| match stream {
            Stream::Output => stdout.extend_from_slice(&data),
            Stream::Error => stderr.extend_from_slice(&data),
        };
        let keep = Limited { keep, left: OUTPUT_LIMIT };
        let status = tokio::time::timeout(limit, self.run(command, Cursor::new(input), keep, |_| {})).await;
        let shown = shorten(command);
        let status = status.map_err(|_| SshError::CommandTimeout {
            endpoint: self.target().endpoint(),
            command: shown,
            limit,
        })??;
        Ok(Output { status, stdout, stderr })
    }

    /// Runs a command with input from a reader, and passes its output on as it arrives. It has no time limit but the reader's and
    /// the command's own; dropping the future closes the command's channel.
    ///
    /// # Errors
    /// Errors of the connection, and of reading the input.
    pub async fn exec_streaming(
        &self,
        command: &str,
        input: impl AsyncRead + Send + Unpin,
        output: impl FnMut(Stream, Bytes) + Send,
        sent: impl FnMut(u64) + Send,
    ) -> Result<Status, SshError> {
        self.run(command, input, Limited { keep: output, left: usize::MAX }, sent).await
    }

    async fn run<F: FnMut(Stream, Bytes) + Send>(
        &self,
        command: &str,
        input: impl AsyncRead + Send + Unpin,
        output: Limited<F>,
        sent: impl FnMut(u64) + Send,
    ) -> Result<Status, SshError> {
        let failed = |error| self.protocol_error(error);
        let _turn = self.turn.lock().await;
        let (reader, writer) = self.open_channel().await.map_err(failed)?.split();
        let writer = CloseOnDrop(Some(writer));
        let Some(half) = &writer.0 else { return Err(self.protocol_error(russh::Error::SendError)) };
        half.exec(true, command).await.map_err(failed)?;
        let mut receive = std::pin::pin!(self.receive(reader, command, output));
        let status = tokio::select! {
            status = &mut receive => status?,
            result = self.send(half, input, sent) => {
                result?;
                receive.await?
            }
        };
        // Before the next one is opened. An error means that it is already closed.
        let _ = half.close().await;
        Ok(status)
    }

    /// A server that allows one channel may not have noticed yet that the previous one is closed.
    async fn open_channel(&self) -> Result<Channel<Msg>, russh::Error> {
        let pauses = ExponentialBuilder::default().with_min_delay(OPEN_PAUSE).with_max_times(OPEN_TRIES);
        (|| self.handle.channel_open_session())
            .retry(pauses)
            .when(|error| matches!(error, russh::Error::ChannelOpenFailure(_)))
            .await
    }

    /// Sends all input. A command that stops reading is no error here; its exit status counts.
    async fn send(
        &self,
        writer: &ChannelWriteHalf<Msg>,
        mut input: impl AsyncRead + Unpin,
        mut sent: impl FnMut(u64),
    ) -> Result<(), SshError> {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(CHUNK);
            let count = input
                .read_buf(&mut buffer)
                .await
                .map_err(|source| SshError::Input { endpoint: self.target().endpoint(), source })?;
            let done = if count == 0 {
                writer.eof().await.is_ok()
            } else {
                writer.data_bytes(buffer.split().freeze()).await.is_err()
            };
            sent(count as u64);
            if done {
                return Ok(());
            }
        }
    }

    /// Receives until the channel is closed. The exit status may come before or after the end of the output.
    async fn receive<F: FnMut(Stream, Bytes)>(
        &self,
        mut reader: ChannelReadHalf,
        command: &str,
        mut output: Limited<F>,
    ) -> Result<Status, SshError> {
        let endpoint = || self.target().endpoint();
        let mut status = None;
        while let Some(message) = reader.wait().await {
            let fits = match message {
                ChannelMsg::Data { data } => output.take(Stream::Output, data),
                ChannelMsg::ExtendedData { data, ext: STDERR } => output.take(Stream::Error, data),
                ChannelMsg::ExitStatus { exit_status } => {
                    status = Some(Status::Code(exit_status));
                    true
                }
                ChannelMsg::ExitSignal { signal_name, .. } => {
                    status = Some(Status::Signal(name_of(&signal_name)));
                    true
                }
                ChannelMsg::Failure => return Err(SshError::CommandRefused { endpoint: endpoint() }),
                ChannelMsg::Close => break,
                _ => true,
            };
            if !fits {
                let limit = OUTPUT_LIMIT;
                return Err(SshError::TooMuchOutput { endpoint: endpoint(), command: shorten(command), limit });
            }
        }
        status.ok_or_else(|| SshError::Disconnected { endpoint: endpoint() })
    }
}

/// Takes output up to a limit.
struct Limited<F> {
    keep: F,
    left: usize,
}

impl<F: FnMut(Stream, Bytes)> Limited<F> {
    fn take(&mut self, stream: Stream, data: Bytes) -> bool {
        let Some(left) = self.left.checked_sub(data.len()) else { return false };
        self.left = left;
        (self.keep)(stream, data);
        true
    }
}

/// Closes a channel when dropped.
struct CloseOnDrop(Option<ChannelWriteHalf<Msg>>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        let Some(writer) = self.0.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // An error means that it is closed already.
            runtime.spawn(async move { writer.close().await });
        }
    }
}

fn shorten(command: &str) -> String {
    match command.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &command[..end]),
        None => command.to_owned(),
    }
}

pub(super) fn name_of(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => name.clone(),
        other => format!("{other:?}"),
    }
}
