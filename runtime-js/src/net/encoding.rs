//! Decodes compressed response bodies.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

/// The codings that are requested from servers.
pub(super) const ACCEPTED: &str = "gzip, deflate, br";
/// The buffer size of the brotli decoder.
const BUFFER: usize = 4096;

/// Why a body could not be decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DecodeError {
    /// It exceeds the limit.
    TooLarge,
    /// It is damaged.
    Damaged(String),
}

/// Decodes the codings in the header `content-encoding`, the last of which was applied last. A body with an unknown coding is left
/// unchanged.
pub(super) fn decode(codings: &str, body: Bytes, limit: usize) -> Result<Bytes, DecodeError> {
    let mut body = body;
    for coding in codings.rsplit(',').map(|coding| coding.trim().to_ascii_lowercase()) {
        // The response to HEAD names a coding without a body.
        if body.is_empty() {
            break;
        }
        body = match coding.as_str() {
            "gzip" | "x-gzip" => bounded(MultiGzDecoder::new(&*body), limit)?,
            // Some servers omit the zlib frame.
            "deflate" if is_framed(&body) => bounded(ZlibDecoder::new(&*body), limit)?,
            "deflate" => bounded(DeflateDecoder::new(&*body), limit)?,
            "br" => bounded(brotli_decompressor::Decompressor::new(&*body, BUFFER), limit)?,
            "" | "identity" => continue,
            _ => break,
        };
    }
    Ok(body)
}

/// Whether it begins with a zlib header: the method in four bits, and a checksum of the first two bytes.
fn is_framed(body: &[u8]) -> bool {
    matches!(body, [first, second, ..] if first & 0x0f == 8 && u16::from_be_bytes([*first, *second]) % 31 == 0)
}

fn bounded(decoder: impl Read, limit: usize) -> Result<Bytes, DecodeError> {
    let mut decoded = Vec::new();
    let read = decoder.take(limit as u64 + 1).read_to_end(&mut decoded);
    read.map_err(|error: io::Error| DecodeError::Damaged(error.to_string()))?;
    if decoded.len() > limit { Err(DecodeError::TooLarge) } else { Ok(decoded.into()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(text: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn codings_are_undone_from_the_last_to_the_first() {
        let text = b"hello hello hello".as_slice();
        assert_eq!(decode("gzip", gzip(text), 100), Ok(text.into()));
        assert_eq!(decode("gzip, X-GZIP", gzip(&gzip(text)), 100), Ok(text.into()));
        let mut framed = ZlibEncoder::new(Vec::new(), Compression::default());
        framed.write_all(text).unwrap();
        assert_eq!(decode("deflate", framed.finish().unwrap().into(), 100), Ok(text.into()));
        let mut bare = DeflateEncoder::new(Vec::new(), Compression::default());
        bare.write_all(text).unwrap();
        assert_eq!(decode("deflate", bare.finish().unwrap().into(), 100), Ok(text.into()));
        // Two literal bytes, as RFC 7932 has them uncompressed.
        assert_eq!(decode("br", Bytes::from_static(&[0x8b, 0x00, 0x80, b'h', b'i', 0x03]), 100), Ok("hi".into()));
        for as_it_is in ["", "identity", "zstd"] {
            assert_eq!(decode(as_it_is, text.into(), 100), Ok(text.into()), "{as_it_is}");
        }
        assert_eq!(decode("gzip", Bytes::new(), 100), Ok(Bytes::new()));
    }

    #[test]
    fn what_grows_beyond_the_limit_or_is_damaged_is_refused() {
        assert_eq!(decode("gzip", gzip(&[0; 100_000]), 1000), Err(DecodeError::TooLarge));
        assert!(matches!(decode("gzip", "no gzip".into(), 1000), Err(DecodeError::Damaged(_))));
        assert!(matches!(decode("br", Bytes::from_static(&[0xff; 9]), 1000), Err(DecodeError::Damaged(_))));
        let cut = gzip(b"hello");
        assert!(matches!(decode("gzip", cut.slice(..cut.len() - 4), 1000), Err(DecodeError::Damaged(_))));
    }
}
