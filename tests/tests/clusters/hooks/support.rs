//! A cluster of daemons without machines, and its operator's requests.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use disco_proto::v1::deploy_output::{Finished, Output};
use disco_proto::v1::{
    BlobPart, DeployOutput, DeployRequest, FileEntry, MissingBlobsRequest, PushScriptRequest, PushScriptResponse,
    RunCommandRequest, RunCommandResponse, StatusResponse,
};
use disco_tests::{Api, RawCluster, SOON, block, wait_for};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tonic::{Status, Streaming};

/// A cluster, and its operator.
pub(crate) struct Bed {
    pub(crate) cluster: RawCluster,
    pub(crate) api: Api,
}

/// The output of a deployment, and its result.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    pub(crate) deployment: u64,
    pub(crate) lines: Vec<String>,
    pub(crate) finished: Option<Finished>,
}

impl Bed {
    pub(crate) fn new(nodes: usize) -> Self {
        let cluster = RawCluster::with_nodes(nodes);
        let api = cluster.operator();
        Self { cluster, api }
    }

    /// Calls all nodes until one knows the leader.
    #[track_caller]
    pub(crate) fn status(&self) -> StatusResponse {
        wait_for(SOON, "a status with a leader", || {
            let asked = self.cluster.addresses().into_iter().map(|address| self.api.status(&address));
            let known: Vec<_> = asked.collect();
            let found = known.iter().flatten().find(|status| !status.stale && status.leader != 0);
            found.cloned().ok_or_else(|| format!("{known:?}"))
        })
    }

    pub(crate) fn leader(&self) -> (u64, String) {
        let status = self.status();
        let address = self.address(status.leader);
        (status.leader, address)
    }

    pub(crate) fn address(&self, id: u64) -> String {
        self.status().nodes.into_iter().find(|node| node.id == id).expect("a member").address
    }

    /// A node that does not lead.
    pub(crate) fn follower(&self) -> (u64, String) {
        let status = self.status();
        let node = status.nodes.into_iter().find(|node| node.id != status.leader).expect("several nodes");
        (node.id, node.address)
    }

    pub(crate) fn files(&self, address: &str, files: &[(&str, &str)]) -> Vec<FileEntry> {
        let entries = files.iter().map(|(path, content)| {
            self.send(address, content.as_bytes()).unwrap();
            FileEntry { path: (*path).to_owned(), sha256: hash(content), size: content.len() as u64, mode: 0o644 }
        });
        entries.collect()
    }

    pub(crate) fn send(&self, address: &str, content: &[u8]) -> Result<(), Status> {
        let head = BlobPart { sha256: hash(content), size: content.len() as u64, data: Bytes::new() };
        let data =
            content.chunks(100_000).map(|part| BlobPart { data: Bytes::copy_from_slice(part), ..BlobPart::default() });
        let parts: Vec<_> = std::iter::once(head).chain(data).collect();
        block(self.api.control(address).put_blob(tokio_stream::iter(parts))).map(|_| ())
    }

    pub(crate) fn missing(&self, address: &str, hashes: &[String]) -> Vec<String> {
        let request = MissingBlobsRequest { sha256: hashes.to_vec() };
        block(self.api.control(address).missing_blobs(request)).unwrap().into_inner().sha256
    }

    /// Pushes a `cluster.js` that begins with an `init`.
    pub(crate) fn push(&self, address: &str, hooks: &str) -> Result<PushScriptResponse, Status> {
        let source = format!("export function init() {{ return new Cluster({{ name: 'raw' }}) }}\n{hooks}");
        self.push_files(address, &[("cluster.js", &source)], false)
    }

    pub(crate) fn push_files(
        &self,
        address: &str,
        files: &[(&str, &str)],
        dry_run: bool,
    ) -> Result<PushScriptResponse, Status> {
        let request = PushScriptRequest { files: self.files(address, files), dry_run };
        block(self.api.control(address).push_script(request)).map(tonic::Response::into_inner)
    }

    pub(crate) fn deploy(&self, address: &str, files: &[(&str, &str)]) -> Result<Streaming<DeployOutput>, Status> {
        let variables = HashMap::from([("tag".to_owned(), "v2".to_owned())]);
        let request = DeployRequest { files: self.files(address, files), variables, ..DeployRequest::default() };
        block(self.api.control(address).deploy(request)).map(tonic::Response::into_inner)
    }

    pub(crate) fn run(
        &self,
        address: &str,
        node_id: u64,
        command: &str,
        timeout_ms: u32,
    ) -> Result<RunCommandResponse, Status> {
        let request = RunCommandRequest { node_id, command: command.to_owned(), timeout_ms };
        block(self.api.control(address).run_command(request)).map(tonic::Response::into_inner)
    }

    pub(crate) fn get(&self, key: &str) -> Option<String> {
        let (_, leader) = self.leader();
        let found = self.api.get(&leader, key, false).ok()??;
        Some(String::from_utf8(found.value.to_vec()).unwrap())
    }

    #[track_caller]
    pub(crate) fn wait_for_key(&self, key: &str) -> String {
        wait_for(SOON, key, || self.get(key).ok_or("no key"))
    }

    pub(crate) fn records(&self, prefix: &str) -> Vec<Value> {
        let (_, leader) = self.leader();
        let found = self.api.list(&leader, prefix, false).unwrap_or_default();
        found.iter().map(|kv| serde_json::from_slice(&kv.value).unwrap()).collect()
    }

    /// Waits for an event of this kind whose JSON contains the text.
    #[track_caller]
    pub(crate) fn wait_for_event(&self, kind: &str, text: &str) -> Value {
        self.wait_long_for_event(SOON, kind, text)
    }

    #[track_caller]
    pub(crate) fn wait_long_for_event(&self, limit: Duration, kind: &str, text: &str) -> Value {
        wait_for(limit, &format!("an event {kind} with {text}"), || {
            let events = self.records("/disco/events/");
            let found = events.iter().rev().find(|event| event["kind"] == kind && event.to_string().contains(text));
            found.cloned().ok_or_else(|| format!("{events:#?}"))
        })
    }

    /// The record of the first deployment, once it has this state.
    #[track_caller]
    pub(crate) fn wait_for_deployment(&self, state: &str) -> Value {
        wait_for(SOON, &format!("a deployment that has {state}"), || {
            let record = self.records("/disco/deployments/").into_iter().next().unwrap_or_default();
            if record["state"] == state { Ok(record) } else { Err(format!("{record:#}")) }
        })
    }

    /// Waits until every node has loaded the version.
    #[track_caller]
    pub(crate) fn wait_for_version(&self, hash: &str) {
        wait_for(SOON, "the version on all nodes", || {
            let status = self.status();
            if status.nodes.iter().all(|node| node.script == hash) { Ok(()) } else { Err(format!("{status:#?}")) }
        });
    }
}

pub(crate) fn hash(content: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(content))
}

/// Follows a deployment until it has ended, or its stream has.
pub(crate) fn follow(mut output: Streaming<DeployOutput>) -> Followed {
    let mut said = Followed::default();
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
pub(crate) fn next(output: &mut Streaming<DeployOutput>) -> Output {
    let part = block(async { tokio::time::timeout(SOON, output.message()).await });
    part.expect("in time").expect("no failure").expect("not the end").output.expect("not empty")
}
