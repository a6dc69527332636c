#!/usr/bin/env bash
# Runs a command that takes long, and says on stderr what for: on a terminal with cargo's own bar, elsewhere in
# one line. CARGO_TERM_QUIET=true asks for neither.
#
#   step.sh WHAT COMMAND…
#   step.sh --once FILE HOW_LONG WHAT COMMAND…    adds "HOW_LONG, once" while there is no FILE
set -euo pipefail

once=
if [ "$1" = --once ]; then
    [ -e "$2" ] || once=", $3, once"
    shift 3
fi
if [ "${CARGO_TERM_QUIET:-}" != true ]; then
    echo "$1$once" >&2
    [ -t 2 ] || export CARGO_TERM_QUIET=true
fi
shift
exec "$@"
