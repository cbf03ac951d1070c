//! Keys: by the command line and by gRPC, at every node.

use disco_proto::v1::{
    Command, Compare, DeleteRangeRequest, MoveLeaderRequest, PutRequest, RangeRequest, Refusal, RequestOp, TxnRequest,
    WatchRequest, command, command_response, compare, event, request_op,
};
use disco_tests::{Api, Project, SOON, Shared, Status, Turn, block, wait_for};
use serde_json::Value;
use tonic::Code;

static CLUSTER: Shared<Project> = Shared::new(|| Project::bootstrapped("keys"));

fn whole() -> (Turn<Project>, Status, Api) {
    let (project, status) = CLUSTER.whole();
    let api = Api::operator(&project);
    (project, status, api)
}

fn addresses(status: &Status) -> Vec<String> {
    status.nodes.iter().map(|node| node.address.clone()).collect()
}

#[test]
fn the_json_of_put_get_del_and_ls_is_stable() {
    let (project, ..) = whole();
    let put = project.disco(&["kv", "put", "json/a", "one", "-o", "json"]).ok().json();
    let revision = put["revision"].as_i64().expect("a revision");
    let get = project.disco(&["kv", "get", "json/a", "-o", "json"]).ok().json();
    assert_eq!(get["key"], "json/a");
    assert_eq!(get["value"], "one");
    assert_eq!(get["mod_revision"], revision);
    assert_eq!(get["create_revision"], revision);
    assert_eq!(get["version"], 1);
    assert_eq!(project.disco(&["kv", "get", "json/a"]).ok().stdout, "one\n");
    assert_eq!(project.disco(&["kv", "get", "json/a", "--raw"]).ok().stdout, "one");

    project.put("json/b", "two\nlines ✓");
    assert_eq!(project.get("json/b").as_deref(), Some("two\nlines ✓"));
    let list = project.disco(&["kv", "ls", "json/", "-o", "json"]).ok().json();
    let keys: Vec<_> = list.as_array().unwrap().iter().map(|kv| kv["key"].as_str().unwrap().to_owned()).collect();
    assert_eq!(keys, ["json/a", "json/b"]);
    let names = project.disco(&["kv", "ls", "json/", "-o", "name"]).ok().stdout;
    assert_eq!(names, "json/a\njson/b\n");
    // Disco's own keys are not listed.
    let all = project.disco(&["kv", "ls", "-o", "name"]).ok().stdout;
    assert!(!all.contains("/disco/"), "{all}");

    // An older value, and a write that must be the first one.
    project.put("json/a", "three");
    let old = project.disco(&["kv", "get", "json/a", "--revision", &revision.to_string()]).ok().stdout;
    assert_eq!(old, "one\n");
    project.disco(&["kv", "put", "json/a", "four", "--if-revision", &revision.to_string()]).expect(5);
    assert_eq!(project.get("json/a").as_deref(), Some("three"));

    project.disco(&["kv", "del", "json/a"]).ok();
    assert_eq!(project.get("json/a"), None);
    project.disco(&["kv", "get", "json/a"]).expect(6).says(&["json/a"]);
    project.disco(&["kv", "del", "json/a"]).expect(6);
    project.disco(&["kv", "del", "json/", "--prefix", "-y"]).ok();
    assert_eq!(project.disco(&["kv", "ls", "json/", "-o", "json"]).ok().json(), Value::Array(Vec::new()));
}

#[test]
fn values_from_standard_input_are_stored_byte_by_byte() {
    let (project, ..) = whole();
    let path = project.path("value.bin");
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    std::fs::write(&path, &bytes).unwrap();
    let mut command = project.command(&["kv", "put", "binary", "-"]);
    command.stdin(std::fs::File::open(&path).unwrap());
    project.start_command(&mut command).wait(SOON).ok();
    let read = project.command(&["kv", "get", "binary", "--raw"]).output().unwrap();
    assert!(read.stdout == bytes, "{} bytes came back", read.stdout.len());
    std::fs::remove_file(path).unwrap();
}

