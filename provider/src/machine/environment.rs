//! The environment of everything that runs on a machine.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::local::places;
use crate::process::ProcessName;

/// Where programs are looked for when our own environment does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The environment of everything that runs on a machine. Made for each command anew: the folder may have been moved since the
/// last one.
#[derive(Debug, Clone)]
pub(super) struct Environment {
    entries: Vec<(OsString, OsString)>,
    home: PathBuf,
    prefix: PathBuf,
    shell: PathBuf,
}

impl Environment {
    /// Where the machine's folder, this process's working directory, is now.
    pub(super) fn here(id: &str, user: &str, machine: ProcessName) -> io::Result<Self> {
        Ok(Self::new(&std::env::current_dir()?, id, user, machine))
    }

    fn new(folder: &Path, id: &str, user: &str, machine: ProcessName) -> Self {
        let home = folder.join("home");
        // Where Disco is installed on it, see `places`.
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

    /// Where commands start.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    /// Where Disco is installed.
    pub(super) fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// The shell for people; commands are run by `sh`.
    pub(super) fn shell(&self) -> &Path {
        &self.shell
    }
}
