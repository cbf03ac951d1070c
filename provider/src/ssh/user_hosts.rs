//! The user's own files of host keys, sshd(8), which Disco reads and never writes.

use std::path::{Path, PathBuf};

use ring::hmac;
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, Marker};
use russh::keys::{Algorithm, PublicKey};

use super::SshError;
use super::config::matches_list;
use crate::{SshTarget, files};

/// The keys of a host.
#[derive(Debug, Default)]
pub(super) struct UserHosts {
    /// Each with its file.
    pub(super) keys: Vec<(PathBuf, PublicKey)>,
    /// Keys that must not be accepted from any machine that their line names.
    pub(super) revoked: Vec<PublicKey>,
}

/// The host's name in such files.
pub(super) fn name_of(target: &SshTarget, alias: Option<&str>) -> String {
    match alias {
        Some(alias) => alias.to_owned(),
        None if target.port == 22 => target.host.to_lowercase(),
        None => format!("[{}]:{}", target.host.to_lowercase(), target.port),
    }
}

/// Reads the keys of the host with this name. A missing file is empty, as are lines of other forms, as in OpenSSH.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn read(paths: &[PathBuf], name: &str) -> Result<UserHosts, SshError> {
    let mut found = UserHosts::default();
    for path in paths {
        let text = files::read_if_exists(path).map_err(|source| SshError::KnownHosts {
            action: "read",
            path: path.clone(),
            source,
        })?;
        for line in text.map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default().lines() {
            found.take(path, line.trim(), name);
        }
    }
    Ok(found)
}

impl UserHosts {
    fn take(&mut self, path: &Path, line: &str, name: &str) {
        if line.is_empty() || line.starts_with('#') {
            return;
        }
        let Ok(entry) = line.split_whitespace().collect::<Vec<_>>().join(" ").parse::<Entry>() else { return };
        let is_host = match entry.host_patterns() {
            HostPatterns::Patterns(patterns) => matches_list(patterns.iter().map(String::as_str), name),
            HostPatterns::HashedName { salt, hash } => {
                let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
                hmac::verify(&key, name.as_bytes(), hash).is_ok()
            }
        };
        match entry.marker() {
            _ if !is_host => {}
            // A host that has a certificate shows its plain key as well, see `Handler`.
            Some(Marker::CertAuthority) => {}
            Some(Marker::Revoked) => self.revoked.push(entry.public_key().clone()),
            // A key of another kind cannot be verified.
            None if is_supported(&entry.public_key().algorithm()) => {
                self.keys.push((path.to_path_buf(), entry.public_key().clone()));
            }
            None => {}
        }
    }
}

fn is_supported(kind: &Algorithm) -> bool {
    matches!(kind, Algorithm::Ed25519 | Algorithm::Ecdsa { .. })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use russh::keys::PrivateKey;

    use super::*;

    fn key() -> PublicKey {
        PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap().public_key().clone()
    }

    fn target(host: &str, port: u16) -> SshTarget {
        SshTarget { user: "u".to_owned(), host: host.to_owned(), port }
    }

    fn known(file: &Path, host: &str, port: u16) -> UserHosts {
        read(&[file.to_path_buf()], &name_of(&target(host, port), None)).unwrap()
    }

    #[test]
    fn names_ports_patterns_and_marks_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known_hosts");
        let keys: Vec<PublicKey> = (0..4).map(|_| key()).collect();
        let text = |at: usize| keys[at].to_openssh().unwrap();
        let lines = [
            "# a comment".to_owned(),
            "web-1 not-a-key AAAA".to_owned(),
            format!("WEB-9,web-1,10.0.0.7 {} me@here", text(0)),
            format!("[web-1]:2222 {}", text(1)),
            format!("*.example.com,!bad.example.com {}", text(2)),
            format!("@revoked * {}", text(3)),
            format!("@cert-authority * {}", text(0)),
        ];
        std::fs::write(&file, lines.join("\n")).unwrap();
        let found = |host, port| known(&file, host, port).keys.into_iter().map(|(_, key)| key).collect::<Vec<_>>();
        let same = |found: Vec<PublicKey>, at: usize| found.len() == 1 && found[0].key_data() == keys[at].key_data();
        assert!(same(found("web-1", 22), 0) && same(found("Web-1", 22), 0) && same(found("10.0.0.7", 22), 0));
        assert!(same(found("web-1", 2222), 1) && same(found("a.example.com", 22), 2));
        assert!(
            found("bad.example.com", 22).is_empty() && found("web-2", 22).is_empty() && found("web-1", 23).is_empty()
        );
        assert_eq!(known(&file, "web-2", 22).revoked.len(), 1);
        assert!(read(&[dir.path().join("missing")], "web-1").unwrap().keys.is_empty());
    }

    /// `ssh-keygen -H` makes the hashes.
    #[test]
    fn hashed_names_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known_hosts");
        let (one, two) = (key().to_openssh().unwrap(), key().to_openssh().unwrap());
        std::fs::write(&file, format!("web-1 {one}\n[10.0.0.7]:2222 {two}\n")).unwrap();
        let Ok(made) = Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&file).output() else {
            println!("skipped: hashed_names_are_found: there is no `ssh-keygen` (Debian: openssh-client)");
            return;
        };
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("|1|") && !text.contains("web-1"), "{text}");
        assert_eq!(known(&file, "web-1", 22).keys.len(), 1);
        assert_eq!(known(&file, "10.0.0.7", 2222).keys.len(), 1);
        assert!(known(&file, "10.0.0.7", 22).keys.is_empty() && known(&file, "web-2", 22).keys.is_empty());
    }
}
