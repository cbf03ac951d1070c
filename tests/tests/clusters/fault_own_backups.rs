//! The backups that voters make by themselves.

use std::fs;
use std::path::Path;
use std::time::Duration;

use disco_tests::{Project, RawCluster, RawNode, SOON, Tmpfs, wait_for};

const MIB: u64 = 1 << 20;
const INTERVAL: Duration = Duration::from_millis(200);

fn often(node: &mut RawNode) {
    let interval = format!("{}ms", INTERVAL.as_millis());
    node.env = vec![("DISCOD_BACKUP_INTERVAL".into(), interval.into()), ("DISCOD_BACKUP_KEEP".into(), "3".into())];
}

/// Makes this node the founder of a cluster.
fn begin(cluster: &mut RawCluster, node: RawNode) {
    // A subcommand without options for backups makes its identity.
    cluster.begin(node);
    let node = &mut cluster.nodes[0];
    node.kill();
    often(node);
    node.start();
    cluster.wait_for_members(1);
}

/// A cluster of this number of nodes that make backups all the time.
fn cluster(count: usize) -> RawCluster {
    let mut cluster = RawCluster::empty();
    let first = cluster.node();
    begin(&mut cluster, first);
    for _ in 1..count {
        let mut node = cluster.node();
        often(&mut node);
        cluster.join_as(node);
    }
    cluster
}

/// Number and revision of each backup in a data folder, oldest first.
fn kept(data: &Path) -> Vec<(u64, i64)> {
    let Ok(entries) = fs::read_dir(data.join("backups")) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name().into_string().unwrap());
    let mut kept: Vec<(u64, i64)> = names
        .filter_map(|name| {
            let (number, revision) = name.strip_suffix(".backup")?.split_once("-r")?;
            Some((number.parse().unwrap(), revision.parse().unwrap()))
        })
        .collect();
    kept.sort_unstable();
    kept
}

/// The newest backup, once it has this revision or a later one.
#[track_caller]
fn wait_for_backup(data: &Path, revision: i64) -> (u64, i64) {
    wait_for(SOON, &format!("a backup of revision {revision}"), || {
        let kept = kept(data);
        kept.last().copied().filter(|newest| newest.1 >= revision).ok_or_else(|| format!("{kept:?}"))
    })
}

#[test]
fn voters_back_up_changes_and_retain_the_last_backups() {
    let cluster = cluster(4);
    let (api, addresses) = (cluster.operator(), cluster.addresses());
    let status = cluster.wait_for_members(4);
    let votes = |index: usize| status.nodes.iter().any(|node| node.id == index as u64 + 1 && node.role != "learner");
    let (voters, learners): (Vec<_>, Vec<_>) = cluster.nodes.iter().enumerate().partition(|(index, _)| votes(*index));
    assert_eq!((voters.len(), learners.len()), (3, 1), "{status:#?}");
    // More changes than backups are retained.
    for number in 0..5 {
        let revision = api.put(&addresses, "kept", &number.to_string(), SOON).unwrap();
        for (_, node) in &voters {
            wait_for_backup(&node.data, revision);
        }
    }
    let revision = api.put(&addresses, "last", "1", SOON).unwrap();
    for (_, node) in &voters {
        wait_for_backup(&node.data, revision);
        let kept = wait_for(SOON, "the oldest to go", || {
            let kept = kept(&node.data);
            if kept.len() == 3 { Ok(kept) } else { Err(format!("{kept:?}")) }
        });
        // The cluster may have recorded an event of its own since.
        let newest = kept[2].0;
        assert_eq!(kept.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [newest - 2, newest - 1, newest]);
        // Without changes no backup is made.
        wait_for(SOON, "several intervals without a backup", || {
            let (number, revision) = self::kept(&node.data).last().copied().ok_or("none")?;
            let file = node.data.join("backups").join(format!("{number:06}-r{revision}.backup"));
            let modified = fs::metadata(&file).and_then(|file| file.modified()).map_err(|error| error.to_string())?;
            let age = modified.elapsed().map_err(|error| error.to_string())?;
            if age > INTERVAL * 5 { Ok(()) } else { Err(format!("{} is {age:?} old", file.display())) }
        });
    }
    let (_, learner) = learners[0];
    assert!(!learner.data.join("backups").exists(), "{:?}", kept(&learner.data));
}

