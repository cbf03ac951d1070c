use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Set for the process with its own network and mounts.
const INSIDE: &str = "DISCO_FAULTS_INSIDE";

/// The table that drops packets, in each node's own namespace.
const TABLE: &str = "faults";

/// Re-executes this process with its own network and mounts namespaces, so that everything that it makes there ends with it.
/// Returns `false` if that is not allowed, `true` if it has been done.
#[must_use]
pub(super) fn isolate() -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let probe = Command::new("unshare").args(["--net", "--mount", "true"]).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        return false;
    }
    let own = std::env::current_exe().expect("a running program has a file");
    let mut again = Command::new("unshare");
    again.args(["--net", "--mount", "--propagation", "private", "--"]).arg(own);
    let error = again.args(std::env::args_os().skip(1)).env(INSIDE, "1").exec();
    panic!("`unshare` cannot be started: {error}");
}

/// The port of all nodes.
const PORT: u16 = 5080;

/// A bridge in this process's own namespace, and behind it one namespace for each node.
pub(super) struct Network {
    namespaces: Vec<Namespace>,
    addresses: u8,
}

/// The network of one node. It lasts as long as the process that holds it.
struct Namespace {
    holder: Child,
    ip: IpAddr,
}

fn run(program: &str, words: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(words).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`{program} {}`: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

/// Whether the kernel tracks connections.
fn tracks_connections() -> Result<(), String> {
    let table = "tracks";
    run("nft", &["add", "table", "ip", table])?;
    run("nft", &["add", "chain", "ip", table, "in"])?;
    let tracks = run("nft", &["add", "rule", "ip", table, "in", "ct", "state", "new", "accept"]);
    run("nft", &["delete", "table", "ip", table])?;
    tracks.map_err(|error| format!("the kernel does not follow connections: {error}"))
}

fn must(program: &str, line: &str) {
    let words: Vec<_> = line.split_whitespace().collect();
    run(program, &words).unwrap_or_else(|error| panic!("{error}"));
}

impl Network {
    /// The bridge alone.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub(super) fn new() -> Self {
        must("ip", "link set lo up");
        must("ip", "link add hub type bridge");
        must("ip", "addr add 10.77.0.1/24 dev hub");
        must("ip", "link set hub up");
        Self { namespaces: Vec::new(), addresses: 10 }
    }

    /// The faults that are not possible here, and why.
    #[must_use]
    pub(super) fn missing() -> Vec<(super::fault::Kind, String)> {
        use super::fault::Kind;
        let mut missing = Vec::new();
        if let Err(error) = run("nft", &["list", "tables"]) {
            missing.extend([Kind::CutOneWay, Kind::CutTwoWay, Kind::Loss].map(|kind| (kind, error.clone())));
            missing.extend(Kind::OF_CONNECTIONS.map(|kind| (kind, error.clone())));
        } else if let Err(error) = tracks_connections() {
            missing.extend(Kind::OF_CONNECTIONS.map(|kind| (kind, error.clone())));
        }
        if let Err(error) = run("tc", &["qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]) {
            missing.push((Kind::Delay, format!("the kernel has no netem: {error}")));
        } else {
            must("tc", "qdisc del dev lo root");
        }
        missing
    }

    /// A network for one more node; `mark` identifies the process that holds it for the harness.
    pub(super) fn add(&mut self, mark: &Path) -> usize {
        let mut holder = Command::new("unshare");
        holder.args(["--net", "--", "sleep", "infinity"]).env_clear().env("DISCO_TEST_DIR", mark);
        holder.env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
        let holder = holder.spawn().expect("`unshare` can be started");
        let (pid, index) = (holder.id(), self.namespaces.len());
        let own = std::fs::read_link("/proc/self/ns/net").ok();
        crate::wait_for(crate::SOON, "a network namespace", || {
            let theirs = std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
            if theirs.is_some() && theirs != own { Ok(()) } else { Err(format!("{theirs:?}")) }
        });
        must("ip", &format!("link add node{index} type veth peer name eth0 netns {pid}"));
        must("ip", &format!("link set node{index} master hub up"));
        let ip = self.next_address();
        self.namespaces.push(Namespace { holder, ip });
        self.inside(index, &format!("ip addr add {ip}/24 dev eth0"));
        self.inside(index, "ip link set eth0 up");
        self.inside(index, "ip link set lo up");
        self.inside(index, &format!("nft add table ip {TABLE}"));
        for (chain, hook) in [("in", "input"), ("out", "output"), ("track", "input")] {
            self.inside(index, &format!("nft add chain ip {TABLE} {chain} {{ type filter hook {hook} priority 0; }}"));
        }
        if tracks_connections().is_ok() {
            // Connections are tracked from their start, or they would count as new for the first rule.
            self.inside(index, &format!("nft add rule ip {TABLE} track ct state established accept"));
        }
        index
    }

    fn next_address(&mut self) -> IpAddr {
        self.addresses = self.addresses.checked_add(1).unwrap_or(10);
        Ipv4Addr::new(10, 77, 0, self.addresses).into()
    }

    /// The address of a node.
    #[must_use]
    pub(super) fn ip(&self, node: usize) -> IpAddr {
        self.namespaces[node].ip
    }

    /// The command prefix for a node's processes.
    #[must_use]
    pub(super) fn through(&self, node: usize) -> Vec<OsString> {
        let pid = self.namespaces[node].holder.id();
        ["nsenter".to_owned(), format!("--net=/proc/{pid}/ns/net"), "--".to_owned()].map(OsString::from).to_vec()
    }

    fn inside(&self, node: usize, line: &str) {
        let through = self.through(node);
        let words: Vec<_> =
            through[1..].iter().filter_map(|word| word.to_str()).chain(line.split_whitespace()).collect();
        run("nsenter", &words).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Drops packets from one node to the other.
    pub(super) fn cut(&self, from: usize, to: usize) {
        self.inside(to, &format!("nft add rule ip {TABLE} in ip saddr {} drop", self.ip(from)));
    }

    /// Drops these connections between nodes: those that others open to this one, or those that it opens.
    pub(super) fn close(&self, node: usize, kind: super::fault::Kind, outgoing: bool) {
        use super::fault::Kind;
        let chain = if outgoing { "out" } else { "in" };
        let state = match kind {
            Kind::CutNew => "ct state new ",
            Kind::CutEstablished => "ct state established ",
            _ => "",
        };
        self.inside(node, &format!("nft add rule ip {TABLE} {chain} tcp dport {PORT} {state}drop"));
    }

    /// Drops this percentage of the packets to and from a node, including those of clients.
    pub(super) fn lose(&self, node: usize, percent: u64) {
        self.inside(node, &format!("nft add rule ip {TABLE} in numgen random mod 100 < {percent} drop"));
    }

    /// Delays a node's packets.
    pub(super) fn delay(&self, node: usize, millis: u64) {
        self.inside(node, &format!("tc qdisc replace dev eth0 root netem delay {millis}ms {}ms", millis / 4));
    }

    /// Removes all drop rules.
    pub(super) fn heal(&self) {
        for node in 0..self.namespaces.len() {
            self.inside(node, &format!("nft flush chain ip {TABLE} in"));
            self.inside(node, &format!("nft flush chain ip {TABLE} out"));
        }
    }

    /// Removes the node's delay.
    pub(super) fn hurry(&self, node: usize) {
        self.inside(node, "tc qdisc del dev eth0 root");
    }

    /// Gives a node another address.
    pub(super) fn relocate(&mut self, node: usize) -> IpAddr {
        let (old, new) = (self.ip(node), self.next_address());
        self.inside(node, &format!("ip addr del {old}/24 dev eth0"));
        self.inside(node, &format!("ip addr add {new}/24 dev eth0"));
        self.namespaces[node].ip = new;
        new
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for namespace in &mut self.namespaces {
            // Fails only when it has ended.
            let _ = namespace.holder.kill();
            let _ = namespace.holder.wait();
        }
    }
}
