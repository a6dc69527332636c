#!/usr/bin/env bash
# Makes sure that what builds this project is there; one line each for what is not.
#
#   tools.sh           what `make build` needs, the WebAssembly targets added
#   tools.sh check     what `make check` needs besides, added
#   tools.sh machete   cargo-machete, built if need be; prints its path
#   tools.sh fuzz      cargo-fuzz, likewise
#   tools.sh deny      cargo-deny
#   tools.sh wkg       wkg, likewise
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

has() { command -v "$1" >/dev/null 2>&1; }

missing() {
    echo "missing: $1" >&2
    exit 1
}

build() {
    local ok=true
    has cargo || { echo "missing: cargo. Install Rust: https://rustup.rs" >&2; ok=false; }
    has cc || { echo "missing: cc. Install a C compiler, such as gcc (Debian: apt-get install gcc libc6-dev)" >&2; ok=false; }
    $ok || exit 1
    # The toolchain of rust-toolchain.toml, where rustup does not install it by itself.
    rustc --version >/dev/null 2>&1 || ! has rustup || rustup toolchain install
    # The first is the components', the second that of examples and benchmarks.
    local target
    for target in wasm32-unknown-unknown wasm32-wasip2; do
        [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target" ] || continue
        has rustup || missing "the Rust target $target. Install rustup, which can add it: https://rustup.rs"
        rustup target add "$target"
    done
    # Of this machine and of the components alone; the whole list has Windows in it.
    local crates=(--target "$(rustc -vV | sed -n 's/^host: //p')" --target wasm32-unknown-unknown)
    cargo fetch --quiet --offline "${crates[@]}" 2>/dev/null ||
        scripts/step.sh "downloading crates" cargo fetch "${crates[@]}"
}

check() {
    local component
    has c++ || missing "c++, for the fuzzers. Install a C++ compiler, such as g++ (Debian: apt-get install g++)"
    for component in clippy rustfmt; do
        if ! cargo "${component/rust/}" --version >/dev/null 2>&1; then
            has rustup || missing "$component. Install rustup, which can add it: https://rustup.rs"
            rustup component add "$component"
        fi
    done
}

# Whether a command is there in this version, or in one that begins with it.
has_version() { [[ $(command "$1" --version 2>/dev/null) =~ (^|[^0-9.])"$2"(\.|[^0-9.]|$) ]]; }

# Prints the path of a command that a crate of its name has, in a version that begins with VERSION. It
# is built if it is not there, within HOW_LONG: fast, rather than to be fast.
cargo_command() {
    local name=$1 version=$2 how_long=$3 root=${CARGO_TARGET_DIR:-target}/tools
    if has_version "$name" "$version"; then
        type -P "$name"
        return
    fi
    if ! has_version "$root/bin/$name" "$version"; then
        CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
            scripts/step.sh "building $name, $how_long, once" \
            cargo install --locked --force --root "$root" --version "~$version" "$name" >&2
    fi
    echo "$root/bin/$name"
}

machete() { cargo_command cargo-machete 0.9 "about half a minute"; }

fuzz() {
    has c++ || missing "c++. Install a C++ compiler, such as g++ (Debian: apt-get install g++)"
    cargo_command cargo-fuzz 0.13 "about half a minute"
}

# 50 s on two cores instead of 160, and 2 s for a check. Its settings change with its versions.
deny() { cargo_command cargo-deny 0.20 "about a minute"; }

# The WIT package says which one made it.
wkg() { cargo_command wkg 0.16 "about 3 minutes"; }

"${1:-build}"
