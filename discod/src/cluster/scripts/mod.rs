//! Scripts and deployments in the cluster: their records, the contents of their files, and which of these are no longer
//! needed.

pub mod blobs;
pub mod garbage;
pub mod manifest;
pub mod records;
mod upload;

pub use upload::Upload;
