use disco_proto::v1::BackupHead;
use serde_json::{Value, json};

use crate::printer::{Style, View};

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
            "revision {} of `{}`, {} bytes, SHA-256 {}\n",
            self.0.revision, self.0.cluster, self.0.size, self.0.sha256
        )
    }
}
