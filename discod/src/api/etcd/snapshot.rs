//! The download of a snapshot, in the form that `etcdctl snapshot save` takes: content of a multiple of 512 bytes, then its
//! SHA-256. The content is the store's own snapshot and zeros; it is no database of etcd's.

use std::io::{self, Write};
use std::time::Duration;

use bytes::Bytes;
use disco_proto::etcdserverpb::SnapshotResponse;
use disco_store::Store;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::header::API_VERSION;
use crate::api::Answers;

/// `etcdctl` knows by the size whether there is a checksum: one more than a multiple of this.
const SECTOR: u64 = 512;
/// Parts that may wait for a slow client.
const UNDER_WAY: usize = 4;
/// A client that takes nothing for so long has gone.
const SLOW: Duration = Duration::from_secs(30);

/// Sends the state as it was when it was copied; commands go on meanwhile.
pub(super) fn send(store: Store, place: OwnedSemaphorePermit) -> Answers<SnapshotResponse> {
    let (sender, receiver) = mpsc::channel(UNDER_WAY);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _place = place;
        let end = sender.clone();
        if let Err(error) = write(&store, sender, &runtime) {
            tracing::debug!(%error, "a snapshot was not sent");
            // Whoever has gone away hears nothing.
            let _ = end.try_send(Err(Status::unavailable(format!("etcdserver: the snapshot was not sent: {error}"))));
        }
    });
    Box::pin(ReceiverStream::new(receiver))
}

fn write(store: &Store, sender: mpsc::Sender<Result<SnapshotResponse, Status>>, runtime: &Handle) -> io::Result<()> {
    // The size comes first, so it is written twice; the first time nowhere.
    let size = store.encode_snapshot(io::sink())?;
    let total = size.next_multiple_of(SECTOR);
    let mut parts = Parts { sender, runtime, remaining: total, sum: Sha256::new() };
    store.encode_snapshot(&mut parts)?;
    let zeros = [0; SECTOR as usize];
    parts.write_all(&zeros[..usize::try_from(total - size).unwrap_or_default()])?;
    let sum = parts.sum.finalize_reset();
    parts.send(Bytes::copy_from_slice(&sum))
}

/// Each piece that is written is sent.
struct Parts<'a> {
    sender: mpsc::Sender<Result<SnapshotResponse, Status>>,
    runtime: &'a Handle,
    remaining: u64,
    sum: Sha256,
}

impl Parts<'_> {
    fn send(&self, blob: Bytes) -> io::Result<()> {
        let part =
            SnapshotResponse { header: None, remaining_bytes: self.remaining, blob, version: API_VERSION.to_owned() };
        let sent = self.runtime.block_on(tokio::time::timeout(SLOW, self.sender.send(Ok(part))));
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the client has gone")),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing any more")),
        }
    }
}

impl Write for Parts<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !bytes.is_empty() {
            self.sum.update(bytes);
            self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
            self.send(Bytes::copy_from_slice(bytes))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::StreamExt;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn the_file_is_what_etcdctl_takes() {
        let store = Store::default();
        let mut plain = Vec::new();
        store.encode_snapshot(&mut plain).unwrap();
        let places = Arc::new(Semaphore::new(1));
        let place = places.clone().try_acquire_owned().unwrap();
        let parts: Vec<SnapshotResponse> = send(store, place).map(Result::unwrap).collect().await;
        let file: Vec<u8> = parts.iter().flat_map(|part| part.blob.clone()).collect();
        assert_eq!(file.len() % 512, 32);
        let (content, sum) = file.split_at(file.len() - 32);
        assert_eq!(Sha256::digest(content).as_slice(), sum);
        assert!(content.starts_with(&plain) && content[plain.len()..].iter().all(|byte| *byte == 0));
        assert_eq!(parts.last().map(|part| part.remaining_bytes), Some(0));
        assert_eq!(parts[0].remaining_bytes + parts[0].blob.len() as u64, content.len() as u64);
    }
}
