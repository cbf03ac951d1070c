//! Encryption of secrets: ChaCha20-Poly1305, by a key that is derived for each version.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::cluster::{Error, Result};
use crate::home::SecretsKeys;
use crate::records::{SealedValue, ValueKind, ValueVersionRecord};

/// Part of each derived key, so that it serves this purpose alone.
const PURPOSE: &[u8] = b"disco: secrets 1";

/// The value of a secret or config. Overwritten when dropped; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Value(Zeroizing<Vec<u8>>);

/// Encrypts new secrets.
#[derive(Clone, Debug)]
pub struct Sealer {
    keys: SecretsKeys,
    current: String,
}

// === impl Value ===

impl Value {
    /// A value.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").finish_non_exhaustive()
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Self::new(bytes.into())
    }
}

// === impl Sealer ===

impl Sealer {
    /// Of a node with these keys. `current`: the id of the key for new secrets; empty: none, and configs alone can be written.
    #[must_use]
    pub fn new(keys: SecretsKeys, current: String) -> Self {
        Self { keys, current }
    }

    /// Of a node with these keys, for what is not written: by a key that nobody keeps.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn of_dry_run(keys: &SecretsKeys) -> Result<Self> {
        let (current, key) = SecretsKeys::generate().map_err(Error::Internal)?;
        Ok(Self { keys: keys.with(&key).unwrap_or(key), current })
    }

    /// The record of a new version.
    ///
    /// # Errors
    /// It is a secret, and there is no key for it.
    pub fn record(
        &self,
        kind: ValueKind,
        name: &str,
        version: u64,
        value: &[u8],
        created_at: &str,
    ) -> Result<ValueVersionRecord> {
        let (content, sealed) = match kind {
            ValueKind::Config => (Some(BASE64.encode(value)), None),
            ValueKind::Secret => (None, Some(seal(&self.keys, &self.current, name, version, value)?)),
        };
        let (name, created_at) = (name.to_owned(), created_at.to_owned());
        Ok(ValueVersionRecord { version, kind, name, size: value.len() as u64, created_at, content, sealed })
    }

    /// Whether a recorded version has this value. One that cannot be opened has not.
    #[must_use]
    pub fn is(&self, record: &ValueVersionRecord, value: &[u8]) -> bool {
        record.size == value.len() as u64 && open(&self.keys, record).is_ok_and(|own| own.bytes() == value)
    }
}

fn seal(keys: &SecretsKeys, id: &str, name: &str, version: u64, value: &[u8]) -> Result<SealedValue> {
    let key = key(keys, id, name, version)?;
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).map_err(|_| failed("the system has no random numbers"))?;
    let mut sealed = value.to_vec();
    let about = Aad::from(about(name, version));
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), about, &mut sealed)
        .map_err(|_| failed("a secret cannot be encrypted"))?;
    Ok(SealedValue { key: id.to_owned(), nonce: BASE64.encode(nonce), ciphertext: BASE64.encode(sealed) })
}

/// The value of a version.
///
/// # Errors
/// This node does not have its key, or it is damaged.
pub fn open(keys: &SecretsKeys, record: &ValueVersionRecord) -> Result<Value> {
    let (kind, name, version) = (record.kind, &record.name, record.version);
    let damaged = || Error::Internal(anyhow::anyhow!("version {version} of the {kind} `{name}` is damaged"));
    let decode = |text: &str| BASE64.decode(text).map_err(|_| damaged());
    if let (ValueKind::Config, Some(content)) = (kind, &record.content) {
        return Ok(Value::new(decode(content)?));
    }
    let sealed = record.sealed.as_ref().ok_or_else(damaged)?;
    let key = key(keys, &sealed.key, name, version)?;
    let nonce = Nonce::try_assume_unique_for_key(&decode(&sealed.nonce)?).map_err(|_| damaged())?;
    let mut bytes = Zeroizing::new(decode(&sealed.ciphertext)?);
    let length = key.open_in_place(nonce, Aad::from(about(name, version)), &mut bytes).map_err(|_| damaged())?.len();
    bytes.truncate(length);
    Ok(Value(bytes))
}

/// What a ciphertext belongs to.
fn about(name: &str, version: u64) -> Vec<u8> {
    let mut about = version.to_be_bytes().to_vec();
    about.extend_from_slice(name.as_bytes());
    about
}

