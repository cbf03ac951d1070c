use std::time::{Duration, Instant};

use disco_provider::{
    Machine,
    install::{Permitted, Ports, Remote, ServiceState},
};
use futures_util::future::join_all;

use super::Check;
use crate::{
    context::Context,
    error::{Failure, Outcome},
    founding::{Founder, install_failure},
    remote::Machines,
};

/// Time limit per host.
const LIMIT: Duration = Duration::from_secs(20);
/// Free space below which an installation may fail: both programs, the log and snapshots.
const SPACE: u64 = 300 << 20;

/// Checks the hosts of the project's cluster.
pub(super) async fn check_recorded(context: &Context) -> Vec<Check> {
    match Machines::open(context).await {
        Ok(machines) => check(&machines).await,
        Err(failure) => vec![Check::failure("host", &failure)],
    }
}

/// Checks the hosts of a cluster that does not exist yet; none if its machines are no given hosts.
pub(super) async fn check_planned(founder: &Founder) -> Vec<Check> {
    match Machines::planned(founder).await {
        Some(machines) => check(&machines).await,
        None => Vec::new(),
    }
}

/// Connects to every given host at once, and reports what each one is.
async fn check(machines: &Machines) -> Vec<Check> {
    match machines.list().await {
        Ok(listed) => join_all(listed.iter().map(|machine| visit(machines, machine))).await,
        Err(failure) => vec![Check::failure("host", &failure)],
    }
}

async fn visit(machines: &Machines, machine: &Machine) -> Check {
    let started = Instant::now();
    let name = named(machine);
    let looked = match tokio::time::timeout(LIMIT, look(machines, machine)).await {
        Ok(looked) => looked,
        Err(_) => Err(Failure::failed(format!("{name}: no answer within {LIMIT:?}"))),
    };
    let took = started.elapsed().as_secs_f64();
    match looked {
        Ok(seen) => seen.check(&name, took),
        Err(failure) => Check::failure("host", &failure.prefixed(&format!("{name}, after {took:.1} s"))),
    }
}

/// The host's address, and its name in the script if that is another one.
fn named(machine: &Machine) -> String {
    match &machine.ssh_name {
        Some(name) => format!("{name} ({})", machine.ssh),
        None => machine.ssh.to_string(),
    }
}

/// A host, and the use of the port of its daemon.
struct Seen {
    remote: Remote,
    ports: Ports,
    /// The daemon's address.
    listen: std::net::SocketAddr,
    /// The port is that of a running daemon of this cluster.
    is_node: bool,
}

async fn look(machines: &Machines, machine: &Machine) -> Outcome<Seen> {
    let failed = |error| install_failure(&machine.name, &error);
    let session = machines.connect(machine).await?;
    let remote = Remote::probe(session).await.map_err(failed)?;
    let ports = remote.ports().await.map_err(failed)?;
    let listen = remote.listen_address(machine);
    let permitted: Permitted = remote.clone().permit(machines.owner()).await.map_err(failed)?;
    let is_node = matches!(permitted.service_state().await.map_err(failed)?, ServiceState::Running);
    Ok(Seen { remote, ports, listen, is_node })
}

impl Seen {
    fn check(&self, name: &str, took: f64) -> Check {
        let probe = self.remote.machine();
        let free = probe.rooms.iter().map(|room| room.free).min().unwrap_or_default();
        let rights = match (probe.uid, self.ports.sudo) {
            (0, _) => "root".to_owned(),
            (_, true) => format!("no root (sudo without a password), so Disco goes to {}", probe.home),
            (_, false) => format!("no root, no sudo, so Disco goes to {}", probe.home),
        };
        let system = if probe.systemd { ", systemd" } else { "" };
        let port = self.listen.port();
        let holder = self.ports.holder(self.listen);
        let state = match holder {
            _ if self.is_node => format!("port {port} is this cluster's"),
            None => format!("port {port} is free"),
            Some("") => format!("port {port} is in use"),
            Some(holder) => format!("port {port} is in use by {holder}"),
        };
        let detail =
            format!("{name}: {}, {} free, {rights}{system}; {state}; {took:.1} s", probe.architecture, gigabytes(free));
        if holder.is_some() && !self.is_node {
            let hint = format!(
                "stop what uses the port, or give the host another one: `{{ ssh: \"{}\", advertise: \"IP:PORT\" }}`",
                self.remote.session().target()
            );
            return Check::bad("host", detail).next(hint);
        }
        if free < SPACE {
            return Check::doubtful("host", detail)
                .next(format!("free some space: less than {} is left", gigabytes(SPACE)));
        }
        Check::good("host", detail)
    }
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}
