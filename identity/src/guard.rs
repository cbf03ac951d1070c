//! Authorization: the first line of a handler.

use std::net::SocketAddr;

use tonic::{Request, Status};

use crate::role::{PeerIdentity, Role};
use crate::server_stream::ConnectInfo;

/// The owner of the certificate of the request's connection.
///
/// # Errors
/// `unauthenticated` if the connection has no certificate.
pub fn peer<T>(request: &Request<T>) -> Result<&PeerIdentity, Status> {
    match request.extensions().get::<ConnectInfo>() {
        Some(info) => Ok(&info.peer),
        None => Err(Status::unauthenticated("this request needs a connection with a certificate")),
    }
}

/// Where the request came from.
#[must_use]
pub fn remote_address<T>(request: &Request<T>) -> Option<SocketAddr> {
    request.extensions().get::<ConnectInfo>().map(|info| info.remote)
}

/// Requires a node. Returns its id.
///
/// # Errors
/// `permission_denied` for others.
pub fn require_node<T>(request: &Request<T>) -> Result<u64, Status> {
    let peer = peer(request)?;
    peer.node_id().ok_or_else(|| denied(peer, "a node"))
}

/// Requires the node that the message claims to come from.
///
/// # Errors
/// `permission_denied` for others.
pub fn require_sender<T>(request: &Request<T>, claimed: u64) -> Result<(), Status> {
    match require_node(request)? {
        id if id == claimed => Ok(()),
        id => Err(Status::permission_denied(format!("node/{id} may not speak for node/{claimed}"))),
    }
}

/// Requires an operator. Returns the name.
///
/// # Errors
/// `permission_denied` for others.
pub fn require_operator<T>(request: &Request<T>) -> Result<&str, Status> {
    match peer(request)? {
        PeerIdentity { role: Role::Operator(name), .. } => Ok(name),
        other => Err(denied(other, "an operator")),
    }
}

/// Requires the holder of a join token. Returns the token's id.
///
/// # Errors
/// `permission_denied` for others.
pub fn require_join<T>(request: &Request<T>) -> Result<&str, Status> {
    match peer(request)? {
        PeerIdentity { role: Role::Join(token), .. } => Ok(token),
        other => Err(denied(other, "the holder of a join token")),
    }
}

/// Requires a node or an operator, which excludes clients and the holder of a join token.
///
/// # Errors
/// `permission_denied` for others.
pub fn require_member<T>(request: &Request<T>) -> Result<&PeerIdentity, Status> {
    match require_user(request)? {
        client @ PeerIdentity { role: Role::Client(_), .. } => {
            let message = format!("{client} may use the keys by etcd's API and nothing else");
            Err(Status::permission_denied(message))
        }
        member => Ok(member),
    }
}

/// Requires a role that may read and write users' keys: a client, an operator or a node.
///
/// # Errors
/// `permission_denied` for others.
pub fn require_user<T>(request: &Request<T>) -> Result<&PeerIdentity, Status> {
    match peer(request)? {
        PeerIdentity { role: Role::Join(_), .. } => {
            Err(Status::permission_denied("a join token allows joining and nothing else"))
        }
        user => Ok(user),
    }
}

fn denied(peer: &PeerIdentity, wanted: &str) -> Status {
    Status::permission_denied(format!("{peer} is not {wanted}"))
}
