//! What the operator tells the cluster once: its provider, the operator's public key, how machines are started.

use disco_proto::v1::{ConfigureRequest, Empty};
use tonic::{Response, Status};

use super::write_status;
use crate::node::Node;
use crate::records::{self, ProviderSpec};

/// Keeps the settings that are given; empty ones stay as they are.
pub(super) async fn configure(node: &Node, request: ConfigureRequest) -> Result<Response<Empty>, Status> {
    let mut txn = records::Txn::new();
    if !request.provider.is_empty() {
        let spec: ProviderSpec = serde_json::from_str(&request.provider)
            .map_err(|error| Status::invalid_argument(format!("the provider's specification: {error}")))?;
        txn = txn.put(records::keys::PROVIDER, &spec);
    }
    if !request.operator_public_key.is_empty() {
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
        node.write(txn.operation()).await.map_err(write_status)?;
    }
    Ok(Response::new(Empty {}))
}
