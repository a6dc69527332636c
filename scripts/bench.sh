#!/usr/bin/env bash
# `make bench`: gets the servers to compare with, builds those that are components, and runs
# benches/compare with the arguments of this script. What cannot be had is skipped there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=${CARGO_TARGET_DIR:-target}
directory=$target/bench
mkdir -p "$directory"

# A component of benches/peers. In the directory of the others, which it shares most crates with.
component() {
    local name=$1 crate=$2
    shift 2
    scripts/step.sh "building $name, to compare with" \
        cargo build --release --target wasm32-wasip2 --target-dir "$target" \
        --manifest-path "benches/peers/$crate/Cargo.toml" "$@"
    cp "$target/wasm32-wasip2/release/$crate.wasm" "$directory/$name.wasm"
}

REDIS_SERVER=$(scripts/redis.sh)
WRK=$(scripts/debian.sh wrk wrk) || { echo "missing: wrk. Install it: https://github.com/wg/wrk" >&2; exit 1; }
WEBDIS=$(scripts/debian.sh webdis webdis) || true
NGINX=$(scripts/debian.sh "nginx libnginx-mod-http-lua lua-nginx-redis" nginx \
    test -e /usr/share/lua/5.1/nginx/redis.lua) || true
PYTHON=$(scripts/python.sh "$directory/venv" benches/peers/fastapi/requirements.txt) || true
export REDIS_SERVER WRK WEBDIS NGINX PYTHON

component hello hello
component hello-get hello --features get
component hello-read-through hello --features read-through
component hello-store hello --features store
component sdk sdk
component sdk-connection-per-request sdk --features connection-per-request
# A stampede has a thousand connections, and the origin as many.
ulimit -S -n "$(ulimit -H -n)" || true
# All packages, as for `make test`: their features are the same then, and so are the builds.
packages=(--profile host --workspace --exclude xtask)
scripts/step.sh --once "$target/host/provider-connection-cache-host" "about 4 minutes" "building the benchmarks" \
    cargo build "${packages[@]}" --bins --bench compare
cargo bench --quiet "${packages[@]}" --bench compare -- "$@"
