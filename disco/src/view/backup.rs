use disco_proto::v1::{BackupFile, BackupHead, NodeStatus};
use serde::Serialize;
use serde_json::{Value, json};

use super::units::bytes;
use crate::printer::{Style, Table, View, cell};

/// `disco backup save`.
#[derive(Debug)]
pub(crate) struct BackupView(BackupHead);

impl From<BackupHead> for BackupView {
    fn from(head: BackupHead) -> Self {
        Self(head)
    }
}

impl View for BackupView {
    fn json(&self) -> Value {
        json!({
            "cluster": self.0.cluster,
            "cluster_id": self.0.cluster_id,
            "revision": self.0.revision,
            "created_at": self.0.created_at,
            "version": self.0.version,
            "size": self.0.size,
            "sha256": self.0.sha256,
        })
    }

    fn names(&self) -> Vec<String> {
        vec![self.0.revision.to_string()]
    }

    fn text(&self, _style: Style) -> String {
        format!(
            "revision {} of `{}`, {} bytes\nSHA-256 {}\n",
            self.0.revision, self.0.cluster, self.0.size, self.0.sha256
        )
    }
}

/// A node's automatic backup. Fields are added, never renamed.
#[derive(Debug, Serialize)]
pub(crate) struct NodeBackup {
    node: u64,
    node_name: String,
    file: String,
    revision: i64,
    /// Size of the file in bytes.
    size: u64,
    created_at: String,
    version: String,
}

impl NodeBackup {
    pub(crate) fn new(node: &NodeStatus, backup: BackupFile) -> Self {
        let head = backup.head.unwrap_or_default();
        Self {
            node: node.id,
            node_name: node.name.clone(),
            file: backup.name,
            revision: head.revision,
            size: backup.size,
            created_at: head.created_at,
            version: head.version,
        }
    }

    /// The argument for `disco backup save --from`.
    fn place(&self) -> String {
        format!("{}/{}", self.node_name, self.file)
    }
}

/// `disco backup ls`.
#[derive(Debug)]
pub(crate) struct BackupsView(pub(crate) Vec<NodeBackup>);

impl View for BackupsView {
    fn json(&self) -> Value {
        json!(self.0)
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(NodeBackup::place).collect()
    }

    fn text(&self, style: Style) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let mut table =
            Table::new(style, &["BACKUP", "REVISION", "SIZE", "TIME", "VERSION"]).spare(&["VERSION", "SIZE"]);
        for backup in &self.0 {
            table.row(vec![
                cell::plain(backup.place()),
                cell::plain(backup.revision),
                cell::plain(bytes(backup.size)),
                cell::plain(&backup.created_at),
                cell::plain(&backup.version),
            ]);
        }
        table.text()
    }
}
