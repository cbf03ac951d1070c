//! The last log lines of a node.

use disco_proto::v1::{LogLine, LogsRequest};
use futures_util::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::Answers;
use super::forward::{relay, to_node_for_sessions};
use crate::node::Node;

/// Lines that may be queued for a slow client.
const UNDER_WAY: usize = 32;

pub(super) async fn logs(node: &Node, request: Request<LogsRequest>) -> Result<Response<Answers<LogLine>>, Status> {
    let (metadata, _, message) = request.into_parts();
    if let Some(mut forward) = to_node_for_sessions(node, message.node_id, &metadata)? {
        let request = forward.request(message);
        return relay(forward.client.logs(request).await);
    }
    let (sender, receiver) = tokio::sync::mpsc::channel(UNDER_WAY);
    let logs = node.logs().clone();
    let id = node.id();
    tokio::spawn(async move {
        let limit = if message.lines == 0 { usize::MAX } else { message.lines as usize };
        let mut written = logs.written();
        let (mut lines, mut position) = logs.since(0, limit);
        loop {
            for line in lines {
                if sender.send(Ok(LogLine { node_id: id, ..line })).await.is_err() {
                    return;
                }
            }
            if !message.follow {
                return;
            }
            tokio::select! {
                biased;
                () = sender.closed() => return,
                changed = written.wait_for(|count| *count > position) => if changed.is_err() { return },
            }
            (lines, position) = logs.since(position, usize::MAX);
        }
    });
    Ok(Response::new(ReceiverStream::new(receiver).boxed()))
}
