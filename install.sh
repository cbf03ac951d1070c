#!/bin/sh
# Installs Disco's two static programs, `disco` and `discod`, for the user who runs it. Root is not needed.
#
#     sh install.sh [--version X.Y.Z] [--dir DIR]
#
# --version X.Y.Z   that release; the newest when not given
# --dir DIR         where the programs go; default `~/.local/bin`. Completion and the manual page go to `../share` beside it
# --url URL         a folder with the files of one release, instead of the project's own
#
# It downloads one archive, compares it with the release's SHA256SUMS, and replaces the programs one by one, each whole or
# not at all. What it cannot verify it does not unpack. To remove Disco again, delete the files that it names.
set -eu

REPOSITORY=https://github.com/jeffmoss/disco

say() { printf '%s\n' "$*"; }
fail() {
    printf 'install.sh: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
    exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

# Given: a URL and a file. Writes what is there into the file.
download() {
    if has curl; then
        curl --fail --silent --show-error --location --proto '=http,https' --retry 3 --connect-timeout 20 --speed-limit 1000 --speed-time 30 --output "$2" "$1"
    elif has wget; then
        wget -q -T 20 -O "$2" "$1"
    else
        fail "neither curl nor wget is installed" 'install one of them and run this again'
    fi || fail "cannot download $1" 'check the network, and that this version exists'
}

# Given: a file. Prints its SHA-256 in hexadecimal digits.
sha256() {
    if has sha256sum; then sha256sum <"$1" | cut -d ' ' -f 1
    elif has shasum; then shasum -a 256 <"$1" | cut -d ' ' -f 1
    elif has openssl; then openssl dgst -sha256 -r <"$1" | cut -d ' ' -f 1
    else fail 'no program here computes SHA-256' "install coreutils (sha256sum) or openssl"; fi
}

# Given: a source, a destination and a mode. Replaces the destination in one step.
put() {
    new=$2.new.$$
    if cp "$1" "$new" && chmod "$3" "$new" && mv -f "$new" "$2"; then return; fi
    fail "cannot write $2" 'choose another folder with --dir'
}

main() {
    version='' dir=${HOME:-}/.local/bin url=''
    while [ $# -gt 0 ]; do
        case $1 in
            --version | --dir | --url) [ $# -ge 2 ] || fail "\`$1\` needs a value" ;;
        esac
        case $1 in
            --version) version=${2#v}; shift 2 ;;
            --dir) dir=$2; shift 2 ;;
            --url) url=${2%/}; shift 2 ;;
            -h | --help)
                say 'usage: install.sh [--version X.Y.Z] [--dir DIR] [--url URL]'
                say "Installs disco and discod into DIR (default ~/.local/bin), after comparing their checksum."
                return ;;
            *) fail "unexpected argument \`$1\`" 'sh install.sh --help' ;;
        esac
    done
    case $dir in /.local/bin) fail 'HOME is not set' 'name a folder: --dir DIR' ;; esac
    case $dir in /*) ;; *) dir=$PWD/$dir ;; esac
    dir=${dir%/}
    if [ -z "$url" ]; then
        url=$REPOSITORY/releases/latest/download
        [ -z "$version" ] || url=$REPOSITORY/releases/download/v$version
    fi

    [ "$(uname -s)" = Linux ] || fail "Disco's programs run on Linux, and this is $(uname -s)"
    case $(uname -m) in
        x86_64 | amd64) architecture=x86_64 ;;
        aarch64 | arm64) architecture=aarch64 ;;
        *) fail "there is no release for $(uname -m): expected x86_64 or aarch64" "build from source: $REPOSITORY" ;;
    esac

    work=$(mktemp -d "${TMPDIR:-/tmp}/disco-install.XXXXXX")
    new=''
    trap 'rm -rf "$work"; [ -z "$new" ] || rm -f "$new"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    download "$url/SHA256SUMS" "$work/SHA256SUMS"
    # `<digits>  disco-<version>-<architecture>.tar.gz`; an asterisk before the name means a binary file.
    line=$(grep -E "^[0-9a-f]{64} [ *]disco-[0-9][^/ ]*-$architecture\.tar\.gz\$" "$work/SHA256SUMS" || :)
    [ "$(printf '%s\n' "$line" | grep -c .)" = 1 ] || fail "$url/SHA256SUMS names no single archive for $architecture"
    expected=${line%% *}
    archive=${line#* }
    archive=${archive#[ *]}
    found=${archive#disco-}
    found=${found%-"$architecture".tar.gz}
    [ -z "$version" ] || [ "$version" = "$found" ] || fail "$url holds version $found, not $version"

    say "downloading $url/$archive"
    download "$url/$archive" "$work/$archive"
    actual=$(sha256 "$work/$archive")
    [ "$actual" = "$expected" ] ||
        fail "$archive has the checksum $actual, and SHA256SUMS says $expected: nothing was installed" 'run this again; if it stays so, report it'
    say "verified    SHA-256 $actual"

    (cd "$work" && gzip -dc "$archive" | tar -xf -) || fail "cannot unpack $archive"
    files=$work/disco-$found-$architecture
    "$files/disco" --version >/dev/null ||
        fail "the downloaded \`disco\` does not run on this machine: nothing was installed" \
            'where /tmp forbids programs, set TMPDIR to a folder in your home'
    mkdir -p "$dir" || fail "cannot make $dir" 'choose another folder with --dir'
    share=${dir%/*}/share
    # The daemon first: whoever finds a new client finds its daemon too.
    for program in discod disco; do
        put "$files/$program" "$dir/$program" 755
        say "installed   $dir/$program"
    done
    if mkdir -p "$share/man/man1" "$share/bash-completion/completions" "$share/zsh/site-functions" "$share/fish/vendor_completions.d" 2>/dev/null; then
        put "$files/disco.1" "$share/man/man1/disco.1" 644
        put "$files/completion/disco.bash" "$share/bash-completion/completions/disco" 644
        put "$files/completion/disco.zsh" "$share/zsh/site-functions/_disco" 644
        put "$files/completion/disco.fish" "$share/fish/vendor_completions.d/disco.fish" 644
        say "installed   manual page and completion for bash, zsh and fish in $share"
    else
        say "left out    manual page and completion: $share cannot be written"
    fi

    say
    say "Disco $found is installed. Begin with:"
    case :${PATH:-}: in
        *:"$dir":*) ;;
        *) say "    export PATH=\"$dir:\$PATH\"" ;;
    esac
    say '    disco init my-cluster && cd my-cluster && disco bootstrap'
}

# All of it is read before anything runs: a download of this file that breaks off does nothing.
main "$@"
