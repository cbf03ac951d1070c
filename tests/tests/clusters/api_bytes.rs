//! Sends any bytes, and almost valid requests, to every method of a running node: by gRPC and by the JSON gateway, as operator,
//! as node and with a join token. Each gets an answer or an error, nothing panics, and the node stays healthy.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use disco_identity::Validity;
use disco_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use disco_proto::etcdserverpb::{AlarmRequest, AlarmType, alarm_request::AlarmAction};
use disco_tests::{Api, RawCluster, SOON, block};
use http_body_util::{BodyExt, Full};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Request, Status};

/// Makes the requests the same in each run.
const SEED: u64 = 0x5eed;
/// Requests of each kind for each method.
const ROUNDS: usize = 6;
/// Time after which a request that waits or streams is dropped.
const PATIENCE: Duration = Duration::from_millis(150);
const HOUR: Duration = Duration::from_secs(3600);

/// Methods that may rightly change the machine or the cluster. They get only bytes that are no message.
const POWERFUL: [&str; 8] = [
    "disco.v1.Control.RunCommand",
    "disco.v1.Control.CopyFile",
    "disco.v1.Control.Recover",
    "disco.v1.Control.Relocate",
    "disco.v1.Control.Restore",
    "disco.v1.Control.Scale",
    "disco.v1.Control.RemoveNode",
    "disco.v1.Control.Configure",
];

/// Encoded messages.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// Every method of every service, by the files that define them.
fn pool() -> DescriptorPool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/proto");
    let files = ["disco/v1/control.proto", "disco/v1/raft.proto"].map(str::to_owned).into_iter();
    let etcd = ["kv", "watch", "lease", "cluster", "maintenance", "auth"];
    let etcd = etcd.iter().map(|name| format!("etcd/etcdserverpb/{name}.proto"));
    let others = ["etcd/v3lockpb/lock.proto", "etcd/v3electionpb/election.proto"].map(str::to_owned);
    let set = protox::compile(files.chain(etcd).chain(others), [folder]).unwrap();
    DescriptorPool::from_file_descriptor_set(set).unwrap()
}

fn some_bytes(rng: &mut StdRng) -> Vec<u8> {
    let most = 1_usize << rng.random_range(0..12);
    let length = rng.random_range(0..=most);
    (0..length).map(|_| rng.random()).collect()
}

fn some_text(rng: &mut StdRng) -> String {
    match rng.random_range(0..6) {
        0 => String::new(),
        1 => "127.0.0.1:5080".to_owned(),
        2 => "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
        3 => "{\"kind\": [".to_owned(),
        4 => "../../x\0ü".to_owned(),
        _ => String::from_utf8_lossy(&some_bytes(rng)).into_owned(),
    }
}

fn some_number(rng: &mut StdRng) -> i64 {
    match rng.random_range(0..5) {
        0 => i64::MIN,
        1 => i64::MAX,
        2 => -1,
        3 => rng.random_range(0..5),
        _ => rng.random(),
    }
}

fn value(rng: &mut StdRng, kind: &Kind, depth: usize) -> Value {
    let number = some_number(rng);
    match kind {
        Kind::Double => Value::F64(f64::from_bits(number as u64)),
        Kind::Float => Value::F32(f32::from_bits(number as u32)),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(number as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(number),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(number as u32),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(number as u64),
        Kind::Bool => Value::Bool(number % 2 == 0),
        Kind::String => Value::String(some_text(rng)),
        Kind::Bytes if rng.random_bool(0.5) => Value::Bytes(Bytes::from_static(b"fuzz/")),
        Kind::Bytes => Value::Bytes(some_bytes(rng).into()),
        Kind::Message(message) => Value::Message(some_message(rng, message, depth + 1)),
        Kind::Enum(_) if rng.random_bool(0.7) => Value::EnumNumber(rng.random_range(0..5)),
        Kind::Enum(_) => Value::EnumNumber(number as i32),
    }
}

fn some_field(rng: &mut StdRng, field: &FieldDescriptor, depth: usize) -> Value {
    let kind = field.kind();
    if let Kind::Message(entry) = &kind
        && field.is_map()
    {
        let key = value(rng, &entry.map_entry_key_field().kind(), depth);
        let key = key.into_map_key().expect("what keys a map may have, a `MapKey` may be");
        return Value::Map([(key, value(rng, &entry.map_entry_value_field().kind(), depth))].into());
    }
    if field.is_list() {
        return Value::List((0..rng.random_range(0..4)).map(|_| value(rng, &kind, depth)).collect());
    }
    value(rng, &kind, depth)
}

/// A message of this type with some of its fields.
fn some_message(rng: &mut StdRng, kind: &MessageDescriptor, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(kind.clone());
    for field in kind.fields() {
        if depth < 5 && rng.random_bool(0.7) {
            let value = some_field(rng, &field, depth);
            message.set_field(&field, value);
        }
    }
    message
}

/// The same bytes with a few changed, removed or added.
fn changed(rng: &mut StdRng, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..=bytes.len());
        match rng.random_range(0..3) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, rng.random()),
            _ if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            _ => bytes.extend(some_bytes(rng)),
        }
    }
    bytes
}

