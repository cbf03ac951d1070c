//! Contents of programs' files: on the disks of nodes, outside of the store.
//!
//! ```text
//! client ──Upload──> one node ──spread──> a majority of the voters, before the client's answer
//! records of versions ──needed──> each voter keeps all of them, and fetches what it lacks
//! a task ──obtain──> its node fetches what it lacks, from the nodes in the order of `sources`
//! ```
//!
//! The death of any machine loses no content that a client was answered for. A content that the previous version of Disco
//! has put into the store is used from there, see [`blobs`].

mod fetch;
mod held;
mod needed;
mod sources;
mod space;
mod spread;
mod upload;

use disco_store::typed::LARGEST_FILE;

pub use self::fetch::{ensure, obtain};
pub use self::held::{Lacking, check, here, missing, only_on};
pub use self::needed::{needed, referred};
pub use self::space::prune;
pub use self::spread::{hold_on, spread};
pub use self::upload::Upload;
use super::scripts::blobs;
use super::{Error, Result};
use crate::local::artifacts::Content;
use crate::node::Node;
use crate::raft::Role;

/// A content as a request names it.
///
/// # Errors
/// It is malformed, or too large.
pub fn content(sha256: &str, size: u64, mode: u32) -> Result<Content> {
    blobs::check_names(std::slice::from_ref(&sha256.to_owned()))?;
    if size > LARGEST_FILE {
        return Err(Error::Invalid(format!(
            "a file has {size} bytes: expected at most {LARGEST_FILE} ({} MiB)",
            LARGEST_FILE >> 20
        )));
    }
    Ok(Content { sha256: sha256.to_owned(), size, mode: if mode & 0o777 == 0 { 0o644 } else { mode & 0o777 } })
}

/// The ids of the voters.
fn voters(node: &Node) -> Vec<u64> {
    let members = node.raft().members();
    members.iter().filter(|member| member.role == Role::Voter).map(|member| member.id).collect()
}

/// Whether this node votes, and so has what all versions of services need.
#[must_use]
pub fn is_voter(node: &Node) -> bool {
    voters(node).contains(&node.id())
}

/// How many of the voters must have a content.
fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// The beginning of a hash, for messages.
fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}

/// Does something that blocks.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(std::io::Error::other(error)))
}
