//! Settings that the operator gives the cluster: its provider, the operator's public key, how machines are started.

use disco_proto::v1::ConfigureRequest;

use crate::cluster::{Error, Result};
use crate::node::Node;
use crate::records::{self, ProviderRecord};

/// Stores the given settings; empty ones remain unchanged.
///
/// # Errors
/// A setting is invalid, or the settings could not be written.
pub async fn configure(node: &Node, request: ConfigureRequest) -> Result<()> {
    // A follower may lack the latest settings.
    node.raft().read_barrier(node.raft().pace().request_timeout()).await?;
    let mut txn = records::Txn::new();
    if !request.provider.is_empty() {
        let spec: ProviderRecord = serde_json::from_str(&request.provider)
            .map_err(|error| Error::Invalid(format!("invalid specification of the provider: {error}")))?;
        // Each bootstrap sends settings that are mostly unchanged.
        if read::<ProviderRecord>(node, records::keys::PROVIDER).as_ref() != Some(&spec) {
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
            .map_err(|error| Error::Invalid(format!("invalid options of machines: {error}")))?;
        txn = txn.put(records::keys::MACHINE_OPTIONS, &options);
    }
    if let Some(name) = &request.address_node {
        if !name.is_empty() {
            records::check_name(name).map_err(Error::Invalid)?;
        }
        txn = txn.put(records::keys::ADDRESS_NODE, name);
    }
    if !txn.is_empty() {
        node.write(txn.operation()).await?;
    }
    Ok(())
}

fn read<T: serde::de::DeserializeOwned>(node: &Node, key: &str) -> Option<T> {
    node.raft().store().read(|store| records::get::<T>(store, key)).map(|record| record.value)
}
