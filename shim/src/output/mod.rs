//! What a task wrote, on disk within a bound.
//!
//! The output is one sequence of chunks; the offset of a chunk is the number of bytes of all chunks before it, headers included.
//! The sequence is cut into segments, files named by the offset of their first byte (20 digits), of which the oldest are
//! removed. A reader that remembers an offset goes on exactly there, whatever has been cut or removed meanwhile.
//!
//! A chunk is a part of what one `read` of a pipe returned, so it may end within a line:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `DSC1` |
//! | 1 | 1 standard output, 2 standard error, 3 lost: the content is the number of bytes, in decimal digits |
//! | 3 | length of the content, little endian, at most [`CHUNK`] |
//! | 8 | milliseconds since 1970, little endian |
//!
//! and the content. All of it is appended by one system call.

mod reader;
mod writer;

pub use reader::{Chunk, Reader};
pub(crate) use writer::{CHUNKS_AT_ONCE, Writer};

/// Most bytes of content of a chunk: what a pipe holds unless it is enlarged (pipe(7)).
pub const CHUNK: usize = 64 * 1024;

const MAGIC: [u8; 4] = *b"DSC1";
const HEADER: usize = 16;

/// Where bytes came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Source {
    /// Standard output.
    Output = 1,
    /// Standard error.
    Error = 2,
    /// The shim: bytes of the task that could not be written are missing here.
    Lost = 3,
}

impl Source {
    const fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Output),
            2 => Some(Self::Error),
            3 => Some(Self::Lost),
            _ => None,
        }
    }
}

fn header(source: Source, length: usize, at_ms: u64) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&MAGIC);
    header[4] = source as u8;
    header[5..8].copy_from_slice(&length.to_le_bytes()[..3]);
    header[8..].copy_from_slice(&at_ms.to_le_bytes());
    header
}

/// Source, length and time; `None` if this is no header.
fn parse(header: [u8; HEADER]) -> Option<(Source, usize, u64)> {
    let [a, b, c, d, source, l0, l1, l2, time @ ..] = header;
    let length = usize::from(l0) | usize::from(l1) << 8 | usize::from(l2) << 16;
    ([a, b, c, d] == MAGIC && length <= CHUNK).then_some(())?;
    Some((Source::of(source)?, length, u64::from_le_bytes(time)))
}

/// The offset in the name of a segment.
fn offset_of(name: &std::ffi::OsStr) -> Option<u64> {
    let name = name.to_str()?;
    (name.len() == 20).then(|| name.parse().ok())?
}

/// Removes the oldest segment. Whether there was one.
pub(crate) fn remove_oldest(folder: &std::path::Path) -> std::io::Result<bool> {
    let mut segments = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        segments.extend(offset_of(&entry?.file_name()));
    }
    match segments.iter().min() {
        Some(oldest) => fs_err::remove_file(folder.join(name_of(*oldest))).map(|()| true),
        None => Ok(false),
    }
}

