#!/usr/bin/env bash
# A signal that glibc keeps for itself (32 and 33) and that a parent has left ignored stays ignored in every descendant: nix 0.31.3, Rust's
# std 1.95 and GNU coreutils' `env --default-signal` reset "all" signals and do not reset these.
#
# Expected: resetting every signal between fork and exec, or running a program under `env --default-signal`, leaves SigIgn of
# /proc/PID/status at 0.
# Actual: 0000000180000000. glibc's `sigaction` answers EINVAL for 32 and 33, and neither nix nor `env` has a name for them; exec keeps ignored
# signals. A parent that does not use glibc can leave them so. Only the kernel's own `rt_sigaction` resets them.
#
# Disco's shim resets signals by that call (shim/src/launch.rs).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/try/src"
cat >"$work/try/Cargo.toml" <<'TOML'
[package]
name = "try"
edition = "2024"
[dependencies]
libc = "=0.2.191"
nix = { version = "=0.31.3", features = ["signal"] }
TOML
cat >"$work/try/src/main.rs" <<'RUST'
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::{SigHandler, Signal, signal};

const HIDDEN: [i32; 2] = [32, 33];

/// By the kernel's own call: handler, flags, restorer and mask, 8 bytes each.
fn set(number: i32, handler: u64) {
    let action = [handler, 0, 0, 0];
    unsafe { libc::syscall(libc::SYS_rt_sigaction, number, action.as_ptr(), std::ptr::null_mut::<u64>(), 8) };
}

fn ignored(name: &str, program: &str, args: &[&str], set_up: fn()) {
    let mut command = Command::new(program);
    command.args(args).args(["grep", "SigIgn", "/proc/self/status"].into_iter().skip(usize::from(program == "grep")));
    unsafe { command.pre_exec(move || Ok(set_up())) };
    let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
    // The two alone: the caller may ignore others.
    let all = u64::from_str_radix(output.split_whitespace().last().unwrap(), 16).unwrap();
    println!("{name} {:016x}", all & 3 << 31);
}

fn main() {
    HIDDEN.into_iter().for_each(|number| set(number, libc::SIG_IGN as u64));
    println!("libc refuses {}", HIDDEN.into_iter().all(|number| unsafe { libc::signal(number, libc::SIG_DFL) } == libc::SIG_ERR));
    ignored("std", "grep", &[], || ());
    ignored("nix", "grep", &[], || {
        for number in Signal::iterator() {
            let _ = unsafe { signal(number, SigHandler::SigDfl) };
        }
    });
    ignored("env", "env", &["--default-signal"], || ());
    ignored("kernel", "grep", &[], || HIDDEN.into_iter().for_each(|number| set(number, libc::SIG_DFL as u64)));
}
RUST
cargo build -q --manifest-path "$work/try/Cargo.toml" --target-dir "$work/target" 2>/dev/null
seen=$("$work/target/debug/try")
printf '%s\n' "$seen"
[ "$seen" = 'libc refuses true
std 0000000180000000
nix 0000000180000000
env 0000000180000000
kernel 0000000000000000' ]