#[test]
fn a_backup_is_fetched_from_a_node_without_a_quorum_and_restored_in_a_new_cluster() {
    let mut cluster = cluster(3);
    let (api, addresses) = (cluster.operator(), cluster.addresses());
    let revision = api.put(&addresses, "kept", "yes", SOON).unwrap();
    for node in &cluster.nodes {
        wait_for_backup(&node.data, revision);
    }
    let project = cluster.project();
    let listed = project.disco(&["backup", "ls", "-o", "json"]).ok().json();
    for id in 1..=3 {
        let newest = listed.as_array().unwrap().iter().rfind(|backup| backup["node"] == id).expect("each has some");
        assert!(newest["revision"].as_i64().unwrap() >= revision, "{newest:#}");
        assert_eq!(newest["node_name"], format!("raw-{id}"));
        let path = cluster.nodes[id - 1].data.join("backups").join(newest["file"].as_str().unwrap());
        assert_eq!(newest["size"], fs::metadata(path).unwrap().len());
    }
    for node in &mut cluster.nodes[..2] {
        node.kill();
    }
    let names =
        project.disco(&["backup", "ls", "-o", "name"]).ok().says(&["raw-1", "raw-2", "cannot list the backups"]).stdout;
    let newest = names.lines().last().unwrap();
    let file = project.outside("fetched.backup");
    let path = file.to_str().unwrap();
    project.disco(&["backup", "save", path, "--from", newest]).ok();
    let (node, name) = newest.split_once('/').unwrap();
    assert_eq!(node, "raw-3");
    assert_eq!(fs::read(&file).unwrap(), fs::read(cluster.nodes[2].data.join("backups").join(name)).unwrap());
    project.disco(&["backup", "save", path, "--from", "raw-3"]).ok();
    for nowhere in ["raw-9", "raw-3/none.backup", "raw-3/../node.json"] {
        project.disco(&["backup", "save", path, "--from", nowhere]).expect(6);
    }

    let new = Project::builder("again").nodes(1).build();
    new.bootstrap();
    new.disco(&["backup", "restore", path, "-y"]).ok();
    new.wait_until_healthy(SOON, 1);
    assert_eq!(new.get("kept").as_deref(), Some("yes"));
}

#[test]
fn a_node_that_lost_its_vote_removes_its_backups_after_a_while() {
    let mut cluster = cluster(4);
    let (api, addresses) = (cluster.operator(), cluster.addresses());
    let status = cluster.wait_for_members(4);
    let revision = api.put(&addresses, "kept", "yes", SOON).unwrap();
    let victim = status.nodes.iter().find(|node| node.role == "voter").unwrap().id;
    let index = usize::try_from(victim).unwrap() - 1;
    wait_for_backup(&cluster.nodes[index].data, revision);
    cluster.nodes[index].kill();
    let others: Vec<String> = addresses.iter().filter(|address| **address != addresses[index]).cloned().collect();
    wait_for(SOON * 2, "the dead voter's vote to go to the learner", || match api.status(&others[0]) {
        Ok(status) if status.nodes.iter().any(|node| node.id == victim && node.role == "learner") => Ok(()),
        other => Err(format!("{other:#?}")),
    });
    let node = &mut cluster.nodes[index];
    assert!(!kept(&node.data).is_empty());
    node.start();
    wait_for(SOON, "its backups to go", || {
        if node.data.join("backups").exists() { Err(format!("{:?}", kept(&node.data))) } else { Ok(()) }
    });
}

#[test]
fn without_free_space_no_backup_is_made_and_one_event_is_recorded() {
    let mut cluster = RawCluster::empty();
    let node = cluster.node();
    let Some(disk) = Tmpfs::mount(&node.data, 96 * MIB) else { return };
    begin(&mut cluster, node);
    let (api, addresses) = (cluster.operator(), cluster.addresses());
    let data = cluster.nodes[0].data.clone();
    let revision = api.put(&addresses, "kept", "1", SOON).unwrap();
    wait_for_backup(&data, revision);
    // Enough for writes, too little for a backup.
    disk.fill(30 * MIB);
    let revision = api.put(&addresses, "kept", "2", SOON).unwrap();
    let skipped = || {
        let events = api.list(&addresses[0], "/disco/events/", false).unwrap();
        let texts = events.into_iter().map(|event| String::from_utf8(event.value.to_vec()).unwrap());
        texts.filter(|text| text.contains("backup.skipped")).collect::<Vec<_>>()
    };
    let told = wait_for(SOON, "the event", || skipped().pop().ok_or("none"));
    assert!(told.contains("made no backup") && told.contains("MiB"), "{told}");
    for number in 0..20 {
        api.put(&addresses, "more", &number.to_string(), SOON).unwrap();
    }
    assert!(kept(&data).last().unwrap().1 < revision, "{:?}", kept(&data));
    disk.empty();
    wait_for_backup(&data, revision);
    assert_eq!(skipped().len(), 1);
}
