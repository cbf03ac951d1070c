//! The cluster, its nodes and machines.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An admitted node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeRecord {
    /// Never reused.
    pub id: u64,
    /// Display name; unique.
    pub name: String,
    /// `IP:PORT`.
    pub address: String,
    /// The provider's id of its machine, empty if it has none.
    #[serde(rename = "instance")]
    pub machine: String,
    /// Labels of its operator.
    pub labels: BTreeMap<String, String>,
    /// Its tasks move to other nodes, and it gets no new ones (`disco drain`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drained: bool,
    /// IP addresses besides that of `address` that its certificate names.
    pub extra_addresses: Vec<String>,
    /// The one of them at which operators reach it, empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub public_address: String,
    /// Version when it joined.
    pub version: String,
    /// RFC 3339.
    pub joined_at: String,
    /// How often its data folder had been started when a process was last accepted as the node, and the random number
    /// of that start in hexadecimal: a process that descends from an earlier start is a copy.
    #[serde(skip_serializing_if = "is_zero")]
    pub incarnation: u64,
    /// See `incarnation`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub run: String,
    /// It is being removed: it gets no vote again, and the record is deleted at the end of the removal.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub leaving: bool,
    /// The operator has removed it: if its machine was given, the cluster also gives up access to it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dismissed: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The node that a join created; a repeated join gets the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRecord {
    /// Id.
    pub node_id: u64,
}

/// A join token that may still be used. Its secret is in the token alone and never stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Name of the token.
    pub id: String,
    /// RFC 3339; its certificate ends then too.
    pub expires_at: String,
    /// Number of nodes that may still join with it.
    pub uses_left: u32,
    /// The token of the machine for which the cluster has issued it: its node gets the id that is reserved for the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
}

/// The provider of machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProviderRecord {
    /// `local`, `hosts` or `aws`.
    pub kind: String,
    /// Options from the script.
    #[serde(default)]
    pub options: serde_json::Value,
}

/// A machine that the cluster started, or is about to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineRecord {
    /// Makes its start idempotent; also the record's key.
    pub token: String,
    /// The provider's id, empty until it is started.
    pub id: String,
    /// Display name.
    pub name: String,
    /// `IP:PORT` where its daemon serves.
    pub address: String,
    /// One of [`machine_state`].
    pub state: String,
    /// The last failure, empty for none.
    pub error: String,
    /// RFC 3339.
    pub created_at: String,
    /// The same in milliseconds since 1970.
    pub created_ms: i64,
    /// The node that it has become.
    pub node: Option<u64>,
    /// It replaces a dead node.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replaces: bool,
    /// Since when it is ending, in milliseconds since 1970; absent if it is not, or if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending_ms: Option<i64>,
    /// `user@host:port` at which it answered SSH when it was installed, empty if unknown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ssh: String,
    /// Like [`NodeRecord::dismissed`], of its former node.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dismissed: bool,
}

/// States of an [`MachineRecord`]. Text, so that a version that does not know a later one can still read the record.
pub mod machine_state {
    /// Requested from the provider.
    pub const STARTING: &str = "starting";
    /// Started, and being installed.
    pub const INSTALLING: &str = "installing";
    /// Has become a node.
    pub const JOINED: &str = "joined";
    /// Must end.
    pub const TERMINATING: &str = "terminating";
}

/// The reported unexpected ends of a node's daemon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndsRecord {
    /// Number of reported ends since the node was installed.
    pub count: u64,
    /// It was reported that the daemon ends repeatedly, and not yet that it keeps running.
    #[serde(rename = "loop")]
    pub is_loop: bool,
}

/// The last verdict of a node's health hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthRecord {
    /// The verdict.
    pub healthy: bool,
    /// The reason if unhealthy.
    #[serde(default)]
    pub reason: String,
    /// Time of the last change, RFC 3339.
    #[serde(default)]
    pub at: String,
}

/// The holder of the right to upgrade. The record has a lease, which the client renews: it ends with a dead client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpgradeRecord {
    /// Identifies the client.
    pub holder: String,
    /// Display name of the operator.
    pub by: String,
    /// Start of the claim, RFC 3339.
    pub since: String,
    /// Checksum of the new `discod`.
    pub binary: String,
    /// The record's lease.
    pub lease: i64,
    /// Number of the last step that became an event.
    #[serde(default)]
    pub step: u64,
}

