#!/usr/bin/env bash
# `make test`: every test, with a real Redis, with schemathesis and in a real browser, and no secret
# in what they print, those that pass included.
#
# With SPIN=/path/to/spin, the tests of the built components (tests/it) against that Spin, and a list of
# those that need what only the embedded host has.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

REDIS_SERVER=$(scripts/redis.sh)
PYTHON=$(scripts/python.sh "${CARGO_TARGET_DIR:-$PWD/target}/schemathesis" tests/schemathesis/requirements.txt)
CHROMIUM=$(scripts/debian.sh chromium "${CHROMIUM:-chromium}") || {
    echo "missing: chromium, for the tests of the explorer (Debian: apt-get install chromium)" >&2
    exit 1
}
scripts/node.sh tests/explorer
export REDIS_SERVER PYTHON CHROMIUM

target=${CARGO_TARGET_DIR:-target}
# What it prints goes to the terminal, not through the pipes below.
build() {
    scripts/step.sh --once "$(compgen -G "$target/host/deps/it-*.d" | head -1)" "about 5 minutes" "building the tests" \
        cargo test --no-run "$@"
}

if [ -z "${SPIN:-}" ]; then
    # Not xtask: it has no tests, and its "0 passed" would come last.
    tests=(--profile host --workspace --exclude xtask --lib --bins --tests)
    build "${tests[@]}"
    cargo test "${tests[@]}" -- --show-output 2>&1 | scripts/no-secrets.sh
    exit
fi

"$SPIN" --version
tests=(--profile host --package provider-connection-cache --test it)
build "${tests[@]}"
log=$target/spin-tests.log
status=0
cargo test "${tests[@]}" -- --show-output 2>&1 | scripts/no-secrets.sh | tee "$log" || status=$?
echo "$(grep --count '^skipped on Spin: ' "$log") of these tests were skipped on Spin:"
sed -n 's/^skipped on Spin: /    /p' "$log" | sort
exit "$status"
