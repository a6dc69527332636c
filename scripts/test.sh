#!/usr/bin/env bash
# `make test`: every test, with a real Redis, with schemathesis and in a real browser, and no secret
# in what they print, those that pass included.
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
# Not xtask: it has no tests, and its "0 passed" would come last.
cargo test --profile host --workspace --exclude xtask --lib --bins --tests -- --show-output 2>&1 |
    scripts/no-secrets.sh
