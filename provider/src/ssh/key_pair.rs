//! Key pairs.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey};

use super::SshError;

/// A key pair for logging in.
#[derive(Clone)]
pub struct KeyPair {
    private: Arc<PrivateKey>,
    path: Option<PathBuf>,
}

/// Shows the fingerprint, never the key.
impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("fingerprint", &self.fingerprint()).field("path", &self.path).finish()
    }
}

impl KeyPair {
    /// Reads a key pair from its two files. The public one is optional, as the private one contains it.
    ///
    /// # Errors
    /// A missing file, a private key that others can read, that has a passphrase or is of a kind that is not supported
    /// (Ed25519 and ECDSA are), halves of different pairs.
    pub fn load(private: &Path, public: Option<&Path>) -> Result<Self, SshError> {
        let unreadable = |source| SshError::KeyFile { path: private.to_path_buf(), source };
        let metadata = std::fs::metadata(private).map_err(unreadable)?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SshError::KeyPermissions { path: private.to_path_buf(), mode });
        }
        let text = std::fs::read_to_string(private).map_err(unreadable)?;
        let key = parse(&text, private)?;
        if let Some(public) = public {
            let text = std::fs::read_to_string(public)
                .map_err(|source| SshError::KeyFile { path: public.to_path_buf(), source })?;
            let half = PublicKey::from_openssh(text.trim_start_matches(BYTE_ORDER_MARK).trim())
                .map_err(|error| SshError::KeyFormat { path: public.to_path_buf(), reason: error.to_string() })?;
            if half.key_data() != key.public_key().key_data() {
                return Err(SshError::KeyMismatch { private: private.to_path_buf(), public: public.to_path_buf() });
            }
        }
        Ok(Self { private: Arc::new(key), path: Some(private.to_path_buf()) })
    }

    /// Reads a private key that is not in a file, in OpenSSH's form. `name` stands for the file in errors.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn from_openssh(text: &str, name: &str) -> Result<Self, SshError> {
        Ok(Self { private: Arc::new(parse(text, Path::new(name))?), path: None })
    }

    /// Makes a new Ed25519 key pair.
    ///
    /// # Errors
    /// The system's random numbers cannot be read.
    pub fn generate(comment: &str) -> Result<Self, SshError> {
        let failed = |error: russh::keys::ssh_key::Error| SshError::KeyFormat {
            path: PathBuf::from("a new key"),
            reason: error.to_string(),
        };
        let mut key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).map_err(failed)?;
        key.set_comment(comment);
        Ok(Self { private: Arc::new(key), path: None })
    }

    /// The public key in OpenSSH's form, as it stands in `authorized_keys`.
    pub fn public_openssh(&self) -> String {
        // It fails only for kinds of keys that cannot be loaded in the first place.
        self.private.public_key().to_openssh().unwrap_or_default()
    }

    /// The private key in OpenSSH's form. It must not be printed, and only be stored with mode 0600.
    pub fn private_openssh(&self) -> String {
        self.private.to_openssh(LineEnding::LF).map(|text| text.to_string()).unwrap_or_default()
    }

    /// The public key's fingerprint, `SHA256:…`.
    pub fn fingerprint(&self) -> String {
        self.private.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The fingerprint, and the file if there is one.
    pub(super) fn named(&self) -> String {
        match &self.path {
            Some(path) => format!("{} (`{}`)", self.fingerprint(), path.display()),
            None => self.fingerprint(),
        }
    }

    pub(super) fn private(&self) -> Arc<PrivateKey> {
        Arc::clone(&self.private)
    }
}

/// The byte order mark that some editors write.
const BYTE_ORDER_MARK: char = '\u{feff}';

