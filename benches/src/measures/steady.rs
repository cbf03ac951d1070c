//! Memory under a light load that lasts: whether it grows, and to what.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use disco_proto::etcdserverpb::kv_client::KvClient;
use disco_proto::etcdserverpb::{PutRequest, RangeRequest};
use disco_tests::block;
use tonic::transport::Channel;

use super::Figure;
use crate::peers::Cluster;
use disco_benches::process::{anonymous_mb, resident_mb};

const KEY: Bytes = Bytes::from_static(b"steady");
/// Bytes of the value.
const VALUE: usize = 100;
/// Samples of the memory, evenly distributed.
const SAMPLES: u32 = 6;

/// Puts and gets one key at the given rate, and measures after each sixth of the time: the leader, and the largest other node.
pub(crate) fn steady(cluster: &Cluster, time: Duration, rate: u32) -> Result<Vec<Figure>> {
    let pids = cluster.pids();
    let leader = cluster.leader()?;
    let mut figures = Vec::new();
    let mut take = |seconds: u64| -> Result<()> {
        let mut line = String::new();
        for (what, read) in [("resident", resident_mb as fn(u32) -> Result<f64>), ("anonymous", anonymous_mb)] {
            let all = pids.iter().map(|pid| read(*pid)).collect::<Result<Vec<_>>>()?;
            let others = all.iter().enumerate().filter(|(node, _)| *node != leader).map(|(_, value)| *value);
            for (who, value) in [("leader", all[leader]), ("largest other", others.fold(0.0, f64::max))] {
                line += &format!(", {what} {who} {value:.2} MB");
                figures.push(Figure::new(format!("after {seconds} s, {what} memory, {who}"), "MB", value));
            }
        }
        eprintln!("  after {seconds} s{line}");
        Ok(())
    };
    take(0)?;
    let mut clients = cluster.clients(cluster.nodes())?;
    for sample in 1..=SAMPLES {
        block(load(&mut clients, time / SAMPLES, rate)).context("putting and getting the key")?;
        take((time / SAMPLES * sample).as_secs())?;
    }
    Ok(figures)
}

/// Each put and get uses the next node.
async fn load(clients: &mut [KvClient<Channel>], time: Duration, rate: u32) -> Result<(), tonic::Status> {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    let count = time.as_secs() * u64::from(rate);
    let next = clients.len();
    for (client, _) in (0..next).cycle().zip(0..count) {
        ticks.tick().await;
        let kv = &mut clients[client];
        kv.put(PutRequest { key: KEY, value: vec![b'v'; VALUE].into(), ..PutRequest::default() }).await?;
        kv.range(RangeRequest { key: KEY, ..RangeRequest::default() }).await?;
    }
    Ok(())
}
