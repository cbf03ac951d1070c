//! The connection to a cluster: through any of its nodes, with the operator's certificate.
//!
//! Invariants: the peer has proved that it is a node of this project's cluster before anything is sent to it; a request that changes
//! something is retried only if it is idempotent (it carries a request id, or sets a state).

mod artifacts;
mod blobs;
mod call;
mod certificates;
mod connect;
mod error;
mod keys;
mod listing;
mod nodes;
mod progress;
mod records;
mod script_failure;
mod survey;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use disco_identity::{Credentials, Identity};
use disco_proto::v1::{StatusRequest, StatusResponse, control_client::ControlClient};
use tonic::transport::Channel;

pub(crate) use self::{
    blobs::entries,
    call::passing,
    certificates::{Shows, known_node, rfc3339, rfc3339_millis},
    error::from_status,
    keys::compacted,
    listing::Listing,
    records::record,
    script_failure::{frames, from_wire, place},
    survey::OwnView,
};
use crate::{
    context::Context,
    error::{Failure, Outcome},
    exit::ExitStatus,
    printer::Printer,
    project::{Addresses, KnownNode, StateDir},
};

pub(crate) type Control = ControlClient<Channel>;

/// The root's certificate.
pub(crate) const CA_CERTIFICATE: &str = "ca.pem";
/// The operator's certificate chain.
pub(crate) const OPERATOR_CERTIFICATE: &str = "operator.pem";
/// The operator's key (0600).
pub(crate) const OPERATOR_KEY: &str = "operator.key";

/// Time during which requests are retried without an answer or a leader, unless `--timeout` is shorter.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pause between two checks for a leader.
const LEADER_PAUSE: Duration = Duration::from_millis(50);

/// The failure of a command that needs the cluster of a project that has none.
pub(crate) fn not_created(root: &std::path::Path) -> Failure {
    Failure::new(ExitStatus::NotFound, format!("no cluster was created from `{}` yet", root.display())).hint(
        "create it with `disco bootstrap`; if it was created from another copy of this folder, connect to it with `disco connect \
         --keys DIR`",
    )
}

/// Cheap to clone; clones share the connection.
#[derive(Clone)]
pub(crate) struct Client(Arc<Inner>);

struct Inner {
    identity: Identity,
    state: StateDir,
    patience: Duration,
    /// It reads again and again: only a cluster that does not answer is worth a word.
    polls: bool,
    /// Shows what a request waits for.
    printer: Printer,
    peers: Mutex<Peers>,
}

/// Known addresses, and the current connection.
struct Peers {
    /// In the order in which they are tried.
    addresses: Vec<SocketAddr>,
    current: Option<(SocketAddr, Control)>,
}

impl Client {
    /// A client with the project's certificate and last known addresses. Connects when first used.
    pub(crate) fn open(context: &Context) -> Outcome<Self> {
        let project = context.project()?;
        let state = project.state();
        let identity = load_identity(&state)?.ok_or_else(|| not_created(project.root()))?;
        let mut addresses = context.settings.addresses.clone();
        addresses.extend(Addresses::load(&state)?.all());
        Ok(Self::new(identity, state, addresses, &context.printer))
    }

    /// A client that tries these addresses.
    pub(crate) fn new(identity: Identity, state: StateDir, mut addresses: Vec<SocketAddr>, printer: &Printer) -> Self {
        let mut seen = std::collections::HashSet::new();
        addresses.retain(|address| seen.insert(*address));
        let peers = Mutex::new(Peers { addresses, current: None });
        Self(Arc::new(Inner { identity, state, patience: PATIENCE, polls: false, printer: printer.clone(), peers }))
    }

    /// Adds addresses to try.
    pub(crate) fn add_addresses(&self, more: impl IntoIterator<Item = SocketAddr>) {
        let mut peers = self.peers();
        for address in more {
            if !peers.addresses.contains(&address) {
                peers.addresses.push(address);
            }
        }
    }

    /// A client of the same cluster that retries for `patience` before it gives up.
    pub(crate) fn with_patience(&self, patience: Duration) -> Self {
        self.another(patience, self.0.polls)
    }

    /// The same for a caller that reads again and again, and shows itself what it waits for.
    pub(crate) fn polling(&self, patience: Duration) -> Self {
        self.another(patience, true)
    }

    fn another(&self, patience: Duration, polls: bool) -> Self {
        let peers = self.peers();
        let peers = Peers { addresses: peers.addresses.clone(), current: peers.current.clone() };
        Self(Arc::new(Inner {
            identity: self.0.identity.clone(),
            state: self.0.state.clone(),
            patience,
            polls,
            printer: self.0.printer.clone(),
            peers: Mutex::new(peers),
        }))
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.0.identity
    }

    /// The project's private state.
    pub(crate) fn state(&self) -> &StateDir {
        &self.0.state
    }

    /// The leader's view; with `stale`, the view of one node that may reach no leader.
    pub(crate) async fn status(&self, stale: bool) -> Outcome<StatusResponse> {
        let status = self.call(|mut control| async move { control.status(StatusRequest { stale }).await }).await?;
        self.remember(&status)?;
        Ok(status)
    }

    /// The leader's view; waits for a leader.
    pub(crate) async fn settled(&self) -> Outcome<StatusResponse> {
        let deadline = std::time::Instant::now() + self.0.patience;
        loop {
            let status = self.status(false).await?;
            if !status.stale {
                return Ok(status);
            }
            if std::time::Instant::now() >= deadline {
                let why = status.warnings.into_iter().next().unwrap_or_else(|| "no leader is known".to_owned());
                return Err(error::from_status(&tonic::Status::unavailable(why)));
            }
            tokio::time::sleep(LEADER_PAUSE).await;
        }
    }

    /// Saves the nodes' addresses for this and later commands.
    fn remember(&self, status: &StatusResponse) -> Outcome<()> {
        let nodes: Vec<KnownNode> = status.nodes.iter().filter_map(known_node).collect();
        if nodes.is_empty() {
            return Ok(());
        }
        let mut addresses = Addresses { nodes, target: None, script_nodes: status.script_nodes };
        if status.desired_nodes != 0 {
            addresses.target = Some(status.desired_nodes);
        } else {
            // Only a leader reports the target size: keep the last known one.
            let before = Addresses::load(&self.0.state).unwrap_or_default();
            (addresses.target, addresses.script_nodes) = (before.target, before.script_nodes);
        }
        {
            let mut peers = self.peers();
            for address in addresses.all() {
                if !peers.addresses.contains(&address) {
                    peers.addresses.push(address);
                }
            }
        }
        addresses.save(&self.0.state)
    }

    /// The lock is held only for a few instructions, never over an await.
    fn peers(&self) -> std::sync::MutexGuard<'_, Peers> {
        self.0.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The operator's credentials; `None` if the project has none yet.
pub(crate) fn load_identity(state: &StateDir) -> Outcome<Option<Identity>> {
    if !state.file(OPERATOR_CERTIFICATE).exists() {
        return Ok(None);
    }
    let credentials =
        Credentials::load(&state.file(CA_CERTIFICATE), &state.file(OPERATOR_CERTIFICATE), &state.file(OPERATOR_KEY));
    let credentials = credentials.map_err(|error| {
        Failure::usage("cannot use the operator's certificate").because(&error).hint("`disco doctor` shows details")
    })?;
    Identity::new(credentials)
        .map(Some)
        .map_err(|error| Failure::usage("cannot use the operator's certificate").because(&error))
}
