//! Renewal of one node's certificate, and the signing key, which voters receive and the operator helps to replace.

use std::time::Duration;

use disco_proto::v1::{
    Empty, InstallSigningKeyRequest, RotateCertificateRequest, RotateCertificateResponse, SigningKeyRequestResponse,
    VoterSecrets as Wire,
};
use tonic::{Request, Response, Status};

use super::forward::{Answer, relayed, to_leader, to_node_for_sessions};
use crate::cluster::certificates::{self, RENEWED_WITHIN};
use crate::cluster::secrets as keys;
use crate::home::VoterSecrets;
use crate::node::Node;

/// Time limit of the answer beyond the renewal itself.
const AROUND: Duration = Duration::from_secs(2);

pub(super) async fn rotate(
    node: &Node,
    request: Request<RotateCertificateRequest>,
) -> Result<Response<RotateCertificateResponse>, Status> {
    let (metadata, _, message) = request.into_parts();
    if let Some(mut forward) = to_node_for_sessions(node, message.node_id, &metadata)? {
        let mut request = forward.request(message);
        request.set_timeout(RENEWED_WITHIN + AROUND);
        // Connections end when a signing key is retired, and a renewal may be the last step to that.
        return forward.client.rotate_certificate(request).await.map_err(relayed);
    }
    let certificate = certificates::rotate(node).await?;
    Ok(Response::new(RotateCertificateResponse { certificate: Some(certificate) }))
}

/// Takes or deletes the secrets; only a node may request it, and only the leader does.
pub(super) fn set_voter_secrets(node: &Node, request: Request<Wire>) -> Result<Response<Empty>, Status> {
    let from = disco_identity::require_node(&request)?;
    let mut secrets = request.into_inner();
    let is_voter = !secrets.intermediate_key.is_empty();
    let secrets_keys = secrets.secrets_keys.take().filter(|_| is_voter);
    certificates::set_voter_secrets(node, from, is_voter.then(|| VoterSecrets::from(secrets)))?;
    keys::hand_over(node, secrets_keys)?;
    Ok(Response::new(Empty {}))
}

pub(super) async fn signing_key_request(
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
            let signing_request = certificates::request_signing_key()?;
            Ok(Response::new(SigningKeyRequestResponse { signing_request }))
        }
    }
}

pub(super) async fn install_signing_key(
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
            certificates::install_signing_key(node, message.certificate).await?;
            Ok(Response::new(Empty {}))
        }
    }
}
