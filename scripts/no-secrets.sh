#!/usr/bin/env bash
# Passes on what the tests print, and fails if a secret of theirs is in it: each of those has
# the mark of tests/it/support/secrets.rs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mark=$(sed -n 's/^pub const MARK: &str = "\(.*\)";$/\1/p' tests/it/support/secrets.rs)
[ -n "$mark" ]
awk -v mark="$mark" '
    { print; fflush() }
    index($0, mark) { found++ }
    END {
        if (found) {
            print "a secret of the tests is in " found " of these lines: look for " mark > "/dev/stderr"
            exit 1
        }
    }'
