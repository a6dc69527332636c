#!/usr/bin/env bash
# Makes secrets, and of the configuration files of the cluster those of a primary and a replica on this machine:
# DIRECTORY/conf/valkey.conf and replica.conf. Only paths, ports and the primary's name differ.
#
#   configure.sh DIRECTORY PRIMARY_PORT REPLICA_PORT
set -euo pipefail

deploy=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
directory=$1 primary=$2 replica=$3
"$deploy/secrets.sh" "$directory" localhost
directory=$(cd "$directory" && pwd)
mkdir "$directory/conf" "$directory/primary" "$directory/replica"
here() {
    sed -e "s#/etc/valkey/conf#$directory/conf#; s#/etc/valkey/secret#$directory/valkey#; s#^bind .*#bind 127.0.0.1 -::1#" \
        -e "s#^tls-port .*#tls-port $primary#; s#^dir .*#dir $directory/primary#; s#^replicaof .*#replicaof 127.0.0.1 $primary#" "$1"
}
here "$deploy/kubernetes/valkey/valkey.conf" >"$directory/conf/valkey.conf"
here "$deploy/kubernetes/valkey/replica.conf" >"$directory/conf/replica.conf"
# What stands last counts.
printf 'tls-port %s\ndir %s\n' "$replica" "$directory/replica" >>"$directory/conf/replica.conf"
