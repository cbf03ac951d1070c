//! A machine that is known by its router's address, in a separate network of this test.

use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use x509_parser::extensions::GeneralName;

use disco_tests::{Permit, SOON, Sshd, hosts_project, skipped, wait_for};

/// Set for the process in the separate network.
const INSIDE: &str = "DISCO_NAT_INSIDE";
const TEST: &str = "install_nat::a_machine_behind_nat_becomes_a_node_and_one_that_cannot_be_called_is_unhealthy";
/// The addresses of this computer, of the machine, and the one that other nodes call.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 7, 1));
const INNER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 7, 2));
const OUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

/// The machine's network, behind a router that translates addresses. It exists as long as the process that holds it.
struct Behind(Child);

impl Behind {
    fn new() -> Self {
        run("ip link set lo up");
        let holder = Command::new("unshare").args(["--net", "--", "sleep", "infinity"]).stdin(Stdio::null()).spawn();
        let behind = Self(holder.expect("`unshare` can be started"));
        let own = fs::read_link("/proc/self/ns/net").ok();
        wait_for(SOON, "a network namespace", || {
            let theirs = fs::read_link(format!("/proc/{}/ns/net", behind.0.id())).ok();
            if theirs.is_some() && theirs != own { Ok(()) } else { Err(format!("{theirs:?}")) }
        });
        run(&format!("ip link add inner type veth peer name eth0 netns {}", behind.0.id()));
        run(&format!("ip addr add {HERE}/24 dev inner"));
        run("ip link set inner up");
        behind.run(&format!("ip addr add {INNER}/24 dev eth0"));
        behind.run("ip link set eth0 up");
        behind.run("ip link set lo up");
        run(&format!("ip route add {OUTER} via {INNER}"));
        run("nft add table ip nat");
        run("nft add chain ip nat out { type nat hook output priority -100; }");
        run(&format!("nft add rule ip nat out ip daddr {OUTER} dnat to {INNER}"));
        behind.run("nft add table ip firewall");
        behind.run("nft add chain ip firewall in { type filter hook input priority 0; }");
        behind
    }

    fn through(&self) -> Vec<OsString> {
        ["nsenter".to_owned(), format!("--net=/proc/{}/ns/net", self.0.id()), "--".to_owned()]
            .map(OsString::from)
            .into()
    }

    fn run(&self, line: &str) {
        run(&format!("nsenter --net=/proc/{}/ns/net -- {line}", self.0.id()));
    }

    fn close(&self) {
        self.run("nft add rule ip firewall in tcp dport 5080 drop");
    }

    fn open(&self) {
        self.run("nft flush chain ip firewall in");
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether the certificate of the node on a machine names an address.
fn names(machine: &Sshd, ip: IpAddr) -> bool {
    let pem = fs::read(machine.prefix().join("data/identity/node.pem")).expect("its certificate");
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).expect("it is PEM");
    let certificate = pem.parse_x509().expect("it is a certificate");
    let names = certificate.subject_alternative_name().expect("it can be read").expect("it has names");
    let IpAddr::V4(ip) = ip else { return false };
    let octets = ip.octets();
    names.value.general_names.iter().any(|name| matches!(name, GeneralName::IPAddress(bytes) if **bytes == octets))
}

fn run(line: &str) {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().expect("a program")).args(words).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("`{line}`: {error}"));
    assert!(output.status.success(), "`{line}`: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs this test again in a separate network, if that is permitted.
fn in_own_network() {
    let probe = Command::new("unshare").args(["--net", "nft", "list", "tables"]).stderr(Stdio::null()).output();
    if Sshd::program().is_none() || !probe.is_ok_and(|probe| probe.status.success()) {
        skipped("it needs `sshd`, `nft`, and the right to make network namespaces");
        return;
    }
    // The permit of this process counts, not that of its child.
    let _permit = Permit::one();
    let mut again = Command::new("unshare");
    again.args(["--net", "--"]).arg(std::env::current_exe().expect("a running program has a file"));
    // Its output is not printed: `.ci/run` would count the test twice.
    let output =
        again.args(["--exact", TEST, "--nocapture"]).env(INSIDE, "1").output().expect("`unshare` can be started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "it failed in its own network:\n{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn a_machine_behind_nat_becomes_a_node_and_one_that_cannot_be_called_is_unhealthy() {
    if std::env::var_os(INSIDE).is_none() {
        in_own_network();
        return;
    }
    let behind = Behind::new();
    let (project, public) = hosts_project("behind");
    let mark = project.mark();
    let marks = [("DISCO_TEST_DIR", mark.as_path())];
    let here = Sshd::start(&project.outside("here"), HERE, &public, &marks);
    let there = Sshd::start_behind(&project.outside("there"), OUTER, &[INNER], &behind.through(), &public, &marks);
    project.write_hosts(&[here.host(), there.host()]);

    // It reports, and its port is closed: the error names it, and bootstrap fails.
    behind.close();
    let failed = project.disco(&["bootstrap", "-y"]);
    assert_ne!(failed.code, 0, "{failed}");
    let failed = failed.says(&["203.0.113.7:5080"]);
    assert!(failed.took < Duration::from_secs(120), "{failed}");

    // It binds to its own address, and other nodes call the advertised one.
    behind.open();
    project.disco(&["bootstrap", "-y"]).ok();
    let status = project.wait_until_healthy(Duration::from_secs(30), 2);
    let node = status.nodes.iter().find(|node| node.id != 1).expect("the second node");
    assert_eq!(node.address, "203.0.113.7:5080");
    let service = fs::read_to_string(there.prefix().join("service/service.json")).expect("its service");
    assert!(service.contains("192.168.7.2:5080") && service.contains("203.0.113.7:5080"), "{service}");
    for ip in [INNER, OUTER] {
        assert!(names(&there, ip), "its certificate does not name {ip}");
    }

    behind.close();
    project.wait_for_status(SOON, "a node that cannot be called and still reports", |now| {
        let second = now.nodes.iter().find(|node| node.id != 1).expect("the second node");
        let reason = second.reason.as_deref().unwrap_or_default();
        !now.healthy && reason.contains("203.0.113.7:5080") && second.last_seen_ms.is_some_and(|ms| ms < 5_000)
    });
    behind.open();
    project.wait_until_healthy(Duration::from_secs(30), 2);

    project.disco(&["destroy", "-y"]).ok();
    assert!(!here.prefix().exists() && !there.prefix().exists());
}
