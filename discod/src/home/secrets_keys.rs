//! The keys that encrypt secrets: on voters only.
//!
//! `identity/secrets.keys` has one key a line, in base64. Its id is derived from the key, so that a damaged one is noticed. Keys are
//! added and never replaced: a secret names the key that it needs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use anyhow::{Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use disco_proto::v1;
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Home;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// The file.
const FILE: &str = "secrets.keys";
const MAX_BYTES: u64 = 64 * 1024;
/// Keys that a node holds at most: each is of a cluster whose backup was restored, or was lost once.
const MOST: usize = 64;

/// A key.
pub type SecretsKey = Zeroizing<[u8; KEY_BYTES]>;

/// Keys by their ids. Cheap to clone.
#[derive(Clone, Default)]
pub struct SecretsKeys(Arc<BTreeMap<String, SecretsKey>>);

impl fmt::Debug for SecretsKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretsKeys").field(&self.0.keys()).finish()
    }
}

// === impl SecretsKeys ===

impl SecretsKeys {
    /// One new key, with its id.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn generate() -> Result<(String, Self)> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        if SystemRandom::new().fill(&mut *key).is_err() {
            bail!("the system has no random numbers");
        }
        let id = id(&key);
        Ok((id.clone(), Self(Arc::new(BTreeMap::from([(id, key)])))))
    }

    /// The key with that id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&SecretsKey> {
        self.0.get(id)
    }

    /// Whether there is a key with that id.
    #[must_use]
    pub fn has(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// The id of one of them.
    #[must_use]
    pub fn first(&self) -> Option<&str> {
        self.0.keys().next().map(String::as_str)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ids of all keys, in their order and separated by spaces.
    #[must_use]
    pub fn ids(&self) -> String {
        self.0.keys().map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    /// These and others. `None`: they are all here already.
    #[must_use]
    pub fn with(&self, others: &Self) -> Option<Self> {
        if others.0.keys().all(|id| self.has(id)) {
            return None;
        }
        let all = self.0.iter().chain(others.0.iter()).map(|(id, key)| (id.clone(), key.clone()));
        Some(Self(Arc::new(all.collect())))
    }

    fn of(keys: impl IntoIterator<Item = Vec<u8>>) -> Result<Self> {
        let mut all = BTreeMap::new();
        for bytes in keys {
            let bytes = Zeroizing::new(bytes);
            let Ok(key) = <[u8; KEY_BYTES]>::try_from(bytes.as_slice()) else {
                bail!("invalid key of secrets: expected {KEY_BYTES} bytes, not {}", bytes.len());
            };
            let key = Zeroizing::new(key);
            all.insert(id(&key), key);
        }
        if all.len() > MOST {
            bail!("too many keys of secrets: {}; at most {MOST} are allowed", all.len());
        }
        Ok(Self(Arc::new(all)))
    }
}

impl TryFrom<v1::SecretsKeys> for SecretsKeys {
    type Error = anyhow::Error;

    fn try_from(wire: v1::SecretsKeys) -> Result<Self> {
        Self::of(wire.keys.into_iter().map(Vec::from))
    }
}

impl From<&SecretsKeys> for v1::SecretsKeys {
    fn from(keys: &SecretsKeys) -> Self {
        Self { keys: keys.0.values().map(|key| bytes::Bytes::copy_from_slice(&**key)).collect() }
    }
}

/// Says nothing of the key, which is random.
fn id(key: &SecretsKey) -> String {
    let mut digest = Sha256::new();
    digest.update(b"disco: id of a key of secrets");
    digest.update(**key);
    hex::encode(&digest.finalize()[..8])
}

impl Home {
    /// The keys of secrets; none if this node has none.
    ///
    /// # Errors
    /// The file is there but cannot be read, is damaged, or is open to others.
    pub fn secrets_keys(&self) -> Result<SecretsKeys> {
        let path = self.file(FILE);
        let text = match disco_identity::read_private(&path, MAX_BYTES) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.is_not_found() => return Ok(SecretsKeys::default()),
            Err(error) => return Err(error.into()),
        };
        let keys = text.lines().map(|line| BASE64.decode(line.trim())).collect::<Result<Vec<_>, _>>();
        let Ok(keys) = keys else { bail!("`{}` is damaged: expected a key in base64 in each line", path.display()) };
        SecretsKeys::of(keys)
    }

    /// Stores the keys of secrets.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn set_secrets_keys(&self, keys: &SecretsKeys) -> Result<()> {
        let mut text = Zeroizing::new(String::with_capacity(keys.0.len() * KEY_BYTES * 2));
        for key in keys.0.values() {
            text.push_str(&Zeroizing::new(BASE64.encode(**key)));
            text.push('\n');
        }
        Ok(disco_identity::write_private(&self.file(FILE), text.as_bytes())?)
    }

    /// Deletes the keys of secrets: this node has no vote any more.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub(super) fn remove_secrets_keys(&self) -> Result<()> {
        match fs_err::remove_file(self.file(FILE)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_added_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(&folder.path().join("data")).unwrap();
        assert!(home.secrets_keys().unwrap().is_empty());
        let ((first, one), (second, other)) = (SecretsKeys::generate().unwrap(), SecretsKeys::generate().unwrap());
        assert_ne!(first, second);
        let both = one.with(&other).unwrap();
        assert!(both.with(&one).is_none() && both.has(&first) && both.has(&second));
        home.set_secrets_keys(&both).unwrap();
        let read = home.secrets_keys().unwrap();
        assert_eq!(read.ids(), both.ids());
        assert!(read.get(&first).unwrap()[..] == one.get(&first).unwrap()[..]);
        let wire = SecretsKeys::try_from(v1::SecretsKeys::from(&both)).unwrap();
        assert_eq!(wire.ids(), both.ids());
        home.remove_voter_secrets().unwrap();
        assert!(home.secrets_keys().unwrap().is_empty());
    }

    #[test]
    fn a_damaged_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(&folder.path().join("data")).unwrap();
        disco_identity::write_private(&home.file(FILE), b"x!\n").unwrap();
        assert!(home.secrets_keys().unwrap_err().to_string().contains("is damaged"));
        disco_identity::write_private(&home.file(FILE), b"AAAA\n").unwrap();
        assert!(home.secrets_keys().unwrap_err().to_string().contains("expected 32 bytes"));
    }
}
