//! The manifest that Disco writes on a machine before it changes anything there: the owning cluster, and what Disco installed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::layout::UNIT_PATH;
use super::{Layout, ServiceKind};
use crate::ssh::quote;
use crate::supervise::{Ends, Service};

/// Files and folders of the daemon below its data folder, as shell patterns; anything else there belongs to others.
/// The file that identifies the node comes last: as long as it exists, the rest is known to be the node's.
pub(super) const DATA: &[&str] = &[
    "raft.redb",
    "raft.journal",
    "log.mark",
    "snapshots",
    "backups",
    "identity",
    "join-id",
    "format",
    "known_hosts",
    "restore.snapshot",
    "recover.json",
    "recovered.json",
    "hooks.json",
    "incarnation",
    "addresses.json",
    "members.json",
    "tasks",
    "artifacts",
    "metrics.sock",
    ".tmp*.tmp",
    "node.json",
];

/// The manifest. Fields are added, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The cluster's random id.
    pub(super) cluster_id: String,
    /// The cluster's display name.
    pub(super) cluster_name: String,
    /// The id of the machine, as the cluster's provider names it.
    #[serde(default, rename = "instance")]
    pub(super) machine: Option<String>,
    /// Checksums of the programs that Disco has installed, in hexadecimal digits.
    #[serde(default)]
    pub(super) programs: BTreeSet<String>,
    /// Folders that Disco has made.
    #[serde(default)]
    pub(super) folders: BTreeSet<String>,
}

impl Layout {
    /// The manifest's path.
    pub(super) fn manifest(&self) -> String {
        format!("{}/manifest.json", self.service)
    }

    /// The file that makes a machine a node.
    pub(super) fn node_file(&self) -> String {
        format!("{}/node.json", self.data)
    }

    /// The programs, with all names that they have during an upgrade.
    pub(super) fn programs(&self) -> Vec<String> {
        let names = ["discod", "disco"].into_iter();
        names
            .flat_map(|name| ["", ".previous", ".next"].map(|suffix| self.binary(&format!("{name}{suffix}"))))
            .collect()
    }

    /// The service's files, as shell patterns, without the manifest.
    pub(super) fn service_patterns(&self) -> Vec<String> {
        let below = |name: &str| format!("{}/{name}", quote(&self.service));
        let mut names =
            vec!["restart", "restart.tmp", "upgrade", "join-token", "join-token.tmp", "manifest.json.tmp.*"];
        names.extend([Ends::FILE, "ends.json.tmp"]);
        match self.kind {
            ServiceKind::Systemd => names.extend(["discod.env", "discod.env.tmp"]),
            ServiceKind::Supervised => names.extend([
                Service::FILE,
                "service.json.tmp",
                "start",
                "start.tmp",
                "lock",
                "supervisor.json",
                "supervisor.json.tmp",
                "child.json",
                "child.json.tmp",
                "log",
                "log.1",
                "linger",
                "crontab",
                "crontab.error",
                "crontab.rest",
            ]),
        }
        let mut all: Vec<String> = names.into_iter().map(below).collect();
        if self.kind == ServiceKind::Systemd {
            all.extend([UNIT_PATH.to_owned(), format!("{UNIT_PATH}.tmp")]);
        }
        all
    }

    /// All folders that an installation may have to make, the outermost first.
    pub(super) fn folders(&self) -> Vec<String> {
        let mut folders = BTreeSet::new();
        for folder in [&self.bin, &self.data, &self.service] {
            folders.extend(folder.match_indices('/').filter(|(at, _)| *at > 0).map(|(at, _)| folder[..at].to_owned()));
            folders.insert(folder.clone());
        }
        // A folder's path begins with its parent's, which thus sorts first.
        folders.into_iter().collect()
    }

    /// The folders that an installation without a manifest, by an earlier version, has made.
    pub(super) fn former_folders(&self) -> BTreeSet<String> {
        let own = |folder: &String| self.all.iter().any(|root| folder.starts_with(root.as_str()));
        self.folders().into_iter().filter(own).collect()
    }
}
