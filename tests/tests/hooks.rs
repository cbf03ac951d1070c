//! The hooks of `cluster.js` as the daemon calls them: over gRPC, without machines.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use bytes::Bytes;
use disco_proto::v1::deploy_output::{Finished, Output};
use disco_proto::v1::{
    BlobPart, CopyFileRequest, DeployOutput, DeployRequest, FileEntry, MissingBlobsRequest, MoveLeaderRequest,
    PushScriptRequest, PushScriptResponse, RunCommandRequest, RunCommandResponse, ScriptFailure, StatusResponse,
};
use disco_tests::{Api, RawCluster, SOON, block, wait_for};
use prost::Message;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tonic::{Code, Status, Streaming};

/// A cluster, and its operator.
struct Bed {
    cluster: RawCluster,
    api: Api,
}

/// What a deployment said, and how it ended.
#[derive(Debug, Default)]
struct Said {
    deployment: u64,
    lines: Vec<String>,
    finished: Option<Finished>,
}

impl Bed {
    fn new(nodes: usize) -> Self {
        let cluster = RawCluster::with_nodes(nodes);
        let api = cluster.operator();
        Self { cluster, api }
    }

    /// Asks all nodes until one knows the leader.
    #[track_caller]
    fn status(&self) -> StatusResponse {
        wait_for(SOON, "a status with a leader", || {
            let asked = self.cluster.addresses().into_iter().map(|address| self.api.status(&address));
            let known: Vec<_> = asked.collect();
            let found = known.iter().flatten().find(|status| !status.stale && status.leader != 0);
            found.cloned().ok_or_else(|| format!("{known:?}"))
        })
    }

    fn leader(&self) -> (u64, String) {
        let status = self.status();
        let address = self.address(status.leader);
        (status.leader, address)
    }

    fn address(&self, id: u64) -> String {
        self.status().nodes.into_iter().find(|node| node.id == id).expect("a member").address
    }

    /// A node that does not lead.
    fn follower(&self) -> (u64, String) {
        let status = self.status();
        let node = status.nodes.into_iter().find(|node| node.id != status.leader).expect("several nodes");
        (node.id, node.address)
    }

    fn files(&self, address: &str, files: &[(&str, &str)]) -> Vec<FileEntry> {
        let entries = files.iter().map(|(path, content)| {
            self.send(address, content.as_bytes()).unwrap();
            FileEntry { path: (*path).to_owned(), sha256: hash(content), size: content.len() as u64, mode: 0o644 }
        });
        entries.collect()
    }

    fn send(&self, address: &str, content: &[u8]) -> Result<(), Status> {
        let head = BlobPart { sha256: hash(content), size: content.len() as u64, data: Bytes::new() };
        let data =
            content.chunks(100_000).map(|part| BlobPart { data: Bytes::copy_from_slice(part), ..BlobPart::default() });
        let parts: Vec<_> = std::iter::once(head).chain(data).collect();
        block(self.api.control(address).put_blob(tokio_stream::iter(parts))).map(|_| ())
    }

    fn missing(&self, address: &str, hashes: &[String]) -> Vec<String> {
        let request = MissingBlobsRequest { sha256: hashes.to_vec() };
        block(self.api.control(address).missing_blobs(request)).unwrap().into_inner().sha256
    }

    /// Pushes a `cluster.js` that begins with an `init`.
    fn push(&self, address: &str, hooks: &str) -> Result<PushScriptResponse, Status> {
        let source = format!("export function init() {{ return new Cluster({{ name: 'raw' }}) }}\n{hooks}");
        self.push_files(address, &[("cluster.js", &source)], false)
    }

    fn push_files(&self, address: &str, files: &[(&str, &str)], dry_run: bool) -> Result<PushScriptResponse, Status> {
        let request = PushScriptRequest { files: self.files(address, files), dry_run };
        block(self.api.control(address).push_script(request)).map(tonic::Response::into_inner)
    }

    fn deploy(&self, address: &str, files: &[(&str, &str)]) -> Result<Streaming<DeployOutput>, Status> {
        let variables = HashMap::from([("tag".to_owned(), "v2".to_owned())]);
        let request = DeployRequest { files: self.files(address, files), variables, ..DeployRequest::default() };
        block(self.api.control(address).deploy(request)).map(tonic::Response::into_inner)
    }

