//! etcd's JSON gateway, by HTTP/1.1 with other clients: `curl`, and `etcd3gw` from PyPI.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use disco_identity::Expect;
use disco_tests::{Api, Project, SOON, Shared, Status, Turn, skipped};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use serde_json::{Value, json};

static CLUSTER: Shared<Project> = Shared::new(|| Project::bootstrapped("gateway"));

fn whole() -> (Turn<Project>, Status, Api) {
    let (project, status) = CLUSTER.whole();
    let api = Api::operator(&project);
    (project, status, api)
}

/// A connection of HTTP/1.1 for one request.
struct Connection(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Connection {
    fn send(api: &Api, address: &str, method: &str, path: &str, body: &str) -> Self {
        Self::naming(vec![b"http/1.1".to_vec()], api, address, method, path, body)
    }

    /// With these protocols of ALPN.
    fn naming(protocols: Vec<Vec<u8>>, api: &Api, address: &str, method: &str, path: &str, body: &str) -> Self {
        let mut config = ClientConfig::clone(&api.identity().client_config());
        config.alpn_protocols = protocols;
        let name = Expect::AnyNode.server_name(&api.identity().cluster_id());
        let name = ServerName::try_from(name).unwrap();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream);
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n{body}")
            .unwrap();
        Self(BufReader::new(stream))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The status, and the size of the body, if known.
    fn head(&mut self) -> (u16, Option<usize>) {
        let first = self.line();
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{first}"));
        let mut length = None;
        loop {
            let line = self.line();
            if line.is_empty() {
                return (status, length);
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok();
            }
        }
    }

    /// One chunk of a chunked body; empty: the end.
    fn chunk(&mut self) -> String {
        let size = usize::from_str_radix(&self.line(), 16).unwrap();
        let mut chunk = vec![0; size];
        self.0.read_exact(&mut chunk).unwrap();
        self.line();
        String::from_utf8(chunk).unwrap()
    }
}

fn ask(api: &Api, address: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let mut connection = Connection::send(api, address, method, path, &body.to_string());
    let (status, length) = connection.head();
    let text = match length {
        Some(length) => {
            let mut body = vec![0; length];
            connection.0.read_exact(&mut body).unwrap();
            String::from_utf8(body).unwrap()
        }
        None => std::iter::from_fn(|| Some(connection.chunk()).filter(|chunk| !chunk.is_empty())).collect(),
    };
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text:?}")))
}

fn post(api: &Api, address: &str, path: &str, body: Value) -> Value {
    let (status, answer) = ask(api, address, "POST", path, &body);
    assert_eq!(status, 200, "{path} {body}: {answer}");
    answer
}

#[test]
fn a_client_of_http_1_1_without_alpn_is_answered_in_its_protocol() {
    let (_project, status, api) = whole();
    let address = &status.leading().address;
    let mut connection = Connection::naming(Vec::new(), &api, address, "POST", "/v3/maintenance/status", "{}");
    assert_eq!(connection.head().0, 200);
}

#[test]
fn keys_leases_and_transactions_in_json() {
    let (_project, status, api) = whole();
    let (one, other) = (&status.nodes[0].address, &status.nodes[2].address);
    // `foo`, `bar`.
    let put = post(&api, one, "/v3/kv/put", json!({ "key": "Zm9v", "value": "YmFy" }));
    let revision = put["header"]["revision"].as_str().unwrap().to_owned();
    assert_eq!(put["header"]["member_id"], status.nodes[0].id.to_string());
    let got = post(&api, other, "/v3/kv/range", json!({ "key": "Zm9v" }));
    assert_eq!(got["count"], "1");
    assert_eq!(got["kvs"][0]["key"], "Zm9v");
    assert_eq!(got["kvs"][0]["value"], "YmFy");
    assert_eq!(got["kvs"][0]["mod_revision"], revision);
    assert!(got.get("more").is_none() && got["kvs"][0].get("lease").is_none(), "defaults are left out: {got}");

    let lease = post(&api, one, "/v3/lease/grant", json!({ "TTL": "60" }));
    let id = lease["ID"].as_str().unwrap();
    post(&api, other, "/v3/kv/put", json!({ "key": "bGVhc2Vk", "value": "eA==", "lease": id }));
    let kept = post(&api, other, "/v3/lease/keepalive", json!({ "ID": id }));
    assert_eq!((&kept["result"]["ID"], &kept["result"]["TTL"]), (&json!(id), &json!("60")));
    let time = post(&api, one, "/v3/lease/timetolive", json!({ "ID": id, "keys": true }));
    assert_eq!((&time["grantedTTL"], &time["keys"]), (&json!("60"), &json!(["bGVhc2Vk"])));
    post(&api, one, "/v3/lease/revoke", json!({ "ID": id }));
    assert!(post(&api, one, "/v3/kv/range", json!({ "key": "bGVhc2Vk" })).get("kvs").is_none());
    let gone = post(&api, one, "/v3/lease/keepalive", json!({ "ID": id }));
    assert!(gone["result"].get("TTL").is_none(), "{gone}");

    // Camel case is accepted as well, as protobuf's JSON allows.
    let txn = json!({
        "compare": [{ "result": "EQUAL", "target": "MOD", "key": "Zm9v", "modRevision": revision }],
        "success": [{ "requestPut": { "key": "Zm9v", "value": "Mg==" } }, { "request_range": { "key": "Zm9v" } }],
        "failure": [],
    });
    let answer = post(&api, other, "/v3/kv/txn", txn.clone());
    assert_eq!(answer["succeeded"], true);
    assert_eq!(answer["responses"][1]["response_range"]["kvs"][0]["value"], "Mg==");
    assert!(post(&api, other, "/v3/kv/txn", txn).get("succeeded").is_none());
    let deleted = post(&api, one, "/v3/kv/deleterange", json!({ "key": "Zm9v", "prev_kv": true }));
    assert_eq!((&deleted["deleted"], &deleted["prev_kvs"][0]["value"]), (&json!("1"), &json!("Mg==")));
    let now = deleted["header"]["revision"].clone();
    post(&api, one, "/v3/kv/compaction", json!({ "revision": now }));

    let members = post(&api, other, "/v3/cluster/member/list", json!({}));
    assert_eq!(members["members"].as_array().unwrap().len(), 3);
    let told = post(&api, other, "/v3/maintenance/status", json!({}));
    assert_eq!((&told["version"], &told["leader"]), (&json!("3.6.0"), &json!(status.leader.unwrap().to_string())));
    let (code, version) = ask(&api, one, "GET", "/version", &Value::Null);
    assert_eq!((code, version), (200, json!({ "etcdserver": "3.6.0", "etcdcluster": "3.6.0" })));
    let (code, health) = ask(&api, one, "GET", "/health", &Value::Null);
    assert_eq!((code, &health["health"]), (200, &json!("true")));
}

