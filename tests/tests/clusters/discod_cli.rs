//! The command line of `discod`.

use std::fs;

use disco_tests::{RawCluster, Running, SOON};

/// Variables that configure the daemon, as in a container, do not disturb its other commands.
#[test]
fn the_daemons_variables_do_not_affect_its_other_commands() {
    let cluster = RawCluster::empty();
    let node = cluster.node();
    let variables = [
        ("DISCOD_LISTEN", "127.0.0.1:5080"),
        ("DISCOD_RAFT_PACE", "fast"),
        ("DISCOD_NAME", "one"),
        ("DISCOD_LABELS", "a=b"),
        ("DISCOD_LOG", "debug"),
        ("DISCOD_BACKUP_KEEP", "3"),
    ];
    let run = |args: &[&str], more: &[(&str, &str)]| {
        let mut command = node.command(args, &[&variables[..], more].concat());
        Running::new(args.join(" "), command.spawn().unwrap(), std::time::Instant::now()).wait(SOON)
    };
    let data = node.data.to_str().unwrap();
    let given = run(&["identity", "request", "--data-dir", data], &[]).ok().stdout;
    assert!(given.contains("BEGIN CERTIFICATE REQUEST"), "{given}");
    let from_variable = run(&["identity", "request"], &[("DISCOD_DATA_DIR", data)]).ok().stdout;
    assert!(from_variable.contains("BEGIN CERTIFICATE REQUEST"), "{from_variable}");
    // Errors are still reported.
    let missing = run(&["identity", "request"], &[]).expect(2);
    missing.says(&["--data-dir"]);
    run(&[], &[]).expect(2).says(&["--data-dir"]);
    run(&["identity", "no-such"], &[]).expect(2).says(&["no-such"]);
}

#[test]
fn data_of_a_newer_format_is_refused_with_a_hint() {
    let mut cluster = RawCluster::found();
    let node = &mut cluster.nodes[0];
    node.stop(SOON);
    let file = node.data.join("format");
    assert!(!file.exists(), "the first format needs no file");
    for (format, expected) in [("7\n", "has format 7"), ("x", "is damaged")] {
        fs::write(&file, format).unwrap();
        let refused = node.run(SOON);
        assert!(refused.code == 1 && refused.stderr.contains(expected), "{refused}");
        assert!(!refused.stderr.contains("panicked"), "{refused}");
    }
    fs::write(&file, "1\n").unwrap();
    node.start();
    cluster.wait_for_members(1);
}
