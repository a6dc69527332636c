#!/usr/bin/env bash
# `make up`: builds the component and serves it on http://127.0.0.1:$PORT until it is
# stopped, with a Redis of its own unless REDIS_ADDRESS names one, with ORIGIN=demo an origin
# of its own to read through to, and with EXPLORER=1 the explorer. With EXAMPLE=NAME it serves the
# application in examples/NAME instead. The settings are those of docs/configuration.md, from the environment. Secrets
# go on through the environment and pipes alone: command lines are for everybody to see.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

port=${PORT:-3000}
base=http://127.0.0.1:$port
manifest=spin.toml
directory='' redis='' origin='' server='' spin=''

fail() {
    echo "make up: $1" >&2
    exit 1
}

stop() {
    # A second Ctrl-C must not cut this short.
    trap '' INT TERM HUP
    local process
    for process in $server $origin $redis; do
        kill "$process" 2>/dev/null || true
    done
    wait
    rm -rf "$directory"
}

is_listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

is_alive() { kill -0 "$1" 2>/dev/null; }

# The answer to a GET, headers and all. Not with curl, which may not be there.
get() {
    (
        exec 3<>"/dev/tcp/127.0.0.1/$port"
        printf 'GET %s HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n' "$1" >&3
        cat <&3
    ) 2>/dev/null
}

random_token() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

check_address() {
    local form='^rediss?://([^][/@:?#[:space:]]+|\[[0-9a-fA-F:.]+\]):[0-9]+$'
    [ -z "$2" ] || [[ $2 =~ $form ]] ||
        fail "$1 must be redis://HOST:PORT or rediss://HOST:PORT; REDIS_USERNAME, REDIS_PASSWORD and REDIS_DATABASE say the rest"
}

# Several tokens are separated by commas, so that one can be replaced by another.
check_tokens() {
    local token tokens
    IFS=', ' read -r -a tokens <<<"$2"
    for token in ${tokens[@]+"${tokens[@]}"}; do
        [ -z "$token" ] || ((${#token} >= 32 && ${#token} <= 256)) || fail "$1 must be tokens of 32 to 256 characters, such as: openssl rand -hex 32"
    done
}

# Spin lets a component out to a scheme, host and port, not to a URL.
origin_address() {
    local form='^(https?://([^][/@:?#[:space:]{}]+|\[[0-9a-fA-F:.]+\])(:[0-9]+)?)/[^[:space:]#]*$'
    [[ $1 =~ $form && $1 == *'{id}'* ]] ||
        fail "ORIGIN_URL must be http:// or https://, a host, and a path or query with {id} in it once"
    echo "${BASH_REMATCH[1]}"
}

check_origin() {
    case ${ORIGIN:-} in
    demo)
        [ -z "${ORIGIN_URL:-}${ORIGIN_TOKEN:-}" ] ||
            fail "ORIGIN=demo has a URL and a token of its own; leave out ORIGIN_URL and ORIGIN_TOKEN, or ORIGIN"
        ;;
    '') [ -z "${ORIGIN_FAULT:-}" ] || fail "ORIGIN_FAULT needs ORIGIN=demo" ;;
    *) fail "ORIGIN must be demo; for an origin of your own, set ORIGIN_URL" ;;
    esac
    ORIGIN_ADDRESS=
    [ -z "${ORIGIN_URL:-}" ] || ORIGIN_ADDRESS=$(origin_address "$ORIGIN_URL")
}

check_example() {
    [ -z "${EXAMPLE:-}" ] && return
    [[ $EXAMPLE =~ ^[a-z-]+$ && -f examples/$EXAMPLE/spin.toml ]] ||
        fail "EXAMPLE must be one of: $(cd examples && echo */spin.toml | sed 's|/spin.toml||g')"
    [ -z "${ORIGIN:-}${EXPLORER:-}" ] ||
        fail "EXAMPLE has neither ORIGIN nor EXPLORER"
    manifest=examples/$EXAMPLE/spin.toml
}

check_explorer() {
    check_tokens EXPLORER_TOKEN "${EXPLORER_TOKEN:-}"
    case ${EXPLORER:-} in
    1 | '') ;;
    *) fail "EXPLORER must be 1" ;;
    esac
}

