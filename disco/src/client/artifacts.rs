//! Sends programs' files: each content once, to one node, which hands it on.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use disco_proto::v1::{Artifact, ArtifactPart, ArtifactProgress, MissingArtifactsRequest};
use futures_util::{
    StreamExt,
    stream::{self, FuturesUnordered},
};
use tokio::sync::mpsc;
use tonic::{Code, Status};

use super::{Client, Control, error::from_status, passing};
use crate::{
    error::{Failure, Outcome},
    printer::Task,
    project::{ProjectFile, Selection},
};

/// Bytes in one message.
const PART: usize = 64 << 10;
/// Messages that are read from disk before they are sent.
const READ_AHEAD: usize = 4;
/// Contents in one request.
const NAMES: usize = 2048;
/// Files that are sent at once: many are small, and each waits for the nodes' disks.
const AT_ONCE: usize = 4;
/// Time for the nodes to look at their disks.
const LOOKED: Duration = Duration::from_secs(8);
/// Time without a sign of life of the receiving node, which sends one each second.
const STALL: Duration = Duration::from_secs(30);
/// Time for attempts without any progress.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(250);

impl Client {
    /// Sends the contents that the cluster does not have, and returns their bytes; with `dry_run` only that. Fails early where a
    /// node has no space for them.
    pub(crate) async fn send_programs(&self, selection: &Selection, task: &Task, dry_run: bool) -> Outcome<u64> {
        let by_hash: BTreeMap<&str, &ProjectFile> =
            selection.files.iter().map(|file| (file.sha256.as_str(), file)).collect();
        let all: Vec<&ProjectFile> = by_hash.values().copied().collect();
        let mut missing = Vec::new();
        for some in all.chunks(NAMES) {
            let artifacts = some.iter().map(|file| artifact(file)).collect();
            let request = MissingArtifactsRequest { artifacts, here: false };
            let answer = self
                .call_within(LOOKED, |mut control| {
                    let request = request.clone();
                    async move { control.missing_artifacts(request).await }
                })
                .await?;
            missing.extend(answer.sha256.iter().filter_map(|sha256| by_hash.get(sha256.as_str()).copied()));
        }
        let total = missing.iter().map(|file| file.size).sum();
        if total == 0 && missing.is_empty() || dry_run {
            return Ok(total);
        }
        task.bytes("sending", 0, total);
        let sent = AtomicU64::new(0);
        let mut waiting = missing.into_iter();
        let mut sending = FuturesUnordered::new();
        loop {
            while sending.len() < AT_ONCE
                && let Some(file) = waiting.next()
            {
                sending.push(self.send_shown(file, &sent, task, total));
            }
            match sending.next().await {
                Some(result) => result?,
                None => return Ok(total),
            }
        }
    }

    /// Sends one content, and shows how far all are.
    async fn send_shown(&self, file: &ProjectFile, sent: &AtomicU64, task: &Task, total: u64) -> Outcome<()> {
        let own = AtomicU64::new(0);
        let received = |bytes: u64| {
            // A node that takes over may begin again.
            let before = own.swap(bytes, Ordering::Relaxed);
            sent.fetch_add(bytes, Ordering::Relaxed);
            sent.fetch_sub(before, Ordering::Relaxed);
            task.bytes("sending", sent.load(Ordering::Relaxed), total);
        };
        self.send_program(file, received).await
    }

    /// Sends one content, to another node if the first does not answer. It continues where the node has its beginning.
    async fn send_program(&self, file: &ProjectFile, received: impl Fn(u64) + Send + Sync) -> Outcome<()> {
        let (best, mut deadline) = (AtomicU64::new(0), Instant::now() + PATIENCE);
        loop {
            let before = best.load(Ordering::Relaxed);
            let seen = |bytes: u64| {
                best.fetch_max(bytes, Ordering::Relaxed);
                received(bytes);
            };
            let status = match self.control().await {
                Err(status) => status,
                Ok((address, control)) => match send(control, file, seen).await {
                    Ok(()) => {
                        received(file.size);
                        return Ok(());
                    }
                    Err(Failed::Local(failure)) => return Err(failure),
                    Err(Failed::Remote(status)) => {
                        if passing(&status) {
                            self.forget(address);
                        }
                        status
                    }
                },
            };
            if best.load(Ordering::Relaxed) > before {
                deadline = Instant::now() + PATIENCE;
            }
            if !passing(&status) || Instant::now() + PAUSE >= deadline {
                return Err(not_sent(file, &status));
            }
            tracing::debug!(code = ?status.code(), message = status.message(), file = file.path, "sending again");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Why an attempt failed.
enum Failed {
    /// The file cannot be read.
    Local(Failure),
    Remote(Status),
}

impl From<Status> for Failed {
    fn from(status: Status) -> Self {
        Self::Remote(status)
    }
}

async fn send(mut control: Control, file: &ProjectFile, received: impl Fn(u64) + Send + Sync) -> Result<(), Failed> {
    let (parts, mut queue) = mpsc::channel(READ_AHEAD);
    let head = ArtifactPart { artifact: Some(artifact(file)), ..ArtifactPart::default() };
    parts.try_send(head).map_err(|error| Status::internal(error.to_string()))?;
    let answers = control.put_artifact(stream::poll_fn(move |context| queue.poll_recv(context)));
    let mut answers = within(answers).await?.into_inner();
    let Some(ArtifactProgress { received: offset, .. }) = within(answers.message()).await? else {
        return Err(Status::unavailable("the node ended the upload").into());
    };
    received(offset);
    let (source, size) = (file.source.clone(), file.size);
    // The thread ends when the request does.
    let reading = tokio::task::spawn_blocking(move || read(&source, offset, size, &parts));
    let sent = async {
        while let Some(progress) = within(answers.message()).await? {
            received(progress.received);
        }
        Ok(())
    };
    let sent: Result<(), Status> = sent.await;
    drop(answers);
    let read = reading.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    match (read, sent) {
        (Err(error), Err(_)) => {
            Err(Failed::Local(Failure::failed(format!("cannot read `{}`", file.path)).because(&error)))
        }
        (_, sent) => Ok(sent?),
    }
}

/// Reads the file from `offset` on. Ends without an error when nobody waits for it any more.
fn read(path: &std::path::Path, offset: u64, size: u64, parts: &mpsc::Sender<ArtifactPart>) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut file = file.take(size - offset.min(size));
    loop {
        let mut data = Vec::with_capacity(PART);
        (&mut file).take(PART as u64).read_to_end(&mut data)?;
        if data.is_empty() || parts.blocking_send(ArtifactPart { artifact: None, data: data.into() }).is_err() {
            return Ok(());
        }
    }
}

/// The answer, unless nothing is heard for too long.
async fn within<T>(answer: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    match tokio::time::timeout(STALL, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(Status::unavailable(format!("no sign of life of the node within {} s", STALL.as_secs()))),
    }
}

fn artifact(file: &ProjectFile) -> Artifact {
    Artifact { sha256: file.sha256.clone(), size: file.size, mode: file.mode }
}

fn not_sent(file: &ProjectFile, status: &Status) -> Failure {
    if status.code() == Code::InvalidArgument && status.message().contains("the content") {
        return Failure::failed(format!("`{}` changed while it was being sent", file.path))
            .hint("run the command again");
    }
    from_status(status)
}