/// The signing key in use, and previous ones. Serials are those of the keys' certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SigningRecord {
    /// The key in use.
    pub serial: String,
    /// No longer used, but nodes may still have certificates signed by them.
    pub retiring: Vec<String>,
    /// Refused everywhere.
    pub retired: Vec<String>,
    /// Until when, Unix time: by then the certificate of each retired key has expired, and nothing signed by it is
    /// accepted anyway.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub refused_until: BTreeMap<String, u64>,
    /// A voter that has left knew the key in use.
    pub stale: bool,
}

impl SigningRecord {
    /// Refuses the keys that are no longer used from now on.
    pub fn retire(&mut self) {
        self.retired.append(&mut self.retiring);
    }

    /// Forgets the retired keys whose certificates have expired. Those with an unknown end expire by `latest`.
    pub fn forget(&mut self, now: u64, latest: u64) {
        for serial in &self.retired {
            self.refused_until.entry(serial.clone()).or_insert(latest);
        }
        self.refused_until.retain(|serial, until| *until > now && self.retired.contains(serial));
        self.retired.retain(|serial| self.refused_until.contains_key(serial));
    }

    /// Records that the leader holds this key, regardless of the previous record: it signs nodes' certificates.
    ///
    /// A key that was being replaced is in use again if the node that created its successor was lost together with it;
    /// then, and if the leader's key is already refused, it must be replaced again. Certificates signed by the previous
    /// key are valid until all nodes have others.
    pub fn follow(&mut self, held: &str) {
        if self.serial == held {
            return;
        }
        if self.retired.iter().any(|serial| serial == held) {
            self.stale = true;
            return;
        }
        let listed = self.retiring.len();
        self.retiring.retain(|serial| serial != held);
        self.stale |= self.retiring.len() != listed;
        let before = std::mem::replace(&mut self.serial, held.to_owned());
        if !before.is_empty() {
            self.retiring.push(before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(serial: &str, retiring: &[&str], retired: &[&str]) -> SigningRecord {
        let list = |serials: &[&str]| serials.iter().map(|serial| (*serial).to_owned()).collect();
        SigningRecord {
            serial: serial.to_owned(),
            retiring: list(retiring),
            retired: list(retired),
            ..SigningRecord::default()
        }
    }

    #[test]
    fn a_retired_key_is_forgotten_when_its_certificate_has_ended_and_not_before() {
        let mut signing = record("c", &["b"], &["a"]);
        signing.retire();
        assert_eq!(signing.retired, ["a", "b"]);
        signing.forget(100, 500);
        assert_eq!(signing.retired, ["a", "b"]);
        signing.retiring.push("c".to_owned());
        signing.retire();
        // Known ones keep their end.
        signing.forget(499, 900);
        assert_eq!(signing.retired, ["a", "b", "c"]);
        signing.forget(500, 950);
        assert_eq!((signing.retired.as_slice(), signing.refused_until.len()), (&["c".to_owned()][..], 1));
        signing.forget(900, 1_000);
        assert_eq!((signing.retired.len(), signing.refused_until.len()), (0, 0));
        // However often keys are replaced, only those of one year are retained.
        for now in 0..1_000_u64 {
            signing.retiring.push(now.to_string());
            signing.retire();
            signing.forget(now, now + 365);
        }
        assert_eq!((signing.retired.len(), signing.refused_until.len()), (365, 365));
    }

    #[test]
    fn a_record_of_a_previous_version_is_read() {
        let old = r#"{"serial":"b","retiring":[],"retired":["a"],"stale":false}"#;
        assert_eq!(serde_json::from_str::<SigningRecord>(old).unwrap(), record("b", &[], &["a"]));
    }

    #[test]
    fn the_first_key_and_the_one_in_use_change_nothing_else() {
        let mut first = SigningRecord::default();
        first.follow("a");
        assert_eq!(first, record("a", &[], &[]));
        first.follow("a");
        assert_eq!(first, record("a", &[], &[]));
    }

    #[test]
    fn another_key_retires_the_previous_one() {
        let mut signing = record("a", &[], &["z"]);
        signing.follow("b");
        assert_eq!(signing, record("b", &["a"], &["z"]));
    }

    #[test]
    fn a_lost_replacement_must_be_repeated() {
        let mut signing = record("b", &["a"], &[]);
        signing.follow("a");
        assert_eq!(signing, SigningRecord { stale: true, ..record("a", &["b"], &[]) });
    }

    #[test]
    fn a_key_that_is_refused_is_never_in_use_again() {
        let mut signing = record("b", &[], &["a"]);
        signing.follow("a");
        assert_eq!(signing, SigningRecord { stale: true, ..record("b", &[], &["a"]) });
    }
}
