#!/usr/bin/env bash
# Builds an example by the command of its spin.toml.
#
#   example.sh NAME
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Shares what was compiled for the components. Cargo leaves the result where the spin.toml of the example looks for it.
export CARGO_BUILD_BUILD_DIR=${CARGO_TARGET_DIR:-$PWD/target}
unset CARGO_TARGET_DIR
cd "examples/$1"
eval "$(sed -n 's/^command = "\(.*\)"$/\1/p' spin.toml)"
