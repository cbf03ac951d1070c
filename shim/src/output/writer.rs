use std::collections::VecDeque;
use std::io::{IoSlice, Write};
use std::path::PathBuf;

use fs_err::File;

use super::{CHUNK, HEADER, Source, header, name_of, offset_of};

/// Chunks that one system call writes.
pub const CHUNKS_AT_ONCE: usize = 4;

/// Appends chunks and keeps the whole within its bound.
pub struct Writer {
    folder: PathBuf,
    /// Bytes that may be on disk.
    bound: u64,
    segment_bytes: u64,
    /// Offset and length of each segment, the oldest first.
    segments: VecDeque<(u64, u64)>,
    file: Option<File>,
    /// Bytes of the task that were not written since the last chunk that was.
    lost: u64,
    lost_in_all: u64,
}

impl Writer {
    /// Goes on behind what the folder holds. `bound`: bytes that may be on disk; at least four chunks are kept.
    pub fn open(folder: PathBuf, bound: u64) -> std::io::Result<Self> {
        fs_err::create_dir_all(&folder)?;
        let mut segments = Vec::new();
        for entry in fs_err::read_dir(&folder)? {
            let entry = entry?;
            if let Some(offset) = offset_of(&entry.file_name()) {
                segments.push((offset, entry.metadata()?.len()));
            }
        }
        segments.sort_unstable();
        let bound = bound.max(4 * (CHUNK + HEADER) as u64);
        Ok(Self {
            folder,
            bound,
            segment_bytes: bound / 4,
            segments: segments.into(),
            file: None,
            lost: 0,
            lost_in_all: 0,
        })
    }

    /// Segments and a bound smaller than [`Writer::open`] gives.
    #[cfg(test)]
    pub fn with(self, segment_bytes: u64, bound: u64) -> Self {
        Self { segment_bytes, bound, ..self }
    }

    /// Bytes of the task that could not be written, in all.
    pub const fn lost_in_all(&self) -> u64 {
        self.lost_in_all
    }

    /// Appends what the task wrote. If that fails, the bytes are counted as lost, and a chunk says so once writing works again.
    pub fn write(&mut self, source: Source, content: &[u8], at_ms: u64) -> std::io::Result<()> {
        // No more than a segment holds.
        let chunks = usize::try_from(self.segment_bytes).map_or(1, |bytes| bytes / (CHUNK + HEADER));
        for part in content.chunks(chunks.clamp(1, CHUNKS_AT_ONCE) * CHUNK) {
            let written = self.tell_lost(at_ms).and_then(|()| self.append(source, part, at_ms));
            if let Err(error) = written {
                self.lost += part.len() as u64;
                self.lost_in_all += part.len() as u64;
                return Err(error);
            }
        }
        Ok(())
    }

    fn tell_lost(&mut self, at_ms: u64) -> std::io::Result<()> {
        if self.lost > 0 {
            self.append(Source::Lost, self.lost.to_string().as_bytes(), at_ms)?;
            self.lost = 0;
        }
        Ok(())
    }

    /// At most [`CHUNKS_AT_ONCE`] chunks, all or none.
    fn append(&mut self, source: Source, content: &[u8], at_ms: u64) -> std::io::Result<()> {
        let mut headers = [[0; HEADER]; CHUNKS_AT_ONCE];
        let mut parts = [IoSlice::new(&[]); 2 * CHUNKS_AT_ONCE];
        let mut whole = 0;
        for (chunk, (header, parts)) in content.chunks(CHUNK).zip(headers.iter_mut().zip(parts.chunks_exact_mut(2))) {
            *header = self::header(source, chunk.len(), at_ms);
            parts[0] = IoSlice::new(header);
            parts[1] = IoSlice::new(chunk);
            whole += (HEADER + chunk.len()) as u64;
        }
        let parts = &parts[..2 * content.len().div_ceil(CHUNK)];
        if self.segments.back().is_none_or(|(_, length)| length + whole > self.segment_bytes && *length > 0) {
            self.begin_segment(whole)?;
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open_last()?,
        };
        let length = self.segments.back().map_or(0, |(_, length)| *length);
        let mut written = file.write_vectored(parts);
        if written.as_ref().is_ok_and(|count| *count as u64 != whole) {
            written = Err(std::io::ErrorKind::StorageFull.into());
        }
        if let Err(error) = written {
            // No reader shall find half a chunk in the middle of the others.
            file.set_len(length)?;
            return Err(error);
        }
        if let Some((_, length)) = self.segments.back_mut() {
            *length += whole;
        }
        self.file = Some(file);
        Ok(())
    }

    fn begin_segment(&mut self, room: u64) -> std::io::Result<()> {
        self.file = None;
        let offset = self.segments.back().map_or(0, |(offset, length)| offset + length);
        // Before the new one, so that a full disk gets room.
        let mut kept: u64 = self.segments.iter().map(|(_, length)| length).sum();
        let room = room.max(self.segment_bytes);
        while kept.saturating_add(room) > self.bound {
            let Some((oldest, length)) = self.segments.pop_front() else { break };
            fs_err::remove_file(self.folder.join(name_of(oldest)))?;
            kept -= length;
        }
        self.segments.push_back((offset, 0));
        Ok(())
    }

    fn open_last(&self) -> std::io::Result<File> {
        let offset = self.segments.back().map_or(0, |(offset, _)| *offset);
        fs_err::OpenOptions::new().create(true).append(true).open(self.folder.join(name_of(offset)))
    }
}
