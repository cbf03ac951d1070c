//! Closed loops: each client sends its next request once it has the previous answer.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::ValueEnum;
use disco_proto::etcdserverpb::kv_client::KvClient;
use disco_proto::etcdserverpb::{PutRequest, RangeRequest};
use disco_tests::block;
use futures_util::future::try_join_all;
use hdrhistogram::Histogram;
use tonic::transport::Channel;

use super::{Figure, histogram, quantiles};
use crate::peers::Cluster;
use disco_benches::process::used;

/// Bytes of each value.
const VALUE: usize = 256;
/// Different keys: gets read what puts have written.
const KEYS: usize = 10_000;
/// Connections; more clients share them, as in a program with many tasks.
const CONNECTIONS: usize = 16;
/// Warm-up that is not counted: connections are made, caches filled.
const WARM: Duration = Duration::from_millis(500);

/// The kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Durable puts.
    Put,
    /// Linearizable gets.
    Get,
}

/// Runs each kind of request with each number of clients.
pub(crate) fn load(cluster: &Cluster, kinds: &[Kind], clients: &[usize], time: Duration) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let pids = cluster.pids();
    eprintln!("  nodes run as {pids:?}, {} leads", pids[cluster.leader()?]);
    for &kind in kinds {
        let what = kind.describe();
        for &count in clients {
            let before = used(&pids)?;
            let (times, all) = block(run(cluster.clients(count.min(CONNECTIONS))?, count, kind, time))
                .with_context(|| format!("{what} with {count} clients"))?;
            let after = used(&pids)?;
            let rate = times.len() as f64 / time.as_secs_f64();
            eprintln!("  {what}, {count} clients: {rate:.0} per second");
            figures.push(Figure::new(what, "per second", rate).at(count));
            figures.extend(quantiles(what, &times).map(|figure| figure.at(count)));
            // Of all nodes together, and per request, including requests outside of the measured time.
            for (name, unit, used) in [
                ("processor time", "µs per request", (after.processor_seconds - before.processor_seconds) * 1e6),
                ("waits of threads", "per request", after.waits - before.waits),
                ("bytes written to disks", "per request", after.disk_bytes - before.disk_bytes),
            ] {
                figures.push(Figure::new(format!("{what}, {name}"), unit, used / all as f64).at(count));
            }
        }
    }
    Ok(figures)
}

// === impl Kind ===

impl Kind {
    fn describe(self) -> &'static str {
        match self {
            Self::Put => "durable puts",
            Self::Get => "linearizable gets",
        }
    }
}

/// The times of requests that began and ended within the measured time, and the number of all requests.
async fn run(
    connections: Vec<KvClient<Channel>>,
    clients: usize,
    kind: Kind,
    time: Duration,
) -> Result<(Histogram<u64>, u64)> {
    let from = Instant::now() + WARM;
    let until = from + time;
    let tasks = (0..clients).map(|client| {
        let mut kv = connections[client % connections.len()].clone();
        tokio::spawn(async move {
            let mut times = histogram();
            let mut done = 0;
            let mut key = client * 7919;
            loop {
                let start = Instant::now();
                if start >= until {
                    return Ok::<_, tonic::Status>((times, done));
                }
                key += 1;
                request(&mut kv, kind, key % KEYS).await?;
                done += 1;
                let end = Instant::now();
                if start >= from && end <= until {
                    let micros = u64::try_from((end - start).as_micros()).unwrap_or(u64::MAX);
                    times.saturating_record(micros);
                }
            }
        })
    });
    let mut all = (histogram(), 0);
    for client in try_join_all(tasks).await? {
        let (times, done) = client?;
        all.0.add(times)?;
        all.1 += done;
    }
    Ok(all)
}

async fn request(kv: &mut KvClient<Channel>, kind: Kind, key: usize) -> Result<(), tonic::Status> {
    let key = Bytes::from(format!("bench/{key:08}"));
    match kind {
        Kind::Put => {
            let value = Bytes::from_static(&[b'v'; VALUE]);
            kv.put(PutRequest { key, value, ..PutRequest::default() }).await.map(|_| ())
        }
        // Linearizable by default.
        Kind::Get => kv.range(RangeRequest { key, ..RangeRequest::default() }).await.map(|_| ()),
    }
}