/// Sends these messages and reads up to three answers. Returns what went wrong, except errors of the method itself.
async fn call(api: &Api, address: &str, path: String, messages: Vec<Bytes>) -> Result<Option<Code>, String> {
    let mut grpc = tonic::client::Grpc::new(api.channel(address)).max_decoding_message_size(64 << 20);
    grpc.ready().await.map_err(|error| error.to_string())?;
    let path: http::uri::PathAndQuery = path.parse().expect("it is a path");
    let conversation = async {
        let answer = grpc.streaming(Request::new(tokio_stream::iter(messages)), path, Raw).await?;
        let mut answers = answer.into_inner();
        for _ in 0..3 {
            if answers.message().await?.is_none() {
                break;
            }
        }
        Ok::<_, Status>(())
    };
    match tokio::time::timeout(PATIENCE, conversation).await {
        Ok(Err(status)) if status.source().is_some() => Err(format!("the connection broke: {status:?}")),
        Ok(Err(status)) => Ok(Some(status.code())),
        Ok(Ok(())) => Ok(Some(Code::Ok)),
        // The method waits for something.
        Err(_) => Ok(None),
    }
}

/// Checks that the node runs, has not panicked, and accepts a write.
#[track_caller]
fn is_well(cluster: &mut RawCluster, pid: u32) {
    let log = cluster.nodes[0].log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(cluster.nodes[0].runs() && cluster.nodes[0].pid() == pid, "{log}");
    let api = cluster.operator();
    let address = cluster.addresses()[0].clone();
    // One of the requests may have raised the alarm.
    let disarm =
        AlarmRequest { action: AlarmAction::Deactivate.into(), alarm: AlarmType::Nospace.into(), member_id: 0 };
    block(MaintenanceClient::new(api.channel(&address)).alarm(disarm)).unwrap();
    let status = api.status(&address).unwrap();
    assert!(status.healthy && status.nodes.len() == 1, "{status:#?}");
    api.put(&[address], "still", "here", SOON).unwrap();
}

#[test]
fn any_bytes_at_any_method_are_answered() {
    let mut cluster = RawCluster::found();
    let pid = cluster.nodes[0].pid();
    let address = cluster.addresses()[0].clone();
    let parties = [
        cluster.operator(),
        Api::node(&cluster.nodes[0].data),
        cluster.as_join("any"),
        cluster.as_node(7, Validity::lasting(HOUR)),
    ];
    let mut rng = StdRng::seed_from_u64(SEED);
    let (mut calls, mut answered, mut waiting, mut methods) = (0, 0, 0, 0);
    for service in pool().services() {
        for method in service.methods() {
            methods += 1;
            let powerful = POWERFUL.contains(&method.full_name());
            let path = format!("/{}/{}", service.full_name(), method.name());
            for round in 0..ROUNDS * 3 {
                let count = if method.is_client_streaming() { rng.random_range(0..4) } else { 1 };
                let messages = (0..count).map(|_| {
                    let bytes = match (powerful, round % 3) {
                        // No field of the descriptors has this type.
                        (true, _) => [&[7][..], &some_bytes(&mut rng)].concat(),
                        (_, 0) => some_bytes(&mut rng),
                        (_, 1) => some_message(&mut rng, &method.input(), 0).encode_to_vec(),
                        _ => {
                            let valid = some_message(&mut rng, &method.input(), 0).encode_to_vec();
                            changed(&mut rng, valid)
                        }
                    };
                    Bytes::from(bytes)
                });
                let messages: Vec<Bytes> = messages.collect();
                let shown = messages.iter().map(hex::encode).collect::<Vec<_>>().join(" ");
                let party = &parties[round % parties.len()];
                match block(call(party, &address, path.clone(), messages)) {
                    Ok(Some(Code::Ok)) if powerful => panic!("{path} took what is no message: {shown}"),
                    Ok(Some(code)) => answered += usize::from(code == Code::Ok),
                    Ok(None) => waiting += 1,
                    Err(error) => {
                        panic!("{path}, round {round}: {error}\n{shown}\n{}", cluster.nodes[0].log());
                    }
                }
                calls += 1;
            }
            is_well(&mut cluster, pid);
        }
    }
    println!(
        "{calls} requests at {methods} methods: {answered} answered, {waiting} waited for more, the others refused"
    );
    assert!(methods > 70 && answered > 50, "{methods} methods, {answered} answered");
}

