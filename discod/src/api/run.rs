//! Commands and files for one node, which is the one that was asked or another.

use std::time::Duration;

use bytes::Bytes;
use disco_proto::v1::{CopyFileRequest, Empty, RunCommandRequest, RunCommandResponse};
use tonic::{Request, Response, Status};

use super::forward::{relayed, to_node};
use super::internal;
use crate::agent::commands::{self, CommandError};
use crate::agent::files::{self, FileError};
use crate::node::Node;

/// How long the answer may take besides the command itself: waiting for its turn, and the way.
const AROUND: Duration = Duration::from_secs(40);
/// How long writing a part may take.
const COPY: Duration = Duration::from_secs(30);

pub(super) async fn command(
    node: &Node,
    request: Request<RunCommandRequest>,
) -> Result<Response<RunCommandResponse>, Status> {
    let (metadata, _, message) = request.into_parts();
    if message.command.trim().is_empty() || message.command.contains('\0') {
        return Err(Status::invalid_argument("the command is empty, or holds a zero byte"));
    }
    let limit = limit(message.timeout_ms);
    if let Some(mut forward) = to_node(node, message.node_id, &metadata)? {
        let mut request = forward.request(message);
        request.set_timeout(limit + AROUND);
        return forward.client.run_command(request).await.map_err(relayed);
    }
    run_here(&message.command, limit).await.map(Response::new)
}

/// The time that a command may take; 0 asks for the default.
pub(super) fn limit(timeout_ms: u32) -> Duration {
    match timeout_ms {
        0 => commands::DEFAULT_TIMEOUT,
        asked => Duration::from_millis(u64::from(asked)).min(commands::MAX_TIMEOUT),
    }
}

async fn run_here(command: &str, limit: Duration) -> Result<RunCommandResponse, Status> {
    let output = commands::run(command, limit).await.map_err(|error| match error {
        CommandError::Busy => Status::resource_exhausted(error.to_string()),
        CommandError::Shell(_) => internal(error),
    })?;
    Ok(RunCommandResponse {
        code: output.code,
        stdout: Bytes::from(output.stdout),
        stderr: Bytes::from(output.stderr),
        truncated: output.truncated,
        timed_out: output.timed_out,
    })
}

pub(super) async fn copy(node: &Node, request: Request<CopyFileRequest>) -> Result<Response<Empty>, Status> {
    let (metadata, _, message) = request.into_parts();
    if let Some(mut forward) = to_node(node, message.node_id, &metadata)? {
        let mut request = forward.request(message);
        request.set_timeout(COPY);
        return forward.client.copy_file(request).await.map_err(relayed);
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
    files::write(part).await.map_err(|error| match error {
        FileError::Invalid(why) => Status::invalid_argument(why),
        FileError::Io(_) => internal(error),
    })?;
    Ok(Response::new(Empty {}))
}
