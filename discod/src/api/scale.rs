//! The number of nodes.
//!
//! The wish is written; the leader's controller makes it so. This only watches, so a client that goes away stops nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use disco_planner::scale::{self as planner, Refusal};
use disco_planner::{Member, Policy};
use disco_proto::v1::{Progress, ScaleRequest};
use futures_util::StreamExt;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::forward::{Answer, relay, to_leader};
use super::{Answers, write_status};
use crate::controllers::confirm::confirmed;
use crate::controllers::members::{planned, policy};
use crate::node::Node;
use crate::records;

/// Steps that may wait for a slow client.
const UNDER_WAY: usize = 64;
/// How often the state is looked at between steps.
const LOOK: Duration = Duration::from_millis(50);

pub(super) async fn scale(node: &Node, request: Request<ScaleRequest>) -> Result<Response<Answers<Progress>>, Status> {
    let (metadata, _, message) = request.into_parts();
    let term = match to_leader(node, &metadata).await? {
        Answer::There(mut forward) => {
            let request = forward.request(message);
            return relay(forward.client.scale(request).await);
        }
        Answer::Here(term) => term,
    };
    let members = check(node, message.nodes).await?;
    let (sender, receiver) = mpsc::channel(UNDER_WAY);
    let steps = node.listen();
    if message.dry_run {
        let text = format!("from {} to {} nodes", members.len(), message.nodes);
        let plan = Progress {
            subject: node.cluster_name().to_owned(),
            state: "planned".into(),
            detail: text,
            done: true,
            ..Progress::default()
        };
        // The receiver is right here.
        let _ = sender.send(Ok(plan)).await;
        return Ok(Response::new(ReceiverStream::new(receiver).boxed()));
    }
    let txn = records::Txn::new().put(records::keys::DESIRED_NODES, &message.nodes);
    node.write_in_term(term, txn.operation()).await.map_err(write_status)?;
    node.wake_controllers();
    if !message.detach {
        tokio::spawn(follow(node.clone(), message.nodes, steps, sender));
    }
    Ok(Response::new(ReceiverStream::new(receiver).boxed()))
}

/// Whether so many nodes may be wished; the members that there are.
pub(super) async fn check(node: &Node, wished: u32) -> Result<Vec<Member>, Status> {
    let allowed = |members: &[Member], policy: &Policy| planner::check(members, wished as usize, policy).map(|_| ());
    confirmed(node, allowed).await.map_err(refuse)?;
    let (members, policy) = (planned(node), policy(node));
    if wished as usize > members.len() {
        let dead: Vec<u64> = members.iter().filter(|member| member.is_lost(&policy)).map(|member| member.id).collect();
        let checked = crate::controllers::instances::check_can_have(node, wished as usize, &dead).await;
        checked.map_err(Status::failed_precondition)?;
    }
    Ok(members)
}

fn refuse(refusal: Refusal) -> Status {
    Status::failed_precondition(refusal.to_string())
}

/// Tells the steps until the cluster is as wished, or this node leads no more, or a machine has failed for good.
async fn follow(
    node: Node,
    wished: u32,
    mut steps: tokio::sync::broadcast::Receiver<Progress>,
    sender: mpsc::Sender<Result<Progress, Status>>,
) {
    let mut joined = BTreeSet::new();
    let mut look = tokio::time::interval(LOOK);
    loop {
        let step = tokio::select! {
            biased;
            () = sender.closed() => return,
            step = steps.recv() => match step {
                Ok(step) => Some(step),
                Err(RecvError::Lagged(_)) => None,
                Err(RecvError::Closed) => return,
            },
            _ = look.tick() => None,
        };
        if let Some(step) = step
            && sender.send(Ok(step)).await.is_err()
        {
            return;
        }
        if node.raft().leads().is_none() {
            // Whoever asked asks again, and is forwarded to the new leader.
            let _ = sender.send(Err(Status::unavailable("leadership has changed; the work goes on"))).await;
            return;
        }
        let status = super::status::leader_view(&node);
        for member in &status.nodes {
            if member.healthy && joined.insert(member.id) {
                let step = Progress {
                    subject: member.name.clone(),
                    state: "healthy".to_owned(),
                    detail: member.address.clone(),
                    done: true,
                    error: String::new(),
                };
                if sender.send(Ok(step)).await.is_err() {
                    return;
                }
            }
        }
        let policy = policy(&node);
        let members = planned(&node);
        let voters = members.iter().filter(|member| member.voter).count();
        let settled = voters == disco_planner::voters::wanted(members.len(), &policy);
        if status.nodes.len() == wished as usize && status.healthy && settled {
            return;
        }
        let now_wished = node.raft().store().read(records::desired_nodes);
        if now_wished.is_some_and(|now| now != wished) {
            let text = format!("meanwhile {} nodes are wished", now_wished.unwrap_or(0));
            let _ = sender.send(Err(Status::aborted(text))).await;
            return;
        }
    }
}
