#!/usr/bin/env bash
# Prints the path of a Redis server: $REDIS_SERVER, or redis-server or valkey-server from
# PATH, or else redis-server from apt-get where that can be used without a question.
set -euo pipefail

found() { command -v "${REDIS_SERVER:-redis-server}" || command -v valkey-server; }

found && exit
if [ "$(id -u)" = 0 ]; then
    as_root=()
elif sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
else
    as_root=(false)
fi
# `env` keeps the variable through sudo.
apt() { ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@"; }

# Debian starts a service as it is installed, unless this file says no. It is not wanted:
# each run here starts a Redis of its own.
policy=/usr/sbin/policy-rc.d
install() {
    local ours=false status=0
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | ${as_root[@]+"${as_root[@]}"} tee "$policy" >/dev/null
        ${as_root[@]+"${as_root[@]}"} chmod +x "$policy"
        ours=true
    fi
    { apt update && apt install -y --no-install-recommends redis-server; } || status=$?
    $ours && ${as_root[@]+"${as_root[@]}"} rm -f "$policy"
    return "$status"
}

if [ -z "${REDIS_SERVER:-}" ] && command -v apt-get >/dev/null && [ "${as_root[0]-}" != false ]; then
    echo "installing redis-server" >&2
    if log=$(install 2>&1) && found; then
        exit
    fi
    echo "$log" >&2
fi
echo "missing: redis-server. Install Redis or Valkey, or pass REDIS_ADDRESS=redis://HOST:PORT to make up" >&2
exit 1