/// The key of one version.
fn key(keys: &SecretsKeys, id: &str, name: &str, version: u64) -> Result<LessSafeKey> {
    let key = keys.get(id).ok_or_else(|| {
        Error::Unavailable(format!(
            "this node does not have the key `{id}`, by which version {version} of `{name}` is encrypted"
        ))
    })?;
    let extracted = Salt::new(HKDF_SHA256, PURPOSE).extract(&key[..]);
    let about = about(name, version);
    let info = [about.as_slice()];
    let derived = extracted.expand(&info, &CHACHA20_POLY1305).map_err(|_| failed("a key cannot be derived"))?;
    Ok(LessSafeKey::new(UnboundKey::from(derived)))
}

fn failed(why: &str) -> Error {
    Error::Internal(anyhow::anyhow!("{why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer() -> Sealer {
        let (id, keys) = SecretsKeys::generate().unwrap();
        Sealer::new(keys, id)
    }

    fn record(sealer: &Sealer, name: &str, version: u64, value: &str) -> ValueVersionRecord {
        sealer.record(ValueKind::Secret, name, version, value.as_bytes(), "").unwrap()
    }

    #[test]
    fn a_secret_is_opened_by_its_key_alone() {
        let (own, other) = (sealer(), sealer());
        let sealed = record(&own, "db", 7, "hunter2");
        assert_eq!(open(&own.keys, &sealed).unwrap().bytes(), b"hunter2");
        assert!(own.is(&sealed, b"hunter2") && !own.is(&sealed, b"hunter3") && !other.is(&sealed, b"hunter2"));
        let error = open(&other.keys, &sealed).unwrap_err().to_string();
        assert!(error.contains("does not have the key"), "{error}");
        let text = serde_json::to_string(&sealed).unwrap();
        assert!(!text.contains("hunter2") && !text.contains(&BASE64.encode("hunter2")), "{text}");
        assert_eq!(serde_json::from_str::<ValueVersionRecord>(&text).unwrap(), sealed);
        let empty = record(&own, "db", 8, "");
        assert_eq!(open(&own.keys, &empty).unwrap().bytes(), b"");
    }

    #[test]
    fn a_ciphertext_is_valid_for_its_name_and_version_alone() {
        let own = sealer();
        let (old, new) = (record(&own, "db", 7, "old"), record(&own, "db", 8, "new"));
        let other = record(&own, "token", 9, "other");
        for swapped in [
            ValueVersionRecord { sealed: old.sealed.clone(), ..new.clone() },
            ValueVersionRecord { sealed: other.sealed, ..new.clone() },
            ValueVersionRecord { name: "token".to_owned(), ..new.clone() },
            ValueVersionRecord { version: 7, ..new.clone() },
        ] {
            assert!(open(&own.keys, &swapped).unwrap_err().to_string().contains("is damaged"), "{swapped:?}");
        }
        assert!(open(&own.keys, &new).is_ok() && open(&own.keys, &old).is_ok());
    }

    #[test]
    fn equal_values_have_different_ciphertexts() {
        let own = sealer();
        let (one, two) = (record(&own, "db", 7, "same"), record(&own, "db", 7, "same"));
        assert_ne!(one.sealed, two.sealed);
    }

    #[test]
    fn a_changed_ciphertext_is_noticed() {
        let own = sealer();
        let mut sealed = record(&own, "db", 7, "hunter2");
        let parts = sealed.sealed.as_mut().unwrap();
        let mut bytes = BASE64.decode(&parts.ciphertext).unwrap();
        bytes[0] ^= 1;
        parts.ciphertext = BASE64.encode(bytes);
        assert!(open(&own.keys, &sealed).is_err());
    }

    #[test]
    fn configs_need_no_key() {
        let none = Sealer::new(SecretsKeys::default(), String::new());
        let config = none.record(ValueKind::Config, "app", 3, b"a: 1", "").unwrap();
        assert_eq!(open(&SecretsKeys::default(), &config).unwrap().bytes(), b"a: 1");
        assert!(none.record(ValueKind::Secret, "app", 3, b"x", "").is_err());
    }

    #[test]
    fn a_dry_run_needs_no_key_and_knows_what_is_unchanged() {
        let own = sealer();
        let sealed = record(&own, "db", 7, "hunter2");
        let dry = Sealer::of_dry_run(&own.keys).unwrap();
        assert!(dry.is(&sealed, b"hunter2") && !dry.is(&sealed, b"hunter3"));
        let unwritten = record(&dry, "db", 8, "hunter3");
        assert!(open(&own.keys, &unwritten).is_err(), "its key is not kept");
        let first = Sealer::of_dry_run(&SecretsKeys::default()).unwrap();
        assert!(first.record(ValueKind::Secret, "db", 1, b"x", "").is_ok());
    }

    #[test]
    fn debug_text_shows_no_value() {
        assert!(!format!("{:?}", Value::new(b"hunter2".to_vec())).contains("hunter2"));
    }
}
