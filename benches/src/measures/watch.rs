//! One key, many watchers: the time from the start of a put until the last watcher has its event.

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
/// Streams, one connection each; the watchers are divided among them.
const STREAMS: usize = 12;
/// Puts of the watched key.
const PUTS: usize = 100;
/// Time limit for an event to reach all watchers.
const LIMIT: Duration = Duration::from_secs(30);

/// Time until the last watcher has its event, and events per second.
pub(crate) fn watch(cluster: &Cluster, watchers: usize) -> Result<Vec<Figure>> {
    block(run(cluster, watchers, cluster.clients(1)?.remove(0)))
}

async fn run(cluster: &Cluster, watchers: usize, mut kv: KvClient<Channel>) -> Result<Vec<Figure>> {
    let (received, mut events) = mpsc::channel::<bool>(4096);
    for stream in 0..STREAMS {
        let share = watchers / STREAMS + usize::from(stream < watchers % STREAMS);
        let (requests, outgoing) = mpsc::channel(share + 1);
        for _ in 0..share {
            let create = WatchCreateRequest { key: Bytes::from_static(KEY), ..WatchCreateRequest::default() };
            let request = WatchRequest { request_union: Some(watch_request::RequestUnion::CreateRequest(create)) };
            requests.send(request).await?;
        }
        // etcd sends headers only with its first answer, so the requests must be queued before.
        let mut answers =
            WatchClient::new(cluster.channel(stream)).watch(ReceiverStream::new(outgoing)).await?.into_inner();
        let received = received.clone();
        tokio::spawn(async move {
            // Held until the answers end, since it would end the request.
            let _requests = requests;
            while let Ok(Some(answer)) = answers.message().await {
                let created = answer.created && !answer.canceled;
                if created && received.send(true).await.is_err() {
                    return;
                }
                for _ in &answer.events {
                    if received.send(false).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
    expect(&mut events, watchers, true).await.context("creating the watches")?;
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
    figures.extend(quantiles("put until the last watcher gets its event", &times).map(|figure| figure.at(watchers)));
    Ok(figures)
}

async fn expect(events: &mut mpsc::Receiver<bool>, count: usize, created: bool) -> Result<()> {
    for seen in 0..count {
        match tokio::time::timeout(LIMIT, events.recv()).await {
            Ok(Some(kind)) if kind == created => {}
            Ok(other) => bail!("unexpected answer: {other:?}"),
            Err(_) => bail!("only {seen} of {count} answers within {LIMIT:?}"),
        }
    }
    Ok(())
}
