#!/usr/bin/env bash
# Prints the path of a command. If it is not there, or if CHECK (a command line) fails, the
# packages are installed first, with apt-get, where that can be used without a question.
#
#   debian.sh "PACKAGE…" COMMAND [CHECK…]
set -euo pipefail

packages=$1 command=$2
shift 2
found() { { [ $# = 0 ] || "$@" >/dev/null 2>&1; } && PATH=$PATH:/usr/sbin command -v "$command"; }

found "$@" && exit
command -v apt-get >/dev/null || exit 1
if [ "$(id -u)" = 0 ]; then
    as_root=()
elif sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
else
    exit 1
fi
# `env` keeps the variable through sudo.
apt() { ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@"; }

# Debian starts a service as it is installed, unless this file says no. It is not wanted:
# each run here starts servers of its own.
policy=/usr/sbin/policy-rc.d
install() {
    local ours=false status=0
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | ${as_root[@]+"${as_root[@]}"} tee "$policy" >/dev/null
        ${as_root[@]+"${as_root[@]}"} chmod +x "$policy"
        ours=true
    fi
    # shellcheck disable=SC2086 # one word each
    { apt update && apt install -y --no-install-recommends $packages; } || status=$?
    $ours && ${as_root[@]+"${as_root[@]}"} rm -f "$policy"
    return "$status"
}

echo "installing $packages" >&2
if log=$(install 2>&1) && found "$@"; then
    exit
fi
echo "$log" >&2
exit 1
