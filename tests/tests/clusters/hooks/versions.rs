//! Script versions: trial, loading on every node, retention, and their files.

use std::collections::BTreeSet;

use bytes::Bytes;
use disco_proto::v1::{BlobPart, FileEntry, MoveLeaderRequest, PushScriptRequest, ScriptFailure};
use disco_tests::{SOON, block, wait_for};
use prost::Message;
use tonic::Code;

use super::support::{Bed, hash};

#[test]
fn a_version_is_tried_first_and_then_runs_on_every_node() {
    let bed = Bed::new(3);
    let (_, follower) = bed.follower();
    assert!(bed.status().nodes.iter().all(|node| node.script.is_empty()));

    let pushed = bed.push(&follower, "export function health() { return { healthy: true, reason: 'fine' } }").unwrap();
    assert!(pushed.changed && pushed.script.starts_with("sha256:"), "{pushed:?}");
    assert_eq!(pushed.nodes, [1, 2, 3], "all of them before the answer");
    let before = bed.status();
    assert!(before.script == pushed.script && before.nodes.iter().all(|node| node.script == pushed.script));
    wait_for(SOON, "health records", || match bed.records("/disco/health/").len() {
        3 => Ok(()),
        other => Err(format!("{other} records")),
    });

    let again = bed.push(&follower, "export function health() { return { healthy: true, reason: 'fine' } }").unwrap();
    assert!(!again.changed && again.script == pushed.script && again.nodes == [1, 2, 3], "{again:?}");

    // A version that cannot be used is refused with its position, and changes nothing.
    for (source, line, message) in [
        ("export function init( {}", 1, "SyntaxError"),
        ("const a = 1;\nexport function init() {\n  throw new TypeError('not today');\n}", 3, "TypeError: not today"),
        ("export function init() { return 7 }", 0, ""),
        ("export function init() { return new Cluster({ name: 'other' }) }", 1, "`raw`"),
        ("import { x } from './missing.js';", 1, "missing.js"),
    ] {
        for dry_run in [true, false] {
            let refused = bed.push_files(&follower, &[("cluster.js", source)], dry_run).expect_err(source);
            assert_eq!(refused.code(), Code::InvalidArgument, "{source}: {refused}");
            let failure = ScriptFailure::decode(refused.details()).unwrap();
            assert_eq!(failure.line, line, "{source}: {failure:?}");
            assert!(failure.message.contains(message), "{source}: {failure:?}");
        }
    }
    let odd = bed.push_files(&follower, &[("client.js", "1")], false).unwrap_err();
    assert!(odd.code() == Code::InvalidArgument && odd.message().contains("`cluster.js` is missing"), "{odd}");
    assert_eq!(bed.status().script, before.script);

    // A dry run of a valid one changes nothing either; an import is included.
    let files = [
        (
            "cluster.js",
            "import { word } from './lib/word.js';\nexport function health() { return { healthy: false, reason: word } }",
        ),
        ("lib/word.js", "export const word = 'imported';"),
    ];
    let tried = bed.push_files(&follower, &files, true).unwrap();
    assert!(tried.changed && tried.nodes.is_empty(), "{tried:?}");
    assert_eq!(bed.status().script, before.script);
    bed.push_files(&follower, &files, false).unwrap();
    wait_for(SOON, "the imported word as the reason", || {
        let status = bed.status();
        let all = status.nodes.iter().all(|node| !node.healthy && node.reason == "imported");
        if all { Ok(()) } else { Err(format!("{status:#?}")) }
    });
    // Without the hook there is no record, and nodes are healthy.
    let last = bed.push(&follower, "").unwrap();
    bed.wait_for_version(&last.script);
    wait_for(SOON, "health without a hook", || {
        let status = bed.status();
        let none = bed.records("/disco/health/").is_empty();
        if none && status.healthy { Ok(()) } else { Err(format!("{status:#?}")) }
    });
    assert_eq!(bed.records("/disco/scripts/").len(), 3);

    // The last five of many versions are retained; a new leader checks that at once.
    let mut last = String::new();
    for number in 0..6 {
        last = bed.push(&follower, &format!("// {number}")).unwrap().script;
    }
    assert_eq!(bed.records("/disco/scripts/").len(), 9);
    block(bed.api.control(&bed.leader().1).move_leader(MoveLeaderRequest { to: 0 })).unwrap();
    wait_for(SOON, "five versions", || {
        let versions = bed.records("/disco/scripts/");
        let numbers: BTreeSet<u64> = versions.iter().filter_map(|version| version["version"].as_u64()).collect();
        if numbers == (5..=9).collect() { Ok(()) } else { Err(format!("{numbers:?}")) }
    });
    assert_eq!(bed.status().script, last);
}

#[test]
fn incomplete_blobs_do_not_exist() {
    let bed = Bed::new(1);
    let (_, node) = bed.leader();
    let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let hashes = [hash(&large), hash("small"), hash("")];
    assert_eq!(bed.missing(&node, &hashes), hashes);
    bed.send(&node, &large).unwrap();
    bed.send(&node, &large).unwrap();
    bed.send(&node, b"").unwrap();
    assert_eq!(bed.missing(&node, &hashes), [hash("small")]);

    let put = |parts: Vec<BlobPart>| block(bed.api.control(&node).put_blob(tokio_stream::iter(parts))).unwrap_err();
    let head = |content: &str, size: u64| BlobPart { sha256: hash(content), size, data: Bytes::from_static(b"small") };
    for (parts, says) in [
        (vec![], "content is missing"),
        (vec![head("small", 4)], "exceeds the announced"),
        (vec![head("small", 6)], "5 of the announced 6"),
        (vec![head("other", 5)], "does not match the checksum"),
        (vec![head("small", 9 << 20)], "8 MiB"),
        (vec![BlobPart { sha256: "x".into(), ..head("small", 5) }], "SHA-256"),
    ] {
        let refused = put(parts);
        assert!(refused.code() == Code::InvalidArgument && refused.message().contains(says), "{says}: {refused}");
    }
    assert_eq!(bed.missing(&node, &hashes), [hash("small")]);
    let absent = FileEntry { path: "cluster.js".into(), sha256: hash("nobody has it"), size: 5, mode: 0o644 };
    let refused = block(bed.api.control(&node).push_script(PushScriptRequest { files: vec![absent], dry_run: false }));
    let refused = refused.unwrap_err();
    assert!(refused.message().contains("does not have the content"), "{refused}");
}
