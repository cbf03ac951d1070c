//! The state shared by all parts of the daemon: this node, its cluster's state, and the operations that change it.

mod disk_space;
mod guard;
mod idle_blobs;
mod leader;
mod lease_times;
mod passes;
mod reach;
mod reads;
mod reports;
mod wake_ups;
mod writes;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Result;
use disco_identity::{Accepting, ClusterId, Identity};
use parking_lot::RwLock;
use tokio::sync::{Notify, watch};

use crate::args::DaemonArgs;
use crate::home::{Home, NodeFile, SecretsKeys, VoterSecrets};
use crate::local::artifacts::Artifacts;
use crate::local::{Logs, ProbeCounts, Renewal, Retirement, ScriptState};
use crate::peers::{MemberClient, Peers, WriteStream};
use crate::raft::{RaftNode, node_record};

pub use self::guard::check_own_range;
pub use self::leader::Leader;
pub use self::passes::{Pass, Passes};
pub use self::reach::reached;
pub use self::reads::ReadError;
pub use self::reports::NodeReport;
pub use self::wake_ups::{WakeUps, Woken};
pub use self::writes::{Route, WriteError, command};

/// Time for an answer to reach the client before the process ends.
const FAREWELL: Duration = Duration::from_millis(200);

/// This node. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

struct Inner {
    raft: RaftNode,
    peers: Peers,
    write_stream: WriteStream,
    home: Home,
    file: NodeFile,
    cluster_id: ClusterId,
    identity: Identity,
    args: DaemonArgs,
    logs: Logs,
    scripts: ScriptState,
    artifacts: Artifacts,
    renewal: Renewal,
    secrets: RwLock<Option<VoterSecrets>>,
    signing_serial: RwLock<String>,
    secrets_keys: RwLock<SecretsKeys>,
    /// Present while this node leads.
    leader: watch::Sender<Option<Leader>>,
    controllers: WakeUps,
    draining: watch::Sender<bool>,
    retirement: Retirement,
    probes: ProbeCounts,
    restart: Notify,
    /// Set when the node starts to serve.
    accepting: OnceLock<Accepting>,
}

/// The parts of a node.
pub struct NodeParts {
    /// Raft and the store.
    pub raft: RaftNode,
    /// Connections to the other nodes.
    pub peers: Peers,
    /// The data folder.
    pub home: Home,
    /// The node's identity.
    pub file: NodeFile,
    /// The node's certificate and key.
    pub identity: Identity,
    /// The daemon's arguments.
    pub args: DaemonArgs,
    /// The last log lines.
    pub logs: Logs,
}

// === impl Node ===

impl Node {
    /// Assembles the node.
    ///
    /// # Errors
    /// The voters' secrets exist but cannot be read.
    pub fn new(parts: NodeParts) -> Result<Self> {
        let secrets = parts.home.voter_secrets()?;
        let secrets_keys = parts.home.secrets_keys()?;
        let scripts = ScriptState::new(parts.home.path());
        let artifacts = Artifacts::new(parts.home.path());
        let inner = Inner {
            cluster_id: parts.file.cluster_id()?,
            raft: parts.raft,
            peers: parts.peers,
            write_stream: WriteStream::default(),
            home: parts.home,
            file: parts.file,
            identity: parts.identity,
            args: parts.args,
            logs: parts.logs,
            scripts,
            artifacts,
            renewal: Renewal::default(),
            signing_serial: RwLock::new(serial(secrets.as_ref())?),
            secrets: RwLock::new(secrets),
            secrets_keys: RwLock::new(secrets_keys),
            leader: watch::Sender::new(None),
            controllers: WakeUps::default(),
            draining: watch::Sender::new(false),
            retirement: Retirement::default(),
            probes: ProbeCounts::default(),
            restart: Notify::new(),
            accepting: OnceLock::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Sets what reports whether connections are accepted.
    pub fn set_accepting(&self, accepting: Accepting) {
        // It is set once.
        let _ = self.inner.accepting.set(accepting);
    }

    /// Why no connections are accepted at this moment, if so.
    #[must_use]
    pub fn refuses_connections(&self) -> Option<String> {
        self.inner.accepting.get()?.refused()
    }

    /// This node's id.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.inner.raft.id()
    }

    /// This node's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.file.name
    }

    /// The display name of a node.
    #[must_use]
    pub fn name_of(&self, id: u64) -> String {
        let record = self.inner.raft.store().read(|store| node_record(store, id));
        record.map_or_else(|| format!("node {id}"), |record| record.name)
    }

    /// The cluster's name.
    #[must_use]
    pub fn cluster_name(&self) -> &str {
        &self.inner.file.cluster_name
    }

    /// The cluster's id.
    #[must_use]
    pub fn cluster_id(&self) -> &ClusterId {
        &self.inner.cluster_id
    }

