//! Scripts and deployments as the cluster holds them: their records, the contents of their files, and what of these is not needed.

pub mod blobs;
pub mod garbage;
pub mod manifest;
pub mod records;
mod upload;

pub use upload::Upload;
