#!/bin/sh
# The demo: tunes digits.py on this machine with a daemon of its own, and leaves nothing running.
#   demo.sh FOLDER_OF_THE_PROGRAMS PYTHON
set -eu
bin=$(cd "$1" && pwd)
python=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
here=$(cd "$(dirname "$0")" && pwd)
data=${METAOPT_DATA_DIR:-$bin/../demo}
mkdir -p "$data"
METAOPT_DATA_DIR=$(cd "$data" && pwd)
export METAOPT_DATA_DIR
# A container often has no other user; metaoptd would refuse to run scripts as root without being told.
if [ "$(id -u)" = 0 ]; then export METAOPT_ALLOW_ROOT=1; fi
stop() {
    pid=$("$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["pid"])' "$METAOPT_DATA_DIR/api.json" 2>/dev/null) || return 0
    kill "$pid" 2>/dev/null || true
}
trap stop EXIT
# It shows one machine: nobody else need know of it.
export METAOPT_NO_MDNS=1 METAOPT_PEER_LISTEN=127.0.0.1:0
VIRTUAL_ENV=$(dirname "$(dirname "$python")")
export VIRTUAL_ENV
PATH=$bin:$VIRTUAL_ENV/bin:$PATH
cd "$here"
set -x
metaopt --max-trials "${TRIALS:-20}" --early-stopping median \
    digits.py --lr~'loguniform(1e-4, 1)' --alpha~'loguniform(1e-6, 1)' --hidden~'lograndint(8, 128)'
