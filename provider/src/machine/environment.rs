//! The environment of everything that runs on a machine.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::local::MachineFolder;
use crate::process::ProcessName;

/// Where programs are looked for when our own environment does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The environment of everything that runs on a machine.
#[derive(Debug, Clone)]
pub(super) struct Environment {
    entries: Vec<(OsString, OsString)>,
    home: PathBuf,
    shell: PathBuf,
}

impl Environment {
    pub(super) fn new(folder: &MachineFolder, user: &str, machine: ProcessName) -> Self {
        let mut path = folder.prefix().join("bin").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into()));
        let shell = ["/bin/bash", "/bin/sh"].iter().map(PathBuf::from).find(|path| path.exists());
        let shell = shell.unwrap_or_else(|| "/bin/sh".into());
        let home = folder.home();
        let mut entries: Vec<(OsString, OsString)> = vec![
            ("HOME".into(), home.clone().into()),
            ("USER".into(), user.into()),
            ("LOGNAME".into(), user.into()),
            ("SHELL".into(), shell.clone().into()),
            ("PATH".into(), path),
            ("DISCO_MACHINE".into(), folder.id().into()),
            ("DISCO_MACHINE_PID".into(), machine.pid.to_string().into()),
            ("DISCO_MACHINE_START_TIME".into(), machine.start_time.to_string().into()),
            ("DISCO_PREFIX".into(), folder.prefix().into()),
            ("DISCO_LOCAL_DIR".into(), folder.dir().into()),
        ];
        entries.extend(["LANG", "TZ", "TMPDIR"].iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?))));
        Self { entries, home, shell }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&OsString, &OsString)> {
        self.entries.iter().map(|(name, value)| (name, value))
    }

    /// Where commands start.
    pub(super) fn home(&self) -> &PathBuf {
        &self.home
    }

    /// The shell for people; commands are run by `sh`.
    pub(super) fn shell(&self) -> &PathBuf {
        &self.shell
    }
}