fn parse(text: &str, path: &Path) -> Result<PrivateKey, SshError> {
    // A key that was pasted from a document often has indented lines.
    let lines = text.trim_start_matches(BYTE_ORDER_MARK).lines().map(str::trim);
    let text = &lines.fold(String::with_capacity(text.len()), |text, line| text + line + "\n");
    let bad = |reason: String| SshError::KeyFormat { path: path.to_path_buf(), reason };
    if text.contains("Proc-Type: 4,ENCRYPTED") || text.contains("BEGIN ENCRYPTED PRIVATE KEY") {
        return Err(SshError::KeyEncrypted { path: path.to_path_buf() });
    }
    if let Ok(key) = PrivateKey::from_openssh(text)
        && key.is_encrypted()
    {
        return Err(SshError::KeyEncrypted { path: path.to_path_buf() });
    }
    if text.contains("BEGIN RSA PRIVATE KEY") {
        return Err(bad("it is an RSA key".to_owned()));
    }
    if !text.contains("PRIVATE KEY-----") {
        return Err(bad("it is not a private key".to_owned()));
    }
    // Also reads the older PEM forms.
    let key = russh::keys::decode_secret_key(text, None).map_err(|error| bad(error.to_string()))?;
    match key.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } => Ok(key),
        other => Err(bad(format!("keys of the kind {other} are not supported"))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    fn store(dir: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_pair_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let pair = KeyPair::generate("me@here").unwrap();
        let private = store(dir.path(), "id", &pair.private_openssh(), 0o600);
        let public = store(dir.path(), "id.pub", &format!("{}\n", pair.public_openssh()), 0o644);
        let read = KeyPair::load(&private, Some(&public)).unwrap();
        assert_eq!(read.fingerprint(), pair.fingerprint());
        assert!(read.public_openssh().ends_with("me@here"), "{}", read.public_openssh());
    }

    #[test]
    fn a_mark_before_it_and_blanks_before_its_lines_do_no_harm() {
        let dir = tempfile::tempdir().unwrap();
        let pair = KeyPair::generate("me@here").unwrap();
        let indented: String = pair.private_openssh().lines().map(|line| format!("    {line} \r\n")).collect();
        let private = store(dir.path(), "id", &format!("\u{feff}{indented}"), 0o600);
        let public = store(dir.path(), "id.pub", &format!("\u{feff}  {}\r\n", pair.public_openssh()), 0o644);
        assert_eq!(KeyPair::load(&private, Some(&public)).unwrap().fingerprint(), pair.fingerprint());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let pair = KeyPair::generate("").unwrap();
        for mode in [0o640, 0o604, 0o644] {
            let path = store(dir.path(), "id", &pair.private_openssh(), mode);
            let message = KeyPair::load(&path, None).unwrap_err().to_string();
            assert!(message.contains("can be read by others"), "{message}");
            assert!(message.contains(&format!("chmod 600 {}", path.display())), "{message}");
        }
    }

    #[test]
    fn halves_of_different_pairs_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let private = store(dir.path(), "id", &KeyPair::generate("").unwrap().private_openssh(), 0o600);
        let public = store(dir.path(), "id.pub", &KeyPair::generate("").unwrap().public_openssh(), 0o644);
        let error = KeyPair::load(&private, Some(&public)).unwrap_err();
        assert!(matches!(error, SshError::KeyMismatch { .. }), "{error}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = KeyPair::load(Path::new("/nowhere/id"), None).unwrap_err();
        assert!(error.to_string().contains("/nowhere/id"), "{error}");
    }

    #[test]
    fn a_passphrase_is_named_as_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let plain = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap();
        let locked = plain.encrypt(&mut russh::keys::key::safe_rng(), "secret").unwrap();
        let path = store(dir.path(), "id", &locked.to_openssh(LineEnding::LF).unwrap(), 0o600);
        let error = KeyPair::load(&path, None).unwrap_err();
        assert!(matches!(error, SshError::KeyEncrypted { .. }), "{error}");
    }

    #[test]
    fn other_text_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let pair = KeyPair::generate("").unwrap();
        let halves =
            [pair.public_openssh(), "hello".to_owned(), String::new(), pair.private_openssh()[..80].to_owned()];
        for text in halves {
            let path = store(dir.path(), "id", &text, 0o600);
            let error = KeyPair::load(&path, None).unwrap_err();
            assert!(matches!(error, SshError::KeyFormat { .. }), "{error}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let pair = KeyPair::generate("").unwrap();
        let shown = format!("{pair:?}");
        assert!(shown.contains("SHA256:") && !shown.contains("PRIVATE"), "{shown}");
    }
}
