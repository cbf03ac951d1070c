//! The serde form of openraft's values on disk and on the wire: MessagePack with field names, so that later versions
//! can add fields. Values on disk also carry a checksum, so a damaged value is an error and never another value.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of the checksum (CRC-32, as in Ethernet; least significant byte first) before each value on disk.
pub const CHECKSUM_BYTES: usize = 4;

/// Encodes a value.
///
/// # Errors
/// The value has no such form.
pub fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    rmp_serde::to_vec_named(value).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Decodes a value.
///
/// # Errors
/// The bytes are not one, as an error of kind `InvalidData`.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    rmp_serde::from_slice(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The bytes with their checksum, as stored on disk.
#[must_use]
pub fn seal(bytes: &[u8]) -> Vec<u8> {
    let mut sealed = vec![0; CHECKSUM_BYTES + bytes.len()];
    seal_into(&mut sealed, bytes);
    sealed
}

/// Like [`seal`], into a buffer that is longer than the bytes by [`CHECKSUM_BYTES`].
pub fn seal_into(place: &mut [u8], bytes: &[u8]) {
    place[CHECKSUM_BYTES..].copy_from_slice(bytes);
    seal_in_place(place);
}

/// Like [`seal`], for a buffer that contains the bytes after space for their checksum.
pub fn seal_in_place(place: &mut [u8]) {
    let (checksum, bytes) = place.split_at_mut(CHECKSUM_BYTES);
    checksum.copy_from_slice(&crc32fast::hash(bytes).to_le_bytes());
}

/// The sealed bytes.
///
/// # Errors
/// They are damaged, as an error of kind `InvalidData` that names them by `what`.
pub fn unseal<'a>(sealed: &'a [u8], what: &str) -> io::Result<&'a [u8]> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, format!("{what} is damaged: checksum mismatch"));
    let (checksum, bytes) = sealed.split_at_checked(CHECKSUM_BYTES).ok_or_else(damaged)?;
    if crc32fast::hash(bytes).to_le_bytes() == checksum { Ok(bytes) } else { Err(damaged()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_bytes_round_trip_and_every_flipped_bit_is_detected() {
        let sealed = seal(b"an entry");
        assert_eq!(unseal(&sealed, "it").unwrap(), b"an entry");
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(unseal(&flipped, "it").unwrap_err().to_string().contains("it is damaged"), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(unseal(&sealed[..length], "it").is_err(), "cut to {length}");
        }
    }
}