#[test]
fn disco_s_own_keys_can_be_read_but_not_written() {
    let (project, status, api) = whole();
    let before = project.disco(&["kv", "get", "/disco/nodes/1"]).ok().stdout;
    assert!(before.contains("keys-1"), "{before}");
    for args in [
        ["kv", "put", "/disco/nodes/1", "x"].as_slice(),
        &["kv", "del", "/disco/nodes/1"],
        &["kv", "del", "/disco/", "--prefix", "-y"],
        &["kv", "del", "/", "--prefix", "-y"],
    ] {
        project.disco(args).expect(3).says(&["/disco/"]);
    }
    let leader = &status.leading().address;
    let put =
        request_op::Request::Put(PutRequest { key: "/disco/x".into(), value: "x".into(), ..PutRequest::default() });
    let inner = TxnRequest { success: vec![RequestOp { request: Some(put) }], ..TxnRequest::default() };
    let outer = RequestOp { request: Some(request_op::Request::Txn(inner)) };
    let txn = command::Operation::Txn(TxnRequest { success: vec![outer], ..TxnRequest::default() });
    assert_eq!(api.propose(leader, Api::command(txn)).unwrap_err().code(), Code::PermissionDenied);
    let all = DeleteRangeRequest { key: "a".into(), range_end: vec![0].into(), prev_kv: false };
    // The revisions behind it may be compacted.
    api.propose(leader, Api::command(command::Operation::DeleteRange(all))).unwrap();
    let all = DeleteRangeRequest { key: vec![0].into(), range_end: vec![0].into(), prev_kv: false };
    let all = api.propose(leader, Api::command(command::Operation::DeleteRange(all)));
    assert_eq!(all.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(project.disco(&["kv", "get", "/disco/nodes/1"]).ok().stdout, before);
}

#[test]
fn a_read_at_any_node_sees_the_last_write_at_another() {
    let (_project, status, api) = whole();
    let addresses = addresses(&status);
    for round in 0..20 {
        let value = round.to_string();
        let writer = &addresses[round % 3];
        let answer = api.propose(writer, Api::put_command("linear", &value)).unwrap();
        for reader in &addresses {
            let found = api.get(reader, "linear", false).unwrap().expect("it was written");
            assert_eq!(found.value, value, "written at {writer}, read at {reader}");
            assert!(found.mod_revision >= answer.revision);
        }
        // A stale read shows this node's state, which catches up too.
        for reader in &addresses {
            wait_for(SOON, "the write at every node", || match api.get(reader, "linear", true).unwrap() {
                Some(kv) if kv.value == value => Ok(()),
                other => Err(format!("{other:?}")),
            });
        }
    }
}

#[test]
fn a_request_id_applies_once_however_often_and_wherever_it_is_sent() {
    let (_project, status, api) = whole();
    let addresses = addresses(&status);
    let command = Api::put_command("once", "1");
    let first = api.propose(&addresses[0], command.clone()).unwrap();
    for address in &addresses {
        let again = api.propose(address, command.clone()).unwrap();
        assert_eq!(again, first, "a retry at {address} got another answer");
    }
    let kv = api.get(&addresses[1], "once", false).unwrap().unwrap();
    assert_eq!((kv.version, kv.mod_revision), (1, first.revision));

    // Concurrent requests too.
    let command = Api::put_command("once-2", "1");
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = |n: usize| {
            let (api, address, command) = (api.clone(), addresses[n % 3].clone(), command.clone());
            scope.spawn(move || api.propose(&address, command).unwrap())
        };
        let asked: Vec<_> = (0..9).map(ask).collect();
        asked.into_iter().map(|answer| answer.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(api.get(&addresses[2], "once-2", false).unwrap().unwrap().version, 1);
    // Across a change of leader too.
    block(api.control(&addresses[0]).move_leader(MoveLeaderRequest { to: 0 })).unwrap();
    let again = wait_for(SOON, "an answer of the new leader", || {
        api.propose(&addresses[1], command.clone()).map_err(|e| e.to_string())
    });
    assert_eq!(again, answers[0]);
}

#[test]
fn a_transaction_is_atomic_and_one_of_many_concurrent_ones_succeeds() {
    let (_project, status, api) = whole();
    let addresses = addresses(&status);
    let claim = |who: &str| -> Command {
        let put = |key: &str| RequestOp {
            request: Some(request_op::Request::Put(PutRequest {
                key: key.to_owned().into(),
                value: who.to_owned().into(),
                ..PutRequest::default()
            })),
        };
        let absent = Compare {
            key: "claim/a".into(),
            result: compare::Result::Equal.into(),
            target: Some(compare::Target::CreateRevision(0)),
            ..Compare::default()
        };
        Api::command(command::Operation::Txn(TxnRequest {
            compare: vec![absent],
            success: vec![put("claim/a"), put("claim/b")],
            failure: Vec::new(),
        }))
    };
    let won: Vec<String> = std::thread::scope(|scope| {
        let ask = |n: usize| {
            let (api, address, command) = (api.clone(), addresses[n % 3].clone(), claim(&n.to_string()));
            scope.spawn(move || match api.propose(&address, command).unwrap().result {
                Some(command_response::Result::Txn(txn)) => txn.succeeded.then(|| n.to_string()),
                other => panic!("{other:?}"),
            })
        };
        let asked: Vec<_> = (0..9).map(ask).collect();
        asked.into_iter().filter_map(|answer| answer.join().unwrap()).collect()
    });
    assert_eq!(won.len(), 1, "{won:?}");
    let (a, b) = (
        api.get(&addresses[0], "claim/a", false).unwrap().unwrap(),
        api.get(&addresses[1], "claim/b", false).unwrap().unwrap(),
    );
    assert_eq!((&a.value, &b.value), (&won[0].clone().into(), &won[0].clone().into()));
    assert_eq!(a.mod_revision, b.mod_revision);
}

#[test]
fn a_refused_write_has_a_reason_and_changes_nothing() {
    let (project, status, api) = whole();
    let leader = &status.leading().address;
    let refusal = |command| match api.propose(leader, command).unwrap().result {
        Some(command_response::Result::Error(error)) => error.refusal(),
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(refusal(Api::put_command("", "x")), Refusal::EmptyKey);
    project.disco(&["kv", "put", "", "x"]).expect(2);
    let future = RangeRequest { key: "a".into(), revision: 1 << 40, ..RangeRequest::default() };
    assert_eq!(api.range(leader, future, false).unwrap_err().code(), Code::OutOfRange);
    let before_all = WatchRequest { key: "a".into(), start_revision: i64::MIN, ..WatchRequest::default() };
    assert_eq!(block(api.control(leader).watch(before_all)).unwrap_err().code(), Code::InvalidArgument);
    let huge = "x".repeat(3 << 20);
    assert_eq!(refusal(Api::put_command("huge", &huge)), Refusal::TooLarge);
    assert_eq!(api.get(leader, "huge", false).unwrap(), None);
    assert!(project.status().healthy);
}

#[test]
fn a_watch_from_an_old_revision_gets_each_change_once_in_order_across_a_change_of_leader() {
    let (project, status, api) = whole();
    let addresses = addresses(&status);
    let from = project.put("watched/0", "0");
    project.put("watched/1", "1");
    let watched = addresses.clone();
    let watches: Vec<_> = addresses
        .iter()
        .map(|address| {
            let request = WatchRequest {
                key: "watched/".into(),
                range_end: "watched0".into(),
                start_revision: from,
                prev_kv: false,
            };
            let mut control = api.control(address);
            block(control.watch(request)).unwrap().into_inner()
        })
        .collect();
    for number in 2..10 {
        project.put(&format!("watched/{number}"), &number.to_string());
        if number == 5 {
            let old = project.status().leader;
            block(api.control(&addresses[0]).move_leader(MoveLeaderRequest { to: 0 })).unwrap();
            project.wait_for_status(SOON, "another leader", |now| now.leader.is_some() && now.leader != old);
        }
    }
    project.disco(&["kv", "del", "watched/3"]).ok();
    for (address, mut watch) in watched.iter().zip(watches) {
        let mut seen = Vec::new();
        while seen.len() < 11 {
            let next = block(async { tokio::time::timeout(SOON, watch.message()).await });
            let answer = next.unwrap_or_else(|_| panic!("{address} told only {seen:?}")).unwrap().expect("it goes on");
            for event in answer.events {
                let (kind, kv) = (event.r#type(), event.kv.unwrap());
                seen.push((String::from_utf8(kv.key.to_vec()).unwrap(), kind == event::Type::Delete, kv.mod_revision));
            }
        }
        let expected: Vec<_> =
            (0..10).map(|n| (format!("watched/{n}"), false)).chain([("watched/3".to_owned(), true)]).collect();
        let told: Vec<_> = seen.iter().map(|(key, deleted, _)| (key.clone(), *deleted)).collect();
        assert_eq!(told, expected, "at {address}");
        assert!(seen.windows(2).all(|pair| pair[0].2 < pair[1].2), "revisions do not grow: {seen:?}");
    }
}

#[test]
fn the_command_line_watches_across_the_leaders_death() {
    let (project, status, _) = whole();
    let mut watch = project.start(&[
        "kv",
        "watch",
        "live/",
        "--prefix",
        "--revision",
        &project.put("live/0", "0").to_string(),
        "-o",
        "jsonl",
    ]);
    watch.wait_for_stdout(SOON, "live/0");
    project.kill(status.leading().pid);
    project.put("live/1", "after");
    watch.wait_for_stdout(SOON, "live/1");
    project.disco(&["kv", "del", "live/0"]).ok();
    watch.wait_for_stdout(SOON, "delete");
    watch.signal(rustix::process::Signal::INT);
    let output = watch.wait(SOON);
    let changes: Vec<_> = output.jsonl().iter().map(|change| format!("{} {}", change["type"], change["key"])).collect();
    assert_eq!(changes, ["\"put\" \"live/0\"", "\"put\" \"live/1\"", "\"delete\" \"live/0\""], "{output}");
}

/// In openraft several nodes may lead in one term, one after the other, so the next leader could accept it.
#[test]
fn a_write_for_one_term_is_not_forwarded() {
    let (project, status, operator) = whole();
    let follower = status.others()[0].clone();
    let node = Api::node(&project.machine(follower.instance.as_deref()).data());
    let term = operator.status(&follower.address).unwrap().term;
    let command = |key: &str, only_in_term| Command { only_in_term, ..Api::put_command(key, "x") };
    let refused = node.propose(&follower.address, command("term/forwarded", term)).unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert!(refused.message().contains(&format!("no longer leads in term {term}")), "{refused:?}");
    // The leader accepts it in this term only; a write without a term is forwarded anywhere.
    let leader = status.leading().address.clone();
    let refusal = |answer: disco_proto::v1::CommandResponse| match answer.result {
        Some(command_response::Result::Error(error)) => Some(error.refusal()),
        _ => None,
    };
    assert_eq!(refusal(node.propose(&leader, command("term/here", term)).unwrap()), None);
    let stale = node.propose(&leader, command("term/stale", term + 1)).unwrap();
    assert_eq!(refusal(stale), Some(disco_proto::v1::Refusal::StaleTerm));
    node.propose(&follower.address, command("term/any", 0)).unwrap();
    let found = ["forwarded", "here", "stale", "any"].map(|key| project.get(&format!("term/{key}")).is_some());
    assert_eq!(found, [false, true, false, true]);
}
