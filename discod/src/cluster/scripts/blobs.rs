//! Contents of files in the replicated store, named by their SHA-256.
//!
//! A blob is cut into chunks that fit into log entries. Its head, with size and number of chunks, is written after all
//! of them, so an interrupted upload leaves no visible blob.

use std::collections::BTreeSet;

use bytes::Bytes;
use disco_proto::v1::command::Operation;
use disco_proto::v1::{DeleteRangeRequest, PutRequest, RangeRequest};
use disco_store::typed::keys::BLOBS;
use disco_store::{Store, prefix_end, prefix_range};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::records::FileRecord;
use crate::cluster::{Error, Result as Outcome};
use crate::node::{Leader, Node, WriteError};
use crate::records;

/// The largest blob, in bytes.
pub const FILE_BYTES: u64 = 8 << 20;
/// Bytes in one chunk: well below the store's limit for a value.
const CHUNK_BYTES: usize = 512 << 10;
/// Maximum number of contents in one request.
const HASHES: usize = 10_000;

/// Marks a complete blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct BlobHead {
    /// Bytes.
    size: u64,
    /// Number of chunks.
    chunks: usize,
}

/// Why a file's content is not available.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BlobError {
    /// The content was never sent, or was deleted after it was unused for long.
    #[error("the cluster does not have the content of `{0}`")]
    Missing(String),
    /// The list of files has the wrong size.
    #[error("`{path}` was announced with {announced} bytes, but its content has {size}")]
    Size {
        /// Path of the file.
        path: String,
        /// Size according to the list.
        announced: u64,
        /// Size of the content.
        size: u64,
    },
}

/// Whether a text is a SHA-256 in the form that names blobs.
#[must_use]
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The name of a content.
#[must_use]
pub fn name(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

/// Whether a complete blob exists.
#[must_use]
pub fn exists(store: &Store, sha256: &str) -> bool {
    head(store, sha256).is_some()
}

/// Checks that these are names of contents, and not too many.
///
/// # Errors
/// A checksum is malformed, or there are too many.
pub fn check_names(sha256: &[String]) -> Outcome<()> {
    if sha256.len() > HASHES {
        return Err(Error::Invalid(format!("too many checksums: {}; at most {HASHES} are allowed", sha256.len())));
    }
    if let Some(wrong) = sha256.iter().find(|sha256| !is_sha256(sha256)) {
        let wrong: String = wrong.chars().take(100).collect();
        return Err(Error::Invalid(format!(
            "invalid checksum `{wrong}`: expected a SHA-256 in lower-case hexadecimal"
        )));
    }
    Ok(())
}

/// Of the given contents, those that the cluster does not have. Existing contents are retained for a while, for the
/// following push or deployment. Only on the leader.
///
/// # Errors
/// This node cannot confirm that it leads.
pub async fn missing(leader: &Leader, sha256: Vec<String>) -> Outcome<Vec<String>> {
    leader.raft().linearizable().await?;
    let commit = leader.commits().await;
    leader.idle_blobs(|idle| idle.touch(sha256.iter()));
    drop(commit);
    let absent = |store: &Store| sha256.into_iter().filter(|sha256| !exists(store, sha256)).collect();
    Ok(leader.raft().store().read(absent))
}

/// Checks that the contents of files exist.
///
/// # Errors
/// The first file whose content is missing or has another size.
pub fn check(store: &Store, files: &[FileRecord]) -> Result<(), BlobError> {
    for file in files {
        let head = head(store, &file.sha256).ok_or_else(|| BlobError::Missing(file.path.clone()))?;
        if head.size != file.size {
            return Err(BlobError::Size { path: file.path.clone(), announced: file.size, size: head.size });
        }
    }
    Ok(())
}

/// The content of a file.
///
/// # Errors
/// The content does not exist.
pub fn read(store: &Store, file: &FileRecord) -> Result<Vec<u8>, BlobError> {
    let missing = || BlobError::Missing(file.path.clone());
    let head = head(store, &file.sha256).ok_or_else(missing)?;
    let mut content = Vec::with_capacity(usize::try_from(head.size).unwrap_or(0));
    for number in 0..head.chunks {
        let chunk = value(store, chunk_key(&file.sha256, number)).ok_or_else(missing)?;
        content.extend_from_slice(&chunk);
    }
    if name(&content) == file.sha256 { Ok(content) } else { Err(missing()) }
}

/// Stores a content. Repeating it changes nothing.
///
/// # Errors
/// See [`WriteError`].
pub async fn write(node: &Node, sha256: &str, content: Bytes) -> Result<(), WriteError> {
    if node.raft().store().read(|store| exists(store, sha256)) {
        return Ok(());
    }
    let chunks = content.len().div_ceil(CHUNK_BYTES);
    for number in 0..chunks {
        let start = number * CHUNK_BYTES;
        let chunk = content.slice(start..(start + CHUNK_BYTES).min(content.len()));
        node.write(put(chunk_key(sha256, number), chunk)).await?;
    }
    let head = BlobHead { size: content.len() as u64, chunks };
    node.write(records::Txn::new().put(&head_key(sha256), &head).operation()).await?;
    Ok(())
}

/// Removes a blob, complete or not.
///
/// # Errors
/// See [`WriteError`].
pub async fn remove(leader: &Leader, sha256: &str) -> Result<(), WriteError> {
    let key = head_key(sha256);
    let range_end = prefix_end(key.as_bytes()).into();
    let delete = DeleteRangeRequest { key: key.into(), range_end, ..DeleteRangeRequest::default() };
    leader.write_in_term(Operation::DeleteRange(delete)).await?;
    Ok(())
}

/// Names of all blobs, complete or not.
#[must_use]
pub fn all(store: &Store) -> BTreeSet<String> {
    let request = RangeRequest { keys_only: true, ..prefix_range(BLOBS) };
    let keys = store.range(&request).map(|response| response.kvs).unwrap_or_default();
    let names = keys.iter().filter_map(|kv| {
        let rest = std::str::from_utf8(&kv.key).ok()?.strip_prefix(BLOBS)?;
        Some(rest.split('/').next().unwrap_or(rest).to_owned())
    });
    names.collect()
}

fn head(store: &Store, sha256: &str) -> Option<BlobHead> {
    records::get(store, &head_key(sha256)).map(|head| head.value)
}

fn head_key(sha256: &str) -> String {
    format!("{BLOBS}{sha256}")
}

fn chunk_key(sha256: &str, number: usize) -> String {
    format!("{BLOBS}{sha256}/{number:04}")
}

fn value(store: &Store, key: String) -> Option<Bytes> {
    let request = RangeRequest { key: key.into(), ..RangeRequest::default() };
    store.range(&request).ok()?.kvs.pop().map(|kv| kv.value)
}

fn put(key: String, value: Bytes) -> Operation {
    Operation::Put(PutRequest { key: key.into(), value, ..PutRequest::default() })
}

impl From<BlobError> for Error {
    /// Blobs that were removed after they were found can be sent again.
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Missing(_) => Self::Conflict(format!("{error}; send it again")),
            BlobError::Size { .. } => Self::Invalid(error.to_string()),
        }
    }
}
