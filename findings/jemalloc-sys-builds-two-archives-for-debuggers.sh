#!/usr/bin/env bash
# tikv-jemalloc-sys 0.7.1 compiles the allocator twice, with information for debuggers, in a release build.
#
# Expected: one static library, compiled as the profile says: `debug = false` and `strip = true` leave no `-g`.
# Actual: the allocator's own makefile makes `libjemalloc.a` and `libjemalloc_pic.a` out of the same files; its configure script puts `-g3` into
# the flags whatever the profile says; and the crate links the second archive alone. Nearly all of each archive is `.debug_*` sections, and the work
# for the unused one is as much as for the other.
#
# Disco sets `STATIC_LIBS` for make and `EXTRA_CFLAGS` for the compiler in `.cargo/config.toml`: a third less processor time for this crate.
set -euo pipefail
unset MAKEFLAGS EXTRA_CFLAGS CFLAGS CARGO_TARGET_DIR
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/try/src"
cat >"$work/try/Cargo.toml" <<'TOML'
[package]
name = "try"
edition = "2024"
[dependencies]
tikv-jemalloc-sys = "=0.7.1"
[profile.release]
debug = false
strip = true
TOML
echo 'fn main() {}' >"$work/try/src/main.rs"
cd "$work/try"
cargo build -q --release --target-dir "$work/target"
archives=$(cd "$work"/target/release/build/tikv-jemalloc-sys-*/out/lib && ls ./*.a)
linked=$(grep -h 'cargo:rustc-link-lib' "$work"/target/release/build/tikv-jemalloc-sys-*/output | cut -d= -f3)
archive=$(echo "$work"/target/release/build/tikv-jemalloc-sys-*/out/lib/libjemalloc_pic.a)
all=$(stat -c %s "$archive")
cp "$archive" "$work/stripped.a"
strip --strip-debug "$work/stripped.a"
code=$(stat -c %s "$work/stripped.a")
printf 'archives: %s\nlinked: %s\nlibjemalloc_pic.a: %d bytes, without sections for debuggers %d\n' "${archives//$'\n'/ }" "$linked" "$all" "$code"
[ "$archives" = $'./libjemalloc.a\n./libjemalloc_pic.a' ]
[ "$linked" = jemalloc_pic ]
[ "$all" -gt $((code * 10)) ]
