//! The cluster, its nodes and machines.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A node that was admitted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeRecord {
    /// Never used twice.
    pub id: u64,
    /// For people; no two nodes share one.
    pub name: String,
    /// `IP:PORT`.
    pub address: String,
    /// The provider's id of its machine, empty where there is none.
    pub instance: String,
    /// Labels of its operator.
    pub labels: BTreeMap<String, String>,
    /// IP addresses besides the one of `address` that its certificate names.
    pub extra_addresses: Vec<String>,
    /// The one of them under which operators reach it, empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub public_address: String,
    /// Version when it joined.
    pub version: String,
    /// RFC 3339.
    pub joined_at: String,
    /// How often its data folder had been started when it was last taken for the node, and the random number of that start in
    /// hexadecimal: what comes of an earlier one is a copy.
    #[serde(skip_serializing_if = "is_zero")]
    pub incarnation: u64,
    /// See `incarnation`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub run: String,
    /// It is being removed: it gets no vote any more, and the record goes with the end of that.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub leaving: bool,
    /// The operator has removed it: where its machine was given, the cluster gives up the way to that as well.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dismissed: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The node that a join was given; a join that is repeated is given the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRecord {
    /// Id.
    pub node_id: u64,
}

/// A join token that may still be used. What opens the door is in the token alone and never stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Its name.
    pub id: String,
    /// RFC 3339; its certificate ends then too.
    pub expires_at: String,
    /// Nodes that may still join by it.
    pub uses_left: u32,
}

/// Where machines come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProviderSpec {
    /// `local`, `hosts` or `aws`.
    pub kind: String,
    /// As the script gave them.
    #[serde(default)]
    pub options: serde_json::Value,
}

/// A machine that the cluster started, or is about to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InstanceRecord {
    /// Makes its start happen at most once; also the record's key.
    pub token: String,
    /// The provider's id, empty until it is started.
    pub id: String,
    /// For people.
    pub name: String,
    /// `IP:PORT` where its daemon serves.
    pub address: String,
    /// One of [`instance_state`].
    pub state: String,
    /// The last failure, empty for none.
    pub error: String,
    /// RFC 3339.
    pub created_at: String,
    /// The same in milliseconds since 1970.
    pub created_ms: i64,
    /// The node that it has become.
    pub node: Option<u64>,
    /// It takes the place of a node that was dead.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replaces: bool,
    /// Since when it is to go, in milliseconds since 1970; absent where it is not, or it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending_ms: Option<i64>,
    /// `user@host:port` where it answered SSH when it was installed, empty where that is not known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ssh: String,
    /// As for [`NodeRecord::dismissed`], of the node that it was.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dismissed: bool,
}

/// States of an [`InstanceRecord`]. Text, so that a version that does not know a later one can still read the record.
pub mod instance_state {
    /// Asked for at the provider.
    pub const STARTING: &str = "starting";
    /// There, and being installed.
    pub const INSTALLING: &str = "installing";
    /// Has become a node.
    pub const JOINED: &str = "joined";
    /// Is to go.
    pub const TERMINATING: &str = "terminating";
}

/// What was told of the ends of a node's daemon that nobody asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EndsRecord {
    /// How many were told, of those since the node was installed.
    pub count: u64,
    /// It was told that the daemon ends again and again, and not yet that it runs on.
    #[serde(rename = "loop")]
    pub is_loop: bool,
}

/// What a node's health hook last said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthRecord {
    /// The verdict.
    pub healthy: bool,
    /// Why not.
    #[serde(default)]
    pub reason: String,
    /// When it changed to this, RFC 3339.
    #[serde(default)]
    pub at: String,
}

/// Who upgrades the cluster. The record has a lease, which the client renews: it ends with a client that is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpgradeRecord {
    /// What the client knows itself by.
    pub holder: String,
    /// Who it is, for people.
    pub by: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// Checksum of the new `discod`.
    pub binary: String,
    /// The record's lease.
    pub lease: i64,
}

/// The signing key in use, and those before it. Serials are those of the keys' certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SigningRecord {
    /// In use.
    pub serial: String,
    /// Not used any more, but nodes may still have certificates made with them.
    pub retiring: Vec<String>,
    /// Refused everywhere.
    pub retired: Vec<String>,
    /// Until when, Unix time: by then the certificate of each retired key has ended, and nothing by it is taken anyway.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub refused_until: BTreeMap<String, u64>,
    /// A voter that has left knew the one in use.
    pub stale: bool,
}

impl SigningRecord {
    /// The keys that are not used any more are refused from now on.
    pub fn retire(&mut self) {
        self.retired.append(&mut self.retiring);
    }

    /// Forgets the retired keys whose certificates have ended. Of those of which it is not known when that is, they end by `latest`.
    pub fn forget(&mut self, now: u64, latest: u64) {
        for serial in &self.retired {
            self.refused_until.entry(serial.clone()).or_insert(latest);
        }
        self.refused_until.retain(|serial, until| *until > now && self.retired.contains(serial));
        self.retired.retain(|serial| self.refused_until.contains_key(serial));
    }

    /// The leader holds this key, whatever was noted: nodes get their certificates by it.
    ///
    /// A key that was being replaced is in use again when the one who had made its successor was lost with it; then, and when
    /// the leader's key is refused already, it must be replaced anew. Certificates by the key before are good until all nodes
    /// have others.
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
        // However often keys are replaced, those of a year are all that stay.
        for now in 0..1_000_u64 {
            signing.retiring.push(now.to_string());
            signing.retire();
            signing.forget(now, now + 365);
        }
        assert_eq!((signing.retired.len(), signing.refused_until.len()), (365, 365));
    }

    #[test]
    fn a_record_of_before_is_read() {
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
    fn another_key_retires_the_one_before() {
        let mut signing = record("a", &[], &["z"]);
        signing.follow("b");
        assert_eq!(signing, record("b", &["a"], &["z"]));
    }

    #[test]
    fn a_replacement_that_was_lost_is_to_be_done_again() {
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
