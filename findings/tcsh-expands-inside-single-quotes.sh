#!/usr/bin/env bash
# tcsh 6.24.07 interprets two characters inside single quotes that every other login shell passes unchanged, also without a terminal:
# `!` begins a history substitution, and a line break ends the quotation with an error.
#
# Expected: the output of a quoting function for POSIX shells ('a!b', or a script of two lines in single quotes) reaches a command
# unchanged by `tcsh -c`, which is what sshd runs for a user whose login shell is tcsh; history is for interactive shells.
# Actual: "b: Event not found." and "Unmatched '''."; exit status 1, and the command does not run. A backslash before each of the two helps,
# also within the quotes, but only tcsh removes it: so no text is right for both families of shells.
#
# So Disco's command line on a machine contains neither `!` nor a line break: it is `sh -s`, and the script is sent by standard input
# (provider/src/ssh/frame.rs).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && apt-get -qq download tcsh=6.24.07-1 2>/dev/null && dpkg -x tcsh_*.deb root)
tcsh=$work/root/bin/tcsh
"$tcsh" --version

# Prints the first line that a command line writes to either output, and its exit status.
try() {
    local output status=0
    output=$(HOME=$work "$tcsh" -c "$1" 2>&1 </dev/null) || status=$?
    # The second error is reported once for each of the two lines.
    printf '%s [%s]' "${output%%$'\n'*}" "$status"
}

fail=0
expect() {
    local seen
    seen=$(try "$1")
    printf '%-28s %s\n' "${1//$'\n'/\\n}" "$seen"
    [ "$seen" = "$2" ] || { printf 'changed: expected %s\n' "$2"; fail=1; }
}
expect "echo 'a b'" 'a b [0]'
expect "echo 'a!b'" 'b: Event not found. [1]'
expect "echo 'a\\!b'" 'a!b [0]'
expect $'echo \'a\nb\'' "Unmatched '''. [1]"
exit "$fail"
