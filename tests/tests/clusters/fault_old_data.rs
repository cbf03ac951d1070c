//! This version reads the data of older versions.
//!
//! `tests/fixtures/data-NAME.tgz` is the data folder of a cluster of one node, killed after 1,200 writes to 40 keys. To make one before
//! a change of the format: `DISCO_TEST_BINARIES=DIR cargo test -p disco-tests --test clusters -- --ignored fault_old_data::`, where `DIR`
//! has the binaries of the old version; then rename the file and add it to the test.

use std::path::{Path, PathBuf};
use std::process::Command;

use disco_tests::{RawCluster, SOON, wait_for};

const WRITES: usize = 1200;
const KEYS: usize = 40;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(format!("data-{name}.tgz"))
}

fn tar(args: &[&str], file: &Path, folder: &Path, what: &[&str]) {
    let done = Command::new("tar").args(args).arg(file).arg("-C").arg(folder).args(what).status().unwrap();
    assert!(done.success(), "{}", file.display());
}

#[test]
#[ignore = "writes a fixture anew"]
fn write_a_fixture() {
    let mut cluster = RawCluster::found();
    let (api, addresses) = (cluster.operator(), cluster.addresses());
    for number in 0..WRITES {
        api.put(&addresses, &format!("kept/{:02}", number % KEYS), &format!("value {number}"), SOON).unwrap();
    }
    // Enough bytes for a snapshot, without further keys.
    for number in 0..10 {
        api.put(&addresses, "filler", &number.to_string().repeat(1 << 20), SOON).unwrap();
    }
    wait_for(SOON, "a snapshot", || {
        let snapshots = cluster.nodes[0].data.join("snapshots");
        if snapshots.read_dir().unwrap().flatten().any(|file| file.path().extension().is_some_and(|e| e == "snapshot"))
        {
            Ok(())
        } else {
            Err("none")
        }
    });
    cluster.nodes[0].kill();
    tar(&["czf"], &fixture("new"), &cluster.nodes[0].data, &["raft.redb", "raft.journal", "log.mark", "snapshots"]);
}

fn opens(name: &str) {
    let mut cluster = RawCluster::empty();
    let node = cluster.node();
    std::fs::create_dir(&node.data).unwrap();
    tar(&["xzf"], &fixture(name), &node.data, &[]);
    cluster.begin(node);
    let (api, addresses) = (cluster.operator(), cluster.addresses());
    let check = |address: &str| {
        let found = api.list(address, "kept/", false).unwrap();
        assert_eq!(found.len(), KEYS);
        for (number, kv) in found.iter().enumerate() {
            assert_eq!(kv.value, format!("value {}", WRITES - KEYS + number), "{kv:?}");
            assert_eq!(kv.version, i64::try_from(WRITES / KEYS).unwrap(), "{kv:?}");
        }
    };
    check(&addresses[0]);
    api.put(&addresses, "after", "1", SOON).unwrap();
    // The data is replicated too: by log, and by snapshot.
    cluster.join();
    cluster.join();
    cluster.wait_for_members(3);
    cluster.nodes[0].kill();
    cluster.nodes[0].start();
    cluster.wait_for_members(3);
    for address in cluster.addresses() {
        check(&address);
    }
}

#[test]
fn data_from_before_checksums_is_read() {
    opens("0.1.0");
}

#[test]
fn data_from_before_the_journal_is_read() {
    opens("0.1.0-checksums");
}
