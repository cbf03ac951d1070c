//! The time from the kill of the leader's process until another node has accepted a write.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::Bytes;
use disco_proto::etcdserverpb::PutRequest;
use disco_tests::block;

use super::{Figure, milliseconds};
use crate::peers::Cluster;

/// Time limit of a put before it is retried at the next node.
const PATIENCE: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(5);
const LIMIT: Duration = Duration::from_secs(60);

/// Median and longest time of this number of kills.
pub(crate) fn failover(cluster: &mut Cluster, kills: u32) -> Result<Vec<Figure>> {
    let mut times = Vec::new();
    for kill in 0..kills {
        let leader = cluster.wait_until_whole()?;
        let mut others: Vec<_> =
            cluster.clients(cluster.nodes())?.into_iter().enumerate().filter(|(node, _)| *node != leader).collect();
        // The connections exist already, as those of a running program.
        for (_, kv) in &mut others {
            block(kv.put(put(kill)))?;
        }
        let start = Instant::now();
        cluster.peer().kill(leader)?;
        'written: loop {
            for (_, kv) in &mut others {
                if let Ok(Ok(_)) = block(async { tokio::time::timeout(PATIENCE, kv.put(put(kill))).await }) {
                    break 'written;
                }
                if start.elapsed() > LIMIT {
                    bail!("no node accepted a write within {LIMIT:?} after the leader was killed");
                }
                std::thread::sleep(PAUSE);
            }
        }
        times.push(start.elapsed());
        cluster.peer().start(leader)?;
    }
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part).round() as usize];
    Ok(vec![
        Figure::new("leader killed to the next write, median", "ms", milliseconds(at(0.5))),
        Figure::new("leader killed to the next write, longest", "ms", milliseconds(at(1.0))),
    ])
}

fn put(kill: u32) -> PutRequest {
    PutRequest { key: Bytes::from_static(b"failover"), value: kill.to_string().into(), ..PutRequest::default() }
}