/// The paths of the gateway, as listed in its source.
fn paths() -> Vec<(String, String)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../discod/src/api/etcd/gateway/mod.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let rows = source.lines().filter_map(|line| line.trim().strip_prefix("(\"/v3/"));
    let words = rows.map(|row| row.split('"').map(str::to_owned).collect::<Vec<_>>());
    words.map(|words| (format!("/v3/{}", words[0]), format!("{}.{}", words[2], words[4]))).collect()
}

async fn post(api: &Api, address: &str, path: &str, body: Vec<u8>) -> Result<Option<u16>, String> {
    use tonic::codegen::Service;
    let mut channel = api.channel(address);
    std::future::poll_fn(|context| channel.poll_ready(context)).await.map_err(|error| error.to_string())?;
    let request = http::Request::post(path).header("content-type", "application/json");
    let request =
        request.body(tonic::body::Body::new(Full::new(Bytes::from(body)))).map_err(|error| error.to_string())?;
    let conversation = async {
        let response = channel.call(request).await.map_err(|error| format!("{error:?}"))?;
        let status = response.status().as_u16();
        response.into_body().collect().await.map_err(|error| format!("{error:?}"))?;
        Ok(status)
    };
    match tokio::time::timeout(PATIENCE, conversation).await {
        Ok(answer) => answer.map(Some),
        Err(_) => Ok(None),
    }
}

#[test]
fn any_json_at_the_gateway_is_answered() {
    let mut cluster = RawCluster::found();
    let pid = cluster.nodes[0].pid();
    let address = cluster.addresses()[0].clone();
    let api = cluster.operator();
    let pool = pool();
    let mut rng = StdRng::seed_from_u64(SEED);
    let (mut calls, mut good) = (0, 0);
    let paths = paths();
    assert!(paths.len() > 30, "{paths:?}");
    for (path, method) in &paths {
        let (service, name) = method.rsplit_once('.').unwrap();
        let service = pool.get_service_by_name(service).unwrap_or_else(|| panic!("there is no {service}"));
        let input = service.methods().find(|method| method.name() == name).unwrap().input();
        for round in 0..ROUNDS * 3 {
            let json = |rng: &mut StdRng| serde_json::to_vec(&some_message(rng, &input, 0)).unwrap();
            let body = match round {
                0 => b"[".repeat(100_000),
                1 => b"{\"key\":".repeat(50_000),
                2 => Vec::new(),
                _ if round % 3 == 0 => some_bytes(&mut rng),
                _ if round % 3 == 1 => json(&mut rng),
                _ => {
                    let valid = json(&mut rng);
                    changed(&mut rng, valid)
                }
            };
            match block(post(&api, &address, path, body.clone())) {
                Ok(Some(status)) => {
                    assert!((200..600).contains(&status), "{path}: {status}");
                    good += usize::from(status == 200);
                }
                Ok(None) => {}
                Err(error) => panic!("{path}: {error}\n{}", String::from_utf8_lossy(&body)),
            }
            calls += 1;
        }
        is_well(&mut cluster, pid);
    }
    println!("{calls} requests at {} paths: {good} answered, the others refused or waiting", paths.len());
    assert!(good > 20, "{good} answered");
}
