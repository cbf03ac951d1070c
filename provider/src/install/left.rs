//! What Disco leaves on a machine that cannot be reached when its cluster is destroyed.

use super::layout::{UNIT, UNIT_PATH};
use crate::END_TASKS_SUBCOMMAND;

/// What is left on a machine, by its user: the machine itself cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The user of the installation.
    pub user: String,
    /// Files and folders.
    pub files: Vec<String>,
    /// Units of systemd that start the daemon, where systemd starts it.
    pub units: Vec<String>,
    /// The file with the line of the cluster's SSH key.
    pub authorized_keys: String,
}

impl Left {
    /// What is left if this user installed a node; if not (`is_node`), only the cluster's key.
    #[must_use]
    pub fn of(user: &str, is_node: bool) -> Self {
        let text = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let root = user == "root";
        let (files, units) = match (is_node, root) {
            (false, _) => (Vec::new(), Vec::new()),
            (true, true) => (
                text(&["/usr/local/bin/disco", "/usr/local/bin/discod", "/var/lib/disco", "/etc/disco", UNIT_PATH]),
                text(&[UNIT]),
            ),
            (true, false) => (text(&["~/.local/share/disco", "~/.config/systemd/user/discod.service"]), text(&[UNIT])),
        };
        let home = if root { "/root" } else { "~" };
        Self { user: user.to_owned(), files, units, authorized_keys: format!("{home}/.ssh/authorized_keys") }
    }

    /// The same in words.
    #[must_use]
    pub fn words(&self) -> String {
        let mut parts = Vec::new();
        if !self.units.is_empty() {
            let or_cron = if self.user == "root" { "" } else { " of the user, or a line `@reboot` in the crontab" };
            parts.push(format!("the daemon, started by the unit {}{or_cron}", self.units.join(", ")));
        }
        if !self.files.is_empty() {
            parts.push(self.files.join(", "));
        }
        parts.push(format!("the line of the cluster's key in {}", self.authorized_keys));
        format!("{} (user {})", parts.join("; "), self.user)
    }

    /// Commands that end the daemon and remove it, for that user's shell on the machine. `key` is the cluster's public key.
    #[must_use]
    pub fn removal(&self, key: Option<&str>) -> String {
        let mut commands = Vec::new();
        if !self.units.is_empty() {
            match self.user.as_str() {
                // Without systemd, Disco's own supervisor keeps the daemon running. Tasks outlive it.
                "root" => commands.push(format!(
                    "systemctl disable --now {UNIT} || /usr/local/bin/discod supervise --dir /var/lib/disco/service --stop; \
                     /usr/local/bin/discod {END_TASKS_SUBCOMMAND} /var/lib/disco"
                )),
                // The unit only starts the supervisor, which outlives it. A crontab that cannot be read is not replaced.
                _ => commands.push(format!(
                    "~/.local/share/disco/bin/discod supervise --dir ~/.local/share/disco/service --stop; systemctl --user \
                     disable {UNIT}; ~/.local/share/disco/bin/discod {END_TASKS_SUBCOMMAND} ~/.local/share/disco/data; t=$(crontab -l) && printf '%s\\n' \"$t\" | grep -v disco/service/start | crontab -"
                )),
            }
        }
        if !self.files.is_empty() {
            commands.push(format!("rm -rf {}", self.files.join(" ")));
        }
        if let Some(key) = key.and_then(|key| key.split_whitespace().nth(1)) {
            commands.push(format!("sed -i '\\|{key}|d' {}", self.authorized_keys));
        }
        commands.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_other_users_leave_different_files() {
        let root = Left::of("root", true);
        assert!(root.words().contains("/var/lib/disco") && root.words().contains("discod.service"), "{}", root.words());
        let removal = root.removal(Some("ssh-ed25519 AAAAx/y cluster@shop"));
        assert!(
            removal.starts_with("systemctl disable --now discod.service || /usr/local/bin/discod supervise --dir "),
            "{removal}"
        );
        assert!(removal.contains(" end-tasks /var/lib/disco; rm -rf /usr/local/bin/disco "), "{removal}");
        assert!(removal.ends_with("; sed -i '\\|AAAAx/y|d' /root/.ssh/authorized_keys"), "{removal}");
        let pi = Left::of("pi", true);
        assert!(pi.words().contains("~/.local/share/disco") && !pi.words().contains("/var/lib"), "{}", pi.words());
        assert_eq!((&pi.units, pi.words().contains("@reboot")), (&root.units, true));
        let removal = pi.removal(None);
        assert!(removal.starts_with("~/.local/share/disco/bin/discod supervise --dir ~/"), "{removal}");
        assert!(removal.contains(" --stop; systemctl --user disable discod.service; "), "{removal}");
        assert!(removal.contains(" end-tasks ~/.local/share/disco/data; t=$(crontab -l) && "), "{removal}");
        assert!(removal.contains("printf '%s\\n' \"$t\" | grep") && !removal.contains('`'), "{removal}");
        let unused = Left::of("pi", false);
        assert_eq!(unused.words(), "the line of the cluster's key in ~/.ssh/authorized_keys (user pi)");
        assert_eq!(unused.removal(None), "");
    }
}
