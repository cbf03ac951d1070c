use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Output, Project, Running, skipped};

/// The time limit of `etcdctl` commands.
const LONGEST: Duration = Duration::from_secs(60);

/// `etcdctl`, with only the settings that `disco env` prints.
pub struct Etcdctl {
    program: PathBuf,
    settings: Vec<(String, String)>,
}

impl Etcdctl {
    /// For a project with a running cluster. `None`, with a message in the test's output, without `etcdctl`.
    ///
    /// # Panics
    /// When `disco env` prints anything but settings.
    #[must_use]
    pub fn of(project: &Project) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = std::env::split_paths(&path).map(|folder| folder.join("etcdctl")).find(|file| file.is_file());
        let Some(program) = program else {
            skipped("there is no `etcdctl` (Debian: etcd-client)");
            return None;
        };
        let settings = project.disco(&["env", "-o", "json"]).ok().json();
        let settings = settings.as_object().expect("settings are an object").iter();
        let settings = settings.map(|(name, value)| (name.clone(), value.as_str().expect("text").to_owned()));
        Some(Self { program, settings: settings.collect() })
    }

    /// Its endpoints, `https://IP:PORT` each.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        self.setting("ETCDCTL_ENDPOINTS").split(',').map(str::to_owned).collect()
    }

    /// A setting's value.
    ///
    /// # Panics
    /// When `disco env` does not print it.
    #[must_use]
    pub fn setting(&self, name: &str) -> &str {
        let found = self.settings.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no setting {name}"))
    }

    /// The same with one endpoint.
    #[must_use]
    pub fn at(&self, endpoint: &str) -> Self {
        self.with("ETCDCTL_ENDPOINTS", endpoint)
    }

    /// The same with another value of a setting.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut settings = self.settings.clone();
        for (found, old) in &mut settings {
            if found == name {
                value.clone_into(old);
            }
        }
        Self { program: self.program.clone(), settings }
    }

    /// Starts it.
    #[track_caller]
    #[must_use]
    pub fn start(&self, args: &[&str]) -> Running {
        self.start_with(args, None)
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> Output {
        self.start(args).wait(LONGEST)
    }

    /// Runs it with this on its standard input.
    #[track_caller]
    pub fn run_with(&self, args: &[&str], input: &str) -> Output {
        self.start_with(args, Some(input)).wait(LONGEST)
    }

    #[track_caller]
    fn start_with(&self, args: &[&str], input: Option<&str>) -> Running {
        let mut command = Command::new(&self.program);
        command.args(args).env_clear().envs(self.settings.clone());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let start = Instant::now();
        let mut child = command.spawn().expect("etcdctl can be started");
        if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
            stdin.write_all(input.as_bytes()).expect("etcdctl reads");
        }
        Running::new(format!("etcdctl {}", args.join(" ")), child, start)
    }
}
