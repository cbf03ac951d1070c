//! Health, by HTTP/2 as probes ask for it, and what does not exist.

use disco_proto::health::HealthCheckRequest;
use disco_proto::health::health_check_response::ServingStatus;
use disco_proto::health::health_client::HealthClient;
use disco_tests::{Api, SOON, block};
use http_body_util::BodyExt;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::{Code, Request};

use super::support::{kv, put_request, range_request, whole};

/// The head and the body of an answer.
fn send(api: &Api, address: &str, request: http::request::Builder) -> (http::response::Parts, String) {
    let mut channel = api.channel(address);
    let request = request.body(Body::empty()).unwrap();
    let answer = async {
        std::future::poll_fn(|cx| GrpcService::<Body>::poll_ready(&mut channel, cx)).await.unwrap();
        let (head, body) = GrpcService::call(&mut channel, request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head, String::from_utf8(body.to_vec()).unwrap())
    };
    block(async { tokio::time::timeout(SOON, answer).await }).expect("an answer in time")
}

/// The status and the body of an answer to `GET`.
pub(crate) fn get(api: &Api, address: &str, path: &str) -> (u16, String) {
    let (head, body) = send(api, address, http::Request::get(path));
    (head.status.as_u16(), body)
}

/// By gRPC's own protocol.
pub(crate) fn serving(api: &Api, address: &str) -> ServingStatus {
    let mut client = HealthClient::new(api.channel(address));
    block(client.check(HealthCheckRequest::default())).unwrap().into_inner().status()
}

#[test]
fn a_whole_cluster_is_live_and_ready() {
    let (_project, status, api) = whole();
    for node in &status.nodes {
        let get = |path: &str| get(&api, &node.address, path);
        for path in ["/livez", "/readyz", "/readyz/linearizable_read", "/livez/serializable_read"] {
            assert_eq!(get(path), (200, "ok\n".to_owned()), "{path}");
        }
        let all = "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\nok\n";
        assert_eq!(get("/readyz?verbose"), (200, all.to_owned()));
        assert_eq!(
            get("/readyz?verbose&exclude=linearizable_read&exclude=data_corruption").1,
            "[+]serializable_read ok\nok\n"
        );
        let (code, text) = get("/health");
        assert_eq!((code, text.as_str()), (200, r#"{"health":"true","reason":""}"#));
        assert_eq!(serving(&api, &node.address), ServingStatus::Serving);
    }
    let mut client = HealthClient::new(api.channel(&status.nodes[0].address));
    let unknown = HealthCheckRequest { service: "none".to_owned() };
    assert_eq!(block(client.check(unknown)).unwrap_err().code(), Code::NotFound);
    let mut watch = block(client.watch(HealthCheckRequest::default())).unwrap().into_inner();
    assert_eq!(block(watch.message()).unwrap().unwrap().status(), ServingStatus::Serving);
}

#[test]
fn what_does_not_exist_is_not_found() {
    let (_project, status, api) = whole();
    let address = &status.nodes[0].address;
    for path in ["/metrics", "/v3/nonsense", "/readyz/none", "/livez/linearizable_read", "/none", "/"] {
        let (code, text) = get(&api, address, path);
        assert_eq!(code, 404, "{path}: {text}");
        assert!(text.contains("unknown path"), "{path}: {text}");
    }
    // gRPC's clients are answered as they expect.
    let call = http::Request::post("/none.None/None").header("content-type", "application/grpc");
    let (head, _) = send(&api, address, call);
    assert_eq!((head.status.as_u16(), head.headers["grpc-status"].to_str().unwrap()), (200, "12"));
}

#[test]
fn a_token_that_nobody_issued_is_refused() {
    let (_project, status, api) = whole();
    let address = &status.nodes[0].address;
    for name in ["token", "authorization"] {
        let mut put = Request::new(put_request("token", "x"));
        put.metadata_mut().insert(name, "bogus.1".parse().unwrap());
        let refused = block(kv(&api, address).put(put)).unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::Unauthenticated, "etcdserver: invalid auth token"));
    }
    block(kv(&api, address).range(range_request("token", ""))).unwrap();
}
