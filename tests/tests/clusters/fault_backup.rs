//! Backups: they are restored in a cluster of other machines.

use std::fs;

use disco_tests::{Project, SOON};

#[test]
fn a_backup_is_restored_in_another_cluster() {
    let old = Project::builder("backup-old").nodes(3).build();
    old.bootstrap();
    let mut revisions = Vec::new();
    for number in 0..20 {
        let key = format!("kept/{number}");
        revisions.push((key.clone(), old.put(&key, &format!("value {number}"))));
    }
    old.put("kept/0", "changed");
    old.disco(&["kv", "del", "kept/1"]).ok();
    let file = old.outside("the.backup");
    let path = file.to_str().unwrap();
    let saved = old.disco(&["backup", "save", path, "-o", "json"]).ok().json();
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path).unwrap()) & 0o777;
    assert_eq!(mode, 0o600, "a backup holds all keys");
    assert_eq!(saved["cluster"], "backup-old");
    old.put("kept/2", "after the backup");

    let new = Project::builder("backup-new").nodes(1).build();
    new.bootstrap();
    new.put("new", "of before");
    // A damaged file changes nothing.
    let mut damaged = fs::read(&file).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let bad = old.outside("bad.backup");
    fs::write(&bad, damaged).unwrap();
    new.disco(&["backup", "restore", bad.to_str().unwrap(), "-y"]).expect(2).says(&["wrong checksum"]);
    new.disco(&["backup", "restore", path]).expect(2).says(&["--yes"]);
    assert_eq!(new.get("new").as_deref(), Some("of before"));

    new.disco(&["backup", "restore", path, "-y"]).ok();
    new.wait_until_healthy(SOON, 1);
    assert_eq!(new.get("kept/0").as_deref(), Some("changed"));
    assert_eq!(new.get("kept/1"), None);
    assert_eq!(new.get("kept/2").as_deref(), Some("value 2"));
    assert_eq!(new.get("new"), None, "what it held before is replaced");
    for (key, revision) in &revisions[2..] {
        let found = new.disco(&["kv", "get", key, "-o", "json"]).ok().json();
        assert_eq!(found["mod_revision"], *revision, "{key}");
    }
    // The cluster grows, and the new nodes have all of it.
    new.disco(&["scale", "nodes=3"]).ok();
    let status = new.wait_until_healthy(SOON, 3);
    assert_eq!(status.cluster, "backup-new");
    let refused = new.disco(&["backup", "restore", path, "-y"]);
    refused.expect(5).says(&["scale nodes=1"]);
    assert_eq!(new.get("kept/19").as_deref(), Some("value 19"));
}
