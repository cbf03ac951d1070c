//! Delivers this node's reports.
//!
//! They go directly to the leader, since its connection proves which node reports. A node that is not a member yet does
//! not know the leader; it calls the members that it received at its admission.

use std::time::Duration;

use disco_proto::v1::{ReportRequest, ReportResponse};

use crate::cluster::nodes::own;
use crate::node::Node;
use crate::peers::{RemoteError, ReportStream};

/// Time limit for one member to answer.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(2);

/// What is known about the way to the leader.
#[derive(Default)]
pub(super) struct Reporter {
    /// The leader and its own address, by the answer to the last report, until a better address is known.
    leader: Option<(u64, String)>,
    /// The node that accepted the last report, and the address at which it was called.
    accepted: Option<(u64, String)>,
    /// The open request to that node. Absent while a report is under way, so that one that is abandoned closes it.
    stream: Option<ReportStream>,
    /// A node that accepts only separate reports.
    without_streams: Option<u64>,
    /// The leader has removed this node.
    removed: bool,
    /// Reports since the last accepted one: each starts with a different member.
    failures: usize,
}

// === impl Reporter ===

impl Reporter {
    /// Reports once and follows one hint about the leader. Returns the leader.
    ///
    /// # Errors
    /// Why no leader accepted it.
    pub(super) async fn report(&mut self, node: &Node) -> Result<u64, String> {
        let mut candidates = candidates(node, self.leader.as_ref());
        let count = candidates.len().max(1);
        candidates.rotate_left(self.failures % count);
        // Until one is accepted, also if this is abandoned.
        self.failures += 1;
        let mut last = "no member is known".to_owned();
        for (id, address) in candidates {
            match self.send(node, id, &address).await {
                Ok(answer) if !answer.refusal.is_empty() => return Err(answer.refusal),
                Ok(answer) if answer.taken => return self.accepted(answer),
                Ok(answer) if answer.leader != 0 && !answer.leader_address.is_empty() => {
                    let answer = self.send(node, Some(answer.leader), &answer.leader_address).await?;
                    if !answer.refusal.is_empty() {
                        return Err(answer.refusal);
                    }
                    if answer.taken {
                        return self.accepted(answer);
                    }
                    last = "leadership is changing".to_owned();
                }
                Ok(_) => last = format!("{address} knows no leader"),
                Err(error) => last = error,
            }
        }
        self.leader = None;
        Err(last)
    }

    /// Whether a leader has answered that this node was removed from the cluster.
    pub(super) const fn is_removed(&self) -> bool {
        self.removed
    }

    fn accepted(&mut self, answer: ReportResponse) -> Result<u64, String> {
        let leader = answer.leader;
        self.leader = Some((leader, answer.leader_address));
        self.failures = 0;
        Ok(leader)
    }

    /// Sends one report to a node.
    async fn send(&mut self, node: &Node, id: Option<u64>, address: &str) -> Result<ReportResponse, String> {
        let signing_request = super::certificate::signing_request(node).unwrap_or_default();
        let report = ReportRequest { signing_request, ..own::report(node) };
        let Ok(answer) = tokio::time::timeout(ANSWERED_WITHIN, self.exchange(node, id, address, report)).await else {
            if let Some(id) = id {
                node.reconnect(id);
            }
            return Err(format!("{address}: no answer in {ANSWERED_WITHIN:?}"));
        };
        let answer = answer.map_err(|error| format!("{address}: {error}"))?;
        if let Some(id) = id {
            node.peers().reached(id);
        }
        self.removed = answer.removed;
        if !answer.certificate_chain.is_empty() {
            super::certificate::swap(node, &answer.certificate_chain);
        } else if !answer.certificate_refusal.is_empty() {
            node.renewal().refused(&answer.certificate_refusal);
        }
        Ok(answer)
    }

    /// Through the open request, if it leads to the node at this address; through a new one to the node that accepted the
    /// last report; separately to any other.
    async fn exchange(
        &mut self,
        node: &Node,
        id: Option<u64>,
        address: &str,
        report: ReportRequest,
    ) -> Result<ReportResponse, RemoteError> {
        let stream = self.stream.take();
        let Some(id) = id else { return node.peers().any_member(address).report(report).await };
        let mut client = node.peers().member(id, address);
        let accepted = self.accepted.take().filter(|(last, at)| *last == id && at == address);
        let Some(accepted) = accepted.filter(|_| self.without_streams != Some(id)) else {
            let answer = client.report(report).await?;
            self.accepted = answer.taken.then(|| (id, address.to_owned()));
            // Another leader: the one without streams may have been upgraded before it leads again.
            self.without_streams = self.without_streams.filter(|without| *without == id);
            return Ok(answer);
        };
        let (stream, answer) = match stream {
            Some(mut stream) => {
                let answer = stream.report(report).await?;
                (stream, answer)
            }
            None => match ReportStream::open(client.clone(), report.clone()).await {
                Ok(opened) => opened,
                Err(error) if error.is_unimplemented() => {
                    self.without_streams = Some(id);
                    return client.report(report).await;
                }
                Err(error) => return Err(error),
            },
        };
        if answer.taken {
            (self.stream, self.accepted) = (Some(stream), Some(accepted));
        }
        Ok(answer)
    }
}

/// Nodes to report to, the likeliest first.
pub(super) fn candidates(node: &Node, known_leader: Option<&(u64, String)>) -> Vec<(Option<u64>, String)> {
    let mut members = node.raft().members();
    let leader = node.raft().leadership().borrow().leader;
    if members.iter().any(|member| member.id == node.id()) {
        // The leader comes first. But a node that has returned at another address may know a previous leader, and the
        // leader cannot reach it before it has reported; so then any other member.
        members.retain(|member| member.id != node.id());
        members.sort_by_key(|member| Some(member.id) != leader);
        let at = |id, recorded: String| (Some(id), node.peers().resolve(id, &recorded));
        return members.into_iter().map(|member| at(member.id, member.info.address)).collect();
    }
    let known_leader = known_leader.map(|(id, address)| (Some(*id), address.clone()));
    known_leader.into_iter().chain(node.known_members().iter().map(|address| (None, address.clone()))).collect()
}
