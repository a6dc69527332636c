#!/usr/bin/env bash
# Installs what a package.json lists, if its lock has changed since.
#
#   node.sh DIRECTORY
set -euo pipefail

step=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/step.sh
cd "$1"
version=$(node --version 2>/dev/null || true)
if ! [[ $version =~ ^v([0-9]+)\. ]] || ((BASH_REMATCH[1] < 20)) || ! command -v npm >/dev/null; then
    echo "missing: node 20 or newer, with npm, for the tests of the explorer: https://nodejs.org" >&2
    exit 1
fi
if ! cmp -s package-lock.json node_modules/installed.json; then
    "$step" "installing what $1/package-lock.json lists" \
        npm ci --silent --no-audit --no-fund --ignore-scripts >&2
    cp package-lock.json node_modules/installed.json
fi
