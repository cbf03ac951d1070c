//! Full disks, and the disk use of a node.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use disco_proto::v1::command::Operation;
use disco_proto::v1::{DeleteRangeRequest, StatusResponse};
use disco_tests::{Api, RawCluster, SOON, Tmpfs, block, wait_for};
use tonic::Code;

const MIB: u64 = 1 << 20;
/// Size of a node's own small disk.
const DISK: u64 = 96 * MIB;

/// A cluster whose nodes have separate small disks, which are unmounted after the nodes have ended.
struct Small {
    cluster: RawCluster,
    disks: Vec<Tmpfs>,
}

impl Small {
    fn with_nodes(count: usize) -> Option<Self> {
        let mut small = Self { cluster: RawCluster::empty(), disks: Vec::new() };
        for index in 0..count {
            let node = small.cluster.node();
            small.disks.push(Tmpfs::mount(&node.data, DISK)?);
            match index {
                0 => small.cluster.begin(node),
                _ => small.cluster.join_as(node),
            }
        }
        Some(small)
    }

    /// Index of the leader.
    fn leader(&self) -> usize {
        usize::try_from(self.cluster.wait_for_members(self.cluster.nodes.len()).leader).unwrap() - 1
    }

    fn address(&self, index: usize) -> String {
        self.cluster.nodes[index].address.to_string()
    }
}

/// One put at one node, without retries.
fn put(api: &Api, address: &str, key: &str, value: &str) -> Result<(), tonic::Status> {
    api.propose(address, Api::put_command(key, value)).map(|_| ())
}

fn wait_until_written(api: &Api, address: &str, key: &str) {
    wait_for(SOON, "a write to be taken", || put(api, address, key, "x").map_err(|status| status.to_string()));
}

#[test]
fn a_single_node_refuses_writes_on_a_full_disk_and_accepts_them_again_with_free_space() {
    let Some(small) = Small::with_nodes(1) else { return };
    let api = small.cluster.operator();
    let address = small.address(0);
    let pid = small.cluster.nodes[0].pid();
    put(&api, &address, "before", "1").unwrap();
    // No byte is free.
    small.disks[0].fill(0);
    let refused = wait_for(SOON, "a refusal", || match put(&api, &address, "full", "x") {
        Err(status) if status.code() == Code::ResourceExhausted => Ok(status),
        other => Err(format!("{other:?}")),
    });
    assert!(refused.message().contains("disk of raw-1 is full"), "{refused}");
    assert!(refused.message().contains("hint: free space there"), "{refused}");
    // The node runs, reads, and reports the reason.
    assert_eq!(api.get(&address, "before", false).unwrap().unwrap().value, "1");
    wait_for(SOON, "the reason", || match api.status(&address) {
        Ok(status) if !status.healthy && status.nodes[0].reason.contains("disk is full") => Ok(()),
        other => Err(format!("{other:#?}")),
    });
    // Deletes are accepted: they free space.
    let delete = DeleteRangeRequest { key: "before".into(), ..DeleteRangeRequest::default() };
    api.propose(&address, Api::command(Operation::DeleteRange(delete))).unwrap();
    small.disks[0].empty();
    wait_until_written(&api, &address, "after");
    let status = small.cluster.wait_for_members(1);
    assert_eq!(status.nodes[0].pid, pid, "it was started again");
}

#[test]
fn a_leader_with_a_full_disk_hands_over_and_writes_continue() {
    let Some(small) = Small::with_nodes(3) else { return };
    let api = small.cluster.operator();
    let old = small.leader();
    let addresses = small.cluster.addresses();
    let pids: Vec<_> = small.cluster.nodes.iter().map(disco_tests::RawNode::pid).collect();
    api.put(&addresses, "before", "1", SOON).unwrap();
    small.disks[old].fill(0);
    let other = &addresses[(old + 1) % 3];
    let new = wait_for(SOON, "another leader", || match api.status(other) {
        Ok(status) if status.leader != 0 && status.leader != old as u64 + 1 => Ok(status.leader),
        other => Err(format!("{other:#?}")),
    });
    for number in 0..200 {
        let (key, value) = (format!("full/{number}"), "x".repeat(10_000));
        api.put(&addresses, &key, &value, SOON).unwrap_or_else(|error| panic!("{key}: {error}"));
    }
    let is_full = |status: &StatusResponse| {
        status.nodes.iter().any(|node| node.id == old as u64 + 1 && node.reason.contains("disk is full"))
    };
    wait_for(SOON, "the reason", || match api.status(other) {
        Ok(status) if is_full(&status) => Ok(()),
        other => Err(format!("{other:#?}")),
    });
    small.disks[old].empty();
    small.cluster.wait_for_members(3);
    let last = api.put(&addresses, "after", "1", SOON).unwrap();
    for (address, pid) in addresses.iter().zip(&pids) {
        api.wait_for_revision(SOON, address, last);
        assert_eq!(api.list(address, "full/", true).unwrap().len(), 200, "at {address}");
        wait_for(SOON, &format!("the same process {pid}"), || match api.status(address) {
            Ok(status) if status.nodes.iter().any(|node| node.pid == *pid) => Ok(()),
            other => Err(format!("{other:#?}")),
        });
    }
    println!("node {} led while the disk of node {} was full", new, old + 1);
}

