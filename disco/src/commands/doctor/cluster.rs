use std::time::Duration;

use disco_proto::v1::ControllerStatus;

use super::Check;
use crate::{client::Client, context::Context, error::Outcome};

/// How long the cluster may take to answer.
const PATIENCE: Duration = Duration::from_secs(4);
/// Smaller clock differences do not affect certificates.
const SKEW_MS: i64 = 60_000;

pub(super) async fn check(context: &Context) -> Vec<Check> {
    match look(context).await {
        Ok(checks) => checks,
        Err(failure) => vec![Check::failure("cluster", &failure)],
    }
}

async fn look(context: &Context) -> Outcome<Vec<Check>> {
    let client = Client::open(context)?.with_patience(PATIENCE);
    let status = client.status(false).await?;
    let (have, want) = (status.nodes.len(), status.desired_nodes);
    let summary = format!("`{}` answers, {have} nodes, leader {}, term {}", status.cluster, status.leader, status.term);
    let mut checks = vec![if status.healthy {
        Check::good("cluster", summary)
    } else if status.stale {
        Check::bad("cluster", format!("`{}` has no leader", status.cluster))
            .next("`disco bootstrap` restarts and repairs what is down")
    } else {
        Check::doubtful("cluster", format!("{summary}, not healthy ({have} of {want} nodes)"))
            .next("`disco status` shows details")
    }];
    let unhealthy = status.nodes.iter().filter(|node| !node.healthy && !node.reason.is_empty());
    let unhealthy = unhealthy.map(|node| format!("`{}` is not healthy: {}", node.name, node.reason));
    checks.extend(unhealthy.map(|detail| Check::doubtful("cluster", detail)));
    checks.extend(status.warnings.iter().map(|warning| Check::doubtful("cluster", warning)));
    checks.extend(controllers(&status.controllers));
    let own = env!("CARGO_PKG_VERSION");
    let others: Vec<String> = status
        .nodes
        .iter()
        .filter(|node| !node.version.is_empty() && node.version != own)
        .map(|node| format!("`{}` runs {}", node.name, node.version))
        .collect();
    checks.push(if others.is_empty() {
        Check::good("versions", format!("{own} everywhere"))
    } else {
        Check::doubtful("versions", format!("this client is {own}, {}", others.join(", ")))
            .next("`disco bootstrap` installs this version")
    });
    if status.time_ms != 0 {
        let skew = jiff::Timestamp::now().as_millisecond() - status.time_ms;
        checks.push(if skew.abs() < SKEW_MS {
            Check::good("clocks", "agree")
        } else {
            Check::doubtful("clocks", format!("this computer's clock and the cluster's differ by {} s", skew / 1000))
                .next("synchronize the clocks by NTP: certificates depend on them")
        });
    }
    Ok(checks)
}

/// Whether the leader's controllers run. A leader of an earlier version lists none.
fn controllers(all: &[ControllerStatus]) -> Vec<Check> {
    let name = "controllers";
    let doubtful = all.iter().filter_map(|one| match (one.error.as_str(), one.waits_for.as_str()) {
        ("", "") => None,
        ("", what) => Some(Check::doubtful(name, format!("`{}` waits: {what}", one.name))),
        (error, _) => {
            let text = format!("the last pass of `{}`, {} s ago, failed: {error}", one.name, one.ago_ms / 1000);
            Some(Check::doubtful(name, text))
        }
    });
    let checks: Vec<Check> = doubtful.collect();
    match all.iter().max_by_key(|one| one.took_ms) {
        Some(slowest) if checks.is_empty() => {
            let text = format!(
                "all {} run; the longest last pass took {} ms (`{}`)",
                all.len(),
                slowest.took_ms,
                slowest.name
            );
            vec![Check::good(name, text)]
        }
        _ => checks,
    }
}
