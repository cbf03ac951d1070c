//! The cloud of one test.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Deserialize;
use serde_json::Value;

use super::http::ask;
use super::python::python;
use crate::{Binaries, Machine, Project, skipped};

/// Second bytes of the machines' addresses: separate from those of local machines and of other tests.
const FIRST_NETWORK: u32 = 200;
const NETWORKS: u32 = 50;
/// Private ones, public ones, Elastic IPs.
const WIDTH: u32 = 3;
/// The SSH port of EC2 machines, which requires root on most computers.
const SSH: u16 = 22;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// An EC2 with machines. It ends with its project.
pub struct Cloud {
    child: Child,
    server: SocketAddr,
    folder: PathBuf,
    /// Why machines are not of the requested kind.
    stands_in: Option<String>,
}

/// A call of the API.
#[derive(Clone, Debug, Deserialize)]
pub struct Call {
    /// Its name, such as `RunInstances`.
    pub action: String,
    /// `operator`, or `node` for one with the credentials of an instance role.
    pub caller: String,
    /// For a node: the machine whose credentials were used.
    pub machine: Option<String>,
}

/// All resources of the account.
#[derive(Clone, Debug, Deserialize)]
pub struct Inventory {
    /// Machines, including ended ones.
    pub instances: Vec<Instance>,
    /// `name`, `rules`, `tags`.
    pub security_groups: Vec<Value>,
    /// `name`, `tags`.
    pub key_pairs: Vec<Value>,
    /// `ip`, `instance`, `tags`.
    pub addresses: Vec<Value>,
    /// `name`, `policies`.
    pub roles: Vec<Value>,
    /// `name`.
    pub profiles: Vec<Value>,
}

/// A machine, as returned by the API.
#[derive(Clone, Debug, Deserialize)]
pub struct Instance {
    /// `i-…`.
    pub id: String,
    /// `pending`, `running`, `stopped`, `terminated`.
    pub state: String,
    /// Such as `us-west-2a`.
    pub zone: String,
    /// The private address.
    pub private: Option<IpAddr>,
    /// The public address.
    pub public: Option<IpAddr>,
    /// The key pair.
    pub key_name: Option<String>,
    /// `required`: only version 2 of the metadata service.
    pub http_tokens: String,
    /// The instance profile.
    pub profile: Option<String>,
    /// All tags.
    pub tags: BTreeMap<String, String>,
}

impl Inventory {
    /// Machines that have not ended.
    #[must_use]
    pub fn present(&self) -> Vec<&Instance> {
        self.instances.iter().filter(|one| one.state != "terminated").collect()
    }

    /// Whether there are only the resources of a new account.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.present().is_empty()
            && [&self.security_groups, &self.key_pairs, &self.addresses, &self.roles, &self.profiles]
                .iter()
                .all(|things| things.is_empty())
    }
}

impl Cloud {
    /// Starts it, with machines of the local provider, and sets the environment of the project's commands. `None`, with a printed
    /// reason, if it is not possible.
    #[must_use]
    pub fn start(project: &mut Project) -> Option<Self> {
        let started = Self::try_start(project, "local");
        started.inspect_err(|why| skipped(why)).ok()
    }

    /// The same with machines that have Debian's OpenSSH server. If these are not possible, machines of the local provider stand in,
    /// with a printed message.
    #[must_use]
    pub fn start_with_openssh(project: &mut Project) -> Option<Self> {
        let started = Self::try_start(project, "openssh");
        let cloud = started.inspect_err(|why| skipped(why)).ok()?;
        if let Some(why) = &cloud.stands_in {
            skipped(format!("OpenSSH, the local provider's machines stand in: {why}"));
        }
        Some(cloud)
    }