check_settings() {
    [[ $port =~ ^[0-9]{1,5}$ ]] && ((10#$port >= 1 && 10#$port <= 65535)) ||
        fail "PORT must be 1 to 65535"
    check_address REDIS_ADDRESS "${REDIS_ADDRESS:-}"
    check_address REDIS_REPLICA_ADDRESS "${REDIS_REPLICA_ADDRESS:-}"
    check_tokens READ_TOKEN "${READ_TOKEN:-}"
    check_tokens WRITE_TOKEN "${WRITE_TOKEN:-}"
    [ -z "${REDIS_USERNAME:-}" ] || [ -n "${REDIS_PASSWORD:-}" ] ||
        fail "REDIS_USERNAME needs REDIS_PASSWORD too"
    check_origin
    check_explorer
    check_example
    find_spin
    ! is_listening "$port" ||
        fail "port $port is already in use; choose another one with PORT=…"
}

# An argument in a Redis configuration.
quoted() {
    local text=${1//\\/\\\\}
    printf '"%s"' "${text//\"/\\\"}"
}

redis_configuration() {
    echo "bind 127.0.0.1"
    echo "port $1"
    echo 'save ""'
    echo "dir $(quoted "$directory")"
    echo "logfile $(quoted "$directory/redis.log")"
    case ${REDIS_PASSWORD:+password}${REDIS_USERNAME:+ of $REDIS_USERNAME} in
    '') ;;
    password | 'password of default') echo "requirepass $(quoted "$REDIS_PASSWORD")" ;;
    *)
        echo "user default off"
        echo "user $(quoted "$REDIS_USERNAME") on $(quoted ">$REDIS_PASSWORD") ~* &* +@all"
        ;;
    esac
}

start_redis() {
    local executable=$1 redis_port
    for _ in {1..20}; do
        # Below the ports that systems give to clients.
        redis_port=$((20000 + RANDOM % 12000))
        ! is_listening "$redis_port" || continue
        : >"$directory/redis.log"
        # It says on stdout that it reads this; the rest goes to its log.
        redis_configuration "$redis_port" | "$executable" - >/dev/null &
        redis=$!
        while is_alive "$redis"; do
            if grep -q 'eady to accept connections' "$directory/redis.log"; then
                REDIS_ADDRESS=redis://127.0.0.1:$redis_port
                return
            fi
            sleep 0.05
        done
    done
    cat "$directory/redis.log" >&2
    fail "$executable does not start"
}

# The reference origin, on a free port, with a token that nobody else knows.
start_origin() {
    local served='^serving [0-9]+ connections on (.*)$'
    : >"$directory/origin.log"
    ORIGIN_TOKEN=$(random_token)
    ORIGIN_TOKEN=$ORIGIN_TOKEN cargo run --quiet --profile host -p provider-connection-origin -- \
        --listen 127.0.0.1:0 --token-env ORIGIN_TOKEN --fault "${ORIGIN_FAULT:-none}" \
        >"$directory/origin.log" &
    origin=$!
    until [[ $(<"$directory/origin.log") =~ $served ]]; do
        is_alive "$origin" || fail "the origin does not start"
        sleep 0.05
    done
    ORIGIN_URL=${BASH_REMATCH[1]}
    ORIGIN_ADDRESS=$(origin_address "$ORIGIN_URL")
}

# The spin of SPIN, or of the PATH, if it has WASI 0.3 and spin:redis@3.0.0.
find_spin() {
    local version='^spin ([0-9]+)\.([0-9]+)\.'
    spin=$(type -P "${SPIN:-spin}") && [[ $("$spin" --version 2>/dev/null) =~ $version ]] &&
        ((BASH_REMATCH[1] > 4 || BASH_REMATCH[1] == 4 && BASH_REMATCH[2] >= 1)) && return
    [ -z "${SPIN:-}" ] || fail "SPIN must be Spin 4.1 or newer"
    spin=''
}

# Says what serves, and where the components log; builds it if it is of this repository.
build_server() {
    if [ -n "$spin" ]; then
        echo "serving with $spin, so the embedded host is not built; the components log to ${manifest%spin.toml}.spin/logs/, and here"
    else
        echo "serving with the embedded host, for there is no Spin 4.1 on the PATH; the components log here"
        # xtask, which builds the components, is compiled beside the host: alone it would leave a core idle.
        build provider-connection-cache-host "about 4 minutes" "building the embedded host" -p xtask
    fi >&2
}

