//! What the tests share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use disco_provider::ssh::{HostKeyPolicy, KeyPair, Session};
use disco_provider::{Machine, Provider, ProviderContext, StartRequest, from_spec};

/// How long anything may take before a test fails.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The stand-in for `disco` and `discod`, which cargo builds beside the tests.
pub(crate) fn stand_in() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("examples/stand_in");
    assert!(path.exists(), "`{}` is missing; run the tests of the whole package", path.display());
    path
}

/// A folder with machines, all of which end with it.
pub(crate) struct Machines {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) key: KeyPair,
}

impl Machines {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let provider = local(dir.path());
        Self { dir, provider, key: KeyPair::generate("test").unwrap() }
    }

    pub(crate) fn request(&self, token: &str) -> StartRequest {
        StartRequest {
            token: token.to_owned(),
            name: format!("name-of-{token}"),
            authorized_keys: vec![self.key.public_openssh()],
            ..StartRequest::default()
        }
    }

    pub(crate) async fn start(&self, token: &str) -> Machine {
        self.provider.start(self.request(token)).await.unwrap()
    }

    pub(crate) async fn connect(&self, machine: &Machine) -> Session {
        Session::connect(&machine.ssh, &self.key, &pinned(machine), machine.connect_options()).await.unwrap()
    }

    pub(crate) fn path(&self, machine: &Machine) -> PathBuf {
        self.dir.path().join("local").join(&machine.id)
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        let provider = Arc::clone(&self.provider);
        // A runtime of its own, as the test's may be the one that is being dropped in.
        let ended = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                for machine in provider.list().await.unwrap() {
                    provider.terminate(&machine.id).await.unwrap();
                }
            });
        });
        // A failed test has said what matters.
        assert!(ended.join().is_ok() || std::thread::panicking(), "machines are left");
    }
}

/// A local provider in a folder, as another process would make it.
pub(crate) fn local(dir: &Path) -> Arc<dyn Provider> {
    let context = ProviderContext {
        cluster_name: "test".to_owned(),
        cluster_id: None,
        project_dir: None,
        local_dir: Some(dir.join("local")),
        machine_executable: stand_in(),
        known: Vec::new(),
    };
    from_spec("local", &serde_json::Value::Null, &context).unwrap()
}

/// The policy for a machine whose key its provider knows.
pub(crate) fn pinned(machine: &Machine) -> HostKeyPolicy {
    HostKeyPolicy::Pinned(machine.host_key.clone().unwrap())
}

/// Waits for a condition.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process runs. One that has ended and was not reaped does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    !stat.rsplit_once(')').unwrap().1.trim_start().starts_with(['Z', 'X'])
}

/// Kills a process as a power cut does.
pub(crate) fn kill(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}
