//! Programs on the disks of nodes: large ones, their way from node to node, and what keeps them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use bytes::Bytes;
use disco_proto::v1::change_workloads_request::Change;
use disco_proto::v1::{
    Artifact, ArtifactPart, ArtifactProgress, BlobPart, ChangeWorkloadsRequest, DeployService, DeployStack,
    HoldArtifactRequest, MissingArtifactsRequest, ReadArtifactRequest,
};
use disco_tests::{Api, Permit, SOON, block, wait_for};
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tonic::{Code, Status};

use super::support::{Bed, Stack};

const MIB: usize = 1 << 20;

/// Adds a program to the project: the sample with bytes behind it that cannot be compressed.
fn add_large(bed: &Bed, name: &str, bytes: usize, seed: u64) -> String {
    let mut program = fs::read(bed.project.path("bin/sample")).unwrap();
    let at = program.len();
    program.resize(at + bytes, 0);
    StdRng::seed_from_u64(seed).fill_bytes(&mut program[at..]);
    let path = bed.project.path("bin").join(name);
    fs::copy(bed.project.path("bin/sample"), &path).unwrap();
    fs::File::create(&path).unwrap().write_all(&program).unwrap();
    hex::encode(Sha256::digest(&program))
}

/// Resident memory of a process in bytes.
fn resident(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

fn all_resident(bed: &Bed) -> Vec<usize> {
    bed.cluster.nodes.iter().map(|node| resident(node.pid())).collect()
}

/// Files on a node's disk with this content.
fn files(bed: &Bed, node: usize, sha256: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(bed.cluster.nodes[node].data.join("artifacts")).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(sha256)).collect()
}

#[track_caller]
fn wait_for_file(bed: &Bed, node: usize, sha256: &str) -> PathBuf {
    wait_for(SOON, &format!("the content on node {node}"), || {
        let found = files(bed, node, sha256);
        let good = found.iter().find(|path| hex::encode(Sha256::digest(fs::read(path).unwrap())) == sha256);
        good.cloned().ok_or_else(|| format!("{found:?}\n{}", bed.cluster.nodes[node].log()))
    })
}

fn artifact(content: &[u8]) -> Artifact {
    Artifact { sha256: hex::encode(Sha256::digest(content)), size: content.len() as u64, mode: 0o755 }
}

/// Sends a content as far as `until`, from where the node continues. Returns where that was.
fn put(api: &Api, address: &str, content: &[u8], until: usize) -> Result<u64, Status> {
    block(async {
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        let head = ArtifactPart { artifact: Some(artifact(content)), ..ArtifactPart::default() };
        sender.send(head).await.unwrap();
        let parts = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let mut answers = api.control(address).put_artifact(parts).await?.into_inner();
        let ArtifactProgress { received, .. } = answers.message().await?.expect("where to begin");
        let begin = usize::try_from(received).unwrap().min(until);
        for part in content[begin..until].chunks(64 << 10) {
            let part = ArtifactPart { artifact: None, data: Bytes::copy_from_slice(part) };
            sender.send(part).await.map_err(|error| Status::cancelled(error.to_string()))?;
        }
        drop(sender);
        while answers.message().await?.is_some() {}
        Ok(received)
    })
}

fn missing(api: &Api, address: &str, content: &[u8], here: bool) -> Result<Vec<String>, Status> {
    let request = MissingArtifactsRequest { artifacts: vec![artifact(content)], here };
    block(api.control(address).missing_artifacts(request)).map(|answer| answer.into_inner().sha256)
}

