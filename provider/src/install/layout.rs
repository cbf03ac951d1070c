//! Paths on a machine.

use super::Probe;

/// What keeps the service running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceKind {
    /// systemd.
    Systemd,
    /// [`crate::supervise`].
    Supervised,
}

/// Paths on a machine. All are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The folder of `disco` and `discod`.
    pub bin: String,
    /// The data folder of `discod`.
    pub data: String,
    /// The folder with the service's files.
    pub service: String,
    /// Who keeps the service running.
    pub kind: ServiceKind,
    /// All paths to remove on an uninstall, besides the binaries.
    pub(super) all: Vec<String>,
    /// The folder that contains all of it, if it may be moved while the service runs.
    moves: Option<String>,
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
            moves: None,
        };
        match (&probe.prefix, probe.uid, probe.systemd) {
            (Some(prefix), ..) => Self { moves: Some(prefix.clone()), ..below(prefix) },
            (None, 0, true) => Self {
                bin: "/usr/local/bin".to_owned(),
                data: "/var/lib/disco".to_owned(),
                service: "/etc/disco".to_owned(),
                kind: ServiceKind::Systemd,
                all: vec!["/var/lib/disco".to_owned(), "/etc/disco".to_owned(), UNIT_PATH.to_owned()],
                moves: None,
            },
            (None, 0, false) => Self {
                bin: "/usr/local/bin".to_owned(),
                data: "/var/lib/disco".to_owned(),
                service: "/var/lib/disco/service".to_owned(),
                kind: ServiceKind::Supervised,
                all: vec!["/var/lib/disco".to_owned()],
                moves: None,
            },
            _ => below(&format!("{}/.local/share/disco", probe.home)),
        }
    }

    /// The path of a binary.
    pub fn binary(&self, name: &str) -> String {
        format!("{}/{name}", self.bin)
    }

    /// A path as the service's files name it: relative to the service's folder, if all may be moved together.
    pub(super) fn for_service(&self, path: &str) -> String {
        let below = self.moves.as_ref().and_then(|base| path.strip_prefix(base.as_str())?.strip_prefix('/'));
        below.map_or_else(|| path.to_owned(), |below| format!("../{below}"))
    }

    /// Exists from before the first change until the service was started with all changes, so that the next installation
    /// recognises an interrupted one.
    pub(super) fn restart_marker(&self) -> String {
        format!("{}/restart", self.service)
    }

    /// Exists from before the first change of an upgrade until its end.
    pub(super) fn upgrade_marker(&self) -> String {
        format!("{}/upgrade", self.service)
    }

    pub(super) fn join_token(&self) -> String {
        format!("{}/join-token", self.service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(moves: Option<&str>) -> Layout {
        Layout {
            bin: "/m/disco/bin".to_owned(),
            data: "/m/disco/data".to_owned(),
            service: "/m/disco/service".to_owned(),
            kind: ServiceKind::Supervised,
            all: Vec::new(),
            moves: moves.map(str::to_owned),
        }
    }

    #[test]
    fn what_may_be_moved_is_named_from_the_services_folder() {
        let moves = layout(Some("/m/disco"));
        assert_eq!(moves.for_service(&moves.data), "../data");
        assert_eq!(moves.for_service("/usr/bin/disco"), "/usr/bin/disco");
        assert_eq!(moves.for_service("/m/disco-2/data"), "/m/disco-2/data");
        let fixed = layout(None);
        assert_eq!(fixed.for_service(&fixed.data), fixed.data);
    }
}
