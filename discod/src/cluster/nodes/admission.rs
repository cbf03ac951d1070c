//! Admission of new nodes.
//!
//! The node's id is the one that is reserved for its machine, else comes from a counter in the store, and is never
//! reused; the transaction that creates the node's record also uses up the reservation and the token. The join id, stored
//! on the new node's disk, finds the same record again if an answer was lost, so a repeated join neither creates a second
//! node nor uses the token again.

use std::net::{IpAddr, SocketAddr};

use disco_proto::v1::{JoinRequest, JoinResponse};

use crate::cluster::{Error, Result, certificates};
use crate::node::Leader;
use crate::records::{self, JoinRecord, NodeRecord, TokenRecord};

/// Attempts of the admission's transaction while other joins change the same records.
const CONFLICTS: usize = 64;

/// Whether a join request is valid.
///
/// # Errors
/// Why it is invalid.
pub fn check(message: &JoinRequest) -> Result<()> {
    if message.address.parse::<SocketAddr>().is_err() {
        return Err(Error::Invalid(format!("invalid address `{}`: expected IP:PORT", message.address)));
    }
    if message.join_id.len() != 16 {
        return Err(Error::Invalid("the join id must have 16 bytes".to_owned()));
    }
    let public = Some(&message.public_address).filter(|text| !text.is_empty());
    let mut addresses = message.extra_addresses.iter().chain(public);
    if let Some(wrong) = addresses.find(|text| text.parse::<IpAddr>().is_err()) {
        return Err(Error::Invalid(format!("invalid IP address `{wrong}`")));
    }
    if !message.name.is_empty() {
        records::check_name(&message.name).map_err(Error::Invalid)?;
    }
    Ok(())
}

/// Admits a new node as a member, by the token with this id. Only on the leader.
///
/// # Errors
/// The token is unknown, or the node was removed or cannot read the cluster's data.
pub async fn admit(leader: &Leader, token_id: &str, message: JoinRequest) -> Result<JoinResponse> {
    let format = leader.raft().store().read(records::format);
    if disco_proto::format::told(message.format) < format {
        return Err(Error::Refused(format!(
            "the cluster's data has format {format}, which the new node's `discod` {} cannot read\nhint: install the version that \
             the cluster runs",
            message.version
        )));
    }
    let authority = certificates::authority(leader)?;
    let record = admitted(leader, token_id, &message).await?;
    let chain = certificates::certify(&authority, &record, &message.signing_request)?;
    tracing::info!(node = record.id, name = record.name, address = record.address, "admitted");
    leader.wake_controllers();
    Ok(JoinResponse {
        node_id: record.id,
        name: record.name,
        cluster_id: leader.cluster_id().to_string(),
        cluster_name: leader.cluster_name().to_owned(),
        certificate_chain: chain,
        members: leader.raft().members().into_iter().map(|member| member.info.address).collect(),
    })
}

/// The record of the new node: that of an earlier attempt, or a new one.
async fn admitted(leader: &Leader, token_id: &str, message: &JoinRequest) -> Result<NodeRecord> {
    let join_key = records::keys::join(&hex::encode(&message.join_id));
    for _ in 0..CONFLICTS {
        leader.raft().linearizable().await?;
        let store = leader.raft().store();
        if let Some(join) = store.read(|store| records::get::<JoinRecord>(store, &join_key)) {
            let key = records::keys::node(join.value.node_id);
            let record = store.read(|store| records::get::<NodeRecord>(store, &key));
            let record = record.ok_or_else(|| Error::Refused("this node was removed from the cluster".to_owned()))?;
            return Ok(record.value);
        }
        let token = store.read(|store| records::get::<TokenRecord>(store, &records::keys::token(token_id)));
        let token = token.ok_or_else(|| Error::Denied("the join token is unknown or was already used".to_owned()))?;
        let reserved_key = token.value.machine.as_deref().map(records::keys::reserved);
        let reserved = reserved_key.as_ref().and_then(|key| store.read(|store| records::get::<u64>(store, key)));
        // The reservation ends with its first use, as ids are never reused.
        let (id, taken) = match (reserved, &reserved_key) {
            (Some(reserved), Some(key)) => {
                (reserved.value, records::Txn::new().expect(key, reserved.revision).delete(key))
            }
            _ => {
                let key = records::keys::NEXT_NODE_ID;
                let (id, revision) = store.read(records::next_node_id);
                (id, records::Txn::new().expect(key, revision).put(key, &(id + 1)))
            }
        };
        let record = NodeRecord {
            id,
            name: free_name(leader, id, &message.name),
            address: message.address.clone(),
            machine: message.instance.clone(),
            labels: message.labels.clone().into_iter().collect(),
            extra_addresses: message.extra_addresses.clone(),
            public_address: message.public_address.clone(),
            version: message.version.clone(),
            joined_at: crate::clock::rfc3339(),
            ..NodeRecord::default()
        };
        let token_key = records::keys::token(token_id);
        let mut txn = taken
            .expect(&token_key, token.revision)
            .expect(&join_key, 0)
            .put(&join_key, &JoinRecord { node_id: id })
            .put(&records::keys::node(id), &record);
        txn = match token.value.uses_left {
            0 | 1 => txn.delete(&token_key),
            uses => txn.put(&token_key, &TokenRecord { uses_left: uses - 1, ..token.value }),
        };
        if records::succeeded(&leader.write_in_term(txn.operation()).await?) {
            return Ok(record);
        }
    }
    Err(Error::Conflict("too many nodes are joining at once; try again".to_owned()))
}

/// The requested name unless another node has it, else the cluster's name and the id.
fn free_name(leader: &Leader, id: u64, requested: &str) -> String {
    let taken = |name: &str| leader.raft().store().read(records::nodes).iter().any(|other| other.name == name);
    if !requested.is_empty() && !taken(requested) {
        requested.to_owned()
    } else {
        format!("{}-{id}", leader.cluster_name())
    }
}
