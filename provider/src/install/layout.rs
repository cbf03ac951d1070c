//! Where things are on a machine.

use super::Probe;

/// Who keeps the service running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceKind {
    /// systemd.
    Systemd,
    /// [`crate::supervise`].
    Supervised,
}

/// Where things are on a machine. All paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The folder of `disco` and `discod`.
    pub bin: String,
    /// The folder that is `discod`'s alone.
    pub data: String,
    /// The folder with what the service needs.
    pub service: String,
    /// Who keeps the service running.
    pub kind: ServiceKind,
    /// What has to be removed to remove it all, besides the binaries.
    pub(super) all: Vec<String>,
}

/// The unit of systemd.
pub(super) const UNIT: &str = "discod.service";
pub(super) const UNIT_PATH: &str = "/etc/systemd/system/discod.service";

impl Layout {
    pub(super) fn of(probe: &Probe) -> Self {
        let below = |base: &str| Self {
            bin: format!("{base}/bin"),
            data: format!("{base}/data"),
            service: format!("{base}/service"),
            kind: ServiceKind::Supervised,
            all: vec![base.to_owned()],
        };
        match (&probe.prefix, probe.uid, probe.systemd) {
            (Some(prefix), ..) => below(prefix),
            (None, 0, true) => Self {
                bin: "/usr/local/bin".to_owned(),
                data: "/var/lib/disco".to_owned(),
                service: "/etc/disco".to_owned(),
                kind: ServiceKind::Systemd,
                all: vec!["/var/lib/disco".to_owned(), "/etc/disco".to_owned(), UNIT_PATH.to_owned()],
            },
            (None, 0, false) => Self {
                bin: "/usr/local/bin".to_owned(),
                data: "/var/lib/disco".to_owned(),
                service: "/var/lib/disco/service".to_owned(),
                kind: ServiceKind::Supervised,
                all: vec!["/var/lib/disco".to_owned()],
            },
            _ => below(&format!("{}/.local/share/disco", probe.home)),
        }
    }

    /// The path of a binary.
    pub fn binary(&self, name: &str) -> String {
        format!("{}/{name}", self.bin)
    }

    /// Exists from before the first change until the service was started with all changes, so that an installation that was
    /// interrupted in between is known to the next one.
    pub(super) fn restart_marker(&self) -> String {
        format!("{}/restart", self.service)
    }

    /// Exists from before the first change of an upgrade until that was ended as a whole.
    pub(super) fn upgrade_marker(&self) -> String {
        format!("{}/upgrade", self.service)
    }

    pub(super) fn join_token(&self) -> String {
        format!("{}/join-token", self.service)
    }
}
