//! Contents of programs' files: which are missing, and their way to and between nodes.

use std::time::Duration;

use disco_proto::v1::{
    Artifact, ArtifactPart, ArtifactProgress, HoldArtifactRequest, MissingArtifactsRequest, MissingArtifactsResponse,
    ReadArtifactRequest,
};
use futures_util::StreamExt;
use tokio::io::AsyncReadExt;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{Answers, internal};
use crate::cluster::artifacts::{self, Upload};
use crate::local::artifacts::{Content, NotFetched, landed};
use crate::node::Node;

/// Bytes in one message.
const PART: usize = 64 << 10;
/// Messages that may be queued for the other side.
const UNDER_WAY: usize = 4;
/// Time between two signs of life.
const TICK: Duration = Duration::from_secs(1);
/// A client that sends nothing for this long counts as disconnected.
const SLOW: Duration = Duration::from_secs(60);
/// Contents in one request.
const MOST: usize = 10_000;

/// Of the given contents, those that the cluster, or this node, does not have.
pub(super) async fn missing(
    node: &Node,
    request: Request<MissingArtifactsRequest>,
) -> Result<Response<MissingArtifactsResponse>, Status> {
    let message = request.into_inner();
    if message.artifacts.len() > MOST {
        let text = format!("too many contents: {}; at most {MOST} are allowed", message.artifacts.len());
        return Err(Status::invalid_argument(text));
    }
    let contents = message.artifacts.into_iter().map(|artifact| content(Some(artifact)));
    let contents = contents.collect::<Result<Vec<Content>, Status>>()?;
    if !message.here {
        let sha256 = artifacts::missing(node, &contents).await?;
        return Ok(Response::new(MissingArtifactsResponse { sha256, ..MissingArtifactsResponse::default() }));
    }
    let here = artifacts::here(node, contents).await?;
    let (free, reserve) = (here.free, here.reserve);
    Ok(Response::new(MissingArtifactsResponse { sha256: here.lacks.into_iter().collect(), free, reserve }))
}

fn content(artifact: Option<Artifact>) -> Result<Content, Status> {
    let artifact = artifact.ok_or_else(|| Status::invalid_argument("the request names no content"))?;
    Ok(artifacts::content(&artifact.sha256, artifact.size, artifact.mode)?)
}

/// Receives a content, and hands it on to a majority of the voters.
pub(super) fn put(node: &Node, parts: Streaming<ArtifactPart>) -> Answers<ArtifactProgress> {
    let (sender, receiver) = mpsc::channel(UNDER_WAY);
    let node = node.clone();
    tokio::spawn(async move {
        let result = tokio::select! {
            biased;
            result = receive(&node, parts, &sender) => result,
            _ = node.raft().stopped() => Err(Status::unavailable("this node stops")),
        };
        if let Err(status) = result {
            // A client that has disconnected receives nothing.
            let _ = sender.send(Err(status)).await;
        }
    });
    Box::pin(ReceiverStream::new(receiver))
}

type Progress = mpsc::Sender<Result<ArtifactProgress, Status>>;

async fn receive(node: &Node, mut parts: Streaming<ArtifactPart>, progress: &Progress) -> Result<(), Status> {
    let first = next(&mut parts).await?.unwrap_or_default();
    let mut upload = Upload::begin(node, content(first.artifact)?).await?;
    let mut signs = Signs { progress, at: Instant::now() };
    signs.now(ArtifactProgress { received: upload.received(), ..ArtifactProgress::default() }).await?;
    while !upload.is_complete() {
        let Some(part) = next(&mut parts).await? else {
            let (received, size) = (upload.received(), upload.content().size);
            return Err(Status::invalid_argument(format!("the content has {received} of the announced {size} bytes")));
        };
        upload = upload.write(part.data).await?;
        let received = upload.received();
        signs.sometimes(ArtifactProgress { received, ..ArtifactProgress::default() }).await?;
    }
    let content = upload.finish().await?;
    let last = parking_lot::Mutex::new(ArtifactProgress { received: content.size, ..ArtifactProgress::default() });
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let note = |held: usize, needed: usize| {
        let mut last = last.lock();
        (last.holders, last.needed) = (count(held), count(needed));
    };
    let mut spread = std::pin::pin!(artifacts::spread(node, &content, note));
    let result = loop {
        tokio::select! {
            biased;
            result = &mut spread => break result,
            () = tokio::time::sleep(TICK) => {
                let now = *last.lock();
                signs.now(now).await?;
            }
        }
    };
    Ok(result?)
}

async fn next(parts: &mut Streaming<ArtifactPart>) -> Result<Option<ArtifactPart>, Status> {
    match tokio::time::timeout(SLOW, parts.message()).await {
        Ok(part) => part,
        Err(_) => Err(Status::deadline_exceeded(format!("nothing received within {} s", SLOW.as_secs()))),
    }
}

