//! etcd's own client, `etcdctl`, with the settings of `disco env`.

use std::time::Duration;

use disco_proto::etcdserverpb::alarm_request::AlarmAction;
use disco_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use disco_proto::etcdserverpb::{AlarmRequest, AlarmType};
use disco_tests::{Api, Etcdctl, Permit, Project, SOON, Shared, Turn, block, wait_for};
use rustix::process::Signal;
use serde_json::Value;
use sha2::{Digest, Sha256};

static CLUSTER: Shared<Project> = Shared::new(|| Project::bootstrapped("etcdctl"));

fn whole() -> Option<(Turn<Project>, Etcdctl)> {
    let (project, _) = CLUSTER.whole();
    let etcd = Etcdctl::of(&project)?;
    assert_eq!(etcd.endpoints().len(), 3);
    Some((project, etcd))
}

#[test]
fn keys_are_put_got_and_deleted_with_every_option() {
    let Some((project, etcd)) = whole() else { return };
    for (key, value) in [("kv/b", "2"), ("kv/a", "3"), ("kv/c", "1")] {
        assert_eq!(etcd.run(&["put", key, value]).ok().stdout, "OK\n");
    }
    // Written at one node, and read at every other at once.
    for endpoint in etcd.endpoints() {
        let one = etcd.at(&endpoint);
        one.run(&["put", "kv/where", &endpoint]).ok();
        for other in etcd.endpoints() {
            let read = etcd.at(&other).run(&["get", "kv/where", "--print-value-only"]).ok();
            assert_eq!(read.stdout, format!("{endpoint}\n"), "written at {endpoint}, read at {other}");
        }
        one.run(&["get", "kv/where", "--consistency=s"]).ok();
    }
    etcd.run(&["del", "kv/where"]).ok();

    let keys = |args: &[&str]| {
        let mut all = vec!["get", "kv/", "--prefix", "--keys-only"];
        all.extend(args);
        let output = etcd.run(&all).ok().stdout;
        output.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(keys(&[]), ["kv/a", "kv/b", "kv/c"]);
    assert_eq!(keys(&["--sort-by=VALUE"]), ["kv/c", "kv/b", "kv/a"]);
    assert_eq!(keys(&["--sort-by=CREATE"]), ["kv/b", "kv/a", "kv/c"]);
    assert_eq!(keys(&["--sort-by=KEY", "--order=DESCEND"]), ["kv/c", "kv/b", "kv/a"]);
    assert_eq!(keys(&["--sort-by=MODIFY", "--order=DESCEND", "--limit=2"]), ["kv/c", "kv/a"]);
    assert_eq!(etcd.run(&["get", "kv/a", "kv/c", "--print-value-only"]).ok().stdout, "3\n2\n");
    assert_eq!(etcd.run(&["get", "kv/b", "--from-key", "--limit=1"]).ok().stdout, "kv/b\n2\n");

    // Both interfaces have the same keys.
    assert_eq!(project.get("kv/a").as_deref(), Some("3"));
    project.put("kv/a", "4");
    let before = etcd.run(&["get", "kv/a", "-w", "json"]).ok().json();
    assert_eq!(before["kvs"][0]["version"], 2);
    let revision = before["header"]["revision"].as_i64().unwrap();
    assert_eq!(etcd.run(&["put", "kv/a", "5", "--prev-kv"]).ok().stdout, "OK\nkv/a\n4\n");
    assert_eq!(etcd.run(&["get", "kv/a", "--rev", &revision.to_string()]).ok().stdout, "kv/a\n4\n");
    etcd.run(&["get", "kv/a", "--rev", "999999999"])
        .expect(1)
        .says(&["etcdserver: mvcc: required revision is a future revision"]);
    etcd.run(&["put", "--ignore-value", "kv/none"]).expect(1).says(&["etcdserver: key not found"]);
    etcd.run(&["put", "kv/x", "1", "--lease=7b"]).expect(1).says(&["etcdserver: requested lease not found"]);
    assert_eq!(etcd.run(&["del", "kv/a", "--prev-kv"]).ok().stdout, "1\nkv/a\n5\n");
    assert_eq!(etcd.run(&["del", "kv/", "--prefix"]).ok().stdout, "2\n");
    let too_large = "v".repeat((3 << 19) + 1);
    let path = project.path("too-large");
    std::fs::write(&path, too_large).unwrap();
    let input = std::fs::read_to_string(&path).unwrap();
    etcd.run_with(&["put", "kv/large"], &input).expect(1).says(&["etcdserver: request is too large"]);
}

#[test]
fn transactions_execute_one_branch_by_their_comparison() {
    let Some((_project, etcd)) = whole() else { return };
    etcd.run(&["put", "txn/user", "bad"]).ok();
    let txn = "value(\"txn/user\") = \"bad\"\nversion(\"txn/none\") = \"0\"\n\ndel txn/user\nput txn/new \"1\"\n\nput txn/user \"good\"\n\n";
    assert_eq!(etcd.run_with(&["txn"], txn).ok().stdout, "SUCCESS\n\n1\n\nOK\n");
    assert_eq!(etcd.run_with(&["txn", "-i"], txn).ok().stdout.lines().last(), Some("OK"));
    assert_eq!(etcd.run(&["get", "txn/user", "--print-value-only"]).ok().stdout, "good\n");
    let reads = "mod(\"txn/new\") > \"0\"\n\nget txn/new\n\nget txn/user\n\n";
    assert_eq!(etcd.run_with(&["txn"], reads).ok().stdout, "SUCCESS\n\ntxn/new\n1\n");
    let twice = "\nput txn/a \"1\"\nput txn/a \"2\"\n\n\n";
    etcd.run_with(&["txn"], twice).expect(1).says(&["etcdserver: duplicate key given in txn request"]);
    etcd.run(&["del", "txn/", "--prefix"]).ok();
}

#[test]
fn watches_get_past_and_new_events() {
    let Some((_project, etcd)) = whole() else { return };
    let first = etcd.run(&["put", "watch/a", "1", "-w", "json"]).ok().json()["header"]["revision"].as_i64().unwrap();
    etcd.run(&["put", "watch/b", "1"]).ok();
    let mut watches: Vec<_> = etcd
        .endpoints()
        .iter()
        .map(|one| etcd.at(one).start(&["watch", "watch/", "--prefix", "--rev", &first.to_string(), "--prev-kv"]))
        .collect();
    for watch in &mut watches {
        watch.wait_for_stdout(SOON, "PUT\nwatch/a\n1\n");
        watch.wait_for_stdout(SOON, "PUT\nwatch/b\n1\n");
    }
    etcd.run(&["put", "watch/a", "2"]).ok();
    etcd.run(&["del", "watch/b"]).ok();
    for watch in &mut watches {
        watch.wait_for_stdout(SOON, "PUT\nwatch/a\n1\nwatch/a\n2\n");
        watch.wait_for_stdout(SOON, "DELETE\nwatch/b\n1\nwatch/b\n");
    }
    // Interactively, with a program that runs for each event.
    let executed = etcd.start(&["watch", "watch/exec", "--", "sh", "-c", "echo seen $ETCD_WATCH_KEY"]);
    let mut executed = executed;
    wait_for(SOON, "the event", || {
        etcd.run(&["put", "watch/exec", "x"]).ok();
        let out = executed.stdout();
        if out.contains("seen \"watch/exec\"") { Ok(()) } else { Err(out) }
    });
    assert!(!executed.has_ended());

    let now = etcd.run(&["get", "watch/a", "-w", "json"]).ok().json()["header"]["revision"].as_i64().unwrap();
    etcd.run(&["compact", &now.to_string()]).ok();
    etcd.run(&["compact", &now.to_string()])
        .expect(1)
        .says(&["etcdserver: mvcc: required revision has been compacted"]);
    etcd.run(&["get", "watch/a", "--rev", &first.to_string()])
        .expect(1)
        .says(&["etcdserver: mvcc: required revision has been compacted"]);
    // The compaction has arrived at whichever node serves the watch.
    for endpoint in etcd.endpoints() {
        etcd.at(&endpoint)
            .run(&["get", "watch/a", "--rev", &first.to_string()])
            .expect(1)
            .says(&["etcdserver: mvcc: required revision has been compacted"]);
    }
    let late = etcd.start(&["watch", "watch/", "--prefix", "--rev", &first.to_string()]).wait(SOON);
    assert!(late.stderr.contains("required revision has been compacted"), "{late}");
    etcd.run(&["del", "watch/", "--prefix"]).ok();
}

#[test]
fn leases_live_as_long_as_they_are_renewed() {
    let Some((_project, etcd)) = whole() else { return };
    let grant = |ttl: &str| {
        let told = etcd.run(&["lease", "grant", ttl]).ok().stdout;
        let id = told.split_whitespace().nth(1).unwrap_or_else(|| panic!("{told}")).to_owned();
        assert!(told.contains(&format!("granted with TTL({ttl}s)")), "{told}");
        id
    };
    let long = grant("600");
    etcd.run(&["put", "lease/long", "x", "--lease", &long]).ok();
    for endpoint in etcd.endpoints() {
        let told = etcd.at(&endpoint).run(&["lease", "timetolive", &long, "--keys"]).ok().stdout;
        let remaining = told.split_once("remaining(").and_then(|(_, rest)| rest.split_once("s)"));
        let remaining: u32 = remaining.and_then(|(number, _)| number.parse().ok()).unwrap_or_else(|| panic!("{told}"));
        assert!(told.contains("granted with TTL(600s)") && (500..=600).contains(&remaining), "{told}");
        assert!(told.contains("attached keys([lease/long])"), "{told}");
        let kept = etcd.at(&endpoint).run(&["lease", "keep-alive", &long, "--once"]).ok().stdout;
        assert!(kept.contains("keepalived with TTL(600)"), "{kept}");
        let list = etcd.at(&endpoint).run(&["lease", "list"]).ok().stdout;
        assert!(list.contains(&long), "{list}");
    }

    // Renewed at once: it must not end before, also on a slow machine.
    let short = grant("5");
    let mut keeper = etcd.start(&["lease", "keep-alive", &short]);
    keeper.wait_for_stdout(SOON, "keepalived with TTL(5)");
    etcd.run(&["put", "lease/short", "x", "--lease", &short]).ok();
    let dying = grant("5");
    etcd.run(&["put", "lease/dying", "x", "--lease", &dying]).ok();
    wait_for(SOON, "the end of a lease that is not renewed", || {
        let read = etcd.run(&["get", "lease/dying"]).ok().stdout;
        if read.is_empty() { Ok(()) } else { Err(read) }
    });
    let kept = etcd.run(&["get", "lease/short", "--print-value-only"]).ok();
    assert_eq!(kept.stdout, "x\n", "`lease keep-alive` printed {}", keeper.stdout());
    assert!(!keeper.has_ended());
    let gone = etcd.run(&["lease", "timetolive", &dying]).ok().stdout;
    assert!(gone.contains("already expired"), "{gone}");
    etcd.run(&["lease", "revoke", &dying]).expect(1).says(&["etcdserver: requested lease not found"]);

    etcd.run(&["lease", "revoke", &long]).ok();
    etcd.run(&["lease", "revoke", &short]).ok();
    assert_eq!(etcd.run(&["get", "lease/", "--prefix"]).ok().stdout, "");
    let ended = keeper.wait(SOON);
    assert!(ended.stdout.contains("expired or revoked"), "{ended}");
}

#[test]
fn locks_and_elections_have_one_holder() {
    let Some((_project, etcd)) = whole() else { return };
    let endpoints = etcd.endpoints();
    let mut first = etcd.at(&endpoints[0]).start(&["lock", "--ttl=5", "the-lock"]);
    first.wait_for_stdout(SOON, "the-lock/");
    let mut second = etcd.at(&endpoints[1]).start(&["lock", "--ttl=5", "the-lock"]);
    wait_for(SOON, "the second in the queue", || {
        let queue = etcd.run(&["get", "the-lock/", "--prefix", "--keys-only"]).ok().stdout;
        if queue.split_whitespace().count() == 2 { Ok(()) } else { Err(queue) }
    });
    assert_eq!(second.stdout(), "", "both hold the lock");
    first.signal(Signal::INT);
    second.wait_for_stdout(SOON, "the-lock/");
    // A holder that dies leaves the lock until its lease expires.
    second.signal(Signal::KILL);
    etcd.run(&["lock", "the-lock", "--", "echo", "held"]).ok();

    let mut leader = etcd.at(&endpoints[2]).start(&["elect", "the-office", "ada"]);
    leader.wait_for_stdout(SOON, "ada");
    let mut listener = etcd.start(&["elect", "--listen", "the-office"]);
    listener.wait_for_stdout(SOON, "ada");
    let mut next = etcd.start(&["elect", "the-office", "grace"]);
    wait_for(SOON, "the second candidate", || {
        let queue = etcd.run(&["get", "the-office/", "--prefix", "--keys-only"]).ok().stdout;
        if queue.split_whitespace().count() == 2 { Ok(()) } else { Err(queue) }
    });
    assert!(!next.stdout().contains("grace"));
    leader.signal(Signal::INT);
    next.wait_for_stdout(SOON, "grace");
    listener.wait_for_stdout(SOON, "grace");
}

#[test]
fn a_snapshot_is_saved_with_its_checksum() {
    let Some((project, etcd)) = whole() else { return };
    etcd.run(&["put", "snapshot/key", "in the snapshot"]).ok();
    let path = project.path("saved.db");
    let one = etcd.at(&etcd.endpoints()[1]);
    one.run(&["snapshot", "save", path.to_str().unwrap()]).ok();
    let file = std::fs::read(&path).unwrap();
    let (content, sum) = file.split_at(file.len() - 32);
    assert_eq!(content.len() % 512, 0);
    assert_eq!(Sha256::digest(content).as_slice(), sum);
    let text = b"in the snapshot";
    assert!(content.windows(text.len()).any(|window| window == text));
}

#[test]
fn members_and_their_state_are_listed() {
    let Some((project, etcd)) = whole() else { return };
    let status = project.wait_until_healthy(SOON, 3);
    etcd.run(&["endpoint", "health"]).ok();
    let told = etcd.run(&["endpoint", "status", "-w", "json"]).ok().json();
    let told = told.as_array().unwrap();
    assert_eq!(told.len(), 3);
    for (one, node) in told.iter().zip(&status.nodes) {
        assert_eq!(one["Endpoint"], format!("https://{}", node.address));
        assert_eq!(one["Status"]["header"]["member_id"], node.id);
        assert_eq!(one["Status"]["leader"], status.leader.unwrap());
        assert!(one["Status"]["dbSize"].as_i64().unwrap() > 0 && one["Status"]["raftIndex"].as_i64().unwrap() > 0);
        assert_eq!(one["Status"]["version"], "3.6.0");
    }
    let members = etcd.run(&["member", "list", "-w", "json"]).ok().json();
    let members = members["members"].as_array().unwrap();
    for (member, node) in members.iter().zip(&status.nodes) {
        assert_eq!((&member["ID"], &member["name"]), (&Value::from(node.id), &Value::from(node.name.clone())));
        assert_eq!(member["clientURLs"][0], format!("https://{}", node.address));
    }
    // All nodes have the same.
    let revision = etcd.run(&["put", "hash", "x", "-w", "json"]).ok().json()["header"]["revision"].to_string();
    wait_for(SOON, "the same checksum at all nodes", || {
        let output = etcd.run(&["endpoint", "hashkv", "--rev", &revision, "-w", "json"]);
        if output.code != 0 {
            return Err(output.to_string());
        }
        let hashes: Vec<Value> =
            output.json().as_array().unwrap().iter().map(|one| one["HashKV"]["hash"].clone()).collect();
        if hashes.len() == 3 && hashes.windows(2).all(|two| two[0] == two[1]) {
            Ok(())
        } else {
            Err(output.to_string())
        }
    });
    etcd.run(&["defrag"]).ok();

    etcd.run(&["member", "add", "x", "--peer-urls=https://127.0.0.1:1"]).expect(1).says(&["`disco scale nodes=N`"]);
    etcd.run(&["member", "remove", "1"]).expect(1).says(&["`disco node rm NODE`"]);
    etcd.run(&["user", "list"]).expect(1).says(&["authorises clients by certificate"]);
    etcd.run(&["auth", "enable"]).expect(1).says(&["authorises clients by certificate"]);
}

#[test]
fn leadership_moves_to_the_named_member() {
    let Some((project, etcd)) = whole() else { return };
    let status = project.wait_until_healthy(SOON, 3);
    let old = status.leader.unwrap();
    let new = status.nodes.iter().find(|node| node.id != old).unwrap();
    let moved = etcd.run(&["move-leader", &format!("{:x}", new.id)]).ok().stdout;
    assert!(moved.contains("Leadership transferred"), "{moved}");
    project.wait_for_status(SOON, "the new leader", |status| status.leader == Some(new.id));
    etcd.run(&["move-leader", "99"]).expect(1).says(&["etcdserver: bad leader transferee"]);
    etcd.run(&["put", "after", "the move"]).ok();
}

#[test]
fn the_alarm_of_a_full_store_is_listed_and_disarmed() {
    let Some((project, etcd)) = whole() else { return };
    assert_eq!(etcd.run(&["alarm", "list"]).ok().stdout, "");
    // As a write does without space.
    let raise = AlarmRequest { action: AlarmAction::Activate.into(), member_id: 0, alarm: AlarmType::Nospace.into() };
    let address = project.status().leading().address.clone();
    block(MaintenanceClient::new(Api::operator(&project).channel(&address)).alarm(raise)).unwrap();
    for endpoint in etcd.endpoints() {
        let one = etcd.at(&endpoint);
        let listed = one.run(&["alarm", "list"]).ok().stdout;
        assert!(listed.trim_end().ends_with("alarm:NOSPACE"), "{listed}");
        one.run(&["put", "alarm/a", "1"]).expect(1).says(&["etcdserver: mvcc: database space exceeded"]);
    }
    let disarmed = etcd.run(&["alarm", "disarm"]).ok().stdout;
    assert!(disarmed.trim_end().ends_with("alarm:NOSPACE"), "{disarmed}");
    assert_eq!(etcd.run(&["alarm", "list"]).ok().stdout, "");
    assert_eq!(etcd.run(&["put", "alarm/a", "1"]).ok().stdout, "OK\n");
}

/// "Get all", "delete all", comparisons, watches and mirrors of etcd's clients concern the keys of users.
#[test]
fn disco_s_own_keys_do_not_exist_for_etcd_s_clients() {
    let Some((project, etcd)) = whole() else { return };
    let own = || project.disco(&["kv", "get", "/disco/nodes/1"]).ok().stdout;
    let before = own();
    assert!(before.contains("etcdctl-1"), "{before}");
    etcd.run(&["del", "", "--from-key"]).ok();
    let first = etcd.run(&["put", "/a", "1", "-w", "json"]).ok().json()["header"]["revision"].as_i64().unwrap();
    etcd.run(&["put", "/z", "2"]).ok();
    // A node may change the records, also through this interface's revisions.
    let leader = project.status();
    let node = Api::node(&project.machine(leader.leading().instance.as_deref()).data());
    let record = || node.propose(&leader.leading().address, Api::put_command("/disco/test", "x")).unwrap().revision;
    assert!(record() > first + 1);
    etcd.run(&["put", "z", "3"]).ok();

    assert_eq!(etcd.run(&["get", "", "--from-key"]).ok().stdout, "/a\n1\n/z\n2\nz\n3\n");
    let page = etcd.run(&["get", "/", "--from-key", "--limit=2", "-w", "json"]).ok().json();
    assert_eq!((&page["count"], &page["more"]), (&serde_json::json!(3), &serde_json::json!(true)));
    for args in [["get", "/disco/nodes/1"].as_slice(), &["get", "/disco/", "--prefix"]] {
        assert_eq!(etcd.run(args).ok().stdout, "");
    }
    let absent = "create(\"/disco/nodes/1\") = \"0\"\n\nput /z \"4\"\nget /disco/nodes/1\n\n\n";
    assert_eq!(etcd.run_with(&["txn"], absent).ok().stdout, "SUCCESS\n\nOK\n\n");

    let mut watch = etcd.start(&["watch", "", "--prefix", "--rev", &first.to_string()]);
    watch.wait_for_stdout(SOON, "PUT\n/a\n1\nPUT\n/z\n2\nPUT\nz\n3\nPUT\n/z\n4\n");
    record();
    etcd.run(&["put", "z", "5"]).ok();
    watch.wait_for_stdout(SOON, "PUT\n/z\n4\nPUT\nz\n5\n");

    // The mirror of a prefix with the records, as one of the same cluster must differ in its keys.
    let (ca, cert, key) = (etcd.setting("ETCDCTL_CACERT"), etcd.setting("ETCDCTL_CERT"), etcd.setting("ETCDCTL_KEY"));
    let tls = [format!("--dest-cacert={ca}"), format!("--dest-cert={cert}"), format!("--dest-key={key}")];
    let destination = etcd.endpoints()[0].replace("https://", "");
    let mut mirror = vec!["make-mirror", "--prefix=/", "--dest-prefix=mirror/"];
    mirror.extend(tls.iter().map(String::as_str));
    mirror.push(&destination);
    let mirror = etcd.start(&mirror);
    let mirrored = |expected: &str| {
        wait_for(SOON, expected, || {
            let found = etcd.run(&["get", "mirror/", "--prefix"]).ok().stdout;
            if found == expected { Ok(()) } else { Err(found) }
        });
    };
    mirrored("mirror/a\n1\nmirror/z\n4\n");
    record();
    etcd.run(&["put", "/b", "6"]).ok();
    mirrored("mirror/a\n1\nmirror/b\n6\nmirror/z\n4\n");
    drop(mirror);

    for args in [
        ["put", "/disco/nodes/1", "x"].as_slice(),
        &["put", "/disco/new", "x"],
        &["del", "/disco/nodes/1"],
        &["del", "/disco/", "--prefix"],
    ] {
        let refused = etcd.run(args).expect(1);
        assert!(refused.stderr.contains("etcdserver: permission denied"), "{refused}");
        assert!(refused.stderr.contains("/disco/"), "{refused}");
    }
    etcd.run_with(&["txn"], "\nput /disco/x \"1\"\n\n\n").expect(1).says(&["etcdserver: permission denied"]);
    assert_eq!(etcd.run(&["del", "/", "--prefix"]).ok().stdout, "3\n");
    assert_eq!(etcd.run(&["del", "", "--from-key"]).ok().stdout, "4\n");
    assert_eq!(etcd.run(&["get", "", "--from-key", "--keys-only"]).ok().stdout, "");
    assert_eq!(own(), before);
    project.disco(&["kv", "get", "/disco/test"]).ok();
    project.wait_until_healthy(SOON, 3);
}

/// With the certificate of a client, which has no common name.
#[test]
fn a_client_uses_keys_and_nothing_else() {
    let Some((project, etcd)) = whole() else { return };
    project.disco(&["cert", "client", "a/b"]).expect(2).says(&["invalid client name `a/b`"]);
    project.disco(&["cert", "client", "billing", "--dry-run"]).ok();
    assert!(!project.path(".disco/client-billing.key").exists());
    let issued = project.disco(&["cert", "client", "billing", "--days", "30", "-o", "json"]).ok().json();
    let file = |name: &str| issued[name].as_str().unwrap().to_owned();
    let key = std::fs::read(file("key")).unwrap();
    let client = etcd
        .with("ETCDCTL_CERT", &file("certificate"))
        .with("ETCDCTL_KEY", &file("key"))
        .with("ETCDCTL_CACERT", &file("authority"));
    assert_eq!(client.run(&["put", "client/a", "1"]).ok().stdout, "OK\n");
    assert_eq!(client.run(&["get", "client/a", "--print-value-only"]).ok().stdout, "1\n");
    client.run(&["endpoint", "health"]).ok();
    client.run(&["endpoint", "status"]).ok();
    client.run(&["alarm", "list"]).ok();
    let one = client.at(&etcd.endpoints()[0]);
    let snapshot = project.path("client.db").display().to_string();
    // `snapshot` takes one endpoint, and `move-leader` the leader's.
    for refused in [one.run(&["snapshot", "save", snapshot.as_str()]), client.run(&["move-leader", "1"])] {
        assert!(refused.stderr.contains("client/billing may use the keys"), "{refused}");
    }
    let own = Api::new(
        disco_identity::Identity::new(
            disco_identity::Credentials::load(
                file("authority").as_ref(),
                file("certificate").as_ref(),
                file("key").as_ref(),
            )
            .unwrap(),
        )
        .unwrap(),
    );
    let address = project.status().leading().address.clone();
    assert_eq!(own.status(&address).unwrap_err().code(), tonic::Code::PermissionDenied);
    let put = own.propose(&address, Api::put_command("client/a", "2")).unwrap_err();
    assert_eq!(put.code(), tonic::Code::PermissionDenied);

    let listed = project.disco(&["cert", "status", "-o", "json"]).ok().json();
    let row = listed.as_array().unwrap().iter().find(|row| row["role"] == "client").unwrap();
    assert_eq!((&row["name"], &row["subject"]), (&"billing".into(), &"client/billing".into()));
    assert_eq!(row["state"], "valid");
    assert!((29..=30).contains(&row["days_left"].as_i64().unwrap()), "{row}");
    // Again: a new certificate for the same key.
    let shown = project.disco(&["cert", "client", "billing"]).ok().stdout;
    assert!(shown.contains("client-billing.pem"), "{shown}");
    assert_eq!(std::fs::read(file("key")).unwrap(), key);
    client.run(&["del", "client/a"]).ok();
}

#[test]
fn the_settings_work_in_a_shell() {
    let Some((project, _etcd)) = whole() else { return };
    let disco = project.path("disco");
    let line = format!("eval \"$({} env)\" && etcdctl put shell works && etcdctl get shell", disco.display());
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &line]).current_dir(project.path("")).env("HOME", project.outside("home"));
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "OK\nshell\nworks\n", "{output:?}");
}

#[test]
fn the_performance_check_runs_to_its_end() {
    let _permit = Permit::first();
    // A separate cluster: the check writes for a minute.
    let project = Project::new("etcdperf");
    project.bootstrap();
    let Some(etcd) = Etcdctl::of(&project) else { return };
    let report = etcd.start(&["check", "perf", "--load=s"]).wait(Duration::from_secs(180));
    // Whether it is fast enough depends on the machine, which is busy with other tests; the
    // figures show that all requests were made.
    let throughput = report.stdout.lines().find_map(|line| {
        let (_, after) = line.split_once("Throughput")?;
        after.split_whitespace().find_map(|word| word.trim_end_matches(',').parse::<u32>().ok())
    });
    assert!(throughput.is_some_and(|writes| writes >= 20), "{report}");
    assert!(!report.stdout.contains("FAIL: too many errors"), "{report}");
    assert_eq!(etcd.run(&["get", "/etcdctl-check-perf/", "--prefix", "--keys-only"]).ok().stdout, "");
}
