//! The user's configuration of SSH, ssh_config(5), as far as it determines how a machine is reached and with which keys.
//!
//! Understood: `Host`, `Match` (`all`, `host`, `originalhost`, `user`, `localuser`), `Include`, `HostName`, `Port`, `User`, `IdentityFile`,
//! `IdentitiesOnly`, `IdentityAgent`, `ProxyJump`, `HostKeyAlias` and `UserKnownHostsFile`. Other keywords do not change where a connection
//! goes, except `ProxyCommand`, which is refused. `Match` with another condition, such as `exec`, does not apply, and is noted.
//!
//! `ssh -G` prints the same values: the table in `tests.rs` compares both.

mod error;
mod evaluate;
mod line;
mod pattern;
mod route;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use super::UserKeys;

pub use error::ConfigError;
pub use route::{Hop, Route};

pub(super) use pattern::matches_list;
pub(super) use route::public_half;

/// The configuration that applies to every user of this computer.
const OF_SYSTEM: &str = "/etc/ssh/ssh_config";

/// The user's configuration of SSH. Its files are read when a machine is looked up; missing ones are empty.
#[derive(Debug, Clone)]
pub struct SshConfig {
    home: PathBuf,
    user: String,
    files: Vec<PathBuf>,
    /// The agent of `SSH_AUTH_SOCK`.
    agent: Option<PathBuf>,
}

impl SshConfig {
    /// The configuration of the user who runs this process.
    #[must_use]
    pub fn of_user() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let home = std::env::home_dir().unwrap_or_default();
        let user = variable("USER").or_else(|| variable("LOGNAME")).unwrap_or_default();
        Self {
            files: vec![home.join(".ssh/config"), PathBuf::from(OF_SYSTEM)],
            home,
            user: user.to_string_lossy().into_owned(),
            agent: variable("SSH_AUTH_SOCK").map(PathBuf::from),
        }
    }

    /// The configuration in `files`, the first one first, of the user `user` with the home folder `home`.
    #[must_use]
    pub fn of_files(home: &Path, user: &str, files: Vec<PathBuf>) -> Self {
        Self { home: home.to_path_buf(), user: user.to_owned(), files, agent: None }
    }

    /// This key, in a file or in the user's agent.
    #[must_use]
    pub fn agent_for(&self, file: &Path) -> UserKeys {
        UserKeys { files: vec![file.to_path_buf()], files_only: true, agent: self.agent.clone() }
    }

    /// The same with the agent at this socket.
    #[must_use]
    pub fn with_agent(self, socket: &Path) -> Self {
        Self { agent: Some(socket.to_path_buf()), ..self }
    }
}
