//! One key, many watchers: from the put's beginning until the last one knows.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use disco_proto::etcdserverpb::kv_client::KvClient;
use disco_proto::etcdserverpb::watch_client::WatchClient;
use disco_proto::etcdserverpb::{PutRequest, WatchCreateRequest, WatchRequest, watch_request};
use disco_tests::block;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use super::{Figure, histogram, quantiles};
use crate::peers::Cluster;

const KEY: &[u8] = b"watched";
/// Streams, one connection each; the watchers are shared out among them.
const STREAMS: usize = 12;
/// Puts of the watched key.
const PUTS: usize = 100;
/// No event takes longer to all.
const LIMIT: Duration = Duration::from_secs(30);

/// Time to the last of the watchers, and events a second.
pub(crate) fn watch(cluster: &Cluster, watchers: usize) -> Result<Vec<Figure>> {
    block(run(cluster, watchers, cluster.clients(1)?.remove(0)))
}

async fn run(cluster: &Cluster, watchers: usize, mut kv: KvClient<Channel>) -> Result<Vec<Figure>> {
    let (told, mut events) = mpsc::channel::<bool>(4096);
    for stream in 0..STREAMS {
        let share = watchers / STREAMS + usize::from(stream < watchers % STREAMS);
        let (ask, asked) = mpsc::channel(share + 1);
        for _ in 0..share {
            let create = WatchCreateRequest { key: Bytes::from_static(KEY), ..WatchCreateRequest::default() };
            let request = WatchRequest { request_union: Some(watch_request::RequestUnion::CreateRequest(create)) };
            ask.send(request).await?;
        }
        // etcd begins to answer, headers and all, when it has something to say: what is asked must be on its way before.
        let mut answers =
            WatchClient::new(cluster.channel(stream)).watch(ReceiverStream::new(asked)).await?.into_inner();
        let told = told.clone();
        tokio::spawn(async move {
            // Held until the answers end.
            let _ask = ask;
            while let Ok(Some(answer)) = answers.message().await {
                let created = answer.created && !answer.canceled;
                if created && told.send(true).await.is_err() {
                    return;
                }
                for _ in &answer.events {
                    if told.send(false).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
    expect(&mut events, watchers, true).await.context("making the watches")?;
    let mut times = histogram();
    let begin = Instant::now();
    for put in 0..PUTS {
        let value = Bytes::from(put.to_string());
        let start = Instant::now();
        kv.put(PutRequest { key: Bytes::from_static(KEY), value, ..PutRequest::default() }).await?;
        expect(&mut events, watchers, false).await.with_context(|| format!("event {put}"))?;
        times.saturating_record(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    let rate = (PUTS * watchers) as f64 / begin.elapsed().as_secs_f64();
    let mut figures = vec![Figure::new("events to watchers", "per second", rate).at(watchers)];
    figures.extend(quantiles("put until the last watcher knows", &times).map(|figure| figure.at(watchers)));
    Ok(figures)
}

async fn expect(events: &mut mpsc::Receiver<bool>, count: usize, created: bool) -> Result<()> {
    for seen in 0..count {
        match tokio::time::timeout(LIMIT, events.recv()).await {
            Ok(Some(kind)) if kind == created => {}
            Ok(other) => bail!("something else was told: {other:?}"),
            Err(_) => bail!("only {seen} of {count} were told"),
        }
    }
    Ok(())
}
