//! Writes that a node forwards to the leader.

use std::time::{Duration, Instant};

use disco_proto::v1::{
    CommandError, Empty, ProposeRequest, PutRequest, RangeRequest, Refusal, RequestOp, TxnRequest, backup_part,
    command, command_response, request_op,
};
use disco_tests::{Api, Project, RawCluster, SOON, block};
use sha2::{Digest, Sha256};
use tokio_stream::StreamExt;
use tonic::Code;

fn put(key: &str) -> ProposeRequest {
    ProposeRequest { command: Some(Api::put_command(key, "b")), ..ProposeRequest::default() }
}

/// A refused write does not end the others, and each answer carries its number.
#[test]
fn forwarded_writes_are_answered_one_by_one() {
    let cluster = RawCluster::with_nodes(3);
    let third = Api::node(&cluster.nodes[2].data);
    let status = cluster.wait_for_members(3);
    let leader = status.nodes.iter().find(|node| node.id == status.leader).unwrap().address.clone();
    let writes = [
        ProposeRequest { number: 7, ..put("handed/on") },
        ProposeRequest { number: 8, ..ProposeRequest::default() },
        ProposeRequest { number: 9, ..put("") },
        ProposeRequest { number: 10, ..put("handed/on/too") },
    ];
    let mut answers: Vec<_> = block(async {
        let answers = third.control(&leader).propose_stream(tokio_stream::iter(writes)).await.unwrap().into_inner();
        answers.map(Result::unwrap).collect().await
    });
    answers.sort_by_key(|answer| answer.number);
    let results: Vec<_> =
        answers.iter().map(|answer| (answer.number, answer.response.is_some(), answer.code)).collect();
    let invalid = Code::InvalidArgument as i32;
    assert_eq!(results, [(7, true, 0), (8, false, invalid), (9, true, 0), (10, true, 0)], "{answers:#?}");
    // A malformed command gets the store's own error.
    let refused = answers[2].response.as_ref().and_then(|response| response.result.clone());
    let empty = |error: &CommandError| error.refusal() == Refusal::EmptyKey;
    assert!(matches!(&refused, Some(command_response::Result::Error(error)) if empty(error)), "{refused:?}");
    assert_eq!(cluster.operator().list(&leader, "handed/", false).unwrap().len(), 2);
}

/// Clients that do not read have no effect on Raft's messages and on other requests.
#[test]
fn answers_that_nobody_reads_hold_up_no_other_request() {
    let cluster = RawCluster::with_nodes(3);
    let api = cluster.operator();
    let status = cluster.wait_for_members(3);
    let follower = status.nodes.iter().find(|node| node.id != status.leader).unwrap().address.clone();
    let put = |key: &str, value: &str| api.put(std::slice::from_ref(&follower), key, value, SOON);
    // Digits that no compression makes small.
    let digits = (0..16_384_u32).map(|number| hex::encode(Sha256::digest(number.to_be_bytes()))).collect::<String>();
    put("unread/large", &digits).unwrap();
    // Each has more than a stream's window. The leader makes as many at a time as it has threads for that, the others wait.
    let unread: Vec<_> =
        (0..12).map(|_| block(api.control(&follower).backup(Empty {})).unwrap().into_inner()).collect();
    for number in 0..20 {
        put(&format!("unread/{number:02}"), "still written").unwrap();
    }
    assert_eq!(api.list(&follower, "unread/", false).unwrap().len(), 21);
    let now = cluster.wait_for_members(3);
    assert_eq!((now.leader, now.term), (status.leader, status.term), "the followers lost their leader");
    // They were not refused, and go on where they are read.
    for mut answer in unread {
        let mut size = 0;
        while let Some(part) = block(answer.next()) {
            if let Some(backup_part::Part::Data(data)) = part.unwrap().part {
                size += data.len();
            }
        }
        assert!(size > 256 << 10, "a backup of {size} bytes does not fill a window");
    }
}

/// Forwarded writes share a connection: an answer that is too large for it must not end it for the others.
#[test]
fn a_too_large_answer_is_an_error_for_its_client_only() {
    let project = Project::bootstrapped("wide");
    let (status, api) = (project.status(), Api::operator(&project));
    let leader = status.leading().id;
    let follower = status.nodes.iter().find(|node| node.id != leader).unwrap().address.clone();
    let value = "x".repeat(1 << 20);
    for number in 0..17 {
        api.put(std::slice::from_ref(&follower), &format!("wide/{number:02}"), &value, SOON).unwrap();
    }
    let everything = RangeRequest { key: "wide/".into(), range_end: "wide0".into(), ..RangeRequest::default() };
    let put = PutRequest { key: "wide-done".into(), value: "1".into(), ..PutRequest::default() };
    let success = [request_op::Request::Put(put), request_op::Request::Range(everything)];
    let success = success.map(|request| RequestOp { request: Some(request) }).to_vec();
    let command = Api::command(command::Operation::Txn(TxnRequest { success, ..TxnRequest::default() }));
    let asked = std::thread::spawn({
        let (api, follower) = (api.clone(), follower.clone());
        move || api.propose(&follower, command).unwrap_err()
    });
    let mut slowest = Duration::ZERO;
    while !asked.is_finished() {
        let start = Instant::now();
        api.put(std::slice::from_ref(&follower), "beside", "x", SOON).unwrap();
        slowest = slowest.max(start.elapsed());
    }
    let outcome = asked.join().unwrap();
    assert!(
        outcome.code() == Code::OutOfRange
            && outcome.message().contains("the write succeeded, but the response has 1782"),
        "{outcome:?}"
    );
    println!("the slowest write beside it took {slowest:?}");
    // The write was applied; only its answer is missing.
    assert_eq!(project.get("wide-done").as_deref(), Some("1"));
}

#[test]
fn a_stopping_leader_does_not_wait_for_more_forwarded_writes() {
    let mut cluster = RawCluster::with_nodes(3);
    let api = cluster.operator();
    let leader = usize::try_from(cluster.wait_for_members(3).leader).unwrap() - 1;
    for address in cluster.addresses() {
        api.put(std::slice::from_ref(&address), &format!("by/{address}"), "x", SOON).unwrap();
    }
    let node = &mut cluster.nodes[leader];
    assert_eq!(node.stop(SOON), 0);
    assert!(!node.log().contains("still in progress"), "{}", node.log());
}
