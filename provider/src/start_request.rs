//! The wish for a machine.

use std::collections::BTreeMap;

/// The wish for a machine.
#[derive(Debug, Clone, Default)]
pub struct StartRequest {
    /// Makes the wish idempotent: the machine that was started with this token before is returned (and started, should
    /// it be stopped); a second one is never made. Any text without control characters, at most 64 bytes.
    pub token: String,
    /// The machine's name for people, such as `web-2`.
    pub name: String,
    /// What the script gave to `start_instance`, an object or null. Each provider says which keys it takes.
    pub options: serde_json::Value,
    /// The public keys that may log in, in OpenSSH's form.
    pub authorized_keys: Vec<String>,
    /// What the cluster has recorded of its machines so far: instance id to token. Only a provider that cannot mark its
    /// machines with a token (given hosts) reads it.
    pub known: BTreeMap<String, String>,
}