    fn run(&self, address: &str, node_id: u64, command: &str, timeout_ms: u32) -> Result<RunCommandResponse, Status> {
        let request = RunCommandRequest { node_id, command: command.to_owned(), timeout_ms };
        block(self.api.control(address).run_command(request)).map(tonic::Response::into_inner)
    }

    fn get(&self, key: &str) -> Option<String> {
        let (_, leader) = self.leader();
        let found = self.api.get(&leader, key, false).ok()??;
        Some(String::from_utf8(found.value.to_vec()).unwrap())
    }

    #[track_caller]
    fn wait_for_key(&self, key: &str) -> String {
        wait_for(SOON, key, || self.get(key).ok_or("no key"))
    }

    fn records(&self, prefix: &str) -> Vec<Value> {
        let (_, leader) = self.leader();
        let found = self.api.list(&leader, prefix, false).unwrap_or_default();
        found.iter().map(|kv| serde_json::from_slice(&kv.value).unwrap()).collect()
    }

    /// Waits for an event of this kind whose JSON holds the text.
    #[track_caller]
    fn wait_for_event(&self, kind: &str, text: &str) -> Value {
        self.wait_long_for_event(SOON, kind, text)
    }

    #[track_caller]
    fn wait_long_for_event(&self, limit: Duration, kind: &str, text: &str) -> Value {
        wait_for(limit, &format!("an event {kind} with {text}"), || {
            let events = self.records("/disco/events/");
            let found = events.iter().rev().find(|event| event["kind"] == kind && event.to_string().contains(text));
            found.cloned().ok_or_else(|| format!("{events:#?}"))
        })
    }

    /// Waits until every node has loaded the version.
    #[track_caller]
    fn wait_for_version(&self, hash: &str) {
        wait_for(SOON, "the version on all nodes", || {
            let status = self.status();
            if status.nodes.iter().all(|node| node.script == hash) { Ok(()) } else { Err(format!("{status:#?}")) }
        });
    }
}

fn hash(content: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(content))
}

/// Follows a deployment until it has ended, or its stream has.
fn follow(mut output: Streaming<DeployOutput>) -> Said {
    let mut said = Said::default();
    block(async {
        while let Ok(Ok(Some(part))) = tokio::time::timeout(SOON, output.message()).await {
            match part.output {
                Some(Output::Started(started)) => said.deployment = started.deployment,
                Some(Output::Line(line)) => said.lines.push(format!("{}: {}", line.level, line.text)),
                Some(Output::Finished(finished)) => said.finished = Some(finished),
                None => {}
            }
        }
    });
    said
}

/// The next part of a deployment's output.
fn next(output: &mut Streaming<DeployOutput>) -> Output {
    let part = block(async { tokio::time::timeout(SOON, output.message()).await });
    part.expect("in time").expect("no failure").expect("not the end").output.expect("not empty")
}

