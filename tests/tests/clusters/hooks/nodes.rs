//! `node.run` and `node.copy`: commands and files for a named node.

use std::os::unix::fs::PermissionsExt;

use bytes::Bytes;
use disco_proto::v1::{CopyFileRequest, RunCommandRequest};
use disco_tests::{SOON, block, wait_for};
use tonic::{Code, Status};

use super::support::{Bed, hash};

#[test]
fn commands_and_files_go_to_the_named_node() {
    let bed = Bed::new(3);
    let (id, follower) = bed.follower();
    let (leader_id, leader) = bed.leader();
    for (address, node) in [(&follower, id), (&follower, leader_id), (&leader, id), (&leader, 0)] {
        // Its parent is the daemon.
        let output =
            bed.run(address, node, "cat /proc/$PPID/cmdline | tr '\\0' ' '; echo $PWD >&2; exit 3", 0).unwrap();
        let listening = format!("--listen {}", bed.address(if node == 0 { leader_id } else { node }));
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.code == 3 && stdout.contains(&listening) && !output.stderr.is_empty(), "{output:?}");
    }
    let hung = bed.run(&follower, leader_id, "echo begun; sleep 100", 3_000).unwrap();
    assert!(hung.timed_out && hung.code == 137 && hung.stdout == "begun\n", "{hung:?}");
    assert_eq!(bed.run(&follower, 77, "true", 0).unwrap_err().code(), Code::NotFound);
    assert_eq!(bed.run(&follower, id, " ", 0).unwrap_err().code(), Code::InvalidArgument);
    let long = bed.run(&follower, leader_id, "head -c 2000000 /dev/zero", 0).unwrap();
    assert!(long.truncated && long.stdout.len() == 1 << 20);

    let target = bed.cluster.folder().join("copied/file");
    let content: Vec<u8> = (0..2_500_000_u32).map(|n| (n % 251) as u8).collect();
    let copy = |path: &str, sha256: String| {
        for (number, part) in content.chunks(1 << 20).enumerate() {
            let request = CopyFileRequest {
                node_id: leader_id,
                path: path.to_owned(),
                mode: 0o755,
                data: Bytes::copy_from_slice(part),
                offset: (number << 20) as u64,
                size: content.len() as u64,
                sha256: sha256.clone(),
                ..CopyFileRequest::default()
            };
            block(bed.api.control(&follower).copy_file(request))?;
        }
        Ok::<_, Status>(())
    };
    copy(target.to_str().unwrap(), hash(&content)).unwrap();
    assert!(std::fs::read(&target).unwrap() == content);
    assert_eq!(target.metadata().unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(copy("relative", hash(&content)).unwrap_err().code(), Code::InvalidArgument);
    let wrong = copy(target.to_str().unwrap(), hash("other")).unwrap_err();
    assert!(wrong.code() == Code::InvalidArgument && wrong.message().contains("checksum"), "{wrong}");
    assert!(std::fs::read(&target).unwrap() == content);

    // A background process of a command, which continues to write.
    let (go, ticks) = (bed.cluster.folder().join("go"), bed.cluster.folder().join("ticks"));
    let text = format!(
        "sh -c 'until [ -e {0} ]; do sleep 0.05; done; for i in 1 2 3; do head -c 50000 /dev/zero; echo x >> {1}; done' & echo begun",
        go.display(),
        ticks.display()
    );
    assert_eq!(bed.run(&leader, id, &text, 0).unwrap().stdout, "begun\n");

    // A command does not outlive the daemon that runs it.
    let mark = bed.cluster.folder().join("pid");
    let request = RunCommandRequest {
        node_id: 0,
        command: format!("echo $$ > {0}.tmp && mv {0}.tmp {0}; sleep 1000", mark.display()),
        timeout_ms: 0,
    };
    let mut control = bed.api.control(&follower);
    let running = std::thread::spawn(move || block(control.run_command(request)));
    let pid = wait_for(SOON, "the command", || std::fs::read_to_string(&mark));
    let mut bed = bed;
    let at = bed.cluster.nodes.iter().position(|node| node.address.to_string() == follower).unwrap();
    bed.cluster.nodes[at].kill();
    wait_for(SOON, "the command's end", || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") { Ok(()) } else { Err(stat) }
    });
    assert!(running.join().unwrap().is_err());
    std::fs::write(&go, "").unwrap();
    wait_for(SOON, "what was left in the background", || {
        let ticks = std::fs::read_to_string(&ticks).unwrap_or_default();
        if ticks.lines().count() == 3 { Ok(()) } else { Err(ticks) }
    });
}