    /// `IP:PORT` under which others reach this node.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.inner.args.advertise.unwrap_or(self.inner.args.listen)
    }

    /// The daemon's arguments.
    #[must_use]
    pub fn args(&self) -> &DaemonArgs {
        &self.inner.args
    }

    /// Raft and the store.
    #[must_use]
    pub fn raft(&self) -> &RaftNode {
        &self.inner.raft
    }

    /// Connections to the other nodes.
    #[must_use]
    pub fn peers(&self) -> &Peers {
        &self.inner.peers
    }

    /// The data folder.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.inner.home
    }

    /// Members known before this node was in the membership.
    #[must_use]
    pub fn known_members(&self) -> &[String] {
        &self.inner.file.members
    }

    /// The certificate and key with which this node authenticates.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    /// The renewal of this node's certificate.
    pub fn renewal(&self) -> &Renewal {
        &self.inner.renewal
    }

    /// The last log lines of this node.
    #[must_use]
    pub fn logs(&self) -> &Logs {
        &self.inner.logs
    }

    /// The state of the scripts on this node.
    #[must_use]
    pub fn scripts(&self) -> &ScriptState {
        &self.inner.scripts
    }

    /// Contents of programs' files on this node's disk.
    #[must_use]
    pub fn artifacts(&self) -> &Artifacts {
        &self.inner.artifacts
    }

    /// Wakes the leader's controllers: state outside of the store has changed.
    pub fn wake_controllers(&self) {
        self.inner.controllers.wake();
    }

    /// Subscribes to wake-ups of the controllers.
    #[must_use]
    pub fn controllers_woken(&self) -> Woken {
        self.inner.controllers.listen()
    }

    /// The voters' secrets, if this node has them.
    #[must_use]
    pub fn secrets(&self) -> Option<VoterSecrets> {
        self.inner.secrets.read().clone()
    }

    /// Stores or deletes the voters' secrets.
    ///
    /// # Errors
    /// The files cannot be changed.
    pub fn set_secrets(&self, secrets: Option<VoterSecrets>) -> Result<()> {
        match &secrets {
            Some(secrets) => self.inner.home.set_voter_secrets(secrets)?,
            None => {
                let mut keys = self.inner.secrets_keys.write();
                self.inner.home.remove_voter_secrets()?;
                *keys = SecretsKeys::default();
            }
        }
        *self.inner.signing_serial.write() = serial(secrets.as_ref())?;
        *self.inner.secrets.write() = secrets;
        Ok(())
    }

    /// Serial of the signing key that this node holds, empty for none.
    #[must_use]
    pub fn signing_serial(&self) -> String {
        self.inner.signing_serial.read().clone()
    }

    /// The keys of secrets that this node has.
    #[must_use]
    pub fn secrets_keys(&self) -> SecretsKeys {
        self.inner.secrets_keys.read().clone()
    }

    /// Adds keys of secrets to those that this node has.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn add_secrets_keys(&self, keys: &SecretsKeys) -> Result<()> {
        let mut own = self.inner.secrets_keys.write();
        if let Some(all) = own.with(keys) {
            self.inner.home.set_secrets_keys(&all)?;
            *own = all;
        }
        Ok(())
    }

    /// The announcement that this node's machine will be taken away, if one was made.
    #[must_use]
    pub fn retirement(&self) -> &Retirement {
        &self.inner.retirement
    }

    /// Results of probes of this node's tasks.
    #[must_use]
    pub fn probes(&self) -> &ProbeCounts {
        &self.inner.probes
    }

    /// Whether this node is about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.inner.draining.borrow()
    }

    /// Marks this node as about to stop.
    pub fn start_draining(&self) {
        self.inner.draining.send_replace(true);
    }

    /// Ends the process so that it is restarted.
    pub fn restart(&self) {
        self.inner.restart.notify_one();
    }

    /// Like [`Self::restart`], after the answer to the request has had time to arrive.
    pub fn restart_after_answer(&self) {
        let node = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(FAREWELL).await;
            node.restart();
        });
    }

    /// Returns when a restart was requested.
    pub async fn restart_wanted(&self) {
        self.inner.restart.notified().await;
    }

    /// The address of a member.
    #[must_use]
    pub fn member_address(&self, id: u64) -> Option<String> {
        self.inner.raft.member_address(id).map(|recorded| self.peers().resolve(id, &recorded))
    }

    /// A client of another member's control service.
    #[must_use]
    pub fn member_client(&self, id: u64) -> Option<MemberClient> {
        let address = self.member_address(id)?;
        Some(self.inner.peers.member(id, &address))
    }

    /// The same for what is large.
    #[must_use]
    pub fn bulk_client(&self, id: u64) -> Option<MemberClient> {
        let address = self.member_address(id)?;
        Some(self.inner.peers.bulk_member(id, &address))
    }

    /// The same for what waits for clients.
    #[must_use]
    pub fn session_client(&self, id: u64) -> Option<MemberClient> {
        let address = self.member_address(id)?;
        Some(self.inner.peers.session_member(id, &address))
    }
}

fn serial(secrets: Option<&VoterSecrets>) -> Result<String> {
    secrets.map_or(Ok(String::new()), |secrets| Ok(secrets.authority()?.serial().to_owned()))
}
