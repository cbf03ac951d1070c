//! Secrets and configs: values that services use, in versions.
//!
//! ```text
//! ValueRecord (what a name means now) ──> ValueVersionRecord (one value, never changed) <── ValueUse (of a version of a service)
//! ```
//!
//! Versions are numbered over all names, and a number is never used again: a version of a service names the numbers that it
//! uses, so that its hash says nothing of the values. A secret's value is encrypted by a key that only voters have.

use serde::{Deserialize, Serialize};

/// The largest value, in bytes: several of them fit into one transaction.
pub const VALUE_BYTES: usize = 256 << 10;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueKind {
    /// Encrypted, and never shown.
    Secret,
    /// In the clear.
    Config,
}

/// The name of a secret or config, and its version now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueRecord {
    /// What it is.
    pub kind: ValueKind,
    /// `NAME` of one that all stacks may use, `STACK/NAME` of one that a stack file defines.
    pub name: String,
    /// Its [`ValueVersionRecord`].
    pub version: u64,
    /// Bytes of the value.
    pub size: u64,
    /// When it got this version, RFC 3339.
    pub updated_at: String,
}

/// One value. Never changed; removed when neither a name nor a version of a service refers to it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueVersionRecord {
    /// Its number.
    pub version: u64,
    /// What it is.
    pub kind: ValueKind,
    /// As in [`ValueRecord`].
    pub name: String,
    /// Bytes of the value.
    pub size: u64,
    /// RFC 3339.
    pub created_at: String,
    /// Of a config: the value, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Of a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<SealedValue>,
}

/// An encrypted value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedValue {
    /// The id of the key from which the value's own key is derived.
    pub key: String,
    /// In base64.
    pub nonce: String,
    /// With its tag, in base64.
    pub ciphertext: String,
}

/// The key of all new secrets. Only voters have the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretsKeyRecord {
    /// Its id.
    pub key: String,
    /// RFC 3339.
    pub created_at: String,
}

/// A use of a secret or config by the tasks of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueUse {
    /// What it is.
    pub kind: ValueKind,
    /// As in [`ValueRecord`].
    pub name: String,
    /// The version; 0 in a request: the current one.
    #[serde(default)]
    pub version: u64,
    /// Where the tasks find it.
    pub place: ValuePlace,
}

/// Where a task finds a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValuePlace {
    /// A file in the folder of the task's secrets, or of its configs.
    File {
        /// Relative to that folder.
        target: String,
        /// Its owner; absent: the task's user.
        #[serde(default)]
        uid: Option<u32>,
        /// Its group; absent: that of the task's user.
        #[serde(default)]
        gid: Option<u32>,
        /// Permission bits.
        #[serde(default = "usual_mode")]
        mode: u32,
    },
    /// A variable of the environment.
    Variable(String),
}

/// As Compose has it.
const fn usual_mode() -> u32 {
    0o444
}

/// Without the value.
impl std::fmt::Debug for ValueVersionRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ValueVersionRecord")
            .field("version", &self.version)
            .field("kind", &self.kind)
            .field("name", &self.name)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl ValueKind {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Config => "config",
        }
    }
}

impl std::fmt::Display for ValueKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl ValueUse {
    /// Whether a task gets a changed value only by a start.
    #[must_use]
    pub const fn is_variable(&self) -> bool {
        matches!(self.place, ValuePlace::Variable(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_has_its_form_and_its_defaults() {
        let text = r#"{"kind":"secret","name":"shop/token","place":{"file":{"target":"token"}}}"#;
        let found: ValueUse = serde_json::from_str(text).unwrap();
        let place = ValuePlace::File { target: "token".to_owned(), uid: None, gid: None, mode: 0o444 };
        assert_eq!(found, ValueUse { kind: ValueKind::Secret, name: "shop/token".to_owned(), version: 0, place });
        assert!(!found.is_variable());
    }

    #[test]
    fn debug_text_shows_no_value() {
        let record = ValueVersionRecord {
            version: 1,
            kind: ValueKind::Config,
            name: "x".to_owned(),
            size: 7,
            created_at: String::new(),
            content: Some("hunter2".to_owned()),
            sealed: None,
        };
        assert!(!format!("{record:?}").contains("hunter2"));
    }
}
