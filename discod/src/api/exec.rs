//! Programs that clients run beside tasks.

use std::time::Duration;

use disco_identity::{PeerIdentity, Role};
use disco_proto::v1::exec_input::Input;
use disco_proto::v1::{ExecInput, ExecOutput, ExecStart};
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::Answers;
use super::forward::{relay, to_node_for_sessions};
use crate::cluster::tasks::{self, Sessions};
use crate::node::Node;

/// Within which the first message of a request arrives.
const FIRST_WITHIN: Duration = Duration::from_secs(10);

pub(super) async fn exec(
    node: &Node,
    sessions: &Sessions,
    caller: &PeerIdentity,
    request: Request<Streaming<ExecInput>>,
) -> Result<Response<Answers<ExecOutput>>, Status> {
    let (metadata, _, mut inputs) = request.into_parts();
    let first = tokio::time::timeout(FIRST_WITHIN, inputs.message()).await;
    let first = first.map_err(|_| Status::invalid_argument("the request does not begin"))??;
    let Some(ExecInput { input: Some(Input::Start(mut start)) }) = first else {
        return Err(Status::invalid_argument("the request must begin with `start`"));
    };
    // A node only passes on what its own client has requested.
    if !matches!(caller.role, Role::Node(_)) || start.requested_by.is_empty() {
        start.requested_by = caller.to_string();
    }
    tasks::check(&start)?;
    let at = tasks::node_of(node, start.task_id).await?;
    if let Some(mut forward) = to_node_for_sessions(node, at, &metadata)? {
        let first = ExecInput { input: Some(Input::Start(start)) };
        // The stream ends with the client, and so does that of the other node.
        let rest = stream::unfold(inputs, |mut inputs| async { Some((inputs.message().await.ok()??, inputs)) });
        let request = forward.request(stream::iter([first]).chain(rest));
        return relay(forward.client.exec(request).await);
    }
    let outputs = begin(node, sessions, start, inputs)?;
    Ok(Response::new(ReceiverStream::new(outputs).map(|part| part.map_err(Status::from)).boxed()))
}

fn begin(
    node: &Node,
    sessions: &Sessions,
    start: ExecStart,
    mut inputs: Streaming<ExecInput>,
) -> Result<mpsc::Receiver<tasks::ExecPart>, Status> {
    let (sender, outputs) = sessions.begin(start.clone())?;
    let node = node.clone();
    tokio::spawn(async move { tasks::record(&node, &start).await });
    tokio::spawn(async move {
        loop {
            let input = tokio::select! {
                biased;
                // The program has ended.
                () = sender.closed() => return,
                input = inputs.message() => input,
            };
            match input {
                Ok(Some(ExecInput { input: Some(input) })) => {
                    if sender.send(input).await.is_err() {
                        return;
                    }
                }
                // A newer client may send what this node does not know.
                Ok(Some(ExecInput { input: None })) => {}
                // The client is gone.
                Ok(None) | Err(_) => return,
            }
        }
    });
    Ok(outputs)
}
