//! Closed loops: each client sends its next request when it has the answer to the last.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use disco_proto::etcdserverpb::kv_client::KvClient;
use disco_proto::etcdserverpb::{PutRequest, RangeRequest};
use disco_tests::block;
use futures_util::future::try_join_all;
use hdrhistogram::Histogram;
use tonic::transport::Channel;

use super::{Figure, histogram, quantiles};
use crate::peers::Cluster;

/// Bytes of each value.
const VALUE: usize = 256;
/// Different keys: gets read what puts have written.
const KEYS: usize = 10_000;
/// More clients share connections, as in a program with many tasks.
const CONNECTIONS: usize = 16;
/// Not counted: connections are made, caches filled.
const WARM: Duration = Duration::from_millis(500);

#[derive(Clone, Copy)]
enum Kind {
    Put,
    Get,
}

/// Puts, then linearizable gets, by each number of clients.
pub(crate) fn load(cluster: &Cluster, clients: &[usize], time: Duration) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (kind, what) in [(Kind::Put, "durable puts"), (Kind::Get, "linearizable gets")] {
        for &count in clients {
            let times = block(run(cluster.clients(count.min(CONNECTIONS)), count, kind, time))
                .with_context(|| format!("{what} by {count} clients"))?;
            let rate = times.len() as f64 / time.as_secs_f64();
            eprintln!("  {what}, {count} clients: {rate:.0} per second");
            figures.push(Figure::new(what, "per second", rate).at(count));
            figures.extend(quantiles(what, &times).map(|figure| figure.at(count)));
        }
    }
    Ok(figures)
}

async fn run(
    connections: Vec<KvClient<Channel>>,
    clients: usize,
    kind: Kind,
    time: Duration,
) -> Result<Histogram<u64>> {
    let from = Instant::now() + WARM;
    let until = from + time;
    let tasks = (0..clients).map(|client| {
        let mut kv = connections[client % connections.len()].clone();
        tokio::spawn(async move {
            let mut times = histogram();
            let mut key = client * 7919;
            loop {
                let start = Instant::now();
                if start >= until {
                    return Ok::<_, tonic::Status>(times);
                }
                key += 1;
                request(&mut kv, kind, key % KEYS).await?;
                let end = Instant::now();
                if start >= from && end <= until {
                    let micros = u64::try_from((end - start).as_micros()).unwrap_or(u64::MAX);
                    times.saturating_record(micros);
                }
            }
        })
    });
    let mut all = histogram();
    for times in try_join_all(tasks).await? {
        all.add(times?)?;
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
        // Linearizable is what a get is when nothing else is said.
        Kind::Get => kv.range(RangeRequest { key, ..RangeRequest::default() }).await.map(|_| ()),
    }
}
