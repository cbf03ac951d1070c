use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::PathBuf;

use fs_err::File;

use super::{HEADER, Source, name_of, offset_of, parse};

/// Reads chunks from any offset on, while the writer goes on writing, cutting and removing.
pub struct Reader {
    folder: PathBuf,
    /// Of the next chunk.
    offset: u64,
    /// The segment that holds it, and that segment's own offset.
    open: Option<(File, u64)>,
    missed: u64,
}

/// What one read of the task's pipe returned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Chunk {
    /// Where the bytes came from.
    pub source: Source,
    /// When the shim read them, milliseconds since 1970.
    pub at_ms: u64,
    /// The bytes; they may end within a line.
    pub content: Vec<u8>,
    /// Bytes of the sequence between the last chunk and this one that had been removed before they were read.
    pub missed: u64,
}

impl Reader {
    /// Reads from this offset on; 0 is the oldest.
    #[must_use]
    pub const fn new(folder: PathBuf, offset: u64) -> Self {
        Self { folder, offset, open: None, missed: 0 }
    }

    /// Reads from the segment before the one that holds this offset, which may be within a chunk: lines that end behind the
    /// offset may begin there.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn before(folder: PathBuf, offset: u64) -> std::io::Result<Self> {
        let mut segments = Vec::new();
        for entry in fs_err::read_dir(&folder)? {
            segments.extend(offset_of(&entry?.file_name()).filter(|start| *start <= offset));
        }
        segments.sort_unstable();
        // Where the segment is removed already, the oldest is, whose offset then shows how much is missing.
        let start = segments.len().checked_sub(2).and_then(|at| segments.get(at)).or(segments.first());
        let start = start.copied().unwrap_or(offset);
        Ok(Self::new(folder, start))
    }

    /// The offset of the next chunk: where another reader goes on.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next chunk; `None` if the writer has not written another one yet.
    pub fn read(&mut self) -> std::io::Result<Option<Chunk>> {
        loop {
            if self.open.is_none() && !self.find()? {
                return Ok(None);
            }
            let Some((file, start)) = &mut self.open else { return Ok(None) };
            file.seek(SeekFrom::Start(self.offset - *start))?;
            let mut header = [0; HEADER];
            match file.read_exact(&mut header) {
                Ok(()) => (),
                // The writer may have begun another segment, at the offset at which this one ends, and removed this one.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    let (offset, start) = (self.offset, *start);
                    if offset > start && self.exists(offset)? || !self.exists(start)? {
                        self.open = None;
                        continue;
                    }
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
            let Some((source, length, at_ms)) = parse(header) else {
                return Err(std::io::Error::new(
                    ErrorKind::InvalidData,
                    format!("`{}` is damaged at byte {}", file.path().display(), self.offset - *start),
                ));
            };
            let mut content = vec![0; length];
            match file.read_exact(&mut content) {
                Ok(()) => (),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error),
            }
            self.offset += (HEADER + length) as u64;
            return Ok(Some(Chunk { source, at_ms, content, missed: std::mem::take(&mut self.missed) }));
        }
    }

    fn exists(&self, offset: u64) -> std::io::Result<bool> {
        fs_err::exists(self.folder.join(name_of(offset)))
    }

    /// Opens the segment that holds the offset, or the oldest one if that has been removed. Whether there is one: all are gone
    /// once the task is.
    fn find(&mut self) -> std::io::Result<bool> {
        loop {
            let mut segments = Vec::new();
            let entries = match fs_err::read_dir(&self.folder) {
                // Removed with its task.
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
                entries => entries?,
            };
            for entry in entries {
                segments.extend(offset_of(&entry?.file_name()));
            }
            segments.sort_unstable();
            let holding = segments.iter().rev().find(|start| **start <= self.offset).or(segments.first());
            let Some(start) = holding.copied() else { return Ok(false) };
            match File::open(self.folder.join(name_of(start))) {
                Ok(file) => {
                    if start > self.offset {
                        self.missed += start - self.offset;
                        self.offset = start;
                    }
                    self.open = Some((file, start));
                    return Ok(true);
                }
                // Removed between the two calls.
                Err(error) if error.kind() == ErrorKind::NotFound => (),
                Err(error) => return Err(error),
            }
        }
    }
}