    fn try_start(project: &mut Project, machines: &str) -> Result<Self, String> {
        let python = python()?;
        let network = free_network()?;
        let folder = project.outside("").canonicalize().map_err(|error| error.to_string())?.join("cloud");
        std::fs::create_dir(&folder).map_err(|error| error.to_string())?;
        let log = std::fs::File::create(folder.join("cloud.log")).map_err(|error| error.to_string())?;
        let mut child = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("aws/cloud.py"))
            .arg("--dir")
            .arg(&folder)
            .arg("--disco")
            .arg(&Binaries::get().disco)
            .args(["--network", &network, "--machines", machines])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DISCO_TEST_DIR", project.outside("").canonicalize().map_err(|error| error.to_string())?)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{}: {error}", python.display()))?;
        let mut line = String::new();
        let read = child.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut line));
        let ready = line.trim().strip_prefix("ready ").unwrap_or_default();
        let (port, why) = ready.split_once(' ').map_or((ready, None), |(port, why)| (port, Some(why.to_owned())));
        let log_text = || std::fs::read_to_string(folder.join("cloud.log")).unwrap_or_default();
        let port = port.parse().unwrap_or_else(|_| panic!("the cloud did not start ({read:?}): {line}{}", log_text()));
        let cloud = Self { child, server: SocketAddr::from(([127, 0, 0, 1], port)), folder, stands_in: why };
        project.set_environment(cloud.environment());
        Ok(cloud)
    }

    /// The operator's environment: the URL of the API, and credentials.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let url = format!("http://{}", self.server);
        [
            ("AWS_ENDPOINT_URL", url.as_str()),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str()),
            ("AWS_ACCESS_KEY_ID", "operator"),
            ("AWS_SECRET_ACCESS_KEY", "operators-secret"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        ask(self.server, method, &format!("/test/{path}"), body).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The calls since the start, or since [`Self::forget_calls`].
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        serde_json::from_value(self.ask("GET", "calls", None)).unwrap()
    }

    /// How often each was made, by caller and name.
    #[must_use]
    pub fn count(&self) -> BTreeMap<(String, String), usize> {
        let mut counts = BTreeMap::new();
        for call in self.calls() {
            *counts.entry((call.caller, call.action)).or_default() += 1;
        }
        counts
    }

    /// Resets the counts.
    pub fn forget_calls(&self) {
        self.ask("DELETE", "calls", None);
    }

    /// Adds a failure, see `Faults` of `tests/aws/cloud.py`.
    pub fn fault(&self, rule: Value) {
        self.ask("POST", "faults", Some(&rule));
    }

    /// Removes all failures; a held call continues.
    pub fn heal(&self) {
        self.ask("DELETE", "faults", None);
    }

    /// The call that was performed but not answered, if there is one.
    #[must_use]
    pub fn held(&self) -> Option<String> {
        self.ask("GET", "state", None)["held"].as_str().map(str::to_owned)
    }

    /// Sets the behaviour of machines that are started from now on: `ignores_user_data`, `never_answers`, `boot_seconds`.
    pub fn machines_are(&self, settings: Value) {
        self.ask("POST", "machines", Some(&settings));
    }

    /// Sets the announcements of a machine's metadata service: `{ "spot/instance-action": { … } }`.
    pub fn announce(&self, machine: &str, notices: Value) {
        self.ask("POST", "notices", Some(&serde_json::json!({ "machine": machine, "notices": notices })));
    }

    /// All that is there.
    #[must_use]
    pub fn inventory(&self) -> Inventory {
        serde_json::from_value(self.ask("GET", "inventory", None)).unwrap()
    }

    /// The running machines, by id.
    #[must_use]
    pub fn machines(&self) -> Vec<Machine> {
        Machine::all(&self.folder)
    }

    /// Whether its machines have Debian's OpenSSH server.
    #[must_use]
    pub fn has_openssh(&self) -> bool {
        self.machines().iter().all(|machine| machine.folder.join("etc-ssh").is_dir())
    }

    /// The output for a failed test.
    #[must_use]
    pub fn logs(&self) -> String {
        let mut text = format!("===== cloud at {}\n{:#?}\n", self.server, self.count());
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let own = std::fs::read_to_string(path.join("machine.log")).unwrap_or_default();
            let log = crate::project::logs(&crate::machine::prefix(&path).join("service"));
            if !own.is_empty() || !log.is_empty() {
                text += &format!("===== {}\n{own}{log}\n", path.display());
            }
        }
        text
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The service itself may have failed.
            let held = ask(self.server, "GET", "/test/calls", None);
            eprintln!("{}", if held.is_ok() { self.logs() } else { "===== the cloud does not answer".to_owned() });
        }
        // Fails only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first three bytes of unused addresses.
fn free_network() -> Result<String, String> {
    let start = std::process::id().wrapping_mul(2_654_435_761) >> 8;
    let mut last = String::new();
    for _ in 0..NETWORKS {
        let n = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let (second, third) = (FIRST_NETWORK + n % NETWORKS, 1 + n / NETWORKS % (250 / WIDTH) * WIDTH);
        let byte = |part: u32| u8::try_from(part).expect("each part is below 255");
        let free = (0..WIDTH).try_for_each(|step| {
            let ip = IpAddr::from([127, byte(second), byte(third + step), 1]);
            TcpListener::bind((ip, SSH)).map(drop).map_err(|error| format!("{ip}:{SSH}: {error}"))
        });
        match free {
            Ok(()) => return Ok(format!("127.{second}.{third}")),
            Err(error) => last = error,
        }
    }
    Err(format!("EC2 machines need port {SSH}, which is not available: {last}"))
}