#[test]
fn a_large_program_costs_disk_and_no_memory() {
    let _permit = Permit::alone();
    let mut bed = Bed::deployed();
    let small = all_resident(&bed);
    let sha256 = add_large(&bed, "large", 40 * MIB, 1);
    let large = bed.deploy(&Stack { path: "./bin/large", ..Stack::new("v2") }).ok();
    let after = all_resident(&bed);
    println!("40 MiB took {:.1} s; resident bytes before {small:?}, after {after:?}", large.took.as_secs_f64());
    for (before, after) in small.iter().zip(&after) {
        assert!(*after < before + 8 * MIB, "{small:?} became {after:?}");
    }
    for node in 0..3 {
        wait_for_file(&bed, node, &sha256);
    }
    // A node that was added afterwards.
    bed.cluster.join();
    let addresses: BTreeSet<String> = bed.cluster.addresses().into_iter().collect();
    wait_for(SOON, "what the new node has for tasks", || {
        let known = bed.api.list(&bed.cluster.addresses()[0], "/disco/capacities/", false);
        let count = known.map_err(|status| status.to_string())?.len();
        if count == addresses.len() { Ok(()) } else { Err(format!("{count}")) }
    });
    bed.project.disco(&["scale", "web=4"]).ok();
    let tasks = bed.ps();
    let on_new = |task: &Value| task["node"] == 4 && task["healthy"] == true && task["service"] == "web";
    assert!(tasks.iter().any(on_new), "{tasks:#?}");
    wait_for_file(&bed, 3, &sha256);

    // A file that was damaged on the disk of a voter.
    let damaged = files(&bed, 1, &sha256).pop().expect("the file");
    fs::write(&damaged, "damaged").unwrap();
    wait_for_file(&bed, 1, &sha256);
    // And one that is gone, while the daemon does not run.
    bed.cluster.nodes[2].kill();
    for file in files(&bed, 2, &sha256) {
        fs::remove_file(file).unwrap();
    }
    bed.cluster.nodes[2].start();
    wait_for_file(&bed, 2, &sha256);
}

#[test]
fn a_program_survives_the_death_of_the_node_that_received_it() {
    let mut bed = Bed::new();
    add_large(&bed, "large", 12 * MIB, 2);
    let program = fs::read(bed.project.path("bin/large")).unwrap();
    let leader = bed.leader();
    let status = bed.api.status(&bed.cluster.addresses()[0]).unwrap();
    let receiver = status.nodes.iter().find(|node| node.id != leader).expect("a follower").address.clone();
    put(&bed.api, &receiver, &program, program.len()).unwrap();
    let dead = bed.cluster.nodes.iter().position(|node| node.address.to_string() == receiver).expect("a node");
    bed.cluster.nodes[dead].kill();
    let others: Vec<String> = bed.cluster.addresses().into_iter().filter(|address| *address != receiver).collect();
    let here = others.iter().filter(|address| missing(&bed.api, address, &program, true).unwrap().is_empty());
    assert!(here.count() >= 1, "one more than the receiver has it");
    bed.deploy(&Stack { path: "./bin/large", copies: 2, ..Stack::new("v1") }).ok();
    let sha256 = artifact(&program).sha256;
    for node in (0..3).filter(|node| *node != dead) {
        wait_for_file(&bed, node, &sha256);
    }
    // The dead one catches up when it returns, also after it has lost it.
    for file in files(&bed, dead, &sha256) {
        fs::remove_file(file).unwrap();
    }
    bed.cluster.nodes[dead].start();
    wait_for_file(&bed, dead, &sha256);
}

#[test]
fn a_program_may_have_any_mode() {
    let bed = Bed::new();
    let sha256 = add_large(&bed, "large", MIB, 30);
    for (mode, version) in [(0o555, "v1"), (0o777, "v2"), (0o755, "v3")] {
        fs::set_permissions(bed.project.path("bin/large"), fs::Permissions::from_mode(mode)).unwrap();
        bed.deploy(&Stack { path: "./bin/large", ..Stack::new(version) }).ok();
        bed.wait_for_version(version);
    }
    for node in 0..3 {
        wait_for_file(&bed, node, &sha256);
    }
}

#[test]
fn earlier_programs_stay_for_a_rollback() {
    let bed = Bed::new();
    let versions = ["v1", "v2", "v3", "v4"];
    let mut hashes = Vec::new();
    for (seed, version) in versions.into_iter().enumerate() {
        hashes.push(add_large(&bed, "large", MIB, seed as u64 + 10));
        bed.deploy(&Stack { path: "./bin/large", ..Stack::new(version) }).ok();
    }
    bed.wait_for_version("v4");
    for node in 0..3 {
        for sha256 in &hashes {
            wait_for_file(&bed, node, sha256);
        }
    }
    fs::remove_file(bed.project.path("bin/large")).unwrap();
    bed.project.disco(&["rollback", "shop", "--to", "1"]).ok();
    bed.wait_for_version("v1");
}