#[test]
fn with_a_majority_of_full_disks_writes_are_refused_until_there_is_space() {
    let Some(small) = Small::with_nodes(3) else { return };
    let api = small.cluster.operator();
    let leader = small.leader();
    let addresses = small.cluster.addresses();
    let full = [(leader + 1) % 3, (leader + 2) % 3];
    for index in full {
        small.disks[index].fill(0);
    }
    for address in &addresses {
        let refused = wait_for(SOON, "a refusal", || match put(&api, address, "refused", "x") {
            Err(status) if status.code() == Code::ResourceExhausted => Ok(status),
            other => Err(format!("{other:?}")),
        });
        assert!(refused.message().contains("is full"), "{refused}");
    }
    assert!(api.get(&addresses[leader], "refused", false).is_ok(), "reads go on");
    small.disks[full[0]].empty();
    wait_until_written(&api, &addresses[leader], "one-is-back");
    small.disks[full[1]].empty();
    small.cluster.wait_for_members(3);
    wait_until_written(&api, &addresses[full[1]], "both-are-back");
}

#[test]
fn a_node_that_starts_on_a_full_disk_waits_for_free_space() {
    let Some(mut small) = Small::with_nodes(1) else { return };
    let api = small.cluster.operator();
    let address = small.address(0);
    put(&api, &address, "before", "1").unwrap();
    small.cluster.nodes[0].kill();
    small.disks[0].fill(0);
    small.cluster.nodes[0].start();
    wait_for(SOON, "its answer", || match api.get(&address, "before", false) {
        Ok(Some(_)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    wait_for(SOON, "a refusal", || match put(&api, &address, "full", "x") {
        Err(status) if status.code() == Code::ResourceExhausted => Ok(()),
        Ok(()) => panic!("it was written on a full disk"),
        other => Err(format!("{other:?}")),
    });
    // It stops when requested.
    let code = small.cluster.nodes[0].stop(SOON);
    assert_eq!(code, 0, "{}", small.cluster.nodes[0].log());
    small.disks[0].empty();
    small.cluster.nodes[0].start();
    wait_until_written(&api, &address, "after");
}

/// Disk use of a folder in bytes.
fn taken(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => taken(&entry.path()),
        // A file may be removed meanwhile.
        metadata => metadata.map_or(0, |metadata| metadata.blocks() * 512),
    });
    sizes.sum()
}

#[test]
fn steady_writes_use_at_most_64_mib_of_disk() {
    const LIMIT: u64 = 64 * MIB;
    let cluster = RawCluster::with_nodes(3);
    let api = cluster.operator();
    let addresses = cluster.addresses();
    let most = || cluster.nodes.iter().map(|node| taken(&node.data)).max().unwrap();
    let mut peak = 0;
    // Many small values, then few large ones, all with the same keys.
    for (count, clients, size) in [(4_000_usize, 64, 1024), (300, 2, 250_000)] {
        let start = Instant::now();
        let mut left = count;
        while left > 0 {
            let round = left.min(clients * 8);
            block(async {
                let tasks: Vec<_> = (0..clients)
                    .map(|client| {
                        let (api, addresses) = (api.clone(), addresses.clone());
                        tokio::spawn(async move {
                            let controls: Vec<_> = addresses.iter().map(|address| api.control(address)).collect();
                            for number in 0..round / clients {
                                let key = format!("steady/{client}/{}", number % 2);
                                let value = "v".repeat(size);
                                let written =
                                    api.put_with(controls.clone(), &key, &value, Duration::from_secs(60)).await;
                                written.unwrap_or_else(|error| panic!("{key}: {error}"));
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await.unwrap();
                }
            });
            left -= round;
            peak = peak.max(most());
            assert!(peak <= LIMIT, "{} MiB after {} writes of {size} bytes", peak / MIB, count - left);
        }
        println!("{count} writes of {size} bytes in {:?}, at most {} MiB so far", start.elapsed(), peak / MIB);
    }
}
