#!/bin/sh
# Checks on a machine with an NVIDIA GPU what no other machine can: that the GPU is a slot, that a trial gets it and only
# it, that shares add up, that a foreign process is seen.
#   integration/gpu/check.sh FOLDER_OF_THE_PROGRAMS
set -eu
bin=$(cd "$1" && pwd)
work=$(mktemp -d)
export METAOPT_DATA_DIR="$work/data" METAOPT_ALLOW_ROOT=1
"$bin/metaoptd" --listen 127.0.0.1:0 --peer-listen 127.0.0.1:0 --no-mdns --slots 1 > "$work/out" 2> "$work/err" &
daemon=$!
trap 'kill $daemon 2>/dev/null; wait $daemon 2>/dev/null; cat "$work/err"' EXIT
sleep 3
cat "$work/out"
m="$bin/metaopt"
echo "== nodes"; "$m" nodes --json
cd "$work"
cat > train.sh <<'S'
echo "CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES"
sleep 1
echo "metaopt: loss=$1"
S
echo "== a trial takes the GPU by itself"
"$m" submit -n auto --max-trials 1 --watch -- sh train.sh --x~'uniform(0, 1)' || true
"$m" submit -n gpu --max-trials 2 --watch -- sh -c 'echo "metaopt: loss=0.5"; echo "seen [$CUDA_VISIBLE_DEVICES]"' --x~'uniform(0, 1)'
for label in $("$m" trials gpu | cut -f2); do "$m" logs "$label"; done
echo "== shares: two halves at once, a third waits"
"$m" submit -n half --gpus 0.5 --max-trials 3 -- sh -c 'sleep 3; echo "metaopt: loss=0.5"' --x~'uniform(0, 1)'
sleep 1.5
"$m" status half --json | grep -A12 '"counts"'
"$m" nodes --json
sleep 6
"$m" status half
echo "== no GPU for who asks for none"
"$m" submit -n cpu --gpus 0 --max-trials 1 --watch -- sh -c 'echo "seen [$CUDA_VISIBLE_DEVICES]"; echo "metaopt: loss=0.5"' --x~'uniform(0, 1)'
"$m" logs "$("$m" trials cpu | cut -f2)"
