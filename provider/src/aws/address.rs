//! Addresses: the cluster's Elastic IP, and the operator's own address.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;

use super::api::Address;
use super::clients::Clients;
use super::error::CloudError;
use super::names::Names;
use super::prices;
use crate::plan::{Action, Change};

/// Amazon's service that returns the caller's public address.
const CHECK: &str = "https://checkip.amazonaws.com/";
const CHECK_LIMIT: Duration = Duration::from_secs(5);
/// The kind of change in plans.
const KIND: &str = "Elastic IP";

/// The addresses of the cluster: one, except shortly after two callers made one concurrently.
pub(super) async fn list(clients: &Clients, names: &Names) -> Result<Vec<Address>, CloudError> {
    let mut found = clients.ec2.describe_addresses(&[names.filter()]).await?;
    // The one in use first, then in a fixed order, so that all callers keep the same one.
    found.sort_by_key(|address| (address.association_id.is_none(), address.allocation_id.clone()));
    Ok(found)
}

/// Attaches the cluster's address to a machine; allocates it if it does not exist.
pub(super) async fn attach(clients: &Clients, names: &Names, machine: &str) -> Result<IpAddr, CloudError> {
    let mut found = list(clients, names).await?;
    if found.is_empty() {
        let tags = names.specification("elastic-ip", "address", &[]);
        clients.ec2.allocate_address(Some(&tags)).await?;
        found = list(clients, names).await?;
    }
    let mut found = found.into_iter();
    let own = found.next().ok_or_else(|| CloudError::Late {
        what: "the new Elastic IP was not listed".to_owned(),
        limit: Duration::ZERO,
    })?;
    for surplus in found {
        release(clients, &surplus).await?;
    }
    if own.instance_id.as_deref() != Some(machine) {
        clients.ec2.associate_address(own.allocation_id.as_deref(), machine).await?;
    }
    let text = own.public_ip.as_deref().unwrap_or_default();
    text.parse().map_err(|_| CloudError::Refused {
        call: "DescribeAddresses",
        code: "InvalidAnswer".to_owned(),
        reason: format!("`{text}` is not an IP address"),
    })
}

/// What [`attach`] would do.
pub(super) async fn plan(clients: &Clients, names: &Names, machine: &str) -> Result<Vec<Change>, CloudError> {
    let found = list(clients, names).await?;
    let Some(own) = found.first() else {
        let monthly = Some(prices::PUBLIC_ADDRESS.per_month());
        let change = Change::free(Action::Create, KIND, &names.cluster, "points to the leader's machine");
        return Ok(vec![Change { monthly, ..change }]);
    };
    if own.instance_id.as_deref() == Some(machine) {
        return Ok(Vec::new());
    }
    let ip = own.public_ip.as_deref().unwrap_or_default();
    let holder = own.instance_id.as_deref().unwrap_or("no machine");
    Ok(vec![Change::free(Action::Change, KIND, ip, format!("points to {machine}, not to {holder}"))])
}

/// Moves the cluster's address to a machine, if the cluster has one.
pub(super) async fn follow(clients: &Clients, names: &Names, machine: &str) -> Result<Option<IpAddr>, CloudError> {
    let found = list(clients, names).await?;
    if found.is_empty() { Ok(None) } else { attach(clients, names, machine).await.map(Some) }
}

/// Detaches the address from its machine and releases it.
pub(super) async fn release(clients: &Clients, address: &Address) -> Result<(), CloudError> {
    let missing = |error: &CloudError| {
        matches!(
            error.code(),
            "InvalidAssociationID.NotFound" | "InvalidAllocationID.NotFound" | "InvalidAddress.NotFound"
        )
    };
    if let Some(association) = &address.association_id {
        match clients.ec2.disassociate_address(association).await {
            Err(error) if !missing(&error) => return Err(error),
            _ => {}
        }
    }
    match clients.ec2.release_address(address.allocation_id.as_deref()).await {
        Err(error) if !missing(&error) => Err(error),
        _ => Ok(()),
    }
}

/// The address from which this computer reaches machines. For an API other than Amazon's it is the local address of a connection to it.
pub(super) async fn of_operator(clients: &Clients) -> Result<IpAddr, CloudError> {
    match clients.ec2.own_endpoint() {
        Some(endpoint) => towards(endpoint).await,
        None => public_address(clients).await,
    }
}

/// The local address of a connection to `endpoint`. Nothing is sent: connecting a datagram socket only chooses its address.
async fn towards(endpoint: &str) -> Result<IpAddr, CloudError> {
    let failed = |reason: String| CloudError::OwnAddress { reason };
    let authority = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    let with_port = if authority.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok()) {
        authority.to_owned()
    } else {
        format!("{authority}:443")
    };
    let mut found =
        tokio::net::lookup_host(&with_port).await.map_err(|error| failed(format!("{endpoint}: {error}")))?;
    let peer: SocketAddr = found.next().ok_or_else(|| failed(format!("{endpoint} resolves to no address")))?;
    let any: SocketAddr = if peer.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let local = UdpSocket::bind(any).and_then(|socket| {
        socket.connect(peer)?;
        socket.local_addr()
    });
    local.map(|address| address.ip()).map_err(|error| failed(format!("{endpoint}: {error}")))
}

async fn public_address(clients: &Clients) -> Result<IpAddr, CloudError> {
    let failed = |reason: String| CloudError::OwnAddress { reason: format!("{CHECK}: {reason}") };
    let settings = HttpConnectorSettings::builder().connect_timeout(CHECK_LIMIT).read_timeout(CHECK_LIMIT).build();
    let components = RuntimeComponentsBuilder::new("own address")
        .with_time_source(Some(aws_smithy_async::time::SystemTimeSource::new()))
        .with_sleep_impl(aws_smithy_async::rt::sleep::default_async_sleep())
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let mut request = HttpRequest::new(SdkBody::empty());
    request.set_uri(CHECK).map_err(|error| failed(error.to_string()))?;
    let response = clients.http.http_connector(&settings, &components).call(request);
    let mut answer = match tokio::time::timeout(CHECK_LIMIT * 2, response).await {
        Ok(answer) => answer.map_err(|error| failed(error.to_string()))?,
        Err(_) => return Err(failed("no answer".to_owned())),
    };
    let body = ByteStream::new(answer.take_body());
    let body = body.collect().await.map_err(|error| failed(error.to_string()))?.into_bytes();
    let text = String::from_utf8_lossy(&body);
    text.trim().parse().map_err(|_| failed(format!("`{}` is not an IP address", text.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn our_address_is_the_one_that_leads_there() {
        for endpoint in ["http://127.0.0.1:5000", "http://127.0.0.1:5000/", "https://127.0.0.1/path", "127.0.0.1:80"] {
            assert_eq!(towards(endpoint).await.unwrap(), IpAddr::from([127, 0, 0, 1]), "{endpoint}");
        }
        assert!(towards("http://no-such-host.invalid").await.is_err());
    }
}
