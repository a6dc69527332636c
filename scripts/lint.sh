#!/usr/bin/env bash
# Checks the shell scripts, and the workflows of GitHub: their form, and what in them could be misused.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

workflows=(.github/workflows/*.yml)
shellcheck=$(scripts/debian.sh shellcheck shellcheck) || {
    echo "missing: shellcheck (Debian: apt-get install shellcheck)" >&2
    exit 1
}
mapfile -t scripts < <(git ls-files '*.sh')
"$shellcheck" --severity warning "${scripts[@]}" .ci/run
python=$(scripts/python.sh "${CARGO_TARGET_DIR:-target}/schemathesis" tests/schemathesis/requirements.txt) || {
    echo "missing: python3 with venv, and PyPI, for the linters of workflows (Debian: apt-get install python3-venv)" >&2
    exit 1
}
bin=$(dirname "$python")
"$bin/check-jsonschema" --builtin-schema vendor.github-workflows "${workflows[@]}"
"$bin/zizmor" --quiet --no-progress --offline --strict-collection --persona pedantic "${workflows[@]}"
