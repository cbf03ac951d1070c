//! Copies a command's output to its client.

use std::time::Duration;

use bytes::BytesMut;
use russh::ChannelWriteHalf;
use russh::server::Msg;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;

use super::command::Output;

/// Extended data of this kind is standard error.
const STDERR: u32 = 1;

/// How much is read at once.
const CHUNK: usize = 64 * 1024;
/// How long a pipe must be empty after the command's end to count as finished. The command's own output is in the pipe by
/// then; its background processes may hold the pipe open forever.
const QUIET: Duration = Duration::from_millis(20);

/// Which of its outputs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stream {
    Output,
    Error,
}

/// Sends the output until its end, or until the command has ended and the pipe is empty. Returns early if the client is
/// gone.
pub(super) async fn pump(
    mut source: Output,
    stream: Stream,
    writer: &ChannelWriteHalf<Msg>,
    mut ended: watch::Receiver<bool>,
) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(CHUNK);
        let count = if *ended.borrow() {
            match tokio::time::timeout(QUIET, source.read_buf(&mut buffer)).await {
                Ok(count) => count,
                Err(_) => return,
            }
        } else {
            tokio::select! {
                biased;
                count = source.read_buf(&mut buffer) => count,
                _ = ended.changed() => continue,
            }
        };
        // A terminal whose other side is closed answers with an error.
        if !matches!(count, Ok(1..)) {
            return;
        }
        let data = buffer.split().freeze();
        let sent = match stream {
            Stream::Output => writer.data_bytes(data).await,
            Stream::Error => writer.extended_data_bytes(STDERR, data).await,
        };
        if sent.is_err() {
            return;
        }
    }
}
