//! The environment of everything that runs on a machine.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::local::places;
use crate::process::ProcessName;

/// The default `PATH` if this process has none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The environment of everything that runs on a machine. Made anew for each command: the folder may have been moved
/// meanwhile.
#[derive(Debug, Clone)]
pub(super) struct Environment {
    entries: Vec<(OsString, OsString)>,
    home: PathBuf,
    prefix: PathBuf,
    shell: PathBuf,
}

impl Environment {
    /// The present path of the machine's folder, which is this process's working directory.
    pub(super) fn here(id: &str, user: &str, machine: ProcessName) -> io::Result<Self> {
        Ok(Self::new(&std::env::current_dir()?, id, user, machine))
    }

    fn new(folder: &Path, id: &str, user: &str, machine: ProcessName) -> Self {
        let home = folder.join("home");
        // The folder of Disco's programs, see `places`.
        let prefix = home.join("disco");
        let mut path = prefix.join("bin").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into()));
        let shell = ["/bin/bash", "/bin/sh"].iter().map(PathBuf::from).find(|path| path.exists());
        let shell = shell.unwrap_or_else(|| "/bin/sh".into());
        let mut entries: Vec<(OsString, OsString)> = vec![
            ("USER".into(), user.into()),
            ("LOGNAME".into(), user.into()),
            ("SHELL".into(), shell.clone().into()),
            ("PATH".into(), path),
            ("DISCO_MACHINE".into(), id.into()),
            ("DISCO_MACHINE_PID".into(), machine.pid.to_string().into()),
            ("DISCO_MACHINE_START_TIME".into(), machine.start_time.to_string().into()),
        ];
        entries.extend(places(folder));
        entries.extend(["LANG", "TZ", "TMPDIR"].iter().filter_map(|name| Some((name.into(), std::env::var_os(name)?))));
        Self { entries, home, prefix, shell }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&OsString, &OsString)> {
        self.entries.iter().map(|(name, value)| (name, value))
    }

    /// The working directory of commands.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// The prefix of Disco's installation.
    pub(super) fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// The login shell; commands are run by `sh`.
    pub(super) fn shell(&self) -> &Path {
        &self.shell
    }
}
