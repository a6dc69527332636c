#!/usr/bin/env bash
# `make scale-out`: what deploy/kubernetes says, on this machine and without containers: a primary and a replica
# with TLS and users, and two hosts over them, on ports $PORT and the next. The hosts are started by `make up`: with
# spin where it is installed. Until it is stopped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

port=${PORT:-3000}
primary=$((port + 2)) replica=$((port + 3))
directory=$(mktemp -d "${TMPDIR:-/tmp}/provider-connection-cache.XXXXXX")
processes=()

stop() {
    trap '' INT TERM HUP
    # In the order in which they were not started: hosts first.
    local index
    for ((index = ${#processes[@]} - 1; index >= 0; index--)); do
        kill "${processes[index]}" 2>/dev/null || true
    done
    wait
    rm -rf "$directory"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

server=$(scripts/redis.sh)
"${MAKE:-make}" --no-print-directory build >&2
secrets=$directory/secrets
deploy/local/configure.sh "$secrets" "$primary" "$replica"
for role in valkey replica; do
    "$server" "$secrets/conf/$role.conf" --logfile "$directory/$role.log" &
    processes+=($!)
done

# Not on the command line, which is for everybody to see.
application=$secrets/provider-connection-cache
export REDIS_ADDRESS=rediss://localhost:$primary REDIS_REPLICA_ADDRESS=rediss://localhost:$replica
export REDIS_USERNAME=edge SSL_CERT_FILE=$secrets/spin-ca/ca-certificates.crt
REDIS_PASSWORD=$(<"$application/redis_password")
READ_TOKEN=$(<"$application/read_token")
WRITE_TOKEN=$(<"$application/write_token")
export REDIS_PASSWORD READ_TOKEN WRITE_TOKEN
for host in "$port" $((port + 1)); do
    PORT=$host scripts/up.sh &
    processes+=($!)
done
wait -n
