//! Whether each node of a healthy cluster is there now. The leader notices only after some seconds that a node has stopped.

use std::{collections::HashSet, time::Duration};

use disco_proto::v1::{NodeStatus, StatusResponse};
use tokio::time::Instant;

use crate::{client::Client, error::Outcome};

/// Time for the leader to hear of each node that does not answer this computer, or to notice that it is gone.
const HEARD_WITHIN: Duration = Duration::from_secs(20);
const BETWEEN: Duration = Duration::from_millis(100);

/// The status of the cluster, confirmed: it is healthy only if every node has answered this computer, or the leader has heard of it,
/// after this call.
///
/// # Errors
/// The cluster does not answer.
pub(super) async fn confirmed(client: &Client, mut status: StatusResponse) -> Outcome<StatusResponse> {
    let since = Instant::now();
    let mut answered = HashSet::from([status.leader]);
    // What a status says was heard before it was requested: nothing in the first one is news.
    let mut within = Duration::ZERO;
    while status.healthy && !status.stale {
        let open = status.nodes.iter().filter(|node| !answered.contains(&node.id));
        let answers = client.answering(open).await;
        answered.extend(answers);
        let silent = status.nodes.iter().find(|node| !answered.contains(&node.id) && !heard(node, within));
        let Some(silent) = silent else { return Ok(status) };
        if since.elapsed() >= HEARD_WITHIN {
            let why = format!("`{}` answers neither this computer nor the leader", silent.name);
            status.healthy = false;
            status.warnings.push(why);
            return Ok(status);
        }
        tokio::time::sleep(BETWEEN).await;
        within = since.elapsed();
        status = client.status(false).await?;
    }
    Ok(status)
}

/// Whether the leader has heard of the node within this time.
fn heard(node: &NodeStatus, within: Duration) -> bool {
    node.last_seen_ms.is_some_and(|ago| u128::from(ago) < within.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_before_is_no_sign_of_life() {
        let node = |last_seen_ms| NodeStatus { last_seen_ms, ..NodeStatus::default() };
        assert!(heard(&node(Some(10)), Duration::from_millis(11)));
        assert!(!heard(&node(Some(11)), Duration::from_millis(11)));
        assert!(!heard(&node(None), Duration::from_secs(60)));
    }
}
