//! Nodes' reports about themselves, and the certificates that they request with them.

use std::net::SocketAddr;

use disco_planner::twins::Life;
use disco_proto::v1::{ReportRequest, ReportResponse};
use futures_util::StreamExt;
use tonic::{Request, Response, Status, Streaming};

use super::Answers;
use crate::cluster::certificates;
use crate::node::{Leader, Node};
use crate::raft::{Leadership, NotTheNode};
use crate::records::{self, Severity};

/// Accepts a report on the leader; any other node answers who leads. Not forwarded: only the leader's own connection
/// proves which node reports.
pub(super) async fn report(node: &Node, request: Request<ReportRequest>) -> Result<Response<ReportResponse>, Status> {
    disco_identity::require_sender(&request, request.get_ref().node_id)?;
    accept(node, request.into_inner()).await.map(Response::new)
}

/// Like [`report`], for all reports that a node sends on one connection.
pub(super) fn reports(node: &Node, sender: u64, reports: Streaming<ReportRequest>) -> Answers<ReportResponse> {
    // After that no report can be accepted, and the stream must not delay the end of the process.
    let raft = node.raft().clone();
    let reports = reports.take_until(Box::pin(async move { raft.stopped().await }));
    let node = node.clone();
    Box::pin(reports.then(move |report| {
        let node = node.clone();
        async move {
            let report = report?;
            if report.node_id != sender {
                let denied = format!("node {sender} sent a report in the name of node {}", report.node_id);
                return Err(Status::permission_denied(denied));
            }
            accept(&node, report).await
        }
    }))
}

async fn accept(node: &Node, mut report: ReportRequest) -> Result<ReportResponse, Status> {
    let leadership = node.raft().leadership().borrow().clone();
    let term = leadership.term;
    let Some(leader) = leader(node, &leadership).await else {
        let leader = leadership.leader.unwrap_or(0);
        let leader_address = node.member_address(leader).unwrap_or_default();
        return Ok(ReportResponse { leader, term, leader_address, ..ReportResponse::default() });
    };
    let life = Life { number: report.incarnation, run: report.run };
    if let Err(error) = node.raft().check_life(report.node_id, life, &report.earlier).await {
        return Ok(refuse(&leader, report, &error));
    }
    if !is_known(&leader, report.node_id) {
        return removed(&leader, report.node_id).await;
    }
    let (mut certificate_chain, mut certificate_refusal) = (String::new(), String::new());
    let signing_request = std::mem::take(&mut report.signing_request);
    if !signing_request.is_empty() {
        // A node that cannot get a new certificate now keeps running.
        match certificates::renew(node, report.node_id, &signing_request) {
            Ok(chain) => certificate_chain = chain,
            Err(error) => certificate_refusal = error.to_string(),
        }
    }
    if leader.reports().record(report) {
        node.wake_controllers();
    }
    let (leader, leader_address) = (node.id(), node.address().to_string());
    let answer = ReportResponse { leader, term, certificate_chain, leader_address, ..ReportResponse::default() };
    Ok(ReportResponse { certificate_refusal, taken: true, ..answer })
}

/// This node as the leader, if it leads.
pub(super) async fn leader(node: &Node, leadership: &Leadership) -> Option<Leader> {
    if !leadership.is_self {
        return None;
    }
    node.leading(leadership.term, node.raft().pace().election_timeout()).await
}

/// Whether a node is a member, or has been admitted.
fn is_known(leader: &Leader, id: u64) -> bool {
    let is_member = leader.raft().members().iter().any(|member| member.id == id);
    is_member || leader.raft().store().read(|store| records::node(store, id)).is_some()
}

/// Answers a node that was removed while it could not be reached.
async fn removed(leader: &Leader, id: u64) -> Result<ReportResponse, Status> {
    // A leader that was deposed may not know the latest nodes.
    leader.raft().linearizable().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let removed = !is_known(leader, id);
    let refusal = format!("node {id} was removed from the cluster");
    Ok(ReportResponse { leader: leader.id(), term: leader.term(), refusal, removed, ..ReportResponse::default() })
}

/// Answers a process that is not the node that it claims to be; an event and `status` report it to everybody else.
fn refuse(leader: &Leader, report: ReportRequest, error: &NotTheNode) -> ReportResponse {
    let id = report.node_id;
    let why = match error {
        NotTheNode::Twin { .. } => Some("its data folder was copied"),
        NotTheNode::Older { .. } => Some("its data folder is older than the one that the node last started from"),
        // A node that is moving reports again and is then accepted.
        NotTheNode::Unclear { .. } => None,
    };
    let address =
        report.address.parse::<SocketAddr>().map_or_else(|_| "an unknown address".to_owned(), |_| report.address);
    if let Some(why) = why
        && leader.reports().refuse(id, &address)
    {
        let (name, own) = (records::node_name(leader, id), leader.member_address(id).unwrap_or_default());
        let text =
            format!("{name} runs at {own}; the leader refuses a second process with its identity at {address}: {why}");
        let leader = leader.clone();
        tokio::spawn(async move {
            records::emit_in_term(&leader, "node.duplicate", Severity::Warning, Some(id), text).await;
        });
    }
    ReportResponse { leader: leader.id(), term: leader.term(), refusal: error.to_string(), ..ReportResponse::default() }
}
