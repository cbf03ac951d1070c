//! etcd's JSON gateway: the same services for clients that speak HTTP/1.1 and JSON, such as Patroni.
//!
//! A request is converted into the gRPC request that it stands for and passed to the same services, so what is allowed,
//! and what is answered, is decided in one place. JSON is that of protobuf as etcd's gateway has it: bytes in base64,
//! 64-bit numbers as text, fields by the names in the `.proto` files (in requests also in camel case); fields with
//! default values are omitted. The descriptors that this needs are read on the first such request.

mod call;
mod frames;
mod http1;
mod json;
mod plain;
mod status;

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Request;
use axum::routing::{get, post};
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::service::Routes;

use super::EtcdService;

pub(super) use http1::without_http1;

/// The path of each method, followed by etcd's older path where one exists.
const METHODS: [(&str, &str, &str); 33] = [
    ("/v3/kv/range", "etcdserverpb.KV", "Range"),
    ("/v3/kv/put", "etcdserverpb.KV", "Put"),
    ("/v3/kv/deleterange", "etcdserverpb.KV", "DeleteRange"),
    ("/v3/kv/txn", "etcdserverpb.KV", "Txn"),
    ("/v3/kv/compaction", "etcdserverpb.KV", "Compact"),
    ("/v3/watch", "etcdserverpb.Watch", "Watch"),
    ("/v3/lease/grant", "etcdserverpb.Lease", "LeaseGrant"),
    ("/v3/lease/revoke", "etcdserverpb.Lease", "LeaseRevoke"),
    ("/v3/kv/lease/revoke", "etcdserverpb.Lease", "LeaseRevoke"),
    ("/v3/lease/keepalive", "etcdserverpb.Lease", "LeaseKeepAlive"),
    ("/v3/lease/timetolive", "etcdserverpb.Lease", "LeaseTimeToLive"),
    ("/v3/kv/lease/timetolive", "etcdserverpb.Lease", "LeaseTimeToLive"),
    ("/v3/lease/leases", "etcdserverpb.Lease", "LeaseLeases"),
    ("/v3/kv/lease/leases", "etcdserverpb.Lease", "LeaseLeases"),
    ("/v3/cluster/member/list", "etcdserverpb.Cluster", "MemberList"),
    ("/v3/maintenance/alarm", "etcdserverpb.Maintenance", "Alarm"),
    ("/v3/maintenance/status", "etcdserverpb.Maintenance", "Status"),
    ("/v3/maintenance/defragment", "etcdserverpb.Maintenance", "Defragment"),
    ("/v3/maintenance/hash", "etcdserverpb.Maintenance", "Hash"),
    ("/v3/maintenance/hashkv", "etcdserverpb.Maintenance", "HashKV"),
    ("/v3/maintenance/snapshot", "etcdserverpb.Maintenance", "Snapshot"),
    ("/v3/maintenance/transfer-leadership", "etcdserverpb.Maintenance", "MoveLeader"),
    ("/v3/auth/authenticate", "etcdserverpb.Auth", "Authenticate"),
    ("/v3/auth/status", "etcdserverpb.Auth", "AuthStatus"),
    ("/v3/auth/enable", "etcdserverpb.Auth", "AuthEnable"),
    ("/v3/auth/user/list", "etcdserverpb.Auth", "UserList"),
    ("/v3/lock/lock", "v3lockpb.Lock", "Lock"),
    ("/v3/lock/unlock", "v3lockpb.Lock", "Unlock"),
    ("/v3/election/campaign", "v3electionpb.Election", "Campaign"),
    ("/v3/election/proclaim", "v3electionpb.Election", "Proclaim"),
    ("/v3/election/leader", "v3electionpb.Election", "Leader"),
    ("/v3/election/observe", "v3electionpb.Election", "Observe"),
    ("/v3/election/resign", "v3electionpb.Election", "Resign"),
];

static DESCRIPTORS: LazyLock<Option<DescriptorPool>> =
    LazyLock::new(|| DescriptorPool::decode(disco_proto::ETCD_DESCRIPTORS).ok());

/// The descriptor of a method.
fn method(service: &str, name: &str) -> Option<MethodDescriptor> {
    let service = DESCRIPTORS.as_ref()?.get_service_by_name(service)?;
    service.methods().find(|method| method.name() == name)
}

/// Adds the gateway's paths. The gateway calls its own instances of the services.
pub(super) fn add_to(service: &EtcdService, mut router: Router) -> Router {
    let services = service.clone().services(Routes::default());
    for (path, of, name) in METHODS {
        let services = services.clone();
        router = router.route(
            path,
            post(move |request: Request| {
                let services = services.clone();
                async move { call::call(services, method(of, name), request).await }
            }),
        );
    }
    let health = service.clone();
    router
        .route("/version", get(|request: Request| async move { plain::version(&request) }))
        .route("/health", get(move |request: Request| async move { plain::health(&health, request).await }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_its_method() {
        for (path, service, name) in METHODS {
            let method = method(service, name).unwrap_or_else(|| panic!("{path}: there is no {service}.{name}"));
            assert_eq!(method.parent_service().full_name(), service);
        }
    }
}
