//! Admission of new nodes, and the tokens by which they join.

use disco_proto::v1::{CreateJoinTokenRequest, CreateJoinTokenResponse, JoinRequest, JoinResponse};
use tonic::{Request, Response, Status};

use super::forward::{Answer, relayed, to_leader};
use crate::cluster::nodes::admission;
use crate::cluster::tokens::{self, IssuedToken};
use crate::node::Node;

/// Metadata in which a member that forwards a join names its token.
const TOKEN: &str = "disco-join-token";

pub(super) async fn join(node: &Node, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
    // The node that sees the certificate checks it. A forwarded join comes from a member, which has checked it.
    let token_id = match disco_identity::require_join(&request) {
        Ok(token_id) => token_id.to_owned(),
        Err(denied) => {
            disco_identity::require_node(&request).map_err(|_| denied)?;
            forwarded_token(&request)?
        }
    };
    let (metadata, _, message) = request.into_parts();
    admission::check(&message)?;
    match to_leader(node, &metadata).await? {
        Answer::There(mut forward) => {
            let mut request = forward.request(message);
            let token_id = token_id
                .parse()
                .map_err(|_| Status::invalid_argument("the certificate does not name a valid join token"))?;
            request.metadata_mut().insert(TOKEN, token_id);
            forward.client.join(request).await.map_err(relayed)
        }
        Answer::Here(leader) => Ok(Response::new(admission::admit(&leader, &token_id, message).await?)),
    }
}

fn forwarded_token(request: &Request<JoinRequest>) -> Result<String, Status> {
    let token = request.metadata().get(TOKEN).and_then(|value| value.to_str().ok());
    token.map(str::to_owned).ok_or_else(|| Status::permission_denied("joining needs a join token"))
}

pub(super) async fn create_token(
    node: &Node,
    request: Request<CreateJoinTokenRequest>,
) -> Result<Response<CreateJoinTokenResponse>, Status> {
    let (metadata, _, message) = request.into_parts();
    match to_leader(node, &metadata).await? {
        Answer::There(mut forward) => {
            let request = forward.request(message);
            forward.client.create_join_token(request).await.map_err(relayed)
        }
        Answer::Here(leader) => {
            let lifetime = tokens::lifetime(message.ttl_seconds);
            let IssuedToken { token, expires_at } = tokens::issue(&leader, lifetime, message.uses).await?;
            Ok(Response::new(CreateJoinTokenResponse { token, expires_at }))
        }
    }
}