#[test]
fn watch_events_come_line_by_line() {
    let (_project, status, api) = whole();
    let address = &status.nodes[1].address;
    let first = post(&api, address, "/v3/kv/put", json!({ "key": "dy8x", "value": "MQ==" }));
    let create = json!({ "create_request": { "key": "dy8=", "range_end": "dzA=", "start_revision": first["header"]["revision"] } });
    let mut connection = Connection::send(&api, address, "POST", "/v3/watch", &create.to_string());
    assert_eq!(connection.head(), (200, None));
    let mut next = || {
        let line = connection.chunk();
        assert!(line.ends_with('\n'), "{line}");
        serde_json::from_str::<Value>(&line).unwrap()["result"].clone()
    };
    assert_eq!(next()["created"], true);
    assert_eq!(next()["events"][0]["kv"]["value"], "MQ==");
    post(&api, &status.nodes[0].address, "/v3/kv/deleterange", json!({ "key": "dy8x" }));
    let event = next()["events"][0].clone();
    assert_eq!((&event["type"], &event["kv"]["key"]), (&json!("DELETE"), &json!("dy8x")));
}

#[test]
fn errors_have_the_codes_and_texts_of_etcd() {
    let (_project, status, api) = whole();
    let address = &status.nodes[0].address;
    for (path, body, http, code, message) in [
        ("/v3/kv/put", json!({ "value": "eA==" }), 400, 3, "etcdserver: key is not provided"),
        ("/v3/lease/revoke", json!({ "ID": "5" }), 404, 5, "etcdserver: requested lease not found"),
        (
            "/v3/kv/range",
            json!({ "key": "eA==", "revision": "99999999" }),
            400,
            11,
            "etcdserver: mvcc: required revision is a future revision",
        ),
        (
            "/v3/auth/authenticate",
            json!({ "name": "a", "password": "b" }),
            400,
            9,
            "etcdserver: authentication is not enabled",
        ),
        (
            "/v3/auth/user/add",
            json!({ "name": "a" }),
            400,
            9,
            "etcdserver: Disco authorises clients by certificate and has no users or roles",
        ),
        (
            "/v3/cluster/member/add",
            json!({ "peerURLs": ["https://127.0.0.1:2380"] }),
            400,
            9,
            "etcdserver: Disco manages its members itself: `disco scale nodes=N` adds nodes",
        ),
        (
            "/v3/maintenance/downgrade",
            json!({ "action": "VALIDATE", "version": "3.5" }),
            400,
            9,
            "etcdserver: the cluster's version is Disco's; change it with `disco upgrade`",
        ),
        // `/disco/x`
        (
            "/v3/kv/put",
            json!({ "key": "L2Rpc2NvL3g=" }),
            403,
            7,
            "etcdserver: permission denied: keys under `/disco/` belong to Disco and are read-only",
        ),
    ] {
        let (found, answer) = ask(&api, address, "POST", path, &body);
        assert_eq!(found, http, "{path}: {answer}");
        assert_eq!((&answer["code"], &answer["error"]), (&json!(code), &json!(message)), "{path}");
        assert_eq!(answer["message"], message);
    }
    for body in ["{", "[]", "{\"key\": \"not base64!\"}", "\u{1}"] {
        let mut connection = Connection::send(&api, address, "POST", "/v3/kv/range", body);
        assert_eq!(connection.head().0, 400, "{body}");
    }
    let mut connection = Connection::send(&api, address, "POST", "/v3/kv/nothing", "{}");
    assert_eq!(connection.head().0, 404, "what is not there has an answer, too");
}

