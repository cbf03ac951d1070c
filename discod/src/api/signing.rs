//! The signing key: handed to voters, and replaced with the operator's help.
//!
//! Only the operator's root can certify a new signing key. The key itself is made on the leader and never leaves the
//! voters; the operator signs the request.

use std::time::Duration;

use anyhow::Result;
use disco_identity::{Authority, Credentials, PrivateKey, Validity};
use disco_proto::v1::{Empty, InstallSigningKeyRequest, SigningKeyRequestResponse, VoterSecrets as Wire};
use parking_lot::Mutex;
use tonic::{Request, Response, Status};

use super::forward::{Answer, relayed, to_leader};
use super::{internal, write_status};
use crate::home::VoterSecrets;
use crate::node::Node;
use crate::records;

/// The key that waits for its certificate. In memory alone: a leader that changes asks for a new request.
static PENDING: Mutex<Option<PrivateKey>> = Mutex::new(None);

/// Takes or forgets the secrets; only a node may ask, and only the leader does.
pub(super) fn set_voter_secrets(node: &Node, request: Request<Wire>) -> Result<Response<Empty>, Status> {
    let from = disco_identity::require_node(&request)?;
    let leader = node.raft().leadership().borrow().leader;
    if leader != Some(from) {
        return Err(Status::unavailable(format!("node {from} is not the leader that this node knows")));
    }
    let secrets = request.into_inner();
    let secrets = (!secrets.intermediate_key.is_empty()).then(|| VoterSecrets::from(secrets));
    if let Some(secrets) = &secrets {
        secrets.authority().map_err(|error| Status::invalid_argument(format!("{error:#}")))?;
    }
    node.set_secrets(secrets).map_err(internal)?;
    Ok(Response::new(Empty {}))
}

pub(super) async fn request(
    node: &Node,
    request: Request<Empty>,
) -> Result<Response<SigningKeyRequestResponse>, Status> {
    let (metadata, _, message) = request.into_parts();
    match to_leader(node, &metadata).await? {
        Answer::There(mut forward) => {
            let request = forward.request(message);
            forward.client.signing_key_request(request).await.map_err(relayed)
        }
        Answer::Here(_) => {
            let key = PrivateKey::generate().map_err(internal)?;
            let signing_request = key.signing_request().map_err(internal)?;
            *PENDING.lock() = Some(key);
            Ok(Response::new(SigningKeyRequestResponse { signing_request }))
        }
    }
}

/// Makes sure that the others accept what the key certifies.
fn check(node: &Node, authority: &Authority) -> Result<()> {
    let key = PrivateKey::generate()?;
    let id = uuid::Uuid::new_v4().simple().to_string();
    let chain = authority.issue_join(&key.signing_request()?, &id, Validity::lasting(Duration::from_secs(60)))?;
    Ok(Credentials::new(&node.home().root()?, &chain, &key)?.verify()?)
}

pub(super) async fn install(
    node: &Node,
    request: Request<InstallSigningKeyRequest>,
) -> Result<Response<Empty>, Status> {
    let (metadata, _, message) = request.into_parts();
    match to_leader(node, &metadata).await? {
        Answer::There(mut forward) => {
            let request = forward.request(message);
            forward.client.install_signing_key(request).await.map_err(relayed)
        }
        Answer::Here(_) => {
            let key = PENDING.lock().as_ref().map(PrivateKey::to_pem);
            let key = key.ok_or_else(|| Status::failed_precondition("ask for a signing request first"))?;
            let old = node.secrets().ok_or_else(|| Status::unavailable("this leader has no signing key to replace"))?;
            let secrets = VoterSecrets {
                intermediate_certificate: message.certificate,
                intermediate_key: key.to_string(),
                ssh_private_key: old.ssh_private_key,
            };
            let authority = secrets.authority().map_err(|error| Status::invalid_argument(format!("{error:#}")))?;
            check(node, &authority)
                .map_err(|error| Status::invalid_argument(format!("not certified by the cluster's root: {error:#}")))?;
            let (old, new) = (node.signing_serial(), authority.serial().to_owned());
            node.set_secrets(Some(secrets)).map_err(internal)?;
            *PENDING.lock() = None;
            let replaced = records::change_signing(node, |record| {
                record.stale = false;
                if record.serial != new {
                    record.retiring.push(old.clone());
                    record.serial.clone_from(&new);
                }
            });
            replaced.await.map_err(write_status)?;
            node.wake_controllers();
            Ok(Response::new(Empty {}))
        }
    }
}
