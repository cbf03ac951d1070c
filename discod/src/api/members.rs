//! Removal of nodes, and moving leadership.

use std::time::Duration;

use disco_proto::v1::{Empty, MoveLeaderRequest, Progress, RemoveNodeRequest};
use futures_util::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::Answers;
use super::forward::{Answer, relay, relayed, to_leader};
use crate::controllers::removal;
use crate::node::Node;
use crate::raft::{RaftError, Role};

/// Steps that may wait for a slow client.
const UNDER_WAY: usize = 32;
/// How long a node that hands over leadership waits before it forwards the request to the new leader.
const SETTLE: Duration = Duration::from_secs(10);

pub(super) async fn remove(
    node: &Node,
    request: Request<RemoveNodeRequest>,
) -> Result<Response<Answers<Progress>>, Status> {
    let (metadata, _, message) = request.into_parts();
    let mut answer = to_leader(node, &metadata).await?;
    if let Answer::Here(_) = answer {
        let members = node.raft().members();
        if !members.iter().any(|member| member.id == message.node_id) {
            return Err(Status::not_found(format!("there is no node {}", message.node_id)));
        }
        removal::check(node, message.node_id, message.force).await.map_err(Status::failed_precondition)?;
        if message.node_id == node.id() {
            // The work goes on where leadership goes.
            node.raft().transfer_leadership(None).await.map_err(raft_status)?;
            answer = tokio::time::timeout(SETTLE, to_leader(node, &metadata))
                .await
                .map_err(|_| Status::unavailable("no other node took over leadership"))??;
        }
    }
    match answer {
        Answer::There(mut forward) => {
            let request = forward.request(message);
            relay(forward.client.remove_node(request).await)
        }
        Answer::Here(term) => {
            let (sender, receiver) = tokio::sync::mpsc::channel(UNDER_WAY);
            let node = node.clone();
            // Goes on when the client goes away.
            tokio::spawn(async move {
                let id = message.node_id;
                let subject = crate::records::node_name(&node, id);
                let step =
                    |state: &str| Progress { subject: subject.clone(), state: state.to_owned(), ..Progress::default() };
                // A client that has gone away misses the steps, no more.
                let _ = sender.send(Ok(step(removal::REMOVING))).await;
                let record = node.raft().store().read(|store| crate::records::node(store, id));
                if let Err(error) = removal::remove(&node, term, id, true).await {
                    let failed = Progress { done: true, error: format!("{error:#}"), ..step("failed") };
                    let _ = sender.send(Ok(failed)).await;
                    return;
                }
                let _ = sender.send(Ok(step(removal::ENDING))).await;
                let machine = record.map(|record| record.instance).unwrap_or_default();
                let ended = tokio::select! {
                    biased;
                    () = sender.closed() => return,
                    ended = removal::machine_ended(&node, &machine) => ended,
                };
                let end = match ended {
                    true => Ok(Progress { done: true, ..step(removal::REMOVED) }),
                    false => Err(Status::unavailable("leadership has changed; the machine's end goes on")),
                };
                let _ = sender.send(end).await;
            });
            Ok(Response::new(ReceiverStream::new(receiver).boxed()))
        }
    }
}

pub(super) async fn move_leader(node: &Node, request: Request<MoveLeaderRequest>) -> Result<Response<Empty>, Status> {
    let (metadata, _, message) = request.into_parts();
    match to_leader(node, &metadata).await? {
        Answer::There(mut forward) => {
            let request = forward.request(message);
            forward.client.move_leader(request).await.map_err(relayed)
        }
        Answer::Here(_) => {
            let to = (message.to != 0).then_some(message.to);
            if to == Some(node.id()) {
                return Ok(Response::new(Empty {}));
            }
            if let Some(to) = to {
                let members = node.raft().members();
                match members.iter().find(|member| member.id == to).map(|member| member.role) {
                    Some(Role::Voter) => {}
                    Some(Role::Learner) => {
                        return Err(Status::failed_precondition(format!("node {to} does not vote, so it cannot lead")));
                    }
                    None => return Err(Status::not_found(format!("there is no node {to}"))),
                }
            }
            node.raft().transfer_leadership(to).await.map_err(raft_status)?;
            Ok(Response::new(Empty {}))
        }
    }
}

fn raft_status(error: RaftError) -> Status {
    match error {
        RaftError::Membership(_) => Status::failed_precondition(error.to_string()),
        other => Status::unavailable(other.to_string()),
    }
}