#[test]
fn a_version_is_tried_first_and_then_runs_on_every_node() {
    let bed = Bed::new(3);
    let (_, follower) = bed.follower();
    assert!(bed.status().nodes.iter().all(|node| node.script.is_empty()));

    let pushed = bed.push(&follower, "export function health() { return { healthy: true, reason: 'fine' } }").unwrap();
    assert!(pushed.changed && pushed.script.starts_with("sha256:"), "{pushed:?}");
    assert_eq!(pushed.nodes, [1, 2, 3], "all of them before the answer");
    let before = bed.status();
    assert!(before.script == pushed.script && before.nodes.iter().all(|node| node.script == pushed.script));
    wait_for(SOON, "health records", || match bed.records("/disco/health/").len() {
        3 => Ok(()),
        other => Err(format!("{other} records")),
    });

    let again = bed.push(&follower, "export function health() { return { healthy: true, reason: 'fine' } }").unwrap();
    assert!(!again.changed && again.script == pushed.script && again.nodes == [1, 2, 3], "{again:?}");

    // What cannot be used is refused with its place, and changes nothing.
    for (source, line, message) in [
        ("export function init( {}", 1, "SyntaxError"),
        ("const a = 1;\nexport function init() {\n  throw new TypeError('not today');\n}", 3, "TypeError: not today"),
        ("export function init() { return 7 }", 0, ""),
        ("export function init() { return new Cluster({ name: 'other' }) }", 1, "`raw`"),
        ("import { x } from './missing.js';", 1, "missing.js"),
    ] {
        for dry_run in [true, false] {
            let refused = bed.push_files(&follower, &[("cluster.js", source)], dry_run).expect_err(source);
            assert_eq!(refused.code(), Code::InvalidArgument, "{source}: {refused}");
            let failure = ScriptFailure::decode(refused.details()).unwrap();
            assert_eq!(failure.line, line, "{source}: {failure:?}");
            assert!(failure.message.contains(message), "{source}: {failure:?}");
        }
    }
    let odd = bed.push_files(&follower, &[("client.js", "1")], false).unwrap_err();
    assert!(odd.code() == Code::InvalidArgument && odd.message().contains("no `cluster.js`"), "{odd}");
    assert_eq!(bed.status().script, before.script);

    // A dry run of a good one changes nothing either; an import comes along.
    let files = [
        (
            "cluster.js",
            "import { word } from './lib/word.js';\nexport function health() { return { healthy: false, reason: word } }",
        ),
        ("lib/word.js", "export const word = 'imported';"),
    ];
    let tried = bed.push_files(&follower, &files, true).unwrap();
    assert!(tried.changed && tried.nodes.is_empty(), "{tried:?}");
    assert_eq!(bed.status().script, before.script);
    bed.push_files(&follower, &files, false).unwrap();
    wait_for(SOON, "the imported word as the reason", || {
        let status = bed.status();
        let all = status.nodes.iter().all(|node| !node.healthy && node.reason == "imported");
        if all { Ok(()) } else { Err(format!("{status:#?}")) }
    });
    // Without the hook there is no record, and nodes are healthy.
    let last = bed.push(&follower, "").unwrap();
    bed.wait_for_version(&last.script);
    wait_for(SOON, "health without a hook", || {
        let status = bed.status();
        let none = bed.records("/disco/health/").is_empty();
        if none && status.healthy { Ok(()) } else { Err(format!("{status:#?}")) }
    });
    assert_eq!(bed.records("/disco/scripts/").len(), 3);

    // Of many versions the last five stay; a new leader looks at once.
    let mut last = String::new();
    for number in 0..6 {
        last = bed.push(&follower, &format!("// {number}")).unwrap().script;
    }
    assert_eq!(bed.records("/disco/scripts/").len(), 9);
    block(bed.api.control(&bed.leader().1).move_leader(MoveLeaderRequest { to: 0 })).unwrap();
    wait_for(SOON, "five versions", || {
        let versions = bed.records("/disco/scripts/");
        let numbers: BTreeSet<u64> = versions.iter().filter_map(|version| version["version"].as_u64()).collect();
        if numbers == (5..=9).collect() { Ok(()) } else { Err(format!("{numbers:?}")) }
    });
    assert_eq!(bed.status().script, last);
}

#[test]
fn blobs_are_whole_or_not_there() {
    let bed = Bed::new(1);
    let (_, node) = bed.leader();
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let hashes = [hash(&large), hash("small"), hash("")];
    assert_eq!(bed.missing(&node, &hashes), hashes);
    bed.send(&node, &large).unwrap();
    bed.send(&node, &large).unwrap();
    bed.send(&node, b"").unwrap();
    assert_eq!(bed.missing(&node, &hashes), [hash("small")]);

    let put = |parts: Vec<BlobPart>| block(bed.api.control(&node).put_blob(tokio_stream::iter(parts))).unwrap_err();
    let head = |content: &str, size: u64| BlobPart { sha256: hash(content), size, data: Bytes::from_static(b"small") };
    for (parts, says) in [
        (vec![], "no content"),
        (vec![head("small", 4)], "more content"),
        (vec![head("small", 6)], "5 of the 6"),
        (vec![head("other", 5)], "does not have the checksum"),
        (vec![head("small", 9 << 20)], "8 MiB"),
        (vec![BlobPart { sha256: "x".into(), ..head("small", 5) }], "SHA-256"),
    ] {
        let refused = put(parts);
        assert!(refused.code() == Code::InvalidArgument && refused.message().contains(says), "{says}: {refused}");
    }
    assert_eq!(bed.missing(&node, &hashes), [hash("small")]);
    let absent = FileEntry { path: "cluster.js".into(), sha256: hash("nobody has it"), size: 5, mode: 0o644 };
    let refused = block(bed.api.control(&node).push_script(PushScriptRequest { files: vec![absent], dry_run: false }));
    let refused = refused.unwrap_err();
    assert!(refused.message().contains("not in the cluster"), "{refused}");
}

