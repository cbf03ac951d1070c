#!/usr/bin/env bash
# An error of fs-err 3.3.2 that a `pre_exec` closure of Rust's std 1.95 returns reaches the parent as "Invalid argument", whatever it was.
#
# Expected: `Command::spawn` fails with the error of the closure, as it does for one of `std::fs`: here ENOENT.
# Actual: EINVAL. The child sends the parent `raw_os_error()`; an error of fs-err has a message with the path and so none, and std then
# sends EINVAL. Making that message also allocates between fork and exec.
#
# Disco opens files with fs-err before the fork and hands std's own type to the child (shim/src/launch.rs).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/try/src"
cat >"$work/try/Cargo.toml" <<'TOML'
[package]
name = "try"
edition = "2024"
[dependencies]
fs-err = "=3.3.2"
TOML
cat >"$work/try/src/main.rs" <<'RUST'
use std::io::Result;
use std::os::unix::process::CommandExt;
use std::process::Command;

fn spawn(set_up: impl FnMut() -> Result<()> + Send + Sync + 'static) -> String {
    let mut command = Command::new("true");
    unsafe { command.pre_exec(set_up) };
    format!("{:?}", command.spawn().unwrap_err().raw_os_error())
}

fn main() {
    let file = "/nonexistent/file";
    println!("std::fs {}", spawn(move || std::fs::File::open(file).map(drop)));
    println!("fs_err {}", spawn(move || fs_err::File::open(file).map(drop)));
}
RUST
cargo build -q --manifest-path "$work/try/Cargo.toml" --target-dir "$work/target" 2>/dev/null
seen=$("$work/target/debug/try")
printf '%s\n' "$seen"
[ "$seen" = 'std::fs Some(2)
fs_err Some(22)' ]
