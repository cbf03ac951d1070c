use std::time::Duration;

use disco_proto::v1::{NodeStatus, StatusResponse};
use disco_provider::{install::Remote, supervise::Service};
use tokio::time::Instant;

use super::{
    Upgrade,
    nodes::{is_well, lag},
};
use crate::{
    error::{Failure, Outcome},
    founding::install_failure,
    printer::Task,
};

/// Between two looks.
const BETWEEN: Duration = Duration::from_millis(150);
/// Looks in a row that find no service and nobody who keeps it up, before it is taken for ended.
const ENDED_AFTER: u32 = 3;
/// Lines of a node's log that explain why it does not come back.
const LOG_LINES: usize = 15;

impl Upgrade {
    /// Returns when the node runs the program with this checksum and is well: as the leader sees it, and the very process that
    /// its machine shows.
    ///
    /// # Errors
    /// It was not within the limit, or its service has ended; with the end of its log.
    pub(super) async fn until_well(
        &self,
        node: &NodeStatus,
        remote: &Remote,
        sha256: &str,
        task: &Task,
    ) -> Outcome<NodeStatus> {
        // The time counts from the end of the program before, which may need some itself.
        let mut deadline = Instant::now() + self.node_limit;
        let latest = deadline + Service::STOP_LIMIT;
        // One look at a time: what it says now is wanted, not what it will say.
        let client = self.client.with_patience(Duration::ZERO);
        let mut ended = 0;
        loop {
            let process = remote.service_process().await.map_err(|error| install_failure(&node.name, &error))?;
            ended = if process.kept || process.running.is_some() { 0 } else { ended + 1 };
            if process.running.as_ref().is_some_and(|(_, sum)| sum != sha256) {
                deadline = (Instant::now() + self.node_limit).min(latest);
            }
            let state = match &process.running {
                Some((pid, sum)) if sum == sha256 => match client.status(false).await {
                    Ok(status) => match seen(&status, node.id, *pid) {
                        Ok(now) => return Ok(now),
                        Err(state) => state,
                    },
                    Err(failure) => failure.to_string(),
                },
                Some(_) => "the one of before is still ending".to_owned(),
                None if process.kept => "it does not stay up, and is started again and again".to_owned(),
                None => "its service has ended by itself".to_owned(),
            };
            if ended >= ENDED_AFTER || Instant::now() >= deadline {
                let time = match ended {
                    ENDED_AFTER.. => String::new(),
                    _ => format!(" within {}s", self.node_limit.as_secs_f64()),
                };
                let failure = Failure::failed(format!("`{}` did not come back{time}", node.name)).cause(state);
                // An addition: the failure stands without it.
                let log = remote.fetch_log(LOG_LINES).await.unwrap_or_default();
                return Err(if log.is_empty() {
                    failure
                } else {
                    failure.cause(format!("the end of its log:\n{log}"))
                });
            }
            task.state(&state);
            tokio::time::sleep(BETWEEN).await;
        }
    }
}

/// The node as the leader sees it, if it is well and the leader has heard of this process; else what is missing.
fn seen(status: &StatusResponse, id: u64, pid: u32) -> Result<NodeStatus, String> {
    if status.stale {
        return Err("there is no leader at the moment".to_owned());
    }
    let Some(now) = status.nodes.iter().find(|node| node.id == id) else {
        return Err("it is no member any more".to_owned());
    };
    if now.pid != pid {
        return Err("the leader has not heard from it yet".to_owned());
    }
    if !now.healthy {
        return Err(format!("it is not healthy: {}", now.reason));
    }
    if is_well(now, &status.nodes) {
        return Ok(now.clone());
    }
    Err(lag(now, &status.nodes).unwrap_or_else(|| "it is stopping".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u64, pid: u32, behind: Option<u64>) -> NodeStatus {
        let role = if id == 1 { "leader" } else { "voter" }.to_owned();
        NodeStatus { id, pid, behind, role, healthy: true, ..NodeStatus::default() }
    }

    fn status(nodes: [NodeStatus; 2]) -> StatusResponse {
        StatusResponse { nodes: nodes.into(), leader: 1, ..StatusResponse::default() }
    }

    #[test]
    fn only_the_process_of_now_that_has_caught_up_is_well() {
        let good = status([node(1, 10, Some(0)), node(2, 20, Some(3))]);
        assert_eq!(seen(&good, 2, 20).map(|node| node.id), Ok(2));
        assert!(seen(&good, 2, 19).unwrap_err().contains("not heard"));
        assert!(seen(&good, 3, 20).unwrap_err().contains("no member"));
        assert!(seen(&StatusResponse { stale: true, ..good }, 2, 20).unwrap_err().contains("no leader"));
        let lags = status([node(1, 10, Some(0)), node(2, 20, Some(5000))]);
        assert!(seen(&lags, 2, 20).unwrap_err().contains("5000 entries"));
        let unknown = status([node(1, 10, Some(0)), node(2, 20, None)]);
        assert!(seen(&unknown, 2, 20).unwrap_err().contains("does not know"));
        // A leader of before that figure.
        let old = status([node(1, 10, None), node(2, 20, None)]);
        assert_eq!(seen(&old, 2, 20).map(|node| node.id), Ok(2));
        let sick = NodeStatus { healthy: false, reason: "nginx is down".to_owned(), ..node(2, 20, Some(0)) };
        assert!(seen(&status([node(1, 10, Some(0)), sick]), 2, 20).unwrap_err().contains("nginx"));
    }
}
