//! Runs the binary in a temporary folder.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use disco_identity::{Authority, ClusterId, PrivateKey, Validity};

use serde_json::Value;
use tempfile::TempDir;

/// The folder in which the binary runs, without this process's environment, which could change its behaviour.
pub(crate) struct Folder(TempDir);

/// The exit code and output of a run.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder for the test"))
    }

    /// With this `client.js`.
    pub(crate) fn with_client(source: &str) -> Self {
        let folder = Self::new();
        folder.write("client.js", source);
        folder
    }

    /// With this `client.js`, a root, and an expired operator certificate; there was never a node.
    pub(crate) fn expired(source: &str) -> Self {
        let folder = Self::with_client(source);
        fs::create_dir(folder.path(".disco")).unwrap();
        let root = Authority::new_root(&ClusterId::random(), "x").unwrap();
        disco_identity::write_private(&folder.path(".disco/ca.key"), root.key_pem().as_bytes()).unwrap();
        let key = PrivateKey::generate().unwrap();
        key.store(&folder.path(".disco/operator.key")).unwrap();
        let ended = Validity { not_before: 1_000_000, not_after: 2_000_000 };
        let chain = root.issue_operator(&key.signing_request().unwrap(), "me", ended).unwrap();
        folder.write(".disco/ca.pem", root.certificate_pem());
        folder.write(".disco/operator.pem", &chain);
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        // The binary prints paths without symbolic links.
        fs::canonicalize(self.0.path()).expect("the folder").join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).expect("a file of the test");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a file of the test")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_disco"));
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null()).env_clear();
        for name in ["PATH", "HOME", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.command(args).output().expect("the binary runs"))
    }

    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs")
    }
}

impl Ran {
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// Checks that standard error contains all of these texts.
    #[track_caller]
    pub(crate) fn stderr_contains(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is missing on standard error: {self}");
        }
        self
    }

    #[track_caller]
    /// The failure on standard error, with `-o json`.
    pub(crate) fn json_error(&self) -> Value {
        let line = self.stderr.lines().last().unwrap_or_default();
        let document: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self}"));
        document["error"].clone()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        Self { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit {}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// Waits until `condition` holds; panics with the last state if it does not in time.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match condition() {
            Ok(value) => return value,
            Err(state) if Instant::now() > deadline => panic!("{what}: {state}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

pub(crate) fn exists(path: &Path) -> Result<(), String> {
    if path.exists() { Ok(()) } else { Err(format!("`{}` is not there", path.display())) }
}
