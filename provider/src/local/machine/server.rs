//! Accepts connections, until the machine is shut down.

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use russh::keys::PrivateKey;
use russh::server::{Config, run_stream};
use russh::{Disconnect, MethodKind, MethodSet, SshId};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use super::environment::Environment;
use super::handler::Handler;
use super::{MachineError, command, shutdown};
use crate::local::{MachineFolder, MachineRecord};
use crate::process::ProcessName;

/// How long a client may take to log in.
const LOGIN_LIMIT: Duration = Duration::from_secs(20);
/// How many connections there may be at once; more wait.
const CONNECTIONS: usize = 64;
/// The flow-control window of a channel: one that a fast sender does not exhaust.
const WINDOW: u32 = 4 << 20;
/// The largest packet that the SSH library accepts.
const PACKET: u32 = 65_535;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) folder: MachineFolder,
    pub(super) user: String,
    pub(super) machine: ProcessName,
}

impl Shared {
    /// The environment of a new command. Fails if the machine's folder is gone.
    pub(super) fn environment(&self) -> std::io::Result<Environment> {
        Environment::here(self.folder.id(), &self.user, self.machine)
    }
}

/// The machine's SSH server.
pub(super) struct Server {
    shared: Arc<Shared>,
    config: Arc<Config>,
    listener: TcpListener,
}

impl Server {
    pub(super) fn new(
        folder: MachineFolder,
        record: &MachineRecord,
        machine: ProcessName,
        listener: StdListener,
    ) -> Result<Self, MachineError> {
        let key_path = folder.host_key();
        let key = PrivateKey::read_openssh_file(&key_path)
            .map_err(|error| MachineError::HostKey { path: key_path, reason: error.to_string() })?;
        let mut methods = MethodSet::empty();
        methods.push(MethodKind::PublicKey);
        let config = Config {
            server_id: SshId::Standard(concat!("SSH-2.0-disco_", env!("CARGO_PKG_VERSION")).into()),
            methods,
            keys: vec![key],
            auth_rejection_time: Duration::from_millis(100),
            auth_rejection_time_initial: Some(Duration::ZERO),
            max_auth_attempts: 6,
            window_size: WINDOW,
            maximum_packet_size: PACKET,
            // Commands may be silent for long; a lost client is detected by keep-alives.
            inactivity_timeout: None,
            keepalive_interval: Some(Duration::from_secs(30)),
            nodelay: true,
            ..Config::default()
        };
        listener.set_nonblocking(true).map_err(MachineError::Runtime)?;
        let listener = TcpListener::from_std(listener).map_err(MachineError::Runtime)?;
        let shared = Arc::new(Shared { folder, user: record.user.clone(), machine });
        Ok(Self { shared, config: Arc::new(config), listener })
    }

    /// Serves until the machine is to shut down, and then ends everything that runs on it.
    pub(super) async fn run(self) -> Result<(), MachineError> {
        let mut term = signal(SignalKind::terminate()).map_err(MachineError::Runtime)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(MachineError::Runtime)?;
        let mut boot = command::start_services(&self.shared);
        let limit = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let permit = Arc::clone(&limit).acquire_owned();
            tokio::select! {
                _ = term.recv() => break,
                _ = interrupt.recv() => break,
                // It only needs to be reaped.
                Some(()) = wait(&mut boot) => boot = None,
                (accepted, permit) = async { let permit = permit.await; (self.listener.accept().await, permit) } => {
                    match accepted {
                        Ok((stream, _)) => {
                            let (config, shared) = (Arc::clone(&self.config), Arc::clone(&self.shared));
                            tokio::spawn(async move {
                                serve(stream, config, shared).await;
                                drop(permit);
                            });
                        }
                        // Out of file descriptors, or the client is already gone: others can still be served.
                        Err(error) => {
                            tracing::warn!(%error, "cannot accept a connection");
                            tokio::time::sleep(Duration::from_millis(50)).await;
                        }
                    }
                }
            }
        }
        shutdown::end_all(self.shared.folder.id(), self.shared.machine).await;
        Ok(())
    }
}

/// Waits for a child if there is one; else returns at once, which disables the branch of the `select!`.
async fn wait(child: &mut Option<tokio::process::Child>) -> Option<()> {
    let child = child.as_mut()?;
    // An error means that there is no child.
    let _ = child.wait().await;
    Some(())
}

/// One connection.
async fn serve(stream: TcpStream, config: Arc<Config>, shared: Arc<Shared>) {
    // Without it small packets are delayed, which is no reason to refuse the connection.
    let _ = stream.set_nodelay(true);
    let logged_in = Arc::new(AtomicBool::new(false));
    let handler = Handler::new(shared, Arc::clone(&logged_in));
    let session = match tokio::time::timeout(LOGIN_LIMIT, run_stream(config, stream, handler)).await {
        Ok(Ok(session)) => session,
        Ok(Err(error)) => return tracing::debug!(%error, "a connection ended before the handshake"),
        Err(_) => return,
    };
    let handle = session.handle();
    let login_limit = async {
        tokio::time::sleep(LOGIN_LIMIT).await;
        if logged_in.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        result = session => if let Err(error) = result {
            tracing::debug!(%error, "a connection ended");
        },
        () = login_limit => {
            // The client may be gone by now, which is as good.
            let _ = handle.disconnect(Disconnect::ByApplication, "login timed out".into(), "en".into()).await;
        }
    }
}
