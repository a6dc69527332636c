#!/usr/bin/env bash
# Makes all that must stay secret, as files in a new directory: one folder for each Kubernetes secret, whose keys
# are the names of its files. README.md has the commands that hand them to the cluster.
#
#   secrets.sh DIRECTORY [NAME…]
#
# Valkey's certificate is for valkey-primary, valkey-replica and the NAMEs.
set -euo pipefail
umask 077

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
directory=$1
shift
mkdir "$directory"
cd "$directory"
mkdir provider-connection-cache spin-ca valkey

random() { openssl rand -hex 32 | tr -d '\n'; }
sha256() { openssl dgst -sha256 -r "$1" | cut -d' ' -f1; }

for name in redis_password read_token write_token; do
    random >"provider-connection-cache/$name"
done
random >replica_password
# Redis keeps no password, only what it can check one by.
sed -e "s/EDGE_PASSWORD_SHA256/$(sha256 provider-connection-cache/redis_password)/" \
    -e "s/REPLICA_PASSWORD_SHA256/$(sha256 replica_password)/" \
    "$here/kubernetes/valkey/users.acl" >valkey/users.acl
printf 'masteruser replica\nmasterauth %s\n' "$(<replica_password)" >valkey/replication.conf

# An authority of our own. Its key signs the certificate after this one, in a year; it belongs in no cluster.
key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
openssl req -x509 "${key[@]}" -keyout ca.key -out valkey/ca.crt -days 3650 \
    -subj '/CN=provider-connection-cache' -addext keyUsage=critical,keyCertSign 2>/dev/null
names=(valkey-primary valkey-replica "$@")
openssl req "${key[@]}" -keyout valkey/tls.key -subj /CN=valkey 2>/dev/null |
    openssl x509 -req -CA valkey/ca.crt -CAkey ca.key -days 398 -out valkey/tls.crt \
        -extfile <(printf 'subjectAltName=%s\n' "$(printf 'DNS:%s,' "${names[@]}" | sed 's/,$//')") 2>/dev/null

# Who trusts it: Spin, besides those that it trusts anyway.
cat "${CA_CERTIFICATES:-/etc/ssl/certs/ca-certificates.crt}" valkey/ca.crt >spin-ca/ca-certificates.crt
