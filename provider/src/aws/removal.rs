//! Removing the resources of a cluster other than its machines.

use super::clients::Clients;
use super::error::CloudError;
use super::names::Names;
use super::{address, role, security_group};

/// The existing resources, as text, in the order in which they are removed.
pub(super) async fn list(clients: &Clients, names: &Names) -> Result<Vec<String>, CloudError> {
    let mut found = Vec::new();
    for address in address::list(clients, names).await? {
        found.push(format!("Elastic IP {}", address.public_ip.unwrap_or_default()));
    }
    if security_group::find(clients, names, None).await?.is_some() {
        found.push(format!("security group {}", names.security_group()));
    }
    for name in key_pairs(clients, names).await? {
        found.push(format!("key pair {name}"));
    }
    if role::exists(clients, names).await? {
        found.push(format!("role and instance profile {}", names.role(&clients.region)));
    }
    Ok(found)
}

/// Removes all of them; a failure does not keep the others from being removed.
///
/// # Errors
/// [`CloudError::Busy`] while machines are still ending; else the first other failure.
pub(super) async fn remove(clients: &Clients, names: &Names) -> Result<(), CloudError> {
    let steps = [
        remove_addresses(clients, names).await,
        security_group::remove(clients, names).await,
        remove_key_pairs(clients, names).await,
        role::remove(clients, names).await,
    ];
    let (busy, failed): (Vec<_>, Vec<_>) =
        steps.into_iter().filter_map(Result::err).partition(|error| matches!(error, CloudError::Busy { .. }));
    failed.into_iter().chain(busy).next().map_or(Ok(()), Err)
}

async fn remove_addresses(clients: &Clients, names: &Names) -> Result<(), CloudError> {
    for found in address::list(clients, names).await? {
        address::release(clients, &found).await?;
    }
    Ok(())
}

async fn key_pairs(clients: &Clients, names: &Names) -> Result<Vec<String>, CloudError> {
    let found = clients.ec2.describe_key_pairs(false, &[names.filter()]).await?;
    Ok(found.into_iter().filter_map(|pair| pair.key_name).collect())
}

async fn remove_key_pairs(clients: &Clients, names: &Names) -> Result<(), CloudError> {
    for name in key_pairs(clients, names).await? {
        clients.ec2.delete_key_pair(&name).await?;
    }
    Ok(())
}