/// Signs of life: how far a content is.
struct Signs<'a> {
    progress: &'a Progress,
    at: Instant,
}

impl Signs<'_> {
    async fn now(&mut self, progress: ArtifactProgress) -> Result<(), Status> {
        self.at = Instant::now();
        let sent = self.progress.send(Ok(progress)).await;
        sent.map_err(|_| Status::cancelled("the client has disconnected"))
    }

    async fn sometimes(&mut self, progress: ArtifactProgress) -> Result<(), Status> {
        if self.at.elapsed() < TICK / 4 { Ok(()) } else { self.now(progress).await }
    }
}

/// Fetches a content from another node.
pub(super) fn hold(node: &Node, request: HoldArtifactRequest) -> Result<Answers<ArtifactProgress>, Status> {
    let content = content(request.artifact)?;
    let (sender, receiver) = mpsc::channel(UNDER_WAY);
    let node = node.clone();
    tokio::spawn(async move {
        if let Err(status) = fetch(&node, &content, request.node_id, &sender).await {
            // A client that has disconnected receives nothing.
            let _ = sender.send(Err(status)).await;
        }
    });
    Ok(Box::pin(ReceiverStream::new(receiver)))
}

async fn fetch(node: &Node, content: &Content, from: u64, progress: &Progress) -> Result<(), Status> {
    let (artifacts, own) = (node.artifacts().clone(), content.clone());
    let has = tokio::task::spawn_blocking(move || artifacts.has(&own)).await.map_err(internal)?;
    if has.map_err(internal)? {
        return Ok(());
    }
    let mut signs = Signs { progress, at: Instant::now() };
    let flight = artifacts::obtain(node, content, Some(from));
    let shown = flight.clone();
    let mut landing = std::pin::pin!(landed(flight, |_| {}));
    loop {
        tokio::select! {
            biased;
            end = &mut landing => return end.map_err(not_fetched),
            _ = node.raft().stopped() => return Err(Status::unavailable("this node stops")),
            () = tokio::time::sleep(TICK) => {
                let received = shown.borrow().received;
                signs.now(ArtifactProgress { received, ..ArtifactProgress::default() }).await?;
            }
        }
    }
}

fn not_fetched(error: NotFetched) -> Status {
    match error {
        NotFetched::Nowhere(why) => Status::not_found(why),
        NotFetched::Unreachable(why) => Status::unavailable(why),
        NotFetched::NoSpace(why) => Status::resource_exhausted(why),
        NotFetched::Failed(why) => Status::internal(why),
    }
}

/// A content that is being sent.
struct Sending {
    node: Node,
    content: Content,
    offset: u64,
    /// Absent before the first part.
    open: Option<(tokio::fs::File, OwnedSemaphorePermit)>,
}

/// Sends a content that this node has.
pub(super) fn read(node: &Node, request: &ReadArtifactRequest) -> Result<Answers<ArtifactPart>, Status> {
    let content = artifacts::content(&request.sha256, request.size, 0)?;
    if request.offset > content.size {
        let text = format!("offset {} is behind the end of a content of {} bytes", request.offset, content.size);
        return Err(Status::out_of_range(text));
    }
    let sending = Sending { node: node.clone(), content, offset: request.offset, open: None };
    let raft = node.raft().clone();
    let parts = futures_util::stream::try_unfold(sending, Sending::next);
    Ok(parts.take_until(Box::pin(async move { raft.stopped().await })).boxed())
}

impl Sending {
    /// The next part. The content is checked here and not before: that may take longer than a request's answer may.
    async fn next(mut self) -> Result<Option<(ArtifactPart, Self)>, Status> {
        if self.open.is_none() {
            self.open = Some(self.open().await?);
        }
        let left = self.content.size - self.offset;
        let Some((file, _)) = self.open.as_mut().filter(|_| left > 0) else { return Ok(None) };
        let limit = usize::try_from(left).unwrap_or(PART).min(PART);
        let mut data = bytes::BytesMut::with_capacity(limit);
        file.take(limit as u64).read_buf(&mut data).await.map_err(internal)?;
        if data.is_empty() {
            return Err(Status::unavailable("the file became shorter while it was being sent"));
        }
        self.offset += data.len() as u64;
        Ok(Some((ArtifactPart { artifact: None, data: data.freeze() }, self)))
    }

    async fn open(&self) -> Result<(tokio::fs::File, OwnedSemaphorePermit), Status> {
        let (artifacts, content, offset) = (self.node.artifacts().clone(), self.content.clone(), self.offset);
        let permit = artifacts.sending().acquire_owned().await.map_err(internal)?;
        let open = tokio::task::spawn_blocking(move || artifacts.open(&content, offset)).await.map_err(internal)?;
        match open.map_err(internal)? {
            Some(file) => Ok((tokio::fs::File::from_std(file), permit)),
            None => Err(Status::not_found(format!("{} lacks the content {}", self.node.name(), self.content.sha256))),
        }
    }
}