/// Settings for other programs, as printed by `disco env`.
fn settings(project: &Project) -> Vec<(String, String)> {
    let settings = project.disco(&["env", "-o", "json"]).ok().json();
    let settings = settings.as_object().unwrap().iter();
    settings.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
}

#[test]
fn curl_uses_the_gateway_by_http_1_and_http_2() {
    let (project, status, api) = whole();
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        return skipped("there is no `curl`");
    }
    let settings = settings(&project);
    let file = |name: &str| settings.iter().find(|(key, _)| key == name).unwrap().1.clone();
    // `curl/1` to `curl/4`
    for key in ["Y3VybC8x", "Y3VybC8y", "Y3VybC8z", "Y3VybC80"] {
        let (code, answer) = ask(&api, &status.nodes[0].address, "POST", "/v3/kv/put", &json!({ "key": key }));
        assert_eq!(code, 200, "{answer}");
    }
    for version in ["--http1.1", "--http2"] {
        let mut command = Command::new("curl");
        command.args([version, "-sS", "--fail", "--cacert", &file("ETCDCTL_CACERT"), "--cert", &file("ETCDCTL_CERT")]);
        command.args([
            "--key",
            &file("ETCDCTL_KEY"),
            "-d",
            "{\"key\":\"AA==\",\"range_end\":\"AA==\",\"count_only\":true}",
        ]);
        command.arg(format!("https://{}/v3/kv/range", status.nodes[0].address)).stdin(Stdio::null());
        let output = command.output().unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{version}: {output:?}"));
        assert!(answer["count"].as_str().unwrap().parse::<u32>().unwrap() > 3, "{answer}");
    }
}

const SCRIPT: &str = r#"
import os
from etcd3gw import Etcd3Client
host, port = os.environ["ETCDCTL_ENDPOINTS"].split(",")[0].removeprefix("https://").rsplit(":", 1)
c = Etcd3Client(host=host, port=int(port), protocol="https", ca_cert=os.environ["ETCDCTL_CACERT"],
                cert_cert=os.environ["ETCDCTL_CERT"], cert_key=os.environ["ETCDCTL_KEY"], timeout=20)
assert c.put("gw/a", "1")
assert c.get("gw/a") == [b"1"], c.get("gw/a")
assert [v for v, m in c.get_prefix("gw/")] == [b"1"]
assert c.create("gw/a", "2") is False and c.replace("gw/a", "1", "3") is True
lease = c.lease(ttl=60)
assert c.put("gw/l", "x", lease=lease) and lease.refresh() == 60 and lease.keys() == [b"gw/l"]
assert lease.revoke() and c.get("gw/l") == []
with c.lock("gw-lock", ttl=10) as lock:
    assert lock.is_acquired()
events, cancel = c.watch_prefix("gw/", start_revision=c.status()["header"]["revision"])
c.put("gw/w", "y")
while True:
    event = next(events)
    if event["kv"]["key"] == b"gw/w":
        break
assert event["kv"]["value"] == b"y", event
cancel()
assert c.delete("gw/w") is True
assert len(c.members()) == 3 and c.status()["version"] == "3.6.0"
print("all done", flush=True)
os._exit(0)  # its watcher's thread waits for more
"#;

/// Python with the client, or the reason why it is not available.
fn python() -> Result<PathBuf, String> {
    let quiet = |command: &mut Command| {
        let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-etcd3gw");
    let python = folder.join("bin/python");
    if quiet(Command::new(&python).args(["-c", "import etcd3gw"])).is_err() {
        quiet(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        quiet(Command::new(&python).args([
            "-m",
            "pip",
            "--disable-pip-version-check",
            "install",
            "-q",
            "etcd3gw==2.7.0",
        ]))?;
    }
    Ok(python)
}

#[test]
fn every_function_of_python_etcd3gw_works() {
    let python = match python() {
        Ok(python) => python,
        Err(missing) => return skipped(format!("there is no Python client: {missing}")),
    };
    let (project, ..) = whole();
    project.write("client.py", SCRIPT);
    let mut command = Command::new(python);
    command.arg(project.path("client.py")).envs(settings(&project));
    // Its library would otherwise use authorities other than the given one.
    command.env_remove("REQUESTS_CA_BUNDLE").env_remove("CURL_CA_BUNDLE").env("NO_PROXY", "*");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = project.start_command(&mut command).wait(Duration::from_secs(90)).ok();
    assert_eq!(output.stdout, "all done\n", "{output}");
}
