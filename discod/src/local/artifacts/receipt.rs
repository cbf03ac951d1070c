//! A content that is being received: in a temporary file, hashed on its way.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use fs_err::os::unix::fs::OpenOptionsExt as _;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::{Artifacts, BLOCK, Content};

/// Bytes after which what was written is synchronised: otherwise the log's next synchronisation waits for all of it.
const SYNC: u64 = 16 << 20;

/// Why a content was not stored.
#[derive(Debug, thiserror::Error)]
pub enum NotReceived {
    /// The content is another one.
    #[error("{0}")]
    Wrong(String),
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A content that is being received. What was received stays for the next attempt if it is dropped.
pub struct Receipt {
    artifacts: Artifacts,
    content: Content,
    /// Absent once it is finished.
    file: Option<fs_err::File>,
    temporary: PathBuf,
    partial: PathBuf,
    hasher: Sha256,
    received: u64,
    unsynced: u64,
}

// === impl Receipt ===

impl Receipt {
    pub(super) fn begin(artifacts: &Artifacts, content: &Content, resume: bool) -> io::Result<Self> {
        let folder = artifacts.folder()?;
        let partial = folder.join(format!(".part-{}", content.sha256));
        let temporary = folder.join(format!(".part-{}-{}", content.sha256, uuid::Uuid::new_v4()));
        let mut options = fs_err::OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        let mut receipt = Self {
            artifacts: artifacts.clone(),
            content: content.clone(),
            file: None,
            temporary,
            partial,
            hasher: Sha256::new(),
            received: 0,
            unsynced: 0,
        };
        // By its new name it belongs to this attempt alone.
        let continues = resume && fs_err::rename(&receipt.partial, &receipt.temporary).is_ok();
        let file = if continues {
            options.open(&receipt.temporary)
        } else {
            options.create_new(true).open(&receipt.temporary)
        };
        let file = receipt.file.insert(file?);
        // Reserves the space, where the file system can: others fail later.
        if content.size > 0
            && let Err(Errno::NOSPC) = rustix::fs::fallocate(&*file, FallocateFlags::KEEP_SIZE, 0, content.size)
        {
            return Err(io::Error::new(ErrorKind::StorageFull, "no space left on device"));
        }
        if continues {
            receipt.read_again()?;
        }
        Ok(receipt)
    }

    /// Hashes what an earlier attempt has left.
    fn read_again(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        if file.metadata()?.len() > self.content.size {
            file.file().set_len(0)?;
        }
        let mut block = vec![0; BLOCK];
        loop {
            match file.read(&mut block)? {
                0 => return Ok(()),
                count => {
                    self.hasher.update(&block[..count]);
                    self.received += count as u64;
                }
            }
        }
    }

    /// Bytes received, also by earlier attempts.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Whether all bytes are there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.received == self.content.size
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// They are more than announced, or the disk fails.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        if bytes.len() as u64 > self.content.size - self.received {
            let text = format!("the content exceeds the announced {} bytes", self.content.size);
            return Err(io::Error::new(ErrorKind::InvalidData, text));
        }
        file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.received += bytes.len() as u64;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= SYNC {
            file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    /// Checks the content, makes it durable, and gives it its name.
    ///
    /// # Errors
    /// The content is another one: nothing of it stays. Or the disk fails.
    pub fn finish(mut self) -> Result<(), NotReceived> {
        let size = self.content.size;
        if !self.is_complete() {
            return Err(NotReceived::Wrong(format!("the content has {} of the announced {size} bytes", self.received)));
        }
        let Some(file) = self.file.take() else { return Ok(()) };
        let sha256 = &self.content.sha256;
        let found = hex::encode(std::mem::take(&mut self.hasher).finalize());
        let path = self.artifacts.path(&self.content);
        let stored = if found == *sha256 {
            // Past the umask.
            file.set_permissions(std::fs::Permissions::from_mode(self.content.mode))
                .and_then(|()| file.sync_all())
                .and_then(|()| fs_err::rename(&self.temporary, &path))
                .map_err(NotReceived::Io)
        } else {
            Err(NotReceived::Wrong(format!("the content does not match the checksum {sha256}")))
        };
        if let Err(error) = stored {
            // Otherwise it is removed later, as anything that nothing needs.
            let _left = fs_err::remove_file(&self.temporary);
            return Err(error);
        }
        // The name itself must be durable, too.
        fs_err::File::open(self.artifacts.folder()?)?.sync_all()?;
        self.artifacts.note_checked(&path)?;
        Ok(())
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if self.file.take().is_none() {
            return;
        }
        let length = |path| fs_err::metadata(path).map(|found| found.len()).unwrap_or(0);
        let kept = self.received > length(&self.partial) && fs_err::rename(&self.temporary, &self.partial).is_ok();
        if !kept {
            // Otherwise it is removed later.
            let _left = fs_err::remove_file(&self.temporary);
        }
    }
}
