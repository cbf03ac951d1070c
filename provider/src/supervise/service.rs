//! What is to be kept running: `service.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::SuperviseError;

/// What is to be kept running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The program, as a path that is absolute or begins at this file's folder. So do paths among the arguments.
    pub program: PathBuf,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// What its environment has besides the supervisor's.
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
    /// How long a program may take to end after SIGTERM where nothing else is said: a leader hands over first.
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