#[test]
fn a_deployment_runs_and_copies_on_every_node_and_tells_what_it_says() {
    let bed = Bed::new(3);
    let (_, follower) = bed.follower();
    let none = bed.deploy(&follower, &[]).unwrap_err();
    assert!(none.code() == Code::FailedPrecondition && none.message().contains("no `cluster.js`"), "{none}");
    bed.push(&follower, "").unwrap();
    let none = bed.deploy(&follower, &[]).unwrap_err();
    assert!(none.code() == Code::FailedPrecondition && none.message().contains("exports no `deploy`"), "{none}");

    let folder = bed.cluster.folder().join("deployed");
    let hook = format!(
        "export async function deploy(cluster, {{ version, files, variables }}) {{
           console.log(`deployment ${{version}} of ${{cluster}}: ${{files.map((file) => file.path)}} ${{variables.tag}}`);
           for (const node of await cluster.nodes()) {{
             await node.copy('./app/config.txt', `{folder}/${{node.id}}/config.txt`, {{ mode: 0o640 }});
             const {{ code, stdout, stderr }} = await node.run(`cat {folder}/${{node.id}}/config.txt; echo bad >&2; exit 7`);
             console.warn(`${{node.id}}: ${{code}} ${{stdout.trim()}} ${{stderr.trim()}}`);
           }}
           try {{ await (await cluster.leader()).copy('not/there', '/x') }} catch (error) {{ console.log(`${{error.code}}`) }}
           try {{ await cluster.kv.put('/disco/x', '1') }} catch (error) {{ console.log(`${{error.code}}`) }}
           try {{ await (await cluster.leader()).run('sleep 60', {{ timeout: 100 }}) }} catch (error) {{ console.log(`${{error.code}}`) }}
           await cluster.kv.put('deployed', `${{version}}`);
           return {{ of: (await cluster.deployments()).length }};
         }}",
        folder = folder.display()
    );
    bed.push(&follower, &hook).unwrap();
    let said = follow(bed.deploy(&follower, &[("app/config.txt", "one\n")]).unwrap());
    let finished = said.finished.clone().unwrap_or_else(|| panic!("{said:#?}"));
    assert!(finished.succeeded && finished.result == r#"{"of":1}"#, "{said:#?}");
    assert_eq!(said.deployment, 1);
    let expected = [
        "info: deployment 1 of Cluster(raw): app/config.txt v2",
        "warn: 1: 7 one bad",
        "warn: 2: 7 one bad",
        "warn: 3: 7 one bad",
        "info: NOT_FOUND",
        "info: NOT_ALLOWED",
        "info: TIMEOUT",
    ];
    assert_eq!(said.lines, expected, "{said:#?}");
    for id in 1..=3 {
        let file = folder.join(id.to_string()).join("config.txt");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\n");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    }
    assert_eq!(bed.get("deployed").as_deref(), Some("1"));
    bed.wait_for_event("deploy.started", "deployment 1");
    bed.wait_for_event("deploy.finished", "deployment 1");
    let record = &bed.records("/disco/deployments/")[0];
    assert_eq!((&record["state"], &record["id"]), (&Value::from("succeeded"), &Value::from(1)), "{record:#}");
    assert_eq!(record["files"][0]["sha256"], hash("one\n"));

    // One that throws is told with its place.
    bed.push(
        &follower,
        "export async function deploy() {\n  console.log('half way');\n  throw new RangeError('no cake');\n}",
    )
    .unwrap();
    let said = follow(bed.deploy(&follower, &[]).unwrap());
    let finished = said.finished.unwrap();
    let failure = finished.failure.unwrap();
    assert!(!finished.succeeded && finished.error.starts_with("cluster.js:4:"), "{}", finished.error);
    assert_eq!((failure.line, failure.message.as_str()), (4, "RangeError: no cake"));
    assert!(failure.source_line.contains("throw new RangeError"), "{failure:?}");
    assert_eq!((said.deployment, said.lines), (2, vec!["info: half way".to_owned()]));
    bed.wait_for_event("deploy.failed", "no cake");
}

#[test]
fn one_deployment_at_a_time_goes_on_without_its_client_and_ends_with_its_leader() {
    let bed = Bed::new(3);
    let (_, follower) = bed.follower();
    bed.push(
        &follower,
        "export async function deploy(cluster, { version }) {
           console.log('waiting');
           while (!(await cluster.kv.get(`go/${version}`))) await delay(20);
           await cluster.kv.put(`went/${version}`, 'yes');
         }",
    )
    .unwrap();
    let mut first = bed.deploy(&follower, &[]).unwrap();
    assert!(matches!(next(&mut first), Output::Started(started) if started.deployment == 1));
    assert!(matches!(next(&mut first), Output::Line(line) if line.text == "waiting"));
    let second = bed.deploy(&follower, &[]).unwrap_err();
    assert!(
        second.code() == Code::FailedPrecondition && second.message().contains("deployment 1 is running"),
        "{second}"
    );
    // The client goes away.
    drop(first);
    bed.api.put(&bed.cluster.addresses(), "go/1", "now", SOON).unwrap();
    assert_eq!(bed.wait_for_key("went/1"), "yes");
    bed.wait_for_event("deploy.finished", "deployment 1");

    // The leader goes away.
    let mut output = bed.deploy(&follower, &[]).unwrap();
    assert!(matches!(next(&mut output), Output::Started(started) if started.deployment == 2));
    let (old, leader) = bed.leader();
    block(bed.api.control(&leader).move_leader(MoveLeaderRequest { to: 0 })).unwrap();
    let said = follow(output);
    let finished = said.finished.unwrap();
    assert!(!finished.succeeded && finished.error.contains("leader changed"), "{finished:?}");
    wait_for(SOON, "the record of the abandoned run", || {
        let records = bed.records("/disco/deployments/");
        let last = records.last().cloned().unwrap_or_default();
        let ended = last["state"] == "failed" && last["error"] == "leader changed during the run";
        if ended { Ok(()) } else { Err(format!("{last:#}")) }
    });
    assert_ne!(bed.leader().0, old);
    bed.wait_for_event("deploy.failed", "deployment 2");
    // It did not go on where it was begun, and another may begin.
    bed.api.put(&bed.cluster.addresses(), "go/2", "now", SOON).unwrap();
    bed.api.put(&bed.cluster.addresses(), "go/3", "now", SOON).unwrap();
    let (_, follower) = bed.follower();
    let said = follow(bed.deploy(&follower, &[]).unwrap());
    assert!(said.deployment == 3 && said.finished.as_ref().unwrap().succeeded, "{said:?}");
    assert_eq!(bed.get("went/2"), None);
}

