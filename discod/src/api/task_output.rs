//! The output of a task.

use disco_proto::v1::{TaskOutputPart, TaskOutputRequest};
use futures_util::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::Answers;
use super::forward::{relay, to_node_for_sessions};
use crate::cluster::tasks;
use crate::node::Node;

/// Parts that may be queued for a slow client: 64 KiB each at most.
const UNDER_WAY: usize = 8;

pub(super) async fn task_output(
    node: &Node,
    request: Request<TaskOutputRequest>,
) -> Result<Response<Answers<TaskOutputPart>>, Status> {
    let (metadata, _, message) = request.into_parts();
    let at = tasks::node_of(node, message.task_id).await?;
    if let Some(mut forward) = to_node_for_sessions(node, at, &metadata)? {
        let request = forward.request(message);
        return relay(forward.client.task_output(request).await);
    }
    let (sender, receiver) = tokio::sync::mpsc::channel(UNDER_WAY);
    tokio::spawn(tasks::output(node.clone(), message, sender));
    Ok(Response::new(ReceiverStream::new(receiver).map(|part| part.map_err(Status::from)).boxed()))
}
