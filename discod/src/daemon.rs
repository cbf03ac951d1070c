//! The daemon's life: load or obtain an identity, open Raft, serve, wait, drain.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use disco_identity::{ChannelOptions, Identity, ListenLimits};
use disco_proto::v1::control_server::ControlServer;
use disco_proto::v1::raft_server::RaftServer;
use disco_store::Limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic::transport::Server;

use crate::api::ControlService;
use crate::api::etcd::EtcdService;
use crate::args::DaemonArgs;
use crate::cluster::tasks::{Sessions, sessions};
use crate::home::{Home, NodeFile};
use crate::local::Logs;
use crate::node::{Node, NodeParts};
use crate::peers::{AddressOverrides, MAX_MESSAGE_BYTES, Peers};
use crate::raft::{self, NodeInfo, RaftService, RaftSettings};
use crate::script::Scripts;
use crate::{agent, controllers, holder, join, memory};

/// HTTP/2 window of one stream: a control plane's messages are small.
const WINDOW: u32 = 128 * 1024;
/// HTTP/2 window of one connection. Half of it is also the budget of h2 for the overhead of small DATA frames, 256 bytes
/// less the payload for each that was received and not read yet; a connection that exceeds it is closed with
/// ENHANCE_YOUR_CALM. So this allows all of a stream's window in messages of etcd's smallest useful size, a keep-alive of
/// 15 bytes: clients send thousands at once, each in a frame of its own.
const CONNECTION_WINDOW: u32 = 40 * WINDOW;
/// Concurrent requests on one connection, which HTTP/2 announces to clients. More of them wait in the client.
const STREAMS: u32 = 2_048;
/// Sufficient number of open files: the same as in the systemd unit.
const DESCRIPTORS: u64 = 65_536;
/// How long open requests may continue when the daemon stops.
const GRACE: Duration = Duration::from_secs(2);

/// How the daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It is done.
    Done,
    /// It must be restarted.
    ToRestart,
}

/// Runs until the process must stop.
///
/// # Errors
/// What kept the daemon from starting, or why Raft ended.
pub async fn run(args: DaemonArgs) -> Result<Stopped> {
    let logs = Logs::start(&args.log)?;
    raise_descriptors();
    let home = Home::open(&args.data_dir)?;
    home.check_format()?;
    // First: an address that is in use must not cost a place in the cluster.
    let listener = bind(&args).await?;
    let file = load_or_join(&home, &args).await?;
    let identity = Identity::new(home.credentials()?)?;
    let overrides = AddressOverrides::load(home.path()).context("reading the addresses set by the operator")?;
    let peers = Peers::new(identity.clone(), ChannelOptions::default()).with_overrides(overrides);
    let settings = RaftSettings::new(file.node_id, args.raft_pace, home.begin_life()?);
    let raft =
        raft::open(&args.data_dir, Limits::default(), settings, peers.clone()).await.context("opening the log")?;
    if file.founder && raft.is_pristine()? {
        let address = args.advertise.unwrap_or(args.listen).to_string();
        raft.initialize(NodeInfo { address, name: file.name.clone() }).await?;
    }
    let node = Node::new(NodeParts { raft, peers, home, file, identity, args, logs })?;
    let scripts = Scripts::default();
    tracing::info!(node = node.id(), cluster = node.cluster_name(), address = %node.address(), "started");

    let (stop, stopped) = oneshot::channel::<()>();
    let incoming = disco_identity::incoming(listener, node.identity(), ListenLimits::default());
    node.set_accepting(incoming.accepting());
    let etcd = EtcdService::new(node.clone());
    let incoming = etcd.without_http1(incoming);
    let (sessions, begun) = sessions();
    let server = server(&node, scripts.clone(), sessions, etcd).serve_with_incoming_shutdown(incoming, async {
        // A dropped sender stops it as well.
        let _ = stopped.await;
    });
    let server = tokio::spawn(server);
    let tasks = TaskTracker::new();
    agent::spawn(&node, &scripts, begun, &tasks);
    controllers::spawn(&node, &scripts, &tasks);
    tasks.spawn(memory::run(node.scripts().ended_calls()));

    let end = wait_for_end(&node).await?;
    node.scripts().stopping();
    match end {
        End::Wanted => drain(&node).await,
        End::Restart => {
            tracing::info!("restart requested");
            return Ok(Stopped::ToRestart);
        }
        End::Raft(fatal) => bail!("Raft has stopped: {fatal}"),
    }
    // Open requests get their answers, within the grace period.
    let _ = stop.send(());
    if tokio::time::timeout(GRACE, server).await.is_err() {
        tracing::info!("stopping while requests are still in progress");
    }
    tracing::info!(node = node.id(), "stopped");
    Ok(Stopped::Done)
}

