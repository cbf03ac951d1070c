use std::fmt;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::Error;

/// What a shim runs. It is passed on the shim's standard input as JSON and never written to disk, as `environment` may hold
/// secrets.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The file to execute, absolute.
    pub program: PathBuf,
    /// Arguments after the program's name.
    #[serde(default)]
    pub args: Vec<String>,
    /// The whole environment: nothing is inherited.
    #[serde(default)]
    pub environment: Vec<(String, String)>,
    /// The working folder, absolute.
    pub working_folder: PathBuf,
    /// Whom the task runs as; as the shim itself when absent.
    #[serde(default)]
    pub user: Option<User>,
    /// What the task may use.
    #[serde(default)]
    pub limits: Limits,
    /// The task's control group, relative to the root of each hierarchy, such as `disco.slice/web-1`. Without one, no limit on
    /// memory, processors and processes holds.
    #[serde(default)]
    pub cgroup: Option<PathBuf>,
    /// The signal that asks the task to end.
    #[serde(default = "Spec::sigterm")]
    pub stop_signal: String,
    /// Milliseconds between the stop signal and the kill, where a stop names no other time.
    #[serde(default = "Spec::grace_ms")]
    pub grace_ms: u64,
    /// The task is killed when [`crate::boottime_ms`] passes this value, unless it was moved before by
    /// [`crate::Client::fence`].
    #[serde(default)]
    pub fence_ms: Option<u64>,
    /// Bytes of output that are kept on disk; the oldest go first.
    #[serde(default = "Spec::output_bytes")]
    pub output_bytes: u64,
}

/// User and groups of a task.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Id of the first group.
    pub gid: u32,
    /// Ids of the other groups; none when empty.
    #[serde(default)]
    pub groups: Vec<u32>,
}

/// Limits of a task. What is absent is not limited.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Bytes of memory of all processes of the task together.
    #[serde(default)]
    pub memory: Option<u64>,
    /// Thousandths of a processor.
    #[serde(default)]
    pub cpu_millis: Option<u32>,
    /// Processes and threads.
    #[serde(default)]
    pub pids: Option<u32>,
    /// Open files of each process (`RLIMIT_NOFILE`).
    #[serde(default)]
    pub open_files: Option<u64>,
}

impl User {
    /// The user with this name or number on this machine, with all its groups.
    ///
    /// # Errors
    /// No such user exists, or the list of users cannot be read.
    pub fn find(name: &str) -> std::io::Result<Self> {
        let number = name.parse::<u32>().ok();
        let found = match number {
            Some(uid) => nix::unistd::User::from_uid(uid.into())?,
            None => nix::unistd::User::from_name(name)?,
        };
        let Some(found) = found else {
            // A number needs no entry: it is a user without a name.
            return match number {
                Some(uid) => Ok(Self { uid, gid: uid, groups: Vec::new() }),
                None => Err(std::io::Error::new(std::io::ErrorKind::NotFound, format!("user `{name}` does not exist"))),
            };
        };
        let name = std::ffi::CString::new(found.name).map_err(std::io::Error::other)?;
        let groups = nix::unistd::getgrouplist(&name, found.gid)?;
        let groups = groups.into_iter().map(nix::unistd::Gid::as_raw).collect();
        Ok(Self { uid: found.uid.as_raw(), gid: found.gid.as_raw(), groups })
    }
}

impl Spec {
    /// A specification with defaults: SIGTERM, 10 s of grace (as containers have), 10 MiB of output.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, working_folder: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            environment: Vec::new(),
            working_folder: working_folder.into(),
            user: None,
            limits: Limits::default(),
            cgroup: None,
            stop_signal: Self::sigterm(),
            grace_ms: Self::grace_ms(),
            fence_ms: None,
            output_bytes: Self::output_bytes(),
        }
    }

    fn sigterm() -> String {
        "SIGTERM".to_owned()
    }

    const fn grace_ms() -> u64 {
        10_000
    }

    const fn output_bytes() -> u64 {
        10 * 1024 * 1024
    }
}

/// Shows names of variables, not their values: they may be secrets.
impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            program,
            args,
            environment,
            working_folder,
            user,
            limits,
            cgroup,
            stop_signal,
            grace_ms,
            fence_ms,
            output_bytes,
        } = self;
        f.debug_struct("Spec")
            .field("program", program)
            .field("args", args)
            .field("environment", &environment.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("working_folder", working_folder)
            .field("user", user)
            .field("limits", limits)
            .field("cgroup", cgroup)
            .field("stop_signal", stop_signal)
            .field("grace_ms", grace_ms)
            .field("fence_ms", fence_ms)
            .field("output_bytes", output_bytes)
            .finish()
    }
}

/// The signal of a name with or without `SIG`, in any case.
pub(crate) fn signal(name: &str) -> Result<Signal, Error> {
    let upper = name.to_ascii_uppercase();
    let full = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    full.parse().map_err(|_| Error::Signal(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_found_by_either_name() {
        assert_eq!(signal("SIGTERM").unwrap(), Signal::SIGTERM);
        assert_eq!(signal("hup").unwrap(), Signal::SIGHUP);
        assert!(matches!(signal("NOPE"), Err(Error::Signal(name)) if name == "NOPE"));
    }

    #[test]
    fn users_are_found_by_name_and_number() {
        let root = User::find("root").unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert_eq!(User::find("0").unwrap(), root);
        assert_eq!(
            User::find("4000000001").unwrap(),
            User { uid: 4_000_000_001, gid: 4_000_000_001, groups: Vec::new() }
        );
        let unknown = User::find("nobody-of-this-name").unwrap_err();
        assert_eq!(unknown.to_string(), "user `nobody-of-this-name` does not exist");
    }

    #[test]
    fn debug_text_shows_no_value_of_the_environment() {
        let mut spec = Spec::new("/bin/true", "/");
        spec.environment.push(("TOKEN".to_owned(), "hunter2".to_owned()));
        let text = format!("{spec:?}");
        assert!(text.contains("TOKEN") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn unknown_fields_are_refused() {
        let error = serde_json::from_str::<Spec>(r#"{"program":"/a","working_folder":"/","memory":1}"#).unwrap_err();
        assert!(error.to_string().contains("memory"), "{error}");
    }
}
