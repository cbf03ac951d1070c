//! The download of a snapshot, in the form that `etcdctl snapshot save` takes: content of a multiple of 512 bytes, then its
//! SHA-256. The content is the store's own snapshot and zeros; it is no database of etcd's.

use std::io::{self, Write};

use bytes::Bytes;
use disco_proto::etcdserverpb::SnapshotResponse;
use disco_store::Store;
use sha2::{Digest, Sha256};
use tokio::sync::OwnedSemaphorePermit;

use super::header::API_VERSION;
use crate::api::Answers;
use crate::api::outgoing::Outgoing;

/// `etcdctl` infers from the size whether a checksum follows: one more than a multiple of this.
const SECTOR: u64 = 512;

/// Sends a copy of the state; commands continue meanwhile.
pub(super) fn send(store: Store, place: OwnedSemaphorePermit) -> Answers<SnapshotResponse> {
    Outgoing::stream("etcdserver: could not send the snapshot", move |outgoing| {
        let _place = place;
        write(&store, outgoing)
    })
}

fn write(store: &Store, outgoing: &Outgoing<SnapshotResponse>) -> io::Result<()> {
    // The size comes first, so the snapshot is encoded twice; the first time into nothing.
    let size = store.encode_snapshot(io::sink())?;
    let total = size.next_multiple_of(SECTOR);
    let mut parts = Parts { outgoing, remaining: total, sum: Sha256::new() };
    store.encode_snapshot(&mut parts)?;
    let zeros = [0; SECTOR as usize];
    parts.write_all(&zeros[..usize::try_from(total - size).unwrap_or_default()])?;
    let sum = parts.sum.finalize_reset();
    parts.send(Bytes::copy_from_slice(&sum))
}

/// Sends each piece that is written.
struct Parts<'a> {
    outgoing: &'a Outgoing<SnapshotResponse>,
    remaining: u64,
    sum: Sha256,
}

impl Parts<'_> {
    fn send(&self, blob: Bytes) -> io::Result<()> {
        self.outgoing.send(SnapshotResponse {
            header: None,
            remaining_bytes: self.remaining,
            blob,
            version: API_VERSION.to_owned(),
        })
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
