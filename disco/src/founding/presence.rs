//! Whether each node of a healthy cluster is there now. The leader notices only after some seconds that a node has stopped.

use std::{collections::HashSet, time::Duration};

use disco_proto::v1::{NodeStatus, StatusResponse};
use tokio::time::Instant;

use crate::{client::Client, error::Outcome};

/// A healthy cluster answers, and each of its nodes gives a sign of life, within this time. So no sign is older.
pub(super) const HEALTH_WITHIN: Duration = Duration::from_secs(5);
const BETWEEN: Duration = Duration::from_millis(100);

/// Where signs of life come from.
pub(super) trait Signs {
    /// Ids of the nodes of these that answer this computer now.
    async fn answering(&self, nodes: &[&NodeStatus]) -> Vec<u64>;

    /// The leader's view.
    async fn view(&self) -> Outcome<StatusResponse>;
}

impl Signs for Client {
    async fn answering(&self, nodes: &[&NodeStatus]) -> Vec<u64> {
        Self::answering(self, nodes.iter().copied()).await
    }

    async fn view(&self) -> Outcome<StatusResponse> {
        self.status(false).await
    }
}

/// The status of the cluster, confirmed: it is healthy only if every node has answered this computer, or the leader has heard of it,
/// after this call. Returns within [`HEALTH_WITHIN`].
///
/// # Errors
/// The cluster does not answer.
pub(super) async fn confirmed(signs: &impl Signs, mut status: StatusResponse) -> Outcome<StatusResponse> {
    let mut answered = HashSet::from([status.leader]);
    match tokio::time::timeout(HEALTH_WITHIN, confirm(signs, &mut status, &mut answered)).await {
        Ok(confirmed) => confirmed?,
        Err(_) => {
            status.healthy = false;
            let silent = status.nodes.iter().filter(|node| !answered.contains(&node.id));
            let why = silent.map(|node| format!("`{}` answers neither this computer nor the leader", node.name));
            let why: Vec<String> = why.collect();
            status.warnings.extend(why);
        }
    }
    Ok(status)
}

/// Returns when every node has given a sign of life, or the leader reports that the cluster is not healthy.
async fn confirm(signs: &impl Signs, status: &mut StatusResponse, answered: &mut HashSet<u64>) -> Outcome<()> {
    let since = Instant::now();
    // What a status says was heard before it was requested: nothing in the first one is news.
    let mut within = Duration::ZERO;
    while status.healthy && !status.stale {
        answered.extend(status.nodes.iter().filter(|node| heard(node, within)).map(|node| node.id));
        let open: Vec<&NodeStatus> = status.nodes.iter().filter(|node| !answered.contains(&node.id)).collect();
        let answers = signs.answering(&open).await;
        answered.extend(answers);
        if status.nodes.iter().all(|node| answered.contains(&node.id)) {
            return Ok(());
        }
        tokio::time::sleep(BETWEEN).await;
        within = since.elapsed();
        *status = signs.view().await?;
    }
    Ok(())
}

/// Whether the leader has heard of the node within this time.
fn heard(node: &NodeStatus, within: Duration) -> bool {
    node.last_seen_ms.is_some_and(|ago| u128::from(ago) < within.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cluster whose node 1 leads. The leader last heard of node 2 at some time, in milliseconds; node 3 answers from some time on.
    struct Fake {
        begun: Instant,
        heard_at: i64,
        answers_from: u64,
    }

    impl Fake {
        fn new(heard_at: i64, answers_from: u64) -> Self {
            Self { begun: Instant::now(), heard_at, answers_from }
        }

        fn now(&self) -> u64 {
            u64::try_from(self.begun.elapsed().as_millis()).unwrap()
        }

        fn status(&self) -> StatusResponse {
            let ago = i64::try_from(self.now()).unwrap() - self.heard_at;
            let node = |id: u64, ago: Option<i64>| NodeStatus {
                id,
                name: format!("web-{id}"),
                last_seen_ms: ago.and_then(|ago| u64::try_from(ago).ok()),
                ..NodeStatus::default()
            };
            let nodes = vec![node(1, Some(0)), node(2, Some(ago)), node(3, None)];
            StatusResponse { leader: 1, healthy: true, nodes, ..StatusResponse::default() }
        }
    }

    impl Signs for Fake {
        async fn answering(&self, nodes: &[&NodeStatus]) -> Vec<u64> {
            // As a computer that is off: the connection is not refused.
            tokio::time::sleep(Duration::from_millis(30)).await;
            nodes.iter().map(|node| node.id).filter(|id| *id == 3 && self.now() >= self.answers_from).collect()
        }

        async fn view(&self) -> Outcome<StatusResponse> {
            Ok(self.status())
        }
    }

    async fn confirmed_at(fake: &Fake) -> (StatusResponse, u64) {
        let status = confirmed(fake, fake.status()).await.unwrap();
        (status, fake.now())
    }

    #[tokio::test(start_paused = true)]
    async fn signs_of_life_after_the_call_make_a_cluster_healthy() {
        let (status, at) = confirmed_at(&Fake::new(700, 1_200)).await;
        assert!(status.healthy && (1_200..1_500).contains(&at), "{at}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_report_before_the_call_is_no_sign_of_life_however_long_that_takes() {
        let (status, at) = confirmed_at(&Fake::new(-10, 0)).await;
        assert!(!status.healthy);
        assert_eq!(status.warnings, ["`web-2` answers neither this computer nor the leader"]);
        assert!(Duration::from_millis(at) < HEALTH_WITHIN + BETWEEN, "{at}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_sign_is_older_than_the_limit() {
        // Node 2 is heard of once, and node 3 would answer only after the limit.
        let late = u64::try_from((HEALTH_WITHIN + BETWEEN).as_millis()).unwrap();
        let (status, at) = confirmed_at(&Fake::new(500, late)).await;
        assert!(!status.healthy && at < late);
        assert_eq!(status.warnings, ["`web-3` answers neither this computer nor the leader"]);
    }

    #[test]
    fn what_was_heard_before_is_no_sign_of_life() {
        let node = |last_seen_ms| NodeStatus { last_seen_ms, ..NodeStatus::default() };
        assert!(heard(&node(Some(10)), Duration::from_millis(11)));
        assert!(!heard(&node(Some(11)), Duration::from_millis(11)));
        assert!(!heard(&node(None), Duration::from_secs(60)));
    }
}
