//! Who may call what: the first line of a handler.

use std::net::SocketAddr;

use tonic::{Request, Status};

use crate::role::{PeerIdentity, Role};
use crate::server_stream::ConnectInfo;

/// Whose certificate the request came with.
///
/// # Errors
/// `unauthenticated` where it came by no such connection.
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

/// Any node. Gives its id.
///
/// # Errors
/// `permission_denied` for others.
pub fn require_node<T>(request: &Request<T>) -> Result<u64, Status> {
    let peer = peer(request)?;
    peer.node_id().ok_or_else(|| denied(peer, "a node"))
}

/// The node that the message claims to come from, and no other.
///
/// # Errors
/// `permission_denied` for others.
pub fn require_sender<T>(request: &Request<T>, claimed: u64) -> Result<(), Status> {
    match require_node(request)? {
        id if id == claimed => Ok(()),
        id => Err(Status::permission_denied(format!("node/{id} may not speak for node/{claimed}"))),
    }
}

/// An operator. Gives the name.
///
/// # Errors
/// `permission_denied` for others.
pub fn require_operator<T>(request: &Request<T>) -> Result<&str, Status> {
    match peer(request)? {
        PeerIdentity { role: Role::Operator(name), .. } => Ok(name),
        other => Err(denied(other, "an operator")),
    }
}

/// The holder of a join token. Gives the token's id.
///
/// # Errors
/// `permission_denied` for others.
pub fn require_join<T>(request: &Request<T>) -> Result<&str, Status> {
    match peer(request)? {
        PeerIdentity { role: Role::Join(token), .. } => Ok(token),
        other => Err(denied(other, "the holder of a join token")),
    }
}

/// A node or an operator, which is everyone but the holder of a join token.
///
/// # Errors
/// `permission_denied` for others.
pub fn require_member<T>(request: &Request<T>) -> Result<&PeerIdentity, Status> {
    match peer(request)? {
        PeerIdentity { role: Role::Join(_), .. } => {
            Err(Status::permission_denied("a join token allows joining and nothing else"))
        }
        member => Ok(member),
    }
}

fn denied(peer: &PeerIdentity, wanted: &str) -> Status {
    Status::permission_denied(format!("{peer} is not {wanted}"))
}
