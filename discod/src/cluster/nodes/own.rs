//! This node's own state: for the leader, and for its own scripts.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::LazyLock;

use disco_proto::v1::{DaemonEnds, ReportRequest};
use disco_provider::supervise::{self, Ends};
use disco_runtime_js::cluster::NodeInfo;

use crate::cluster::{certificates, scripts};
use crate::last_report::message;
use crate::node::Node;
use crate::raft::Role;
use crate::records;

/// This node's report about itself.
#[must_use]
pub fn report(node: &Node) -> ReportRequest {
    let health = node.scripts().health();
    let room = node.raft().room();
    let start = node.raft().start();
    ReportRequest {
        node_id: node.id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        rss_kb: resident_kb(),
        address: node.address().to_string(),
        script: node.scripts().current().unwrap_or_default(),
        healthy: health.as_ref().map(|health| health.0),
        reason: health.map(|health| health.1).unwrap_or_default(),
        instance: node.args().machine.clone().unwrap_or_default(),
        draining: node.is_draining(),
        leaving: false,
        signing_serial: node.signing_serial(),
        term: node.raft().leadership().borrow().term,
        certificate_signer: node.identity().signer_serial().unwrap_or_default(),
        signing_request: String::new(),
        disk_free: room.free,
        disk_low: room.low || room.exhausted,
        certificate: Some(certificates::own(node)),
        retiring: node.retirement().notice().unwrap_or_default(),
        format: disco_proto::format::own(),
        hooks_off: hooks_off(node),
        incarnation: start.life.number,
        run: start.life.run,
        earlier: start.earlier.clone(),
        noted: node.home().is_noted(start.life),
        ends: ends(),
        clock_ms: crate::clock::unix_ms(),
        no_connections: node.refuses_connections().unwrap_or_default(),
        secrets_keys: Some(node.secrets_keys().ids()),
    }
}

/// The unexpected ends that the supervisor, or systemd, counted before this start.
#[must_use]
fn ends() -> Option<DaemonEnds> {
    // Nothing is added while this process runs. The supervisor passes its count on, as its file may not be writable.
    static ENDS: LazyLock<Option<Ends>> = LazyLock::new(|| {
        let handed = std::env::var(supervise::ENDS).ok().and_then(|text| serde_json::from_str(&text).ok());
        handed.or_else(|| std::env::var_os(supervise::SERVICE_DIR).map(|dir| Ends::read(Path::new(&dir))))
    });
    ENDS.as_ref().map(|ends| message(ends.told(crate::clock::unix_ms())))
}

/// Resident memory of this process in kB; 0 if the system does not report it.
fn resident_kb() -> u64 {
    // One read gets all of the file, which `read_to_string` would read in eight pieces.
    let mut status = [0; 4096];
    let read = File::open("/proc/self/status").and_then(|mut file| file.read(&mut status)).unwrap_or(0);
    let status = String::from_utf8_lossy(&status[..read]);
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|kb| kb.parse().ok()).unwrap_or(0)
}

/// Functions of the cluster's script that are disabled on this node since they ended the daemon.
#[must_use]
pub fn hooks_off(node: &Node) -> Vec<String> {
    let script = node.raft().store().read(scripts::records::current);
    script.map(|script| node.scripts().guard().off(&script.value.hash)).unwrap_or_default()
}

/// This node as its own script sees it.
#[must_use]
pub fn info(node: &Node) -> NodeInfo {
    let members = node.raft().members();
    let member = members.iter().find(|member| member.id == node.id());
    let role = match member.map(|member| member.role) {
        _ if node.raft().leads().is_some() => "leader",
        Some(Role::Voter) => "voter",
        Some(Role::Learner) | None => "learner",
    };
    let record = node.raft().store().read(|store| records::node(store, node.id()));
    NodeInfo {
        id: node.id(),
        name: node.name().to_owned(),
        address: node.address().to_string(),
        role: role.to_owned(),
        healthy: node.scripts().health().is_none_or(|health| health.0),
        labels: record.map(|record| record.labels).unwrap_or_default(),
    }
}
