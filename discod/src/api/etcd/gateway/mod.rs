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
mod probes;
mod status;

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{get, post};
use http::header::CONTENT_TYPE;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::Status;
use tonic::service::Routes;

use super::EtcdService;

pub(super) use http1::without_http1;

/// The path of each method, followed by etcd's older path where one exists.
const METHODS: [(&str, &str, &str); 51] = [
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
    ("/v3/cluster/member/add", "etcdserverpb.Cluster", "MemberAdd"),
    ("/v3/cluster/member/remove", "etcdserverpb.Cluster", "MemberRemove"),
    ("/v3/cluster/member/update", "etcdserverpb.Cluster", "MemberUpdate"),
    ("/v3/cluster/member/promote", "etcdserverpb.Cluster", "MemberPromote"),
    ("/v3/maintenance/alarm", "etcdserverpb.Maintenance", "Alarm"),
    ("/v3/maintenance/status", "etcdserverpb.Maintenance", "Status"),
    ("/v3/maintenance/defragment", "etcdserverpb.Maintenance", "Defragment"),
    ("/v3/maintenance/hash", "etcdserverpb.Maintenance", "Hash"),
    ("/v3/maintenance/hashkv", "etcdserverpb.Maintenance", "HashKV"),
    ("/v3/maintenance/snapshot", "etcdserverpb.Maintenance", "Snapshot"),
    ("/v3/maintenance/transfer-leadership", "etcdserverpb.Maintenance", "MoveLeader"),
    ("/v3/maintenance/downgrade", "etcdserverpb.Maintenance", "Downgrade"),
    ("/v3/auth/authenticate", "etcdserverpb.Auth", "Authenticate"),
    ("/v3/auth/status", "etcdserverpb.Auth", "AuthStatus"),
    ("/v3/auth/enable", "etcdserverpb.Auth", "AuthEnable"),
    ("/v3/auth/user/list", "etcdserverpb.Auth", "UserList"),
    ("/v3/auth/disable", "etcdserverpb.Auth", "AuthDisable"),
    ("/v3/auth/user/add", "etcdserverpb.Auth", "UserAdd"),
    ("/v3/auth/user/get", "etcdserverpb.Auth", "UserGet"),
    ("/v3/auth/user/delete", "etcdserverpb.Auth", "UserDelete"),
    ("/v3/auth/user/changepw", "etcdserverpb.Auth", "UserChangePassword"),
    ("/v3/auth/user/grant", "etcdserverpb.Auth", "UserGrantRole"),
    ("/v3/auth/user/revoke", "etcdserverpb.Auth", "UserRevokeRole"),
    ("/v3/auth/role/add", "etcdserverpb.Auth", "RoleAdd"),
    ("/v3/auth/role/get", "etcdserverpb.Auth", "RoleGet"),
    ("/v3/auth/role/list", "etcdserverpb.Auth", "RoleList"),
    ("/v3/auth/role/delete", "etcdserverpb.Auth", "RoleDelete"),
    ("/v3/auth/role/grant", "etcdserverpb.Auth", "RoleGrantPermission"),
    ("/v3/auth/role/revoke", "etcdserverpb.Auth", "RoleRevokePermission"),
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

/// Adds the gateway's paths, and the answer for unknown ones. The gateway calls its own instances of the services.
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
    for (path, checks) in [("/livez", probes::LIVE), ("/readyz", probes::READY)] {
        // Each check has a path of its own, too.
        let each = checks.iter().map(|check| (format!("{path}/{}", check.name()), std::slice::from_ref(check)));
        for (path, checks) in each.chain([(path.to_owned(), checks)]) {
            let service = service.clone();
            let probe = move |request: Request| async move { probes::probe(&service, checks, request).await };
            router = router.route(&path, get(probe));
        }
    }
    let health = service.clone();
    router
        .route("/version", get(|request: Request| async move { plain::version(&request) }))
        .route("/health", get(move |request: Request| async move { plain::health(&health, request).await }))
        .fallback(unknown)
}

/// The answer for a path that does not exist: gRPC's to its clients, HTTP's to others, which do not read gRPC's.
async fn unknown(request: Request) -> Response {
    let content = request.headers().get(CONTENT_TYPE).and_then(|content| content.to_str().ok());
    if content.is_some_and(|content| content.starts_with("application/grpc")) {
        return Status::unimplemented(format!("unknown method {}", request.uri().path())).into_http();
    }
    status::refusal(&Status::not_found("unknown path; etcd's paths are below `/v3/`"))
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
