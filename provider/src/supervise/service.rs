//! The supervised service: `service.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::SuperviseError;

/// The supervised service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The program, as an absolute path or relative to this file's folder. The same applies to paths among the arguments.
    pub program: PathBuf,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Environment variables in addition to the supervisor's.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// How long it may take to end after SIGTERM, in seconds.
    #[serde(default = "stop_limit_s")]
    pub stop_limit_s: u64,
}

fn stop_limit_s() -> u64 {
    Service::STOP_LIMIT.as_secs()
}

impl Service {
    /// The default time that a program may take to end after SIGTERM: a leader hands over first.
    pub const STOP_LIMIT: Duration = Duration::from_secs(30);
    /// The name of the file.
    pub const FILE: &str = "service.json";

    pub(super) fn read(dir: &Path) -> Result<Self, SuperviseError> {
        let path = dir.join(Self::FILE);
        let text = std::fs::read(&path).map_err(SuperviseError::io("read", &path))?;
        serde_json::from_slice(&text).map_err(|error| SuperviseError::Damaged { path, reason: error.to_string() })
    }

    pub(super) fn stop_limit(&self) -> Duration {
        Duration::from_secs(self.stop_limit_s)
    }
}
