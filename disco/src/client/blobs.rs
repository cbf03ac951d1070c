use std::collections::BTreeMap;

use disco_proto::v1::{BlobPart, FileEntry, MissingBlobsRequest};

use super::Client;
use crate::{
    error::Outcome,
    printer::Task,
    project::{ProjectFile, Selection},
};

/// Bytes in one message.
const PART: usize = 64 << 10;
/// Hashes in one request.
const HASHES: usize = 4096;

impl Client {
    /// Uploads the contents that the cluster does not have. Returns the number of bytes sent.
    pub(crate) async fn upload(&self, selection: &Selection, task: &Task) -> Outcome<u64> {
        let by_hash: BTreeMap<&str, &ProjectFile> =
            selection.files.iter().map(|file| (file.sha256.as_str(), file)).collect();
        let hashes: Vec<String> = by_hash.keys().map(|hash| (*hash).to_owned()).collect();
        let mut missing = Vec::new();
        for some in hashes.chunks(HASHES) {
            let request = MissingBlobsRequest { sha256: some.to_vec() };
            let answer = self
                .call(|mut control| {
                    let request = request.clone();
                    async move { control.missing_blobs(request).await }
                })
                .await?;
            missing.extend(answer.sha256);
        }
        let files: Vec<&ProjectFile> = missing.iter().filter_map(|hash| by_hash.get(hash.as_str()).copied()).collect();
        let total = files.iter().map(|file| file.size).sum();
        if total > 0 {
            task.bytes("sending", 0, total);
        }
        let mut sent = 0;
        for file in files {
            self.put_blob(file).await?;
            sent += file.size;
            task.bytes("sending", sent, total);
        }
        Ok(total)
    }

    async fn put_blob(&self, file: &ProjectFile) -> Outcome<()> {
        let content = bytes::Bytes::from(file.read()?);
        let head = BlobPart { sha256: file.sha256.clone(), size: file.size, ..BlobPart::default() };
        // The first part carries head and data, so that an empty file has a part, too.
        let mut parts = Vec::with_capacity(content.len() / PART + 1);
        let mut at = 0;
        loop {
            let end = (at + PART).min(content.len());
            let data = content.slice(at..end);
            parts.push(if at == 0 {
                BlobPart { data, ..head.clone() }
            } else {
                BlobPart { data, ..BlobPart::default() }
            });
            at = end;
            if at == content.len() {
                break;
            }
        }
        let limit = std::time::Duration::from_secs(10 + file.size / (256 << 10));
        self.call_within(limit, |mut control| {
            let parts = parts.clone();
            async move { control.put_blob(futures_util::stream::iter(parts)).await }
        })
        .await
        .map(|_| ())
    }
}

/// The files' entries in a request.
pub(crate) fn entries(selection: &Selection) -> Vec<FileEntry> {
    selection
        .files
        .iter()
        .map(|file| FileEntry {
            path: file.path.clone(),
            sha256: file.sha256.clone(),
            size: file.size,
            mode: file.mode,
        })
        .collect()
}
