//! The serde form of openraft's values on disk and on the wire: MessagePack with field names, so that fields can be
//! added in later versions.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Encodes a value.
pub(super) fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    rmp_serde::to_vec_named(value).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Decodes a value; bytes that are not one are an error of kind `InvalidData`.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    rmp_serde::from_slice(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
