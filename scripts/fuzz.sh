#!/usr/bin/env bash
# `make fuzz`: fuzzes each target of fuzz/ for so many seconds, or those named after them.
# What it finds stays in target/fuzz/corpus; an input that makes a target fail is printed,
# and belongs into fuzz/seeds, where `make test` replays it.
#
#   fuzz.sh SECONDS [TARGET…]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=$1
shift
[ $# != 0 ] || set -- entry lookup request round_trip timestamp
scripts/tools.sh
fuzz=$(scripts/tools.sh fuzz)
target=${CARGO_TARGET_DIR:-$PWD/target}/fuzz

# The release profile is for what ships: here it should be fast, and stop at an overflow.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=2 CARGO_PROFILE_RELEASE_LTO=off \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_STRIP=none \
    CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true
# No sanitizer: they need a nightly toolchain, and there is no unsafe code to watch.
options=(--sanitizer none --features libfuzzer --target-dir "$target")
scripts/step.sh --once "$target" "about 2 minutes" "building the fuzzers" "$fuzz" fuzz build "${options[@]}"
for name in "$@"; do
    corpus=$target/corpus/$name seeds=fuzz/seeds/${name/round_trip/entry}
    mkdir -p "$corpus" "$target/artifacts/$name"
    echo "fuzzing $name for $seconds s"
    "$fuzz" fuzz run "${options[@]}" "$name" \
        "$corpus" "$seeds" -- -max_total_time="$seconds" -max_len=66000 -timeout=10 \
        -print_final_stats=0 -verbosity=0 -artifact_prefix="$target/artifacts/$name/"
done
echo "no input breaks any of: $*"
