#!/usr/bin/env bash
# Cargo 1.95.0: an override for the program's own package, of any setting, undoes `strip` of the profile.
#
# Expected: an override changes the settings that it names. `[profile.release] strip = true` stays, as `panic` and `codegen-units` do.
# Actual: with `[profile.release.package.NAME] opt-level = "s"` rustc gets `-C strip=debuginfo`, the default of a release build, instead of
# `strip=symbols`; so it does where the profile has `strip = "none"`. An override for `"*"`, that is for the dependencies, leaves it. Nothing warns: a
# program of 28 MB is 39 MB.
#
# Disco's Cargo.toml repeats `strip = true` in the overrides of `discod`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/src"
echo 'fn main() {}' >"$work/src/main.rs"
cargo --version
# Given: the value of `strip` in the profile, then lines after the profile. Prints what rustc gets.
strip_of() {
    printf '[package]\nname = "try"\nedition = "2024"\n[profile.release]\nstrip = %s\n%s\n' "$1" "${2:-}" >"$work/Cargo.toml"
    CARGO_TARGET_DIR=$(mktemp -d -p "$work") cargo build --release -v --manifest-path "$work/Cargo.toml" 2>&1 | grep -o 'strip=[a-z]*' || echo nothing
}
own='[profile.release.package.try]'
seen=$(
    echo "no override: $(strip_of true)"
    echo "own package: $(strip_of true "$own
opt-level = \"s\"")"
    echo "own package, strip = none: $(strip_of '"none"' "$own
codegen-units = 3")"
    echo "own package, with strip: $(strip_of true "$own
opt-level = \"s\"
strip = true")"
    echo "dependencies: $(strip_of true '[profile.release.package."*"]
opt-level = "s"')"
)
printf '%s\n' "$seen"
[ "$seen" = 'no override: strip=symbols
own package: strip=debuginfo
own package, strip = none: strip=debuginfo
own package, with strip: strip=symbols
dependencies: strip=symbols' ]
