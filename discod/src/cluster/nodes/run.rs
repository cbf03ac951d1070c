//! Commands and files for one node: this one or another.

use std::time::Duration;

use bytes::Bytes;
use disco_proto::v1::{CopyFileRequest, RunCommandRequest, RunCommandResponse};

use super::commands::{self, CommandError};
use super::files::{self, FileError};
use crate::cluster::{Error, Result, member};
use crate::node::Node;
use crate::peers::Hops;

/// Time limit of the answer beyond the command itself: the wait for a slot, and the network.
const AROUND: Duration = Duration::from_secs(40);
/// Time limit for writing a part.
const COPY: Duration = Duration::from_secs(30);

/// Runs a shell command and waits for its end.
///
/// # Errors
/// The command was not run, or the connection to its node broke. A command that fails is not an error.
pub async fn command(node: &Node, hops: Hops, message: RunCommandRequest) -> Result<RunCommandResponse> {
    if message.command.trim().is_empty() || message.command.contains('\0') {
        return Err(Error::Invalid("the command must not be empty or contain a zero byte".to_owned()));
    }
    let limit = time_limit(message.timeout_ms);
    if let Some(mut client) = member(node, message.node_id, hops)? {
        return Ok(client.run_command(message, limit + AROUND).await?);
    }
    let output = commands::run(&message.command, limit).await?;
    Ok(RunCommandResponse {
        code: output.code,
        stdout: Bytes::from(output.stdout),
        stderr: Bytes::from(output.stderr),
        truncated: output.truncated,
        timed_out: output.timed_out,
    })
}

/// The time limit of a command; 0 is the default.
#[must_use]
pub fn time_limit(timeout_ms: u32) -> Duration {
    match timeout_ms {
        0 => commands::DEFAULT_TIMEOUT,
        requested => Duration::from_millis(u64::from(requested)).min(commands::MAX_TIMEOUT),
    }
}

/// Writes a part of a file; with the last one the file appears under its name.
///
/// # Errors
/// The part is invalid, cannot be written, or the connection to its node broke.
pub async fn copy(node: &Node, hops: Hops, message: CopyFileRequest) -> Result<()> {
    if let Some(mut client) = member(node, message.node_id, hops)? {
        return Ok(client.copy_file(message, COPY).await?);
    }
    let part = files::Part {
        path: message.path,
        mode: message.mode,
        data: message.data,
        offset: message.offset,
        size: message.size,
        sha256: message.sha256,
        upload: message.upload,
    };
    Ok(files::write(part).await?)
}

impl From<CommandError> for Error {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Busy => Self::Exhausted(error.to_string()),
            CommandError::Shell(_) => Self::internal(error),
        }
    }
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Invalid(why) => Self::Invalid(why),
            FileError::Io(_) => Self::internal(error),
        }
    }
}