# Builds a program of this repository, and with it the packages that further arguments name (-p PACKAGE).
build() {
    scripts/step.sh --once "${CARGO_TARGET_DIR:-target}/host/$1" "$2" "$3" cargo build --profile host -p "$1" "${@:4}"
}

start_server() {
    local name value
    for name in REDIS_ADDRESS REDIS_USERNAME REDIS_PASSWORD REDIS_DATABASE REDIS_REPLICA_ADDRESS \
        KEY_PREFIX CACHE_PROVIDER_TTL REDIS_TIMEOUT_MS \
        EDGE_CACHE_TTL_MS EDGE_CACHE_STORE EDGE_CACHE_ENTRIES STATS SERVER_TIMING \
        ORIGIN_URL ORIGIN_ADDRESS ORIGIN_TOKEN ORIGIN_TIMEOUT_MS NEGATIVE_TTL REFRESH_AHEAD STALE_IF_ERROR \
        TTL_JITTER READ_TOKEN WRITE_TOKEN EXPLORER_TOKEN; do
        value=${!name:-}
        [ -z "$value" ] || export "SPIN_VARIABLE_$name=$value"
    done
    # What all tests run under: docs/security.md.
    export SPIN_MAX_INSTANCE_MEMORY=${SPIN_MAX_INSTANCE_MEMORY:-134217728}
    # In memory: a store on disk syncs each answer that it takes (docs/edge-cache.md).
    printf '[key_value_store.default]\ntype = "spin"\n' >"$directory/runtime-config.toml"
    export RUNTIME_CONFIG_FILE=${RUNTIME_CONFIG_FILE:-$directory/runtime-config.toml}
    # What it prints is about the server; stdout is for what the caller is told.
    if [ -n "$spin" ]; then
        "$spin" up --from "$manifest" --listen "127.0.0.1:$port" >&2 &
    else
        cargo run --quiet --profile host -p provider-connection-cache-host -- \
            --from "$manifest" --listen "127.0.0.1:$port" >&2 &
    fi
    server=$!
    until [[ $(get /health/live) == HTTP* ]]; do
        is_alive "$server" || fail "the server stopped"
        sleep 0.1
    done
}

# The curl argument that shows a token. One that was given is not printed: curl reads it
# from a file that is there for as long as the service is.
header() {
    local name=$1 token=${2%%,*} given=$3
    if [ -n "$given" ]; then
        printf 'Authorization: Bearer %s\n' "$token" >"$directory/$name"
        printf "'@%s'" "$directory/$name"
    else
        printf "'Authorization: Bearer %s'" "$token"
    fi
}

print_usage() {
    local id=0192f3a4-5b6c-7d8e-9f00-000000000001 connections=$base/v1/provider-connections
    local json="-H 'Content-Type: application/json'" read_header write_header connection
    read_header=$(header read-token "$READ_TOKEN" "$given_read_token")
    write_header=$(header write-token "$WRITE_TOKEN" "$given_write_token")
    connection='{"id":"'$id'","user_id":"0192f3a4-5b6c-7d8e-9f00-0000000003e8","provider_id":"0192f3a4-5b6c-7d8e-9f00-0000000007d0","provider_slug":"schwab","status":"active","alias":"My Schwab IRA","credentials":{"encrypted_data":"Z0FBQUFBQm5sLWNpcGhlcnRleHQ=","credential_type":"oauth2","expires_at":"2099-01-27T05:17:19.123456+00:00"},"connected_at":"2026-01-27T05:17:19+00:00","last_sync_at":null,"created_at":"2026-01-27T05:17:19+00:00","updated_at":"2026-01-27T05:17:19+00:00"}'
    [ -n "$given_read_token" ] || echo "read token:  $READ_TOKEN"
    [ -n "$given_write_token" ] || echo "write token: $WRITE_TOKEN"
    echo
    echo "curl -i -X PUT '$connections/$id?ttl=300' -H $write_header $json -d '$connection'"
    echo "curl -i '$connections/$id' -H $read_header"
    echo "curl -i '$connections/lookup' -H $read_header $json -d '{\"ids\":[\"$id\",\"${id%1}2\"]}'"
    echo "curl -i -X DELETE '$connections/$id' -H $write_header"
    [ -z "$origin" ] || print_usage_of_origin
    [ -z "${EXPLORER_TOKEN:-}" ] || print_usage_of_explorer
    echo
    echo "ready $base"
}

