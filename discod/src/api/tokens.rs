//! Join tokens.

use std::time::Duration;

use disco_identity::JoinToken;
use disco_proto::v1::{CreateJoinTokenRequest, CreateJoinTokenResponse};
use tonic::{Request, Response, Status};

use super::forward::{Answer, relayed, to_leader};
use super::{certificate, internal, write_status};
use crate::node::Node;
use crate::records::{self, TokenRecord};

/// A token's life where nothing else is said, and the longest one.
const DEFAULT_TTL: Duration = Duration::from_secs(15 * 60);
const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);
const MAX_USES: u32 = 50;

pub(super) async fn create(
    node: &Node,
    request: Request<CreateJoinTokenRequest>,
) -> Result<Response<CreateJoinTokenResponse>, Status> {
    let (metadata, _, message) = request.into_parts();
    match to_leader(node, &metadata).await? {
        Answer::There(mut forward) => {
            let request = forward.request(message);
            forward.client.create_join_token(request).await.map_err(relayed)
        }
        Answer::Here(term) => {
            let ttl = match message.ttl_seconds {
                0 => DEFAULT_TTL,
                seconds => Duration::from_secs(u64::from(seconds)).min(MAX_TTL),
            };
            let uses = message.uses.clamp(1, MAX_USES);
            let (token, expires_at) = issue(node, term, ttl, uses).await?;
            Ok(Response::new(CreateJoinTokenResponse { token, expires_at }))
        }
    }
}

/// Makes a token by which the given number of nodes may join within the time. Only on the leader.
pub(crate) async fn issue(node: &Node, term: u64, ttl: Duration, uses: u32) -> Result<(String, String), Status> {
    let authority = certificate::authority(node)?;
    let root = node.home().root().map_err(internal)?;
    let id = uuid::Uuid::new_v4().simple().to_string();
    // The leader first: it need not forward.
    let others = node.raft().members().into_iter().filter(|member| member.id != node.id());
    let endpoints = others.filter_map(|member| member.info.address.parse().ok());
    let endpoints = std::iter::once(node.address()).chain(endpoints).collect();
    let token = JoinToken::issue(&authority, &root, endpoints, &id, ttl).map_err(internal)?;
    let expires = jiff::Timestamp::from_second(i64::try_from(token.expires).map_err(internal)?).map_err(internal)?;
    let record = TokenRecord { id: id.clone(), expires_at: expires.to_string(), uses_left: uses };
    let txn = records::Txn::new().put(&records::keys::token(&id), &record);
    node.write_in_term(term, txn.operation()).await.map_err(write_status)?;
    Ok((token.encode(), record.expires_at))
}
