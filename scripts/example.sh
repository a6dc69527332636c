#!/usr/bin/env bash
# Builds an example by the command of its spin.toml, which leaves it where that looks for it.
#
#   example.sh NAME
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../examples/$1"

unset CARGO_TARGET_DIR
eval "$(sed -n 's/^command = "\(.*\)"$/\1/p' spin.toml)"
