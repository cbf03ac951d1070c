//! Memory, processor time and wake-ups of nodes without clients.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::Figure;
use crate::peers::Cluster;
use disco_benches::process::{Used, anonymous_mb, resident_mb, used};

/// Measures a cluster after this time, during which nothing is requested of it: the leader, and the mean of the others.
pub(crate) fn idle(cluster: &Cluster, time: Duration) -> Result<Vec<Figure>> {
    let pids = cluster.pids();
    let leader = cluster.leader()?;
    let all = || pids.iter().map(|pid| used(&[*pid])).collect::<Result<Vec<_>>>();
    let (before, start) = (all()?, Instant::now());
    std::thread::sleep(time);
    let (after, seconds) = (all()?, start.elapsed().as_secs_f64());
    if cluster.leader()? != leader {
        bail!("the leader has changed, although nothing was requested");
    }
    let others = pids.iter().copied().enumerate().filter(|(node, _)| *node != leader).map(|(node, _)| node);
    let mut figures = Vec::new();
    for (who, nodes) in [("leader", vec![leader]), ("others", others.collect::<Vec<_>>())] {
        if nodes.is_empty() {
            continue;
        }
        let mean = |of: &dyn Fn(usize) -> Result<f64>| -> Result<f64> {
            let values = nodes.iter().map(|node| of(*node)).collect::<Result<Vec<_>>>()?;
            Ok(values.iter().sum::<f64>() / values.len() as f64)
        };
        let rate = |of: &dyn Fn(&Used) -> f64| mean(&|node| Ok((of(&after[node]) - of(&before[node])) / seconds));
        figures.extend([
            Figure::new(format!("idle, resident memory, {who}"), "MB", mean(&|node| resident_mb(pids[node]))?),
            Figure::new(format!("idle, anonymous memory, {who}"), "MB", mean(&|node| anonymous_mb(pids[node]))?),
            Figure::new(
                format!("idle, processor time, {who}"),
                "% of a core",
                rate(&|used| used.processor_seconds)? * 100.0,
            ),
            Figure::new(format!("idle, waits of threads, {who}"), "per second", rate(&|used| used.waits)?),
        ]);
    }
    Ok(figures)
}