#[test]
fn an_upload_continues_and_a_wrong_one_leaves_nothing() {
    let bed = Bed::new();
    let address = &bed.cluster.addresses()[0];
    let mut content = vec![0; 2 * MIB];
    StdRng::seed_from_u64(20).fill_bytes(&mut content);
    // A client that sends half of it leaves that half.
    let half = put(&bed.api, address, &content, MIB).unwrap_err();
    assert_eq!(half.code(), Code::InvalidArgument, "{half}");
    assert!(half.message().contains("1048576 of the announced 2097152 bytes"), "{half}");
    assert_eq!(missing(&bed.api, address, &content, false).unwrap().len(), 1);
    assert_eq!(put(&bed.api, address, &content, content.len()).unwrap(), MIB as u64);
    assert!(missing(&bed.api, address, &content, false).unwrap().is_empty());
    // A second one sends nothing.
    assert_eq!(put(&bed.api, address, &content, content.len()).unwrap(), content.len() as u64);

    let wrong = Artifact { sha256: "0".repeat(64), ..artifact(b"wrong") };
    let parts = [
        ArtifactPart { artifact: Some(wrong.clone()), ..ArtifactPart::default() },
        ArtifactPart { artifact: None, data: Bytes::from_static(b"wrong") },
    ];
    let refused = block(async {
        let mut answers = bed.api.control(address).put_artifact(tokio_stream::iter(parts)).await?.into_inner();
        while answers.message().await?.is_some() {}
        Ok::<(), Status>(())
    });
    assert!(refused.unwrap_err().message().contains("does not match the checksum"));
    assert!(files(&bed, 0, &wrong.sha256).is_empty());
    let large = Artifact { size: (1 << 30) + 1, ..artifact(b"") };
    let request = MissingArtifactsRequest { artifacts: vec![large], here: false };
    let refused = block(bed.api.control(address).missing_artifacts(request)).unwrap_err();
    assert!(refused.message().contains("expected at most 1073741824 (1024 MiB)"), "{refused}");

    // Only operators and nodes send and read, and only nodes make others fetch.
    let joining = bed.cluster.as_join("any");
    assert_eq!(put(&joining, address, &content, 0).unwrap_err().code(), Code::PermissionDenied);
    let read = ReadArtifactRequest { sha256: artifact(&content).sha256, size: 1, offset: 0 };
    assert_eq!(block(joining.control(address).read_artifact(read)).unwrap_err().code(), Code::PermissionDenied);
    let hold = HoldArtifactRequest { artifact: Some(artifact(&content)), node_id: 1 };
    assert_eq!(block(bed.api.control(address).hold_artifact(hold)).unwrap_err().code(), Code::PermissionDenied);
}

#[test]
fn files_over_the_limit_are_refused() {
    let bed = Bed::new();
    let large = fs::File::create(bed.project.path("bin/huge")).unwrap();
    large.set_len((1 << 30) + (5 << 20)).unwrap();
    bed.deploy(&Stack { path: "./bin/huge", ..Stack::new("v1") })
        .expect(2)
        .says(&["`huge` of the service `web` has 1029.0 MiB: a file has at most 1024 MiB", "stack.yml"]);
}

/// As the previous version of Disco deployed.
#[test]
fn contents_in_the_store_still_start() {
    let bed = Bed::deployed();
    let address = &bed.cluster.addresses()[0];
    let script = b"#!/bin/sh\nexec sleep 1000\n";
    let name = hex::encode(Sha256::digest(script));
    let blob = BlobPart { sha256: name.clone(), size: script.len() as u64, data: Bytes::from_static(script) };
    block(bed.api.control(address).put_blob(tokio_stream::iter([blob]))).unwrap();
    let groups = bed.api.list(address, "/disco/groups/", false).unwrap();
    let groups = groups.iter().map(|kv| serde_json::from_slice::<Value>(&kv.value).unwrap());
    let mut spec = groups.into_iter().find(|group| group["service"] == "web").expect("a version")["spec"].clone();
    spec["health"] = Value::Null;
    spec["process"]["program"] = json!("old");
    spec["process"]["files"] = json!([{ "path": "old", "sha256": name, "size": script.len(), "mode": 0o755 }]);
    let service = DeployService {
        name: "web".to_owned(),
        hash: "sha256:old".to_owned(),
        spec: serde_json::to_vec(&spec).unwrap().into(),
        copies: serde_json::to_vec(&json!({ "number": 3 })).unwrap().into(),
    };
    let deploy = DeployStack { stack: "old".to_owned(), services: vec![service] };
    let request = ChangeWorkloadsRequest { dry_run: false, change: Some(Change::Deploy(deploy)) };
    block(bed.api.control(address).change_workloads(request)).unwrap();
    wait_for(SOON, "three tasks of it", || {
        let tasks = bed.ps();
        let old = tasks.iter().filter(|task| task["stack"] == "old" && task["state"] == "running");
        if old.count() == 3 { Ok(()) } else { Err(format!("{tasks:#?}")) }
    });
}
