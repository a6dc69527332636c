#!/usr/bin/env bash
# Checks the shell scripts, and the workflows of GitHub: their form, and what in them could be misused.
#
#   lint.sh [WORKFLOW…]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

[ $# != 0 ] || set -- .github/workflows/*.yml
shellcheck=$(scripts/debian.sh shellcheck shellcheck) || {
    echo "missing: shellcheck (Debian: apt-get install shellcheck)" >&2
    exit 1
}
"$shellcheck" --severity warning scripts/*.sh .ci/run
python=$(scripts/python.sh "${CARGO_TARGET_DIR:-target}/schemathesis" tests/schemathesis/requirements.txt) || {
    echo "missing: python3 with venv, and PyPI, for the linters of workflows (Debian: apt-get install python3-venv)" >&2
    exit 1
}
bin=$(dirname "$python")
"$bin/check-jsonschema" --builtin-schema vendor.github-workflows "$@"
"$bin/zizmor" --quiet --no-progress --offline --strict-collection --persona pedantic "$@"