#[test]
fn a_deployment_whose_leader_is_killed_is_failed_by_the_next_one() {
    let mut bed = Bed::new(3);
    let (_, follower) = bed.follower();
    bed.push(&follower, "export async function deploy() { console.log('waiting'); while (true) await delay(50); }")
        .unwrap();
    let mut output = bed.deploy(&follower, &[("x", "y")]).unwrap();
    assert!(matches!(next(&mut output), Output::Started(_)));
    assert!(matches!(next(&mut output), Output::Line(_)));
    let (old, leader) = bed.leader();
    let at = bed.cluster.nodes.iter().position(|node| node.address.to_string() == leader).unwrap();
    bed.cluster.nodes[at].kill();
    let said = follow(output);
    assert!(said.finished.is_none(), "the stream ends without a word: {said:?}");
    let failed = bed.wait_for_event("deploy.failed", "leader changed during the run");
    assert_eq!(failed["data"]["deployment"], 1, "{failed:#}");
    let record = &bed.records("/disco/deployments/")[0];
    assert_eq!((&record["state"], &record["leader"]), (&Value::from("failed"), &Value::from(old)), "{record:#}");
    assert!(record["finished_at"].is_string() && record["files"][0]["path"] == "x", "{record:#}");
}

#[test]
fn a_health_hook_that_computes_for_ever_is_ended_and_replaced() {
    // Scripts that compute give way to all else, so on a busy machine it takes long until their time is used up.
    const BUSY: Duration = Duration::from_secs(150);
    let bed = Bed::new(1);
    let (_, node) = bed.leader();
    let looping = bed.push(&node, "export function health() {\n  while (true) {}\n}").unwrap();
    assert!(looping.changed && looping.nodes == [1], "{looping:?}");
    // While it computes the node is not healthy, and everything else goes on.
    wait_for(SOON, "a node that is not healthy", || {
        let status = bed.status();
        let found = !status.nodes[0].healthy && status.nodes[0].reason.contains("`health`");
        if found { Ok(()) } else { Err(format!("{status:#?}")) }
    });
    let failed = bed.wait_long_for_event(BUSY, "script.failed", "without yielding");
    assert_eq!(
        (&failed["data"]["hook"], &failed["data"]["file"]),
        (&Value::from("health"), &Value::from("cluster.js"))
    );
    assert!(failed["data"]["line"].as_u64().is_some_and(|line| (2..=3).contains(&line)), "{failed:#}");
    // The native health holds then.
    wait_for(BUSY, "a healthy node", || {
        let status = bed.status();
        if status.healthy { Ok(()) } else { Err(format!("{status:#?}")) }
    });
    bed.push(&node, "export function health() { return { healthy: false, reason: 'works again' } }").unwrap();
    wait_for(SOON, "the next version's word", || {
        let status = bed.status();
        if status.nodes[0].reason == "works again" { Ok(()) } else { Err(format!("{status:#?}")) }
    });
}

