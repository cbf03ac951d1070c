//! Join tokens: their permissions, and their limits.

use disco_identity::{Identity, JoinToken, PrivateKey, refusal};
use disco_proto::v1::{
    BackupPart, ClaimUpgradeRequest, CreateJoinTokenRequest, DeployRequest, Empty, FetchBackupRequest, JoinRequest,
    ListBackupsRequest, LogsRequest, MoveLeaderRequest, PlanRequest, RaftMessage, ReachRequest, ReadRequest,
    RecoverRequest, RelocateRequest, RemoveNodeRequest, ReportEndRequest, ReportRequest, RotateCertificateRequest,
    RunCommandRequest, ScaleRequest, SecretsKeys, StatusRequest, TaskValuesRequest, VoterSecrets, WatchRequest,
};
use disco_tests::{Api, RawCluster, SOON, block, causes, wait_for};
use tonic::Code;

use super::{cluster, put};

#[test]
fn a_join_token_can_join_and_nothing_else() {
    let cluster = cluster();
    let join = cluster.as_join("any");
    for address in cluster.addresses() {
        let mut control = join.control(&address);
        let results = block(async {
            vec![
                control.status(StatusRequest { stale: true }).await.err(),
                control.propose(put("a")).await.err(),
                control.propose_stream(tokio_stream::iter([put("a")])).await.err(),
                control.range(ReadRequest { range: None, stale: true }).await.err(),
                control.watch(WatchRequest::default()).await.err(),
                control.create_join_token(CreateJoinTokenRequest { ttl_seconds: 60, uses: 1 }).await.err(),
                control
                    .scale(ScaleRequest { nodes: 1, dry_run: true, detach: true, ..ScaleRequest::default() })
                    .await
                    .err(),
                control.plan(PlanRequest { nodes: None }).await.err(),
                control.remove_node(RemoveNodeRequest { node_id: 1, detach: true, force: true }).await.err(),
                control.move_leader(MoveLeaderRequest { to: 0 }).await.err(),
                control.deploy(DeployRequest { dry_run: true, ..DeployRequest::default() }).await.err(),
                control
                    .run_command(RunCommandRequest { node_id: 0, command: "true".into(), timeout_ms: 1000 })
                    .await
                    .err(),
                control.logs(LogsRequest { node_id: 0, lines: 1, follow: false }).await.err(),
                control.report(ReportRequest { node_id: 1, ..ReportRequest::default() }).await.err(),
                control.report_end(ReportEndRequest { node_id: 1, ..ReportEndRequest::default() }).await.err(),
                control.set_voter_secrets(VoterSecrets::default()).await.err(),
                control.reach(ReachRequest::default()).await.err(),
                control.task_values(TaskValuesRequest::default()).await.err(),
                control.share_secrets_keys(SecretsKeys::default()).await.err(),
                control.signing_key_request(Empty {}).await.err(),
                control.rotate_certificate(RotateCertificateRequest { node_id: 0 }).await.err(),
                control.backup(Empty {}).await.err(),
                control.list_backups(ListBackupsRequest::default()).await.err(),
                control.fetch_backup(FetchBackupRequest::default()).await.err(),
                control.restore(tokio_stream::iter([BackupPart::default()])).await.err(),
                control.recover(RecoverRequest { lost: vec![1] }).await.err(),
                control.relocate(RelocateRequest::default()).await.err(),
                control.claim_upgrade(ClaimUpgradeRequest::default()).await.err(),
                join.raft(&address).append_stream(tokio_stream::iter([RaftMessage::default()])).await.err(),
            ]
        });
        for (index, result) in results.into_iter().enumerate() {
            let status = result.unwrap_or_else(|| panic!("call {index} was let through at {address}"));
            assert_eq!(status.code(), Code::PermissionDenied, "call {index} at {address}: {status:?}");
        }
        // Its name belongs to no token of the cluster.
        let status = block(control.join(join_request())).unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    }
    // Only tokens can join.
    let status = block(cluster.operator().control(&cluster.addresses()[0]).join(join_request())).unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
}

