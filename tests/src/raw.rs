use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use disco_identity::{Authority, ClusterId, Credentials, Identity, NODE_LIFETIME, PrivateKey, Validity};
use disco_proto::v1::{CreateJoinTokenRequest, StatusResponse};
use rustix::process::{Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

use crate::output::pid;
use crate::project::tail;
use crate::{Api, Binaries, Output, Permit, Project, Running, SOON, block, free_ip, processes, wait_for};

const HOUR: Duration = Duration::from_secs(3600);
/// A cluster has no more voters than this, however many nodes.
const MAX_VOTERS: usize = 5;

/// A cluster of `discod` processes, whose keys the test holds.
pub struct RawCluster {
    root: TempDir,
    /// The cluster's root.
    pub authority: Authority,
    /// The voters' signing key.
    pub signer: Authority,
    /// The nodes, in the order of creation.
    pub nodes: Vec<RawNode>,
    /// `--raft-pace` of its nodes.
    pace: String,
    /// Released after all of the above.
    _permit: Permit,
}

/// One `discod`.
pub struct RawNode {
    /// The advertised address.
    pub address: SocketAddr,
    /// The listen address, if it is another one.
    pub behind: Option<SocketAddr>,
    /// Its data folder.
    pub data: PathBuf,
    log: PathBuf,
    mark: PathBuf,
    token: Option<PathBuf>,
    child: Option<Child>,
    pace: String,
    /// Program and arguments that start `discod`, such as `nsenter`; they must exec it.
    pub through: Vec<OsString>,
    /// Additional environment variables.
    pub env: Vec<(String, OsString)>,
}

impl RawCluster {
    /// A cluster of one.
    #[must_use]
    pub fn found() -> Self {
        Self::with_nodes(1)
    }

    /// No node yet.
    #[must_use]
    pub fn empty() -> Self {
        let permit = Permit::one();
        let root = tempfile::Builder::new().prefix("disco-raw-").tempdir().unwrap();
        crate::reaper::watch_over(root.path());
        let authority = Authority::new_root(&ClusterId::random(), "raw").unwrap();
        let signer = authority.new_intermediate().unwrap();
        Self { root, authority, signer, nodes: Vec::new(), pace: "fast".to_owned(), _permit: permit }
    }

    /// Makes this node the first.
    pub fn begin(&mut self, mut first: RawNode) {
        self.install(&first, 1).expect_success();
        first.start();
        self.nodes.push(first);
        self.wait_for_members(1);
    }

    /// A cluster of this number of nodes.
    #[must_use]
    pub fn with_nodes(count: usize) -> Self {
        Self::at_pace("fast", count)
    }

    /// The same with another `--raft-pace`.
    #[must_use]
    pub fn at_pace(pace: &str, count: usize) -> Self {
        let mut cluster = Self::empty();
        pace.clone_into(&mut cluster.pace);
        let first = cluster.node();
        cluster.begin(first);
        for _ in 1..count {
            cluster.join();
        }
        cluster
    }

    /// The API as the operator.
    #[must_use]
    pub fn operator(&self) -> Api {
        self.operator_named("test", Validity::lasting(HOUR))
    }

    /// An operator's certificate with another validity.
    #[must_use]
    pub fn operator_named(&self, name: &str, validity: Validity) -> Api {
        self.identity(|request| self.authority.issue_operator(request, name, validity).unwrap())
    }

    /// As a node of this id, with a certificate that the test makes.
    #[must_use]
    pub fn as_node(&self, id: u64, validity: Validity) -> Api {
        self.identity(|request| self.signer.issue_node(request, id, &[], validity).unwrap())
    }

    /// As the holder of a join token of this name.
    #[must_use]
    pub fn as_join(&self, token: &str) -> Api {
        self.identity(|request| self.signer.issue_join(request, token, Validity::lasting(HOUR)).unwrap())
    }

    /// A party of this cluster with a new key.
    pub fn identity(&self, issue: impl FnOnce(&str) -> String) -> Api {
        let key = PrivateKey::generate().unwrap();
        let chain = issue(&key.signing_request().unwrap());
        let credentials = Credentials::from_pem(self.authority.certificate_pem(), &chain, &key.to_pem()).unwrap();
        Api::new(Identity::new(credentials).unwrap())
    }

    /// A node without an identity that does not run yet.
    #[must_use]
    pub fn node(&self) -> RawNode {
        self.node_at(free_ip())
    }

    /// The same at a given address.
    #[must_use]
    pub fn node_at(&self, ip: IpAddr) -> RawNode {
        let address = SocketAddr::new(ip, 5080);
        let folder = self.root.path().join(address.ip().to_string());
        fs::create_dir(&folder).unwrap();
        RawNode {
            address,
            behind: None,
            data: folder.join("data"),
            log: folder.join("log"),
            mark: self.root.path().canonicalize().unwrap(),
            token: None,
            child: None,
            pace: self.pace.clone(),
            through: Vec::new(),
            env: Vec::new(),
        }
    }

    /// Makes a node the cluster's founder, as the installer does.
    pub fn install(&self, node: &RawNode, id: u64) -> Output {
        let request = node.command(&["identity", "request", "--data-dir"], &[]).arg(&node.data).output().unwrap();
        let request = String::from_utf8(request.stdout).unwrap();
        let chain =
            self.signer.issue_node(&request, id, &[node.address.ip()], Validity::lasting(NODE_LIFETIME)).unwrap();
        let identity = json!({
            "cluster_id": self.authority.cluster_id().as_str(),
            "cluster_name": "raw",
            "node_id": id,
            "name": format!("raw-{id}"),
            "ca": self.authority.certificate_pem(),
            "certificate_chain": chain,
            "intermediate_certificate": self.signer.certificate_pem(),
            "intermediate_key": self.signer.key_pem(),
            "ssh_private_key": "none",
        });
        let mut command = node.command(&["identity", "install", "--data-dir"], &[]);
        let mut child = command.arg(&node.data).stdin(Stdio::piped()).spawn().unwrap();
        // It may refuse before it has read everything.
        let _ = child.stdin.take().unwrap().write_all(identity.to_string().as_bytes());
        Running::new("discod identity install".to_owned(), child, std::time::Instant::now()).wait(SOON)
    }

    /// A join token.
    #[must_use]
    pub fn token(&self, ttl_seconds: u32, uses: u32) -> String {
        let api = self.operator();
        let mut turn = 0;
        wait_for(SOON, "a join token", || {
            // Some nodes may not run.
            let mut control = api.control(&self.nodes[turn % self.nodes.len()].address.to_string());
            turn += 1;
            block(control.create_join_token(CreateJoinTokenRequest { ttl_seconds, uses }))
                .map(|answer| answer.into_inner().token)
        })
    }

    /// A node at another address whose data folder is a copy of the one of this index, which must not run meanwhile.
    #[must_use]
    pub fn copy_of(&self, index: usize) -> RawNode {
        let copy = self.node();
        let copied = Command::new("cp").arg("-a").arg(&self.nodes[index].data).arg(&copy.data).status().unwrap();
        assert!(copied.success(), "the data folder was not copied");
        copy
    }

    /// Adds a node and waits until it is a member.
    pub fn join(&mut self) {
        let node = self.node();
        self.join_as(node);
    }

    /// The same with an existing node.
    pub fn join_as(&mut self, mut node: RawNode) {
        let token = self.token(60, 1);
        node.set_token(&token);
        node.start();
        self.nodes.push(node);
        self.wait_for_members(self.nodes.len());
    }

    /// Waits until this number of nodes are healthy members, and the leader has a report of each.
    #[track_caller]
    pub fn wait_for_members(&self, count: usize) -> StatusResponse {
        let api = self.operator();
        let voters = if count % 2 == 1 { count } else { count - 1 }.min(MAX_VOTERS);
        wait_for(SOON, &format!("{count} healthy members"), || {
            let mut last = "no node was asked".to_owned();
            for node in &self.nodes {
                match api.status(&node.address.to_string()) {
                    Ok(status)
                        if status.leader != 0
                            && status.nodes.len() == count
                            // A leader that was just elected shows the process id 0 until a node's first report.
                            && status.nodes.iter().all(|node| node.healthy && node.pid != 0)
                            && status.nodes.iter().filter(|node| node.role != "learner").count() == voters =>
                    {
                        return Ok(status);
                    }
                    Ok(status) => last = format!("{status:#?}"),
                    Err(status) => last = status.to_string(),
                }
            }
            Err(last)
        })
    }

    pub(crate) fn logs(&self) -> String {
        self.nodes.iter().map(|node| format!("===== log of {}\n{}", node.address, tail(&node.log()))).collect()
    }

    /// Copies its nodes' logs to a permanent folder.
    pub(crate) fn keep(&self) {
        let folder = std::env::temp_dir().join(format!("disco-faults-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for node in &self.nodes {
            fs::write(folder.join(format!("{}.log", node.address)), node.log()).unwrap();
        }
        eprintln!("the nodes' logs are in {}", folder.display());
    }

    /// A project that knows the cluster by an operator's certificate and by its nodes' present addresses.
    #[must_use]
    pub fn project(&self) -> Project {
        let project = Project::builder("raw").no_cluster_script().build();
        let key = PrivateKey::generate().unwrap();
        let hour = Validity::lasting(Duration::from_secs(3600));
        let chain = self.authority.issue_operator(&key.signing_request().unwrap(), "me", hour).unwrap();
        project.write(".disco/ca.pem", self.authority.certificate_pem());
        project.write(".disco/operator.pem", &chain);
        key.store(&project.path(".disco/operator.key")).unwrap();
        let nodes: Vec<_> = (1..)
            .zip(self.addresses())
            .map(|(id, address)| json!({ "id": id, "name": format!("raw-{id}"), "address": address }))
            .collect();
        project.write(".disco/addresses.json", &json!({ "nodes": nodes }).to_string());
        project
    }

    /// The folder with the data of all its nodes.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.root.path()
    }

    /// All processes of this cluster, those of tasks too.
    #[must_use]
    pub fn processes(&self) -> Vec<processes::Process> {
        processes::of_folder(&self.root.path().canonicalize().unwrap())
    }

    /// `kill -9` of a process of this cluster.
    ///
    /// # Panics
    /// When it does not belong to the cluster.
    pub fn kill(&self, pid: u32) {
        processes::signal(&self.root.path().canonicalize().unwrap(), pid, Signal::KILL);
    }

    /// `IP:PORT` of all nodes.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.address.to_string()).collect()
    }
}

