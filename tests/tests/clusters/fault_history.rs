//! A short run of `disco-faults`: every fault that is possible here, and no acknowledged write is lost.

use std::process::Command;
use std::time::Instant;

use disco_tests::{Binaries, Permit, Running};
use serde_json::Value;

#[test]
fn no_acknowledged_write_is_lost_under_faults_of_every_kind() {
    let _permit = Permit::alone();
    let mut command = Command::new(env!("CARGO_BIN_EXE_disco-faults"));
    let binaries = Binaries::get().discod.parent().expect("it is in a folder");
    command.args(["--seconds", "20", "--seed", "7"]).env("DISCO_TEST_BINARIES", binaries);
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let output =
        Running::new("disco-faults".to_owned(), child, Instant::now()).wait(std::time::Duration::from_secs(300)).ok();
    println!("{}", output.stderr);
    let summary: Value = output.json();
    assert_eq!(summary["violations"], Value::Array(Vec::new()), "{summary:#}");
    assert!(summary["known"].as_u64().is_some_and(|known| known > 100), "{summary:#}");
    assert!(summary["keys"].as_u64().is_some_and(|keys| keys > 0), "{summary:#}");
}