#[test]
fn every_event_is_told_at_least_once_across_leaders_and_failures_end_nothing() {
    let bed = Bed::new(3);
    let (_, follower) = bed.follower();
    bed.push(
        &follower,
        "export async function event(cluster, event) {
           await cluster.kv.put(`told/${event.id}`, event.kind);
           if (event.kind === 'deploy.started') throw new Error('the event hook fell');
         }
         export function deploy() {}
         export async function leader(cluster, node, signal) {
           await cluster.kv.put(`led/${node.id}`, `${cluster} ${node.role} ${signal.aborted}`);
           await new Promise((done) => signal.addEventListener('abort', done));
           await cluster.kv.put(`lost/${node.id}`, String(signal.reason));
         }",
    )
    .unwrap();
    let (old, leader) = bed.leader();
    assert_eq!(bed.wait_for_key(&format!("led/{old}")), "Cluster(raw) leader false");
    follow(bed.deploy(&follower, &[]).unwrap());
    let failed = bed.wait_for_event("script.failed", "the event hook fell");
    assert_eq!(
        (&failed["data"]["hook"], &failed["data"]["line"]),
        (&Value::from("event"), &Value::from(4)),
        "{failed:#}"
    );

    block(bed.api.control(&leader).move_leader(MoveLeaderRequest { to: 0 })).unwrap();
    let lost = bed.wait_for_key(&format!("lost/{old}"));
    assert!(lost.contains("does not lead any more"), "{lost}");
    let (new, _) = bed.leader();
    assert_ne!(new, old);
    assert_eq!(bed.wait_for_key(&format!("led/{new}")), "Cluster(raw) leader false");
    follow(bed.deploy(&follower, &[]).unwrap());
    bed.wait_for_event("deploy.finished", "deployment 2");

    // All since the hook is there, but its own failures.
    wait_for(SOON, "all events told", || {
        let mut events: BTreeMap<u64, Value> = BTreeMap::new();
        for event in bed.records("/disco/events/") {
            events.insert(event["id"].as_u64().unwrap(), event);
        }
        let told = bed.api.list(&bed.leader().1, "told/", false).unwrap_or_default();
        let told: Vec<u64> =
            told.iter().map(|kv| String::from_utf8_lossy(&kv.key["told/".len()..]).parse().unwrap()).collect();
        let first = told.iter().min().copied().ok_or("none was told")?;
        let missed: Vec<&Value> = events
            .range(first..)
            .filter(|(id, event)| !told.contains(id) && event["data"]["hook"] != "event")
            .map(|(_, event)| event)
            .collect();
        let own = events
            .values()
            .any(|event| event["data"]["hook"] == "event" && told.contains(&event["id"].as_u64().unwrap()));
        assert!(!own, "it was told of its own failure");
        if missed.is_empty() { Ok(()) } else { Err(format!("not told: {missed:#?}")) }
    });
    // A new version ends the call of the one before, and what a hook that has returned left behind.
    bed.push(
        &follower,
        "export function leader(cluster, node, signal) {
           signal.addEventListener('abort', () => cluster.kv.put('left', signal.reason.message));
         }",
    )
    .unwrap();
    bed.push(&follower, "export function leader() { throw new Error('a bad leader') }").unwrap();
    assert!(bed.wait_for_key(&format!("lost/{new}")).contains("new script version"));
    assert!(bed.wait_for_key("left").contains("new script version"));
    bed.wait_for_event("script.failed", "a bad leader");
}

