use std::{
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
};

use rustix::fs::{FlockOperation, flock};

use super::StateDir;
use crate::{
    error::{Failure, Outcome},
    exit::ExitStatus,
};

/// Lets one command at a time change a project's state. Released when dropped, and by the kernel when the process dies.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: std::fs::File,
}

impl Lock {
    /// Fails (exit 5) while another process holds the lock, and names that process.
    pub(crate) fn take(state: &StateDir, command: &str) -> Outcome<Self> {
        state.ensure()?;
        let path = state.file("lock");
        let mut file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| Failure::io("open", &path, &error))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                // Only for the message: the lock is held even if the holder cannot be read.
                let _ = file.read_to_string(&mut holder);
                let holder =
                    if holder.trim().is_empty() { "another `disco`".to_owned() } else { holder.trim().to_owned() };
                return Err(Failure::new(
                    ExitStatus::Guarded,
                    format!("this project is in use: {holder} is working on it"),
                )
                .hint("wait until it has ended, then run the command again"));
            }
            Err(error) => return Err(Failure::io("lock", &path, &error.into())),
        }
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let holder = format!("`disco {command}` (process {} on {host})\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(holder.as_bytes()))
            .map_err(|error| Failure::io("write", &path, &error))?;
        Ok(Self { _file: file })
    }
}
