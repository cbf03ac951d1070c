//! One channel: the client's requests, and the command that runs.
//!
//! ```text
//! open ──(pty-req, env, …)──> open ──exec or shell──> running ──command ends──> exit status, EOF, close
//!                                                        └────client is gone──> its process group is killed
//! ```

use std::process::ExitStatus;
use std::sync::Arc;

use russh::server::{Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;

use super::command::{self, Command, Group};
use super::pty::{Pty, Size};
use super::pump::{Stream, pump};
use super::server::Shared;

/// Serves a channel until it is closed. `client` ends when the client is gone.
pub(super) async fn serve(channel: Channel<Msg>, handle: Handle, shared: Arc<Shared>, mut client: watch::Receiver<()>) {
    let id = channel.id();
    let (mut reader, writer) = channel.split();
    let Some((command, terminal)) = wait_for_command(&mut reader).await else { return };
    let mut command = match command::spawn(&shared, command.as_deref(), terminal.as_ref()) {
        Ok(command) => command,
        Err(error) => {
            tracing::warn!(%error, "cannot start a command");
            // Each of these fails only when the client is gone.
            let _ = handle.channel_failure(id).await;
            let _ = writer.close().await;
            return;
        }
    };
    let _ = handle.channel_success(id).await;
    let input = command.take_input();
    let pty = command.pty();
    let group = command.group();
    let status = tokio::select! {
        status = run(&mut command, &writer) => Some(status),
        () = serve_input(reader, input, group, pty) => None,
        _ = client.changed() => None,
    };
    match status {
        Some(status) => finish(&handle, &writer, status).await,
        None => command.kill().await,
    }
}

/// Handles the requests before a command. `None` if the client leaves instead.
/// [`Handler`](super::handler::Handler) sends the replies.
async fn wait_for_command(reader: &mut ChannelReadHalf) -> Option<(Option<Vec<u8>>, Option<Size>)> {
    let mut terminal = None;
    loop {
        match reader.wait().await? {
            ChannelMsg::Exec { command, .. } => return Some((Some(command), terminal)),
            ChannelMsg::RequestShell { .. } => return Some((None, terminal)),
            ChannelMsg::RequestPty { term, col_width, row_height, .. } => {
                terminal = Some(Size::new(col_width, row_height, term));
            }
            ChannelMsg::Close => return None,
            _ => {}
        }
    }
}

/// Sends the command's output, until it has ended and everything is sent.
async fn run(command: &mut Command, writer: &ChannelWriteHalf<Msg>) -> std::io::Result<ExitStatus> {
    let (stdout, stderr) = command.take_output();
    let (ended, has_ended) = watch::channel(false);
    let wait = async {
        let status = command.wait().await;
        ended.send_replace(true);
        status
    };
    let (status, (), ()) = tokio::join!(
        wait,
        pump(stdout, Stream::Output, writer, has_ended.clone()),
        pump(stderr, Stream::Error, writer, has_ended.clone()),
    );
    status
}

/// Forwards the client's input. Ends only when the client is gone.
async fn serve_input(
    mut reader: ChannelReadHalf,
    mut input: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    group: Group,
    pty: Option<Pty>,
) {
    while let Some(message) = reader.wait().await {
        match message {
            ChannelMsg::Data { data } => {
                // A command may not read its input, or end before it does.
                if let Some(pipe) = &mut input
                    && pipe.write_all(&data).await.is_err()
                {
                    input = None;
                }
            }
            // On a terminal the end of input is a key press.
            ChannelMsg::Eof if pty.is_none() => input = None,
            ChannelMsg::WindowChange { col_width, row_height, .. } => {
                if let Some(pty) = &pty {
                    pty.resize(col_width, row_height);
                }
            }
            ChannelMsg::Signal { signal } => group.signal(&signal),
            ChannelMsg::Close => return,
            _ => {}
        }
    }
}

/// Sends the command's exit status. Each step fails only if the client is gone.
async fn finish(handle: &Handle, writer: &ChannelWriteHalf<Msg>, status: std::io::Result<ExitStatus>) {
    use std::os::unix::process::ExitStatusExt;

    let id = writer.id();
    let _ = writer.eof().await;
    let _ = match status.map(|status| (status.code(), status.signal(), status.core_dumped())) {
        Ok((None, Some(signal), core)) => {
            handle.exit_signal_request(id, name_of(signal), core, String::new(), String::new()).await
        }
        Ok((Some(code), ..)) => handle.exit_status_request(id, u32::try_from(code).unwrap_or(u32::MAX)).await,
        _ => handle.exit_status_request(id, 255).await,
    };
    let _ = writer.close().await;
}

fn name_of(signal: i32) -> Sig {
    use rustix::process::Signal;

    match Signal::from_named_raw(signal) {
        Some(Signal::ABORT) => Sig::ABRT,
        Some(Signal::ALARM) => Sig::ALRM,
        Some(Signal::FPE) => Sig::FPE,
        Some(Signal::HUP) => Sig::HUP,
        Some(Signal::ILL) => Sig::ILL,
        Some(Signal::INT) => Sig::INT,
        Some(Signal::KILL) => Sig::KILL,
        Some(Signal::PIPE) => Sig::PIPE,
        Some(Signal::QUIT) => Sig::QUIT,
        Some(Signal::SEGV) => Sig::SEGV,
        Some(Signal::TERM) => Sig::TERM,
        Some(Signal::USR1) => Sig::USR1,
        _ => Sig::Custom(format!("{signal}@disco")),
    }
}
