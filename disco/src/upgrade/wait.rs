use std::time::Duration;

use disco_proto::v1::{NodeStatus, StatusResponse};
use disco_provider::{install::Remote, supervise::Service};
use tokio::time::Instant;

use super::{
    Upgrade,
    nodes::{is_ready, lag},
};
use crate::{
    error::{Failure, Outcome},
    founding::install_failure,
    printer::Task,
};

/// Pause between two polls.
const BETWEEN: Duration = Duration::from_millis(150);
/// Consecutive polls that find neither the daemon nor its supervisor, before the service counts as ended.
const ENDED_AFTER: u32 = 3;
/// Lines of the node's log in the failure.
const LOG_LINES: usize = 15;

impl Upgrade {
    /// Waits until the node runs the program with this checksum, and the leader sees this very process as healthy and caught up.
    ///
    /// # Errors
    /// The time limit was reached, or the service has ended; with the end of its log.
    pub(super) async fn wait_until_running(
        &self,
        node: &NodeStatus,
        remote: &Remote,
        sha256: &str,
        task: &Task,
    ) -> Outcome<NodeStatus> {
        // The limit counts from the exit of the previous process, which may take some time itself.
        let mut deadline = Instant::now() + self.node_limit;
        let latest = deadline + Service::STOP_LIMIT;
        // No patience: each poll needs the current status, not a later one.
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
                Some(_) => "the previous process is still stopping".to_owned(),
                None if process.kept => "it keeps exiting, and its supervisor keeps restarting it".to_owned(),
                None => "its service has ended".to_owned(),
            };
            if ended >= ENDED_AFTER || Instant::now() >= deadline {
                let time = match ended {
                    ENDED_AFTER.. => String::new(),
                    _ => format!(" within {}s", self.node_limit.as_secs_f64()),
                };
                let failure = Failure::failed(format!("`{}` did not come back{time}", node.name)).cause(state);
                // The log is optional: without it, the failure is returned all the same.
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

/// The node's status, if the leader has heard from this process and it is healthy and caught up; else what is missing.
fn seen(status: &StatusResponse, id: u64, pid: u32) -> Result<NodeStatus, String> {
    if status.stale {
        return Err("the cluster has no leader".to_owned());
    }
    let Some(now) = status.nodes.iter().find(|node| node.id == id) else {
        return Err("it is no longer a member".to_owned());
    };
    if now.pid != pid {
        return Err("the leader has not heard from it yet".to_owned());
    }
    if !now.healthy {
        return Err(format!("it is not healthy: {}", now.reason));
    }
    if is_ready(now, &status.nodes) {
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
    fn only_the_current_process_that_has_caught_up_is_well() {
        let good = status([node(1, 10, Some(0)), node(2, 20, Some(3))]);
        assert_eq!(seen(&good, 2, 20).map(|node| node.id), Ok(2));
        assert!(seen(&good, 2, 19).unwrap_err().contains("not heard"));
        assert!(seen(&good, 3, 20).unwrap_err().contains("no longer a member"));
        assert!(seen(&StatusResponse { stale: true, ..good }, 2, 20).unwrap_err().contains("no leader"));
        let lags = status([node(1, 10, Some(0)), node(2, 20, Some(5000))]);
        assert!(seen(&lags, 2, 20).unwrap_err().contains("5000 entries"));
        let unknown = status([node(1, 10, Some(0)), node(2, 20, None)]);
        assert!(seen(&unknown, 2, 20).unwrap_err().contains("does not know"));
        // A leader of a version that does not report the lag.
        let old = status([node(1, 10, None), node(2, 20, None)]);
        assert_eq!(seen(&old, 2, 20).map(|node| node.id), Ok(2));
        let sick = NodeStatus { healthy: false, reason: "nginx is down".to_owned(), ..node(2, 20, Some(0)) };
        assert!(seen(&status([node(1, 10, Some(0)), sick]), 2, 20).unwrap_err().contains("nginx"));
    }
}
