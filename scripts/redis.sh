#!/usr/bin/env bash
# Prints the path of a Redis server: $REDIS_SERVER, or redis-server or valkey-server from
# PATH, or else redis-server from apt-get where that can be used without a question.
set -euo pipefail

command -v "${REDIS_SERVER:-redis-server}" && exit
command -v valkey-server && exit
if [ -z "${REDIS_SERVER:-}" ]; then
    "$(dirname "${BASH_SOURCE[0]}")/debian.sh" redis-server redis-server && exit
fi
echo "missing: redis-server. Install Redis or Valkey, or pass REDIS_ADDRESS=redis://HOST:PORT to make up" >&2
exit 1
