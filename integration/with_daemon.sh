#!/bin/sh
# Runs a command beside a daemon of its own, whose METAOPT_URL and METAOPT_TOKEN it gets.
#   with_daemon.sh FOLDER_OF_THE_PROGRAMS "OPTIONS OF METAOPTD" COMMAND [ARG…]
set -eu
programs=$1 options=$2
shift 2
data=$(mktemp -d)
# shellcheck disable=SC2086 # options are words
"$programs/metaoptd" --data-dir "$data" --listen 127.0.0.1:0 --no-mdns $options > "$data/out" &
daemon=$!
trap 'kill $daemon 2>/dev/null || true; wait $daemon 2>/dev/null || true; rm -rf "$data"' EXIT
for _ in 1 2 3 4 5 6 7 8 9 10; do
    if grep -q '^metaoptd ready' "$data/out"; then break; fi
    sleep 0.3
done
METAOPT_URL=$(sed -n 's/^metaoptd ready url=\([^ ]*\).*/\1/p' "$data/out")
METAOPT_TOKEN=$(sed -n 's/.*"token": *"\([^"]*\)".*/\1/p' "$data/api.json")
export METAOPT_URL METAOPT_TOKEN
"$@"