impl Drop for RawCluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        processes::end_all(&self.root.path().canonicalize().unwrap());
        crate::values::forget(self.root.path());
    }
}

impl RawNode {
    /// `discod` with a clean environment.
    #[must_use]
    pub fn command(&self, args: &[&str], env: &[(&str, &str)]) -> Command {
        let discod = Binaries::get().discod.clone().into_os_string();
        let mut words = self.through.iter().chain([&discod]);
        let mut command = Command::new(words.next().expect("there is at least the daemon"));
        command.args(words).args(args).env_clear().envs(env.iter().copied()).current_dir(&self.mark);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("DISCO_TEST_DIR", &self.mark);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The daemon's command.
    #[must_use]
    pub fn daemon(&self) -> Command {
        let mut command = self.command(&["--raft-pace", &self.pace, "--data-dir"], &[]);
        command.arg(&self.data).arg("--listen").arg(self.behind.unwrap_or(self.address).to_string());
        if self.behind.is_some() {
            command.arg("--advertise").arg(self.address.to_string());
        }
        if let Some(token) = &self.token {
            command.arg("--join-token-file").arg(token);
        }
        command
    }

    /// Sets the token with which it joins when it is started.
    pub fn set_token(&mut self, token: &str) {
        let path = self.data.with_file_name("token");
        disco_identity::write_private(&path, token.as_bytes()).unwrap();
        self.token = Some(path);
    }

    /// Starts the daemon; its output is appended to its log.
    pub fn start(&mut self) {
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = self.daemon();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    /// Moves it to another address, from its next start on.
    pub fn set_ip(&mut self, ip: IpAddr) {
        self.address.set_ip(ip);
    }

    /// Whether it was started and has not ended.
    pub fn runs(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Waits until the daemon ends by itself.
    #[track_caller]
    pub fn wait_for_end(&mut self, limit: Duration) {
        let mut child = self.child.take().expect("the node runs");
        wait_for(limit, "the daemon's end", || child.try_wait().unwrap().ok_or_else(|| tail(&self.log()).to_owned()));
    }

    /// Runs the daemon until it ends by itself.
    #[track_caller]
    pub fn run(&self, limit: Duration) -> Output {
        let mut command = self.daemon();
        let line = format!("{command:?}");
        Running::new(line, command.spawn().unwrap(), std::time::Instant::now()).wait(limit)
    }

    /// Its process.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the node runs").id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        // Fails only when it has ended.
        let _ = kill_process(pid(self.pid()), signal);
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and waits for its end; the exit code, negative for a signal.
    #[track_caller]
    pub fn stop(&mut self, limit: Duration) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        self.signal(Signal::TERM);
        let mut child = self.child.take().expect("the node runs");
        let status = wait_for(limit, "the daemon's end", || {
            child.try_wait().unwrap().ok_or_else(|| tail(&self.log()).to_owned())
        });
        status.code().unwrap_or_else(|| -status.signal().unwrap_or(0))
    }

    /// The daemon's log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A file of its identity.
    #[must_use]
    pub fn identity(&self, name: &str) -> PathBuf {
        Path::new(&self.data).join("identity").join(name)
    }
}

impl Drop for RawNode {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Output {
    fn expect_success(self) {
        assert!(self.code == 0, "{self}");
    }
}
