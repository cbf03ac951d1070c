//! What the operator tells the cluster once: its provider, the operator's public key, how machines are started.

use disco_proto::v1::{ConfigureRequest, Empty};
use tonic::{Response, Status};

use crate::node::Node;
use crate::records::{self, ProviderSpec};

/// Keeps the settings that are given; empty ones stay as they are.
pub(super) async fn configure(node: &Node, request: ConfigureRequest) -> Result<Response<Empty>, Status> {
    // A follower may not know yet what was told last.
    node.raft().linearizable().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let mut txn = records::Txn::new();
    if !request.provider.is_empty() {
        let spec: ProviderSpec = serde_json::from_str(&request.provider)
            .map_err(|error| Status::invalid_argument(format!("the provider's specification: {error}")))?;
        // What is told at each bootstrap is mostly what is known.
        if read::<ProviderSpec>(node, records::keys::PROVIDER).as_ref() != Some(&spec) {
            txn = txn.put(records::keys::PROVIDER, &spec);
        }
    }
    if !request.operator_public_key.is_empty()
        && read::<String>(node, records::keys::OPERATOR_PUBLIC_KEY).as_ref() != Some(&request.operator_public_key)
    {
        txn = txn.put(records::keys::OPERATOR_PUBLIC_KEY, &request.operator_public_key);
    }
    if !request.instance_options.is_empty() {
        let options: serde_json::Value = serde_json::from_str(&request.instance_options)
            .map_err(|error| Status::invalid_argument(format!("the options of machines: {error}")))?;
        txn = txn.put(records::keys::INSTANCE_OPTIONS, &options);
    }
    if let Some(name) = &request.address_node {
        if !name.is_empty() {
            records::check_name(name).map_err(Status::invalid_argument)?;
        }
        txn = txn.put(records::keys::ADDRESS_NODE, name);
    }
    if !txn.is_empty() {
        node.write(txn.operation()).await.map_err(Status::from)?;
    }
    Ok(Response::new(Empty {}))
}

fn read<T: serde::de::DeserializeOwned>(node: &Node, key: &str) -> Option<T> {
    node.raft().store().read(|store| records::get::<T>(store, key)).map(|record| record.value)
}