/// Raises the limit of open files to what the system allows: the daemon needs more than shells are given.
fn raise_descriptors() {
    let now = getrlimit(Resource::Nofile);
    let most = now.maximum.map_or(DESCRIPTORS, |most| most.min(DESCRIPTORS));
    if now.current.is_some_and(|current| current < most) {
        let wanted = Rlimit { current: Some(most), maximum: now.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, wanted) {
            tracing::warn!(%error, "could not raise the limit of open files; it stays at {:?}", now.current);
        }
    }
}

/// Binds to the address of `--listen`. Behind a router that translates addresses, the machine may have received a new
/// address of its own while others still call it at the same one; it then binds to any address.
async fn bind(args: &DaemonArgs) -> Result<TcpListener> {
    let failed = || format!("listening on {}", args.listen);
    let error = match TcpListener::bind(args.listen).await {
        Ok(listener) => return Ok(listener),
        Err(error) => error,
    };
    if error.kind() == std::io::ErrorKind::AddrInUse {
        let holder = holder::of(args.listen).map(|holder| format!(", which {holder} uses")).unwrap_or_default();
        return Err(error).with_context(|| format!("{}{holder}", failed()));
    }
    if error.kind() != std::io::ErrorKind::AddrNotAvailable {
        return Err(error).with_context(failed);
    }
    if args.advertise.is_none_or(|advertise| advertise.ip() == args.listen.ip()) {
        return Err(error).with_context(|| {
            format!(
                "listening on {}, which is not an address of this machine\nhint: behind NAT, set both: `--advertise {0}` and \
                 `--listen` with an address of this machine",
                args.listen
            )
        });
    }
    let any = match args.listen {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let any = SocketAddr::new(any, args.listen.port());
    tracing::warn!(listen = %args.listen, instead = %any, "this machine no longer has the listen address");
    TcpListener::bind(any).await.with_context(|| format!("listening on {any}"))
}

/// The node's identity: loaded from the data folder, or obtained by joining.
async fn load_or_join(home: &Home, args: &DaemonArgs) -> Result<NodeFile> {
    match (home.node()?, &args.join_token_file) {
        (Some(node), _) => Ok(node),
        (None, Some(token)) => join::join(home, token, args).await,
        (None, None) => bail!(
            "`{}` holds no identity, and no join token was given\nhint: `disco bootstrap` makes a cluster's first node; \
             pass a token to other nodes with `--join-token-file`",
            home.path().display()
        ),
    }
}

fn server(node: &Node, scripts: Scripts, sessions: Sessions, etcd: EtcdService) -> tonic::transport::server::Router {
    let raft = RaftServer::new(RaftService::new(node.raft().clone()))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let control = ControlServer::new(ControlService::new(node.clone(), scripts, sessions))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    Server::builder()
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS)
        .http2_keepalive_interval(Some(Duration::from_secs(20)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .add_routes(etcd.add_to(Routes::new(raft).add_service(control)))
}

/// Why the process stops.
enum End {
    /// A signal requested it.
    Wanted,
    /// Restart requested.
    Restart,
    /// Raft has ended unexpectedly.
    Raft(String),
}

/// Returns when the process must stop.
async fn wait_for_end(node: &Node) -> Result<End> {
    let mut terminate = signal(SignalKind::terminate()).context("waiting for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("waiting for signals")?;
    tokio::select! {
        biased;
        fatal = node.raft().stopped() => Ok(End::Raft(fatal)),
        _ = terminate.recv() => Ok(End::Wanted),
        _ = interrupt.recv() => Ok(End::Wanted),
        () = node.restart_wanted() => Ok(End::Restart),
    }
}

/// Hands leadership to another node while this one still serves, then ends Raft here.
async fn drain(node: &Node) {
    node.start_draining();
    if node.raft().leads().is_some() {
        match node.raft().transfer_leadership(None).await {
            Ok(to) => tracing::info!(to, "handed over leadership"),
            Err(error) => tracing::info!(%error, "could not hand over leadership"),
        }
    }
    node.raft().shutdown().await;
}
