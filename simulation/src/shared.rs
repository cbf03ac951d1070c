//! Source files that the simulation shares with the daemon, so that no constant and no format can differ.

#[path = "../../discod/src/raft/append_stream.rs"]
mod append_stream_file;
#[path = "../../discod/src/raft/codec.rs"]
#[cfg_attr(not(test), expect(dead_code, reason = "the checksums of the daemon's log, which is a file"))]
mod codec_file;
#[path = "../../discod/src/raft/pace.rs"]
mod pace_file;
#[path = "../../discod/src/raft/types.rs"]
#[expect(dead_code, reason = "the daemon's types of storage; the simulation has its own runtime, so its own")]
mod types_file;

/// The daemon's types name its snapshots, which are files; those of the simulation are in memory.
mod snapshot {
    pub(super) struct SnapshotFile;
}

use std::io;

use openraft::Config;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use append_stream_file::{Answers, Call, Link, ROUND_TRIPS, WINDOW, broken, stream as append_stream};
pub use pace_file::Pace;
pub use types_file::{NodeInfo, Request, Response};

/// Encodes openraft's values in the daemon's wire format.
pub fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    codec_file::encode(value)
}

/// Decodes them.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    codec_file::decode(bytes)
}

/// openraft's settings in the daemon at that pace.
pub fn config(pace: Pace) -> Config {
    pace.config()
}

#[cfg(test)]
mod tests;
