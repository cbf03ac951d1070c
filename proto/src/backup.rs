//! A backup file: a line with the magic bytes, the head as a length-delimited message, then the store's snapshot up to
//! the file's end. The head contains the snapshot's size and SHA-256, which readers must compare.

use std::io::{self, ErrorKind, Read};

use prost::Message;

use crate::v1::BackupHead;

/// The first bytes of a backup.
pub const MAGIC: &[u8] = b"discobackup-1\n";
/// The part of the magic bytes that all versions share.
const ANY_VERSION: &[u8] = b"discobackup-";
/// A longer head is damaged.
const HEAD_BYTES: u64 = 64 << 10;
/// Bytes of the longest number in the wire format.
const LONGEST_NUMBER: usize = 10;

/// Whether a file that begins like this is a backup, of any version.
#[must_use]
pub fn is_backup(beginning: &[u8]) -> bool {
    beginning.starts_with(ANY_VERSION)
}

/// The beginning of a file; the snapshot follows.
#[must_use]
pub fn beginning(head: &BackupHead) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&head.encode_length_delimited_to_vec());
    bytes
}

/// Reads that beginning, and leaves the reader at the snapshot. Reads byte by byte, so pass a buffered reader.
///
/// # Errors
/// [`ErrorKind::InvalidData`] if it is not a backup or damaged, else the reader's own error.
pub fn read_beginning(file: &mut impl Read) -> io::Result<BackupHead> {
    let damaged = |what: &str| io::Error::new(ErrorKind::InvalidData, what.to_owned());
    let cut_off = |error: io::Error| match error.kind() {
        ErrorKind::UnexpectedEof => damaged("it is too short"),
        _ => error,
    };
    let mut magic = [0; MAGIC.len()];
    file.read_exact(&mut magic).map_err(cut_off)?;
    if magic != MAGIC {
        return Err(damaged("it does not begin with the magic bytes of a backup"));
    }
    let mut number = Vec::with_capacity(LONGEST_NUMBER);
    while number.last().is_none_or(|byte| byte & 0x80 != 0) && number.len() < LONGEST_NUMBER {
        let mut byte = [0];
        file.read_exact(&mut byte).map_err(cut_off)?;
        number.push(byte[0]);
    }
    let length = prost::encoding::decode_varint(&mut number.as_slice()).ok().filter(|length| *length <= HEAD_BYTES);
    let length = length.ok_or_else(|| damaged("its head cannot be read"))?;
    let mut head = Vec::new();
    if file.take(length).read_to_end(&mut head)? as u64 != length {
        return Err(damaged("it is too short"));
    }
    BackupHead::decode(head.as_slice()).map_err(|_| damaged("its head cannot be read"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Any bytes, and a good file with some changed, are read or refused.
        #[test]
        fn bytes_from_outside_are_read_or_refused(
            any in prop::collection::vec(any::<u8>(), 0..200),
            at in 0usize..200,
            good in any::<bool>(),
        ) {
            let mut file = beginning(&BackupHead { cluster: "web".into(), revision: 17, ..BackupHead::default() });
            if good {
                let at = at % file.len();
                for (byte, other) in file[at..].iter_mut().zip(any.iter().take(3)) {
                    *byte = *other;
                }
            } else {
                file.truncate(MAGIC.len());
                file.extend_from_slice(&any);
            }
            if let Err(error) = read_beginning(&mut file.as_slice()) {
                prop_assert_eq!(error.kind(), ErrorKind::InvalidData);
            }
        }
    }

    #[test]
    fn a_beginning_is_read_and_the_rest_is_left() {
        let head = BackupHead { cluster: "web".into(), revision: 17, sha256: "ab".repeat(32), ..BackupHead::default() };
        let mut file = beginning(&head);
        file.extend_from_slice(b"snapshot");
        let mut reader = file.as_slice();
        assert_eq!(read_beginning(&mut reader).unwrap(), head);
        assert_eq!(reader, b"snapshot");
    }

    #[test]
    fn what_is_no_backup_or_is_truncated_or_damaged_is_refused() {
        let file = beginning(&BackupHead { cluster: "web".into(), ..BackupHead::default() });
        for length in 0..file.len() {
            let error = read_beginning(&mut &file[..length]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{length} bytes: {error}");
        }
        let mut endless = MAGIC.to_vec();
        endless.extend_from_slice(&[0xff; 20]);
        for bytes in [b"discobackup-2\nxxxxxx".as_slice(), &endless, b"discobackup-1\n\xff\xff\xff\xff\x0fx"] {
            assert_eq!(read_beginning(&mut &*bytes).unwrap_err().kind(), ErrorKind::InvalidData);
        }
    }
}
