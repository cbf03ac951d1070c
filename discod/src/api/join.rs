//! Admission of new nodes.
//!
//! The node's id comes from a counter in the store and is never used twice; the token is used up in the same transaction
//! that makes the node's record. The join id, kept on the new node's disk, finds the same record again when an answer was
//! lost, so a repeated join neither makes a second node nor uses the token again.

use std::net::{IpAddr, SocketAddr};

use disco_identity::{Authority, NODE_LIFETIME, Validity};
use disco_proto::v1::{JoinRequest, JoinResponse};
use tonic::{Request, Response, Status};

use super::forward::{Answer, relayed, to_leader};
use super::{certificate, internal, write_status};
use crate::node::{Node, WriteError};
use crate::records::{self, JoinRecord, NodeRecord, TokenRecord};

/// Tries of the admission's transaction while other joins change the same records.
const CONFLICTS: usize = 64;

pub(super) async fn join(node: &Node, request: Request<JoinRequest>) -> Result<Response<JoinResponse>, Status> {
    // Checked where the certificate was seen. A forwarded join comes from a member, who has checked it.
    let token_id = match disco_identity::require_join(&request) {
        Ok(token_id) => token_id.to_owned(),
        Err(denied) => {
            disco_identity::require_node(&request).map_err(|_| denied)?;
            forwarded_token(&request)?
        }
    };
    let (metadata, _, message) = request.into_parts();
    check(&message)?;
    match to_leader(node, &metadata).await? {
        Answer::There(mut forward) => {
            let mut request = forward.request(message);
            let token_id = token_id.parse().map_err(|_| Status::invalid_argument("not the name of a token"))?;
            request.metadata_mut().insert(TOKEN, token_id);
            forward.client.join(request).await.map_err(relayed)
        }
        Answer::Here(term) => admit(node, term, &token_id, message).await.map(Response::new),
    }
}

/// Metadata by which a member that forwards a join names its token.
const TOKEN: &str = "disco-join-token";

fn forwarded_token(request: &Request<JoinRequest>) -> Result<String, Status> {
    let token = request.metadata().get(TOKEN).and_then(|value| value.to_str().ok());
    token.map(str::to_owned).ok_or_else(|| Status::permission_denied("joining needs a join token"))
}

fn check(message: &JoinRequest) -> Result<(), Status> {
    if message.address.parse::<SocketAddr>().is_err() {
        return Err(Status::invalid_argument(format!("`{}` is not an address of the form IP:PORT", message.address)));
    }
    if message.join_id.len() != 16 {
        return Err(Status::invalid_argument("the join id has not 16 bytes"));
    }
    let public = Some(&message.public_address).filter(|text| !text.is_empty());
    let mut addresses = message.extra_addresses.iter().chain(public);
    if let Some(wrong) = addresses.find(|text| text.parse::<IpAddr>().is_err()) {
        return Err(Status::invalid_argument(format!("`{wrong}` is not an IP address")));
    }
    if !message.name.is_empty() {
        records::check_name(&message.name).map_err(Status::invalid_argument)?;
    }
    Ok(())
}

async fn admit(node: &Node, term: u64, token_id: &str, message: JoinRequest) -> Result<JoinResponse, Status> {
    let format = node.raft().store().read(records::format);
    if disco_proto::format::told(message.format) < format {
        return Err(Status::failed_precondition(format!(
            "the cluster's data has format {format}, which the new node's `discod` {} cannot read\nhint: install the version that \
             the cluster runs",
            message.version
        )));
    }
    let authority = certificate::authority(node)?;
    let record = admitted(node, term, token_id, &message).await?;
    let chain = certify(&authority, &record, &message.signing_request)?;
    tracing::info!(node = record.id, name = record.name, address = record.address, "admitted");
    node.wake_controllers();
    Ok(JoinResponse {
        node_id: record.id,
        name: record.name,
        cluster_id: node.cluster_id().to_string(),
        cluster_name: node.cluster_name().to_owned(),
        certificate_chain: chain,
        members: node.raft().members().into_iter().map(|member| member.info.address).collect(),
    })
}

/// A certificate for the node, with the key of its request and the addresses of its record.
pub(super) fn certify(authority: &Authority, record: &NodeRecord, signing_request: &str) -> Result<String, Status> {
    let own = record.address.parse::<SocketAddr>().map_err(internal)?.ip();
    let extra = record.extra_addresses.iter().filter_map(|text| text.parse::<IpAddr>().ok());
    let addresses: Vec<IpAddr> = std::iter::once(own).chain(extra).collect();
    let validity = Validity::lasting(NODE_LIFETIME).ending_by(authority.not_after());
    let chain = authority.issue_node(signing_request, record.id, &addresses, validity);
    chain.map_err(|error| Status::invalid_argument(error.to_string()))
}

/// The record of the new node: the one of an earlier try, or one that is made now.
async fn admitted(node: &Node, term: u64, token_id: &str, message: &JoinRequest) -> Result<NodeRecord, Status> {
    let join_key = records::keys::join(&hex::encode(&message.join_id));
    for _ in 0..CONFLICTS {
        node.raft().linearizable().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let store = node.raft().store();
        if let Some(join) = store.read(|store| records::get::<JoinRecord>(store, &join_key)) {
            let key = records::keys::node(join.value.node_id);
            let record = store.read(|store| records::get::<NodeRecord>(store, &key));
            let record = record.ok_or_else(|| Status::failed_precondition("this node was removed from the cluster"))?;
            return Ok(record.value);
        }
        let token = store.read(|store| records::get::<TokenRecord>(store, &records::keys::token(token_id)));
        let token = token.ok_or_else(|| Status::permission_denied("the join token is not known, or was used up"))?;
        let counter = store.read(|store| records::get::<u64>(store, records::keys::NEXT_NODE_ID));
        // The founder is 1.
        let (id, counter_revision) = counter.map_or((2, 0), |counter| (counter.value, counter.revision));
        let record = NodeRecord {
            id,
            name: free_name(node, id, &message.name),
            address: message.address.clone(),
            instance: message.instance.clone(),
            labels: message.labels.clone().into_iter().collect(),
            extra_addresses: message.extra_addresses.clone(),
            public_address: message.public_address.clone(),
            version: message.version.clone(),
            joined_at: crate::clock::rfc3339(),
            ..NodeRecord::default()
        };
        let token_key = records::keys::token(token_id);
        let mut txn = records::Txn::new()
            .expect(&token_key, token.revision)
            .expect(records::keys::NEXT_NODE_ID, counter_revision)
            .expect(&join_key, 0)
            .put(records::keys::NEXT_NODE_ID, &(id + 1))
            .put(&join_key, &JoinRecord { node_id: id })
            .put(&records::keys::node(id), &record);
        txn = match token.value.uses_left {
            0 | 1 => txn.delete(&token_key),
            uses => txn.put(&token_key, &TokenRecord { uses_left: uses - 1, ..token.value }),
        };
        match node.write_in_term(term, txn.operation()).await {
            Ok(response) if records::succeeded(&response) => return Ok(record),
            Ok(_) => {}
            Err(error @ WriteError::Refused(_)) | Err(error) => return Err(write_status(error)),
        }
    }
    Err(Status::aborted("too many nodes join at once; try again"))
}

/// The wished name unless another has it, else one made of the cluster's name and the id.
fn free_name(node: &Node, id: u64, wished: &str) -> String {
    let taken = |name: &str| node.raft().store().read(records::nodes).iter().any(|other| other.name == name);
    if !wished.is_empty() && !taken(wished) { wished.to_owned() } else { format!("{}-{id}", node.cluster_name()) }
}