print_usage_of_origin() {
    local id=0192f3a4-5b6c-7d8e-9f00-000000000007 origin_header
    origin_header=$(header origin-token "$ORIGIN_TOKEN" given)
    echo
    echo "# Not cached, but the origin has it: fwd=miss the first time, then hit."
    echo "curl -i '$connections/$id' -H $read_header"
    echo "# How many lookups reached the origin:"
    echo "curl '$ORIGIN_ADDRESS/requests' -H $origin_header"
    echo "# Change it at the origin, and take the old one out of the cache:"
    echo "curl -i -X PUT '${ORIGIN_URL/'{id}'/$id}' -H $origin_header -d '{\"status\":\"revoked\"}'"
    echo "curl -i -X DELETE '$connections/$id' -H $write_header"
}

print_usage_of_example() {
    case $EXAMPLE in
    middleware)
        echo "# Of the application the first time (fwd=miss), then of the cache (hit):"
        echo "curl -i '$base/v1/provider-connections/0192f3a4-5b6c-7d8e-9f03-000000000001' -H $(header read-token "$READ_TOKEN" "$given_read_token")"
        ;;
    *)
        echo "# Of the database the first time, then of the cache:"
        echo "curl -i '$base/sync/0192f3a4-5b6c-7d8e-9f02-000000000001'"
        ;;
    esac
    echo
    echo "ready $base"
}

print_usage_of_explorer() {
    echo
    echo "explorer: $base/explorer/"
    [ -n "$given_explorer_token" ] || echo "token:    $EXPLORER_TOKEN"
}

# Something to look at. Only in a Redis that was started here: one that was given may be empty for a moment,
# and is nobody's to fill.
fill() {
    REDIS_ADDRESS=$REDIS_ADDRESS cargo run --quiet --profile host -p provider-connection-explorer-demo >&2
}

check_settings
scripts/tools.sh
redis_server=
[ -n "${REDIS_ADDRESS:-}" ] || redis_server=$(scripts/redis.sh)
build_server
"${MAKE:-make}" --no-print-directory "${EXAMPLE:-build}" >&2
[ -z "${ORIGIN:-}" ] || build provider-connection-origin "about a minute" "building the reference origin"
[ -z "${EXPLORER:-}" ] || build provider-connection-explorer-demo "about half a minute" "building the demo data"

given_read_token=${READ_TOKEN:-}
given_write_token=${WRITE_TOKEN:-}
READ_TOKEN=${READ_TOKEN:-$(random_token)}
WRITE_TOKEN=${WRITE_TOKEN:-$(random_token)}
given_explorer_token=${EXPLORER_TOKEN:-}
[ -z "${EXPLORER:-}" ] || EXPLORER_TOKEN=${EXPLORER_TOKEN:-$(random_token)}

trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
directory=$(mktemp -d "${TMPDIR:-/tmp}/provider-connection-cache.XXXXXX")
[ -z "$redis_server" ] || start_redis "$redis_server"
[ -z "$redis_server" ] || [ -z "${EXPLORER:-}" ] || fill
[ -z "${ORIGIN:-}" ] || start_origin
# What the cache shows to the application behind it.
[ "${EXAMPLE:-}" != middleware ] || ORIGIN_TOKEN=${ORIGIN_TOKEN:-$(random_token)}
start_server
if [ -n "${EXAMPLE:-}" ]; then
    print_usage_of_example
    wait "$server"
    exit
fi
answer=$(get /health/ready)
detail=$(sed -n 's/.*"detail":"\([^"]*\)".*/\1/p' <<<"$answer")
if [[ $answer != *' 200 '* ]]; then
    # Reads fail open, so this is worth a word, but no reason to stop.
    echo "make up: not ready: $detail" >&2
elif [[ $answer == *'"writes":"failing"'* ]]; then
    echo "make up: writes fail: $detail" >&2
fi
print_usage
wait "$server"
