#!/usr/bin/env bash
# Checks the crates of every Cargo.lock by deny.toml: licences, sources, duplicates, and advisories
# where their database can be had: from GitHub, from a clone of it (with a branch `main`) in
# the directory ADVISORY_DB, or as it was when it was last fetched here.
set -euo pipefail
[ -z "${ADVISORY_DB:-}" ] || ADVISORY_DB=$(cd "$ADVISORY_DB" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/.."

target=${CARGO_TARGET_DIR:-target}
url=https://github.com/RustSec/advisory-db

# No longer than a minute, and without a question.
fetch() {
    if [ -n "${ADVISORY_DB:-}" ]; then
        export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="url.$ADVISORY_DB.insteadOf" GIT_CONFIG_VALUE_0=$url
    fi
    GIT_TERMINAL_PROMPT=0 timeout 60 "$deny" fetch db
}

deny=$(scripts/tools.sh deny)
# A duplicate that is no more need not be skipped any more.
"$deny" --workspace --locked check -D unmatched-skip -D unnecessary-skip licenses bans sources
# What has a lock file of its own is made of some of the same crates.
others=(examples/*/Cargo.toml benches/peers/*/Cargo.toml)
for manifest in "${others[@]}"; do
    "$deny" --manifest-path "$manifest" --config deny.toml --locked check --hide-inclusion-graph \
        -A unmatched-skip -A unnecessary-skip -A license-not-encountered licenses bans sources
done

database=$target/advisory-dbs
# Looked for first: what a fetch leaves that is stopped may not be gone at once.
had=$(compgen -G "$database/advisory-db-*" || true)
if ! log=$(fetch 2>&1); then
    if [ -n "${ADVISORY_DB:-}" ]; then
        echo "$log" >&2
        exit 1
    elif [ -z "$had" ]; then
        echo "advisories were NOT checked: $url cannot be fetched. To check them: ADVISORY_DB=DIRECTORY_OF_A_CLONE $0" >&2
        exit
    fi
fi
for manifest in Cargo.toml "${others[@]}"; do
    "$deny" --workspace --manifest-path "$manifest" --config deny.toml --frozen check advisories
done
commit() { git -C "$database"/advisory-db-* log -1 --format=%cs "$@"; }
# There is a new advisory every few days.
[ -n "$(commit --since=30.days)" ] ||
    echo "advisories were checked as of $(commit): newer ones were NOT" >&2
