//! The upload of a file's content to the store.

use bytes::BytesMut;

use super::blobs::{self, FILE_BYTES, is_sha256};
use crate::cluster::{Error, Result};
use crate::node::Node;

/// A content that is received in parts.
pub struct Upload {
    sha256: String,
    size: usize,
    content: BytesMut,
}

// === impl Upload ===

impl Upload {
    /// Prepares to receive a content of this name and size.
    ///
    /// # Errors
    /// The name is not a SHA-256, or the content is too large.
    pub fn begin(sha256: &str, size: u64) -> Result<Self> {
        if !is_sha256(sha256) {
            let text = "the first part must name the content's SHA-256 in lower-case hexadecimal";
            return Err(Error::Invalid(text.to_owned()));
        }
        match usize::try_from(size) {
            Ok(bytes) if size <= FILE_BYTES => {
                Ok(Self { sha256: sha256.to_owned(), size: bytes, content: BytesMut::new() })
            }
            _ => Err(Error::Invalid(format!(
                "a file has {size} bytes, more than {FILE_BYTES} ({} MiB); exclude it in `.discoignore`",
                FILE_BYTES >> 20
            ))),
        }
    }

    /// Takes the next part.
    ///
    /// # Errors
    /// The content exceeds the announced size.
    pub fn write(&mut self, data: &[u8]) -> Result<()> {
        if self.content.len() + data.len() > self.size {
            return Err(Error::Invalid(format!("the content exceeds the announced {} bytes", self.size)));
        }
        self.content.extend_from_slice(data);
        Ok(())
    }

    /// Stores the whole content, on whichever node received it.
    ///
    /// # Errors
    /// The content differs from the announced one, or was not written.
    pub async fn finish(self, node: &Node) -> Result<()> {
        let Self { sha256, size, content } = self;
        if content.len() != size {
            return Err(Error::Invalid(format!("the content has {} of the announced {size} bytes", content.len())));
        }
        if blobs::name(&content) != sha256 {
            return Err(Error::Invalid(format!("the content does not match the checksum {sha256}")));
        }
        Ok(blobs::write(node, &sha256, content.freeze()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_part_announces_the_content() {
        let sha256 = "ab".repeat(32);
        let mut upload = Upload::begin(&sha256, 3).unwrap();
        assert!(upload.write(b"abc").is_ok() && upload.write(b"d").is_err());
        assert_eq!(Upload::begin(&sha256, FILE_BYTES).unwrap().size, 8 << 20);
        assert!(Upload::begin(&sha256, FILE_BYTES + 1).is_err());
        assert!(Upload::begin("../x", 3).is_err());
    }
}