fn join_request() -> JoinRequest {
    let key = PrivateKey::generate().unwrap();
    JoinRequest {
        signing_request: key.signing_request().unwrap(),
        address: "127.0.0.1:1".into(),
        join_id: uuid::Uuid::new_v4().into_bytes().to_vec().into(),
        ..JoinRequest::default()
    }
}

fn as_token(text: &str) -> Api {
    let token = JoinToken::decode_any(text).unwrap();
    Api::new(Identity::new(token.credentials().unwrap()).unwrap())
}

#[test]
fn used_up_expired_or_garbage_tokens_admit_no_node() {
    let cluster = cluster();
    let address = cluster.addresses()[0].clone();

    // Expired: refused by its holder, and by the cluster.
    let short = cluster.token(1, 1);
    wait_for(SOON, "the token's end", || match JoinToken::decode(&short) {
        Ok(_) => Err("it is still good"),
        Err(_) => Ok(()),
    });
    let mut node = cluster.node();
    node.set_token(&short);
    let output = node.run(SOON);
    assert!(output.code > 0 && output.stderr.contains("expired"), "{output}");
    let status = block(as_token(&short).control(&address).join(join_request())).unwrap_err();
    assert!(refusal(&status).is_some() || status.code() == Code::PermissionDenied, "{}", causes(&status));

    // Damaged: refused by its holder.
    let good = cluster.token(60, 1);
    let cut = &good[..good.len() / 2];
    for (text, says) in
        [(cut, "damaged"), ("garbage", "join token"), ("", "join token"), ("disco-join-9.abc", "version")]
    {
        let mut node = cluster.node();
        node.set_token(text);
        let output = node.run(SOON);
        assert!(output.code > 0 && output.stderr.contains(says), "`{says}` expected: {output}");
    }
    // Readable by others.
    let mut node = cluster.node();
    node.set_token(&good);
    let path = node.data.with_file_name("token");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let output = node.run(SOON);
    assert!(output.code > 0 && output.stderr.contains("chmod 600"), "{output}");
}

#[test]
fn a_token_for_one_admits_one_node_and_that_node_again() {
    // A separate cluster, as its size changes.
    let mut cluster = RawCluster::found();
    let address = cluster.addresses()[0].clone();
    let token = cluster.token(600, 1);
    let mut node = cluster.node();
    node.set_token(&token);
    node.start();
    cluster.nodes.push(node);
    cluster.wait_for_members(2);

    let mut second = cluster.node();
    second.set_token(&token);
    let output = second.run(SOON);
    assert!(output.code > 0 && output.stderr.contains("token") && output.stderr.contains("already used"), "{output}");
    assert_eq!(cluster.wait_for_members(2).nodes.len(), 2);

    // Concurrently: a token for two admits two of six.
    let pair = cluster.token(600, 2);
    let join = as_token(&pair);
    let admitted: Vec<_> = std::thread::scope(|scope| {
        let ask = |_| {
            let (join, address) = (join.clone(), address.clone());
            scope.spawn(move || {
                block(join.control(&address).join(join_request())).map(|answer| answer.into_inner().node_id).ok()
            })
        };
        let asked: Vec<_> = (0..6).map(ask).collect();
        asked.into_iter().filter_map(|answer| answer.join().unwrap()).collect()
    });
    assert_eq!(admitted.len(), 2, "{admitted:?}");
    assert_ne!(admitted[0], admitted[1], "two nodes got the same id");

    // A learner has no secrets of voters.
    let learner = &cluster.nodes[1];
    for secret in ["intermediate.key", "ssh_key", "intermediate.pem"] {
        assert!(!learner.identity(secret).exists(), "a learner holds {secret}");
    }
    assert!(cluster.nodes[0].identity("intermediate.key").exists());
}
