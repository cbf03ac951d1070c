//! Given hosts, with the real server of OpenSSH.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use disco_provider::install::{Binaries, NoProgress, Remote};
use disco_provider::ssh::{ConnectOptions, HostKeyPolicy, KeyPair, Login, Session, SshError, Status, UserKeys};
use disco_provider::{KnownMachine, MachineState, ProviderContext, ProviderError, SshTarget, StartRequest, from_spec};

use crate::install::{owner, settings};
use crate::setup::{LIMIT, eventually, is_alive, stand_in};

/// OpenSSH's server on a port of its own, ended with this.
struct Sshd {
    dir: tempfile::TempDir,
    process: Child,
    user: String,
    port: u16,
    key: KeyPair,
}

impl Sshd {
    /// `None`, and a word of it, where there is no such server.
    async fn start(test: &str) -> Option<Self> {
        Self::start_with(test, "")
    }

    /// With more lines of configuration.
    fn start_with(test: &str, more: &str) -> Option<Self> {
        let program =
            ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"].iter().find(|path| Path::new(path).exists());
        if program.is_none() {
            println!("skipped: {test}: OpenSSH's server is not installed (Debian: apt-get install openssh-server)");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate("test").unwrap();
        let host_key = dir.path().join("host_key");
        std::fs::write(&host_key, KeyPair::generate("host").unwrap().private_openssh()).unwrap();
        std::fs::set_permissions(&host_key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::write(dir.path().join("authorized_keys"), key.public_openssh()).unwrap();
        if rustix::process::getuid().is_root() {
            // Where the server locks its unprivileged part in; Debian makes it when the service is started.
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = dir.path().join("sshd_config");
        let path = dir.path().display();
        let text = format!(
            "{more}ListenAddress 127.0.0.1\nPort {port}\nHostKey {path}/host_key\nPidFile none\nUsePAM no\nStrictModes no\n\
             AuthorizedKeysFile {path}/authorized_keys\nPasswordAuthentication no\nPermitRootLogin yes\n\
             SetEnv DISCO_PREFIX={path}/prefix\n"
        );
        std::fs::write(&config, text).unwrap();
        let process = serve(&config, port);
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        let user = String::from_utf8(user).unwrap().trim().to_owned();
        Some(Self { dir, process, user, port, key })
    }

    /// Starts it again with these host keys, which are made where there are none.
    fn with_host_keys(&mut self, kinds: &[&str]) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        let config = self.dir.path().join("sshd_config");
        let text = std::fs::read_to_string(&config).unwrap();
        let mut text: String =
            text.lines().filter(|line| !line.starts_with("HostKey ")).map(|line| format!("{line}\n")).collect();
        for kind in kinds {
            let file = self.dir.path().join(format!("host_{kind}"));
            if !file.exists() {
                let made =
                    Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-f"]).arg(&file).status().unwrap();
                assert!(made.success(), "ssh-keygen failed");
            }
            text += &format!("HostKey {}\n", file.display());
        }
        std::fs::write(&config, text).unwrap();
        self.process = serve(&config, self.port);
    }

    async fn connect(&self) -> Result<Session, SshError> {
        let target = SshTarget { user: self.user.clone(), host: "127.0.0.1".to_owned(), port: self.port };
        let options = ConnectOptions { limit: LIMIT, ..ConnectOptions::default() };
        Session::connect(&target, &self.key, &self.known_hosts(), options).await
    }

    fn spec(&self) -> serde_json::Value {
        serde_json::json!({ "name": "mine", "hosts": [format!("{}@127.0.0.1:{}", self.user, self.port)] })
    }

    fn known_hosts(&self) -> HostKeyPolicy {
        HostKeyPolicy::KnownHosts { file: self.dir.path().join("known_hosts"), pin_first: true }
    }
}

/// Starts a server, and waits until it listens.
fn serve(config: &Path, port: u16) -> Child {
    let program =
        ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"].iter().find(|path| Path::new(path).exists());
    let log = std::fs::File::create(config.with_file_name("log")).unwrap();
    let mut command = Command::new(program.expect("there is a server"));
    let process = command.args(["-D", "-e", "-f"]).arg(config).stdin(Stdio::null()).stderr(log).spawn().unwrap();
    let deadline = Instant::now() + LIMIT;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "the server does not listen at port {port}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    process
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn context() -> ProviderContext {
    ProviderContext {
        cluster_name: "test".into(),
        cluster_id: None,
        project_dir: None,
        local_dir: None,
        machine_executable: stand_in(),
        known: Vec::new(),
    }
}

fn request(token: &str, known: &[(&str, &str)]) -> StartRequest {
    let known = known.iter().map(|(id, token)| ((*id).to_owned(), (*token).to_owned())).collect::<BTreeMap<_, _>>();
    StartRequest { token: token.to_owned(), known, ..StartRequest::default() }
}

#[tokio::test]
async fn a_node_is_installed_on_a_real_host() {
    let Some(sshd) = Sshd::start("a_node_is_installed_on_a_real_host").await else { return };
    let provider = from_spec("hosts", &sshd.spec(), &context()).unwrap();
    let machine = provider.start(request("one", &[])).await.unwrap();
    assert_eq!(machine.control_address.to_string(), "127.0.0.1:5080");
    let options = ConnectOptions { limit: LIMIT, ..ConnectOptions::default() };
    let states = async || provider.list().await.unwrap().into_iter().map(|host| host.state).collect::<Vec<_>>();
    let session = Session::connect(&machine.ssh, &sshd.key, &sshd.known_hosts(), options).await.unwrap();
    assert!(session.host_key().first_use);
    assert_eq!(states().await, [MachineState::Running]);

    let output = session.exec_with("cat; echo err >&2; exit 9", b"in", LIMIT).await.unwrap();
    assert_eq!(
        (output.status.clone(), output.text(), output.error_text()),
        (Status::Code(9), "in".into(), "err".into())
    );
    assert_eq!(session.exec("kill -9 $$").await.unwrap().status, Status::Signal("KILL".into()));

    let remote = Remote::probe(session).await.unwrap().permit(owner(&machine)).await.unwrap();
    let binaries = Binaries::from_paths(&stand_in(), &stand_in()).unwrap();
    let sign = |request: &str| Ok(request.to_owned());
    let installed = remote.install_first_node(&binaries, &settings(&machine), sign, &NoProgress).await.unwrap();
    assert!(installed.started);
    let starts = || -> Vec<u32> {
        let text = std::fs::read_to_string(sshd.dir.path().join("prefix/data/snapshots/starts")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    };
    eventually("the service runs", || starts().len() == 1).await;
    let again = remote.install_first_node(&binaries, &settings(&machine), sign, &NoProgress).await.unwrap();
    assert!(!again.started && !again.binaries_changed);
    assert_eq!(starts().len(), 1);
    remote.uninstall().await.unwrap();
    assert!(!is_alive(starts().first().copied().unwrap_or(1)) || starts().is_empty());
    assert!(!sshd.dir.path().join("prefix").exists());

    let stranger = KeyPair::generate("").unwrap();
    let error = Session::connect(&machine.ssh, &stranger, &sshd.known_hosts(), options).await.unwrap_err();
    assert!(matches!(error, SshError::LoginRefused { .. }), "{error}");
    let other = KeyPair::generate("").unwrap().public_openssh();
    let error = Session::connect(&machine.ssh, &sshd.key, &HostKeyPolicy::Pinned(other), options).await.unwrap_err();
    assert!(matches!(error, SshError::HostKeyChanged { .. }), "{error}");
}

#[tokio::test]
async fn a_host_that_gets_a_second_key_is_no_stranger_and_one_with_rsa_alone_is_told_so() {
    let Some(mut sshd) = Sshd::start("a_host_that_gets_a_second_key").await else { return };
    sshd.with_host_keys(&["ecdsa"]);
    assert!(sshd.connect().await.unwrap().host_key().first_use);
    sshd.with_host_keys(&["ecdsa", "ed25519"]);
    let seen = sshd.connect().await.unwrap().host_key().clone();
    assert!(!seen.first_use && seen.key.starts_with("ecdsa-"), "{seen:?}");
    sshd.with_host_keys(&["ed25519"]);
    let error = sshd.connect().await.unwrap_err();
    assert!(matches!(error, SshError::HostKeyChanged { .. }), "{error}");
    sshd.with_host_keys(&["rsa"]);
    let message = sshd.connect().await.unwrap_err().to_string();
    assert!(
        message.contains("no host key of a kind that Disco supports") && message.contains("rsa-sha2-512"),
        "{message}"
    );
}

/// No kind of certificate is asked for, so that a server that has one shows the plain key beside it.
#[tokio::test]
async fn a_host_with_a_certificate_is_known_by_its_plain_key() {
    let Some(mut sshd) = Sshd::start("a_host_with_a_certificate_is_known_by_its_plain_key").await else { return };
    sshd.with_host_keys(&["ed25519"]);
    let plain = sshd.connect().await.unwrap().host_key().clone();
    let file = |name: &str| sshd.dir.path().join(name);
    let keygen = |args: &[&str]| {
        let made = Command::new("ssh-keygen").arg("-q").args(args).current_dir(sshd.dir.path()).status().unwrap();
        assert!(made.success(), "ssh-keygen failed");
    };
    keygen(&["-t", "ed25519", "-N", "", "-f", "authority"]);
    keygen(&["-s", "authority", "-I", "host", "-h", "-n", "127.0.0.1", "host_ed25519.pub"]);
    let config = std::fs::read_to_string(file("sshd_config")).unwrap();
    let certificate = file("host_ed25519-cert.pub");
    assert!(certificate.exists());
    std::fs::write(file("sshd_config"), format!("{config}HostCertificate {}\n", certificate.display())).unwrap();
    sshd.with_host_keys(&["ed25519"]);
    let session = sshd.connect().await.unwrap();
    assert_eq!(session.host_key().key, plain.key);
    assert!(!session.host_key().first_use);
}

#[tokio::test]
async fn a_second_factor_is_no_refused_key() {
    let more = "AuthenticationMethods publickey,password\nPasswordAuthentication yes\n";
    let Some(sshd) = Sshd::start_with("a_second_factor_is_no_refused_key", more) else { return };
    let error = sshd.connect().await.unwrap_err();
    assert!(matches!(error, SshError::SecondFactor { .. }), "{error}");
    assert!(error.to_string().contains("password"), "{error}");
}

/// An agent with these keys, which are made of these kinds; ended with this.
struct Agent {
    process: Child,
    socket: std::path::PathBuf,
}

impl Agent {
    /// `None`, and a word of it, where there is no such program.
    async fn start(test: &str, dir: &Path, keys: &[&Path]) -> Option<Self> {
        let socket = dir.join("agent");
        let mut command = Command::new("ssh-agent");
        let Ok(process) = command.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn() else {
            println!("skipped: {test}: there is no `ssh-agent` (Debian: apt-get install openssh-client)");
            return None;
        };
        let agent = Self { process, socket };
        // The file is there before the agent listens.
        eventually("the agent", || std::os::unix::net::UnixStream::connect(&agent.socket).is_ok()).await;
        for key in keys {
            let added =
                Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", &agent.socket).status().unwrap();
            assert!(added.success(), "ssh-add failed");
        }
        Some(agent)
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn keys_of_an_agent_log_in_also_through_a_jump_host() {
    const TEST: &str = "keys_of_an_agent_log_in_also_through_a_jump_host";
    let Some(sshd) = Sshd::start_with(TEST, "") else { return };
    let path = |name: &str| sshd.dir.path().join(name);
    let keygen = |args: &[&str]| {
        let made = Command::new("ssh-keygen").arg("-q").args(args).current_dir(sshd.dir.path()).status().unwrap();
        assert!(made.success(), "ssh-keygen failed");
    };
    // Keys that the server does not know come first.
    keygen(&["-t", "rsa", "-N", "", "-f", "rsa"]);
    keygen(&["-t", "ed25519", "-N", "", "-f", "stranger"]);
    keygen(&["-t", "ed25519", "-N", "secret", "-f", "locked"]);
    let own = path("own");
    std::fs::write(&own, sshd.key.private_openssh()).unwrap();
    std::fs::set_permissions(&own, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let Some(agent) = Agent::start(TEST, sshd.dir.path(), &[&path("rsa"), &path("stranger"), &own]).await else {
        return;
    };
    std::fs::remove_file(&own).unwrap();
    let target = SshTarget { user: sshd.user.clone(), host: "127.0.0.1".to_owned(), port: sshd.port };
    let options = ConnectOptions { limit: LIMIT, ..ConnectOptions::default() };
    let login = |files: &[&str], socket: Option<&Path>| {
        let files = files.iter().map(|name| path(name)).collect();
        Login::User(UserKeys { files, files_only: false, agent: socket.map(Path::to_path_buf) })
    };
    let through = async |jump: Option<&Session>, login: &Login, target: &SshTarget| {
        Session::connect_through(jump, target, login, &sshd.known_hosts(), options).await
    };
    let with_agent = login(&["locked"], Some(&agent.socket));
    let session = through(None, &with_agent, &target).await.unwrap();
    assert_eq!(session.key().split(' ').nth(1), sshd.key.public_openssh().split(' ').nth(1));

    // The machine behind it is the same one; the session that carries it may be dropped.
    let behind = through(Some(&session), &with_agent, &target).await.unwrap();
    drop(session);
    assert_eq!(behind.exec("echo here").await.unwrap().text(), "here");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = through(Some(&behind), &with_agent, &SshTarget { port: free, ..target.clone() }).await.unwrap_err();
    assert!(matches!(error, SshError::NotForwarded { .. }), "{error}");

    let message = through(None, &login(&["locked"], None), &target).await.unwrap_err().to_string();
    assert!(
        message.contains("no key to log in") && message.contains("ssh-add") && message.contains("locked"),
        "{message}"
    );
    let message = through(None, &login(&["stranger", "locked"], None), &target).await.unwrap_err().to_string();
    assert!(message.contains("refused the key SHA256:") && message.contains("ssh-add"), "{message}");
    let nowhere = login(&[], Some(Path::new("/nowhere/agent")));
    let message = through(None, &nowhere, &target).await.unwrap_err().to_string();
    assert!(message.contains("/nowhere/agent"), "{message}");
    // What a key file that only the agent can use is called by `set_key_pair`.
    let keys = UserKeys { files: Vec::new(), files_only: true, agent: Some(agent.socket.clone()) };
    assert!(keys.public_in_agent(&path("stranger")).await.is_some_and(|public| public.starts_with("ssh-ed25519 ")));
    assert_eq!(keys.public_in_agent(&path("locked")).await, None);
}

#[tokio::test]
async fn hosts_are_recognised_when_the_script_says_it_otherwise() {
    let known = |id: &str, control: &str, ssh: &str| KnownMachine {
        id: id.to_owned(),
        control_address: control.parse().ok(),
        ssh: ssh.parse().ok(),
    };
    let known = vec![
        known("127.0.0.1:22", "127.0.0.1:5080", ""),
        known("127.0.0.9:22", "127.0.0.9:5080", "me@127.0.0.9:22"),
        known("gone.invalid:22", "127.0.0.7:5080", ""),
    ];
    let spec =
        serde_json::json!({ "hosts": ["a@127.0.0.1:2222", "b@gone.invalid", "c@nowhere.invalid", "d@127.0.0.3"] });
    let provider = from_spec("hosts", &spec, &ProviderContext { known, ..context() }).unwrap();
    let listed = provider.list().await.unwrap();
    let shown: Vec<_> =
        listed.iter().map(|host| (host.id.as_str(), host.ssh.to_string(), host.control_address.port())).collect();
    assert_eq!(
        shown,
        [
            ("127.0.0.1:22", "a@127.0.0.1:2222".to_owned(), 5080),
            ("gone.invalid:22", "b@gone.invalid:22".to_owned(), 5080),
            ("nowhere.invalid:22", "c@nowhere.invalid:22".to_owned(), 5080),
            ("127.0.0.3:22", "d@127.0.0.3:22".to_owned(), 5080),
            // Named by no script any more.
            ("127.0.0.9:22", "me@127.0.0.9:22".to_owned(), 5080),
        ]
    );
    // A node whose name cannot be resolved keeps its address; a host that never had one has none.
    assert_eq!(listed[1].control_address.to_string(), "127.0.0.7:5080");
    assert!(listed[2].control_addresses().is_empty());
    assert_eq!(provider.ssh_target("127.0.0.1:22").unwrap().port, 2222);
    // The first that is free and has an address; one that just failed is the last choice.
    let taken = [("127.0.0.1:22", "one"), ("gone.invalid:22", "two")];
    assert_eq!(provider.start(request("three", &taken)).await.unwrap().id, "127.0.0.3:22");
}

#[tokio::test]
async fn a_first_host_that_just_failed_comes_last_as_well() {
    let first = serde_json::json!({ "ssh": "b@127.0.0.2", "first": true });
    let spec = serde_json::json!({ "hosts": ["a@127.0.0.1", first, "c@127.0.0.3"] });
    let provider = from_spec("hosts", &spec, &context()).unwrap();
    let avoid = BTreeSet::from(["127.0.0.2:22".to_owned()]);
    let avoiding = |token: &str| StartRequest { avoid: avoid.clone(), ..request(token, &[]) };
    assert_eq!(provider.start(avoiding("one")).await.unwrap().id, "127.0.0.1:22");
    assert_eq!(provider.start(avoiding("two")).await.unwrap().id, "127.0.0.3:22");
    assert_eq!(provider.start(avoiding("three")).await.unwrap().id, "127.0.0.2:22");
    let other = from_spec("hosts", &spec, &context()).unwrap();
    assert_eq!(other.start(request("one", &[])).await.unwrap().id, "127.0.0.2:22");
}

#[tokio::test]
async fn hosts_are_handed_out_once() {
    let spec = serde_json::json!({ "hosts": ["a@127.0.0.1:1", "b@127.0.0.1:2", "c@127.0.0.2:3"] });
    let provider = from_spec("hosts", &spec, &context()).unwrap();
    assert_eq!((provider.kind(), provider.name()), ("hosts", "hosts"));
    let one = provider.start(request("one", &[])).await.unwrap();
    assert_eq!(one, provider.start(request("one", &[])).await.unwrap());
    let two = provider.start(request("two", &[])).await.unwrap();
    assert_eq!((one.ssh.to_string(), two.ssh.to_string()), ("a@127.0.0.1:1".into(), "b@127.0.0.1:2".into()));
    // Hosts at the same address listen on different ports.
    assert_eq!((one.control_address.port(), two.control_address.port()), (5080, 5081));

    // Another process knows only what the cluster has recorded.
    let other = from_spec("hosts", &spec, &context()).unwrap();
    let known = [("127.0.0.1:1", "one"), ("127.0.0.1:2", "two")];
    assert_eq!(other.start(request("two", &known)).await.unwrap(), two);
    assert_eq!(other.start(request("three", &known)).await.unwrap().ssh.to_string(), "c@127.0.0.2:3");
    let error = other.start(request("four", &known)).await.unwrap_err();
    assert!(matches!(error, ProviderError::NoHostLeft { count: 3 }), "{error}");

    // One that is given back is handed out again.
    provider.terminate(&one.id).await.unwrap();
    assert_eq!(provider.start(request("five", &[])).await.unwrap().ssh, one.ssh);
    assert!(matches!(provider.stop(&one.id).await.unwrap_err(), ProviderError::NotSupported { .. }));
    // The provider does not check whether a host answers.
    let listed = provider.list().await.unwrap();
    assert_eq!(listed.iter().map(|host| host.state).collect::<Vec<_>>(), [MachineState::Running; 3]);
}

#[test]
fn wrong_specs_are_errors_that_help() {
    let error = |kind: &str, options: serde_json::Value| {
        from_spec(kind, &options, &context()).map(|_| ()).unwrap_err().to_string()
    };
    for (kind, options, part) in [
        ("aws", serde_json::json!({ "regoin": "us-west-2" }), "unknown field `regoin`"),
        ("gcp", serde_json::json!({}), "`local`, `hosts`, `aws`"),
        ("local", serde_json::json!({ "nmae": "x" }), "expected `name` or `dir`"),
        ("local", serde_json::json!({}), "no folder for the machines"),
        ("hosts", serde_json::json!({ "host": [] }), "expected `name` or `hosts`"),
        ("hosts", serde_json::json!({}), "`hosts` is missing"),
        ("hosts", serde_json::json!({ "hosts": ["a@h:1", "b@h:1"] }), "listed twice"),
        ("hosts", serde_json::json!({ "hosts": ["a@h:x"] }), "`a@h:x`"),
    ] {
        let message = error(kind, options);
        assert!(message.contains(part), "{message}");
    }
}
