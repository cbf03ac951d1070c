//! A Rust client from crates.io: `etcd-client`, in a separate program (`tests/etcd-client`).

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use disco_tests::{Project, SOON, skipped};

/// Time to build it, a hundred crates, on a small and busy machine.
const BUILD: Duration = Duration::from_secs(600);

fn crate_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("etcd-client")
}

fn cargo(args: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(args).current_dir(crate_folder()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    cargo
}

/// The program, built in the target folder, or the reason why its crates are not available.
fn program(project: &Project) -> Result<PathBuf, String> {
    let fetch = cargo(&["fetch", "--locked"]).output().map_err(|error| error.to_string())?;
    if !fetch.status.success() {
        return Err(String::from_utf8_lossy(&fetch.stderr).into_owned());
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("etcd-client");
    let mut build = cargo(&["build", "--locked", "--offline", "--quiet", "--target-dir"]);
    build.arg(&target).env("PROTOC", env!("CARGO_BIN_EXE_disco-test-protoc"));
    // The variables of this test would rebuild it whenever they change.
    build.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_BUILD_TARGET");
    project.start_command(&mut build).wait(BUILD).ok();
    Ok(target.join("debug/disco-test-etcd-client"))
}

#[test]
fn every_function_of_the_crate_etcd_client_works() {
    let project = Project::new("etcdcrate");
    let program = match program(&project) {
        Ok(program) => program,
        Err(missing) => return skipped(format!("the crate etcd-client cannot be had: {missing}")),
    };
    project.bootstrap();
    project.wait_until_healthy(SOON, 3);
    let settings = project.disco(&["env", "-o", "json"]).ok().json();
    let settings = settings.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.as_str().unwrap()));
    let mut command = Command::new(program);
    command.env_clear().envs(settings).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = project.start_command(&mut command).wait(Duration::from_secs(120)).ok();
    print!("{}", output.stdout);
    let done: Vec<_> = output.stdout.lines().filter_map(|line| line.split(':').next()).collect();
    let all = ["keys", "transactions", "watches", "leases", "locks", "elections", "cluster", "refusals"];
    assert_eq!(done, all, "{output}");
}

#[test]
fn the_crate_etcd_client_uses_one_cryptography_provider() {
    let lock = std::fs::read_to_string(crate_folder().join("Cargo.lock")).unwrap();
    assert!(lock.contains("name = \"ring\""), "it has none at all");
    for refused in ["aws-lc-rs", "aws-lc-sys", "openssl-sys", "native-tls"] {
        assert!(!lock.contains(&format!("name = \"{refused}\"")), "{refused} is among its crates");
    }
}
