//! The file of known host keys.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use russh::keys::PublicKey;
use russh::keys::known_hosts::known_host_keys_path;

use super::SshError;
use crate::{SshTarget, files};

/// The keys known for a host, each with its line.
pub(super) fn read(path: &Path, target: &SshTarget) -> Result<Vec<(usize, PublicKey)>, SshError> {
    let failed = |source| SshError::KnownHosts { action: "read", path: path.to_path_buf(), source };
    // The library treats an unreadable file as empty, which would accept any key.
    if files::read_if_exists(path).map_err(failed)?.is_none() {
        return Ok(Vec::new());
    }
    known_host_keys_path(&target.host, target.port, path).map_err(|error| failed(io::Error::other(error)))
}

/// Adds a key. Several processes may do so at once.
pub(super) fn add(path: &Path, target: &SshTarget, key: &PublicKey) -> Result<(), SshError> {
    let failed = |source| SshError::KnownHosts { action: "add to", path: path.to_path_buf(), source };
    let key = key.to_openssh().map_err(|error| failed(io::Error::other(error)))?;
    let host = if target.port == 22 { target.host.clone() } else { format!("[{}]:{}", target.host, target.port) };
    let write = || {
        if let Some(dir) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let unfinished = std::fs::read(path)?.last().is_some_and(|byte| *byte != b'\n');
        // In one write, so that lines of concurrent writers stay intact.
        file.write_all(format!("{}{host} {key}\n", if unfinished { "\n" } else { "" }).as_bytes())
    };
    write().map_err(failed)
}