#[test]
fn commands_and_files_go_to_the_node_that_is_named() {
    let bed = Bed::new(3);
    let (id, follower) = bed.follower();
    let (leader_id, leader) = bed.leader();
    for (address, node) in [(&follower, id), (&follower, leader_id), (&leader, id), (&leader, 0)] {
        // Its parent is the daemon.
        let output =
            bed.run(address, node, "cat /proc/$PPID/cmdline | tr '\\0' ' '; echo $PWD >&2; exit 3", 0).unwrap();
        let listening = format!("--listen {}", bed.address(if node == 0 { leader_id } else { node }));
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.code == 3 && stdout.contains(&listening) && !output.stderr.is_empty(), "{output:?}");
    }
    let hung = bed.run(&follower, leader_id, "echo begun; sleep 100", 300).unwrap();
    assert!(hung.timed_out && hung.code == 137 && hung.stdout == "begun\n", "{hung:?}");
    assert_eq!(bed.run(&follower, 77, "true", 0).unwrap_err().code(), Code::NotFound);
    assert_eq!(bed.run(&follower, id, " ", 0).unwrap_err().code(), Code::InvalidArgument);
    let long = bed.run(&follower, leader_id, "head -c 2000000 /dev/zero", 0).unwrap();
    assert!(long.truncated && long.stdout.len() == 1 << 20);

    let target = bed.cluster.folder().join("copied/file");
    let content: Vec<u8> = (0..2_500_000_u32).map(|n| (n % 251) as u8).collect();
    let copy = |path: &str, sha256: String| {
        for (number, part) in content.chunks(1 << 20).enumerate() {
            let request = CopyFileRequest {
                node_id: leader_id,
                path: path.to_owned(),
                mode: 0o755,
                data: Bytes::copy_from_slice(part),
                offset: (number << 20) as u64,
                size: content.len() as u64,
                sha256: sha256.clone(),
            };
            block(bed.api.control(&follower).copy_file(request))?;
        }
        Ok::<_, Status>(())
    };
    copy(target.to_str().unwrap(), hash(&content)).unwrap();
    assert!(std::fs::read(&target).unwrap() == content);
    assert_eq!(target.metadata().unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(copy("relative", hash(&content)).unwrap_err().code(), Code::InvalidArgument);
    let wrong = copy(target.to_str().unwrap(), hash("other")).unwrap_err();
    assert!(wrong.code() == Code::InvalidArgument && wrong.message().contains("checksum"), "{wrong}");
    assert!(std::fs::read(&target).unwrap() == content);

    // A command does not outlive the daemon that runs it.
    let mark = bed.cluster.folder().join("pid");
    let request = RunCommandRequest {
        node_id: 0,
        command: format!("echo $$ > {0}.tmp && mv {0}.tmp {0}; sleep 1000", mark.display()),
        timeout_ms: 0,
    };
    let mut control = bed.api.control(&follower);
    let running = std::thread::spawn(move || block(control.run_command(request)));
    let pid = wait_for(SOON, "the command", || std::fs::read_to_string(&mark));
    let mut bed = bed;
    let at = bed.cluster.nodes.iter().position(|node| node.address.to_string() == follower).unwrap();
    bed.cluster.nodes[at].kill();
    wait_for(Duration::from_secs(5), "the command's end", || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") { Ok(()) } else { Err(stat) }
    });
    assert!(running.join().unwrap().is_err());
}