fn name_of(offset: u64) -> String {
    format!("{offset:020}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_in_order_across_any_segments(
            pieces in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 1..300)), 1..60),
            segment in 64_u64..2_000,
            stop in 0_usize..60,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut writer = Writer::open(folder.path().to_owned(), 0).unwrap().with(segment, u64::MAX);
            let mut reader = Reader::new(folder.path().to_owned(), 0);
            let mut read = Vec::new();
            for (n, (error, bytes)) in pieces.iter().enumerate() {
                let source = if *error { Source::Error } else { Source::Output };
                writer.write(source, bytes, n as u64).unwrap();
                // A reader that begins anew where it was, in the middle.
                if n == stop {
                    while let Some(chunk) = reader.read().unwrap() { read.push(chunk); }
                    reader = Reader::new(folder.path().to_owned(), reader.offset());
                }
            }
            while let Some(chunk) = reader.read().unwrap() { read.push(chunk); }
            prop_assert_eq!(read.len(), pieces.len());
            for (n, (chunk, (error, bytes))) in read.iter().zip(&pieces).enumerate() {
                prop_assert_eq!(chunk.source, if *error { Source::Error } else { Source::Output });
                prop_assert_eq!(&chunk.content, bytes);
                prop_assert_eq!(chunk.at_ms, n as u64);
            }
        }

        #[test]
        fn a_segment_of_arbitrary_bytes_ends_the_reading_and_nothing_else(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let folder = tempfile::tempdir().unwrap();
            fs_err::write(folder.path().join(name_of(0)), &bytes).unwrap();
            let mut reader = Reader::new(folder.path().to_owned(), 0);
            while let Ok(Some(_)) = reader.read() {}
        }
    }

    #[test]
    fn the_oldest_output_goes_and_a_late_reader_learns_how_much_it_missed() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(folder.path().to_owned(), 0).unwrap().with(1_000, 4_000);
        for n in 0..100_u8 {
            writer.write(Source::Output, &[n; 84], 0).unwrap();
        }
        let kept: u64 =
            fs_err::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
        assert!(kept <= 4_000, "{kept} bytes kept");
        let mut reader = Reader::new(folder.path().to_owned(), 0);
        let first = reader.read().unwrap().unwrap();
        assert_eq!(first.missed, u64::from(first.content[0]) * 100);
        assert!(first.missed > 0);
        let mut last = first;
        while let Some(chunk) = reader.read().unwrap() {
            assert_eq!((chunk.missed, chunk.content[0]), (0, last.content[0] + 1));
            last = chunk;
        }
        assert_eq!(last.content[0], 99);
    }

    #[test]
    fn nothing_more_comes_from_a_folder_that_was_removed() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("output");
        let mut early = Reader::new(output.clone(), 0);
        assert_eq!(early.read().unwrap(), None);
        drop(Writer::open(output.clone(), 1_000).unwrap());
        assert_eq!(early.read().unwrap(), None);
        fs_err::remove_dir_all(&output).unwrap();
        assert_eq!(early.read().unwrap(), None);
    }

    #[test]
    fn a_chunk_that_is_being_written_is_not_read_yet() {
        let folder = tempfile::tempdir().unwrap();
        let mut whole = header(Source::Output, 5, 7).to_vec();
        whole.extend_from_slice(b"hello");
        let path = folder.path().join(name_of(0));
        for cut in 0..whole.len() {
            fs_err::write(&path, &whole[..cut]).unwrap();
            assert!(Reader::new(folder.path().to_owned(), 0).read().unwrap().is_none(), "cut at {cut}");
        }
        fs_err::write(&path, &whole).unwrap();
        assert_eq!(Reader::new(folder.path().to_owned(), 0).read().unwrap().unwrap().content, b"hello");
    }

    #[test]
    fn what_is_written_at_once_is_read_in_chunks() {
        for segment in [CHUNK as u64 + 16, 300_000] {
            let folder = tempfile::tempdir().unwrap();
            let mut writer = Writer::open(folder.path().to_owned(), 0).unwrap().with(segment, 10 << 20);
            let content: Vec<u8> = (0..9 * CHUNK + 5).map(|n| (n / 7 % 251) as u8).collect();
            writer.write(Source::Output, &content, 1).unwrap();
            let mut reader = Reader::new(folder.path().to_owned(), 0);
            let mut found = Vec::new();
            while let Some(chunk) = reader.read().unwrap() {
                assert!(chunk.content.len() <= CHUNK && chunk.missed == 0);
                found.extend(chunk.content);
            }
            assert!(found == content, "{} of {} bytes", found.len(), content.len());
        }
    }

    #[test]
    fn a_writer_goes_on_behind_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        Writer::open(folder.path().to_owned(), 10_000).unwrap().write(Source::Output, b"one", 1).unwrap();
        Writer::open(folder.path().to_owned(), 10_000).unwrap().write(Source::Error, b"two", 2).unwrap();
        let mut reader = Reader::new(folder.path().to_owned(), 0);
        assert_eq!(reader.read().unwrap().unwrap().content, b"one");
        let second = reader.read().unwrap().unwrap();
        assert_eq!((second.source, second.content.as_slice()), (Source::Error, b"two".as_slice()));
        assert!(reader.read().unwrap().is_none());
    }
}
