#!/usr/bin/env bash
# Eight guests of QEMU on three hosts, all on this machine: godwit levels the hosts by moving guests
# while they run, nine times, as the hosts' limits of memory change. Needs qemu-system-x86_64.
# BIN is a folder with the programs, where they are built already.
set -euo pipefail
cd "$(dirname "$0")/.."

# Sockets are in it, and their paths have to be short.
folder=$(mktemp -d /tmp/godwit-XXXXXX)

cleanup() {
    "$bin/examples/qemu_hosts" end "$folder" || true
    rm -rf "$folder"
}

step() {
    local heading=$1
    shift
    printf '\n== %s\n$ %s\n' "$heading" "$*"
    "$@"
}

if [ -z "${BIN:-}" ]; then
    step "Build the loop, and the program that starts hosts and guests" \
        cargo build --release --package godwit-live --bins --example qemu_hosts
fi
bin=${BIN:-${CARGO_TARGET_DIR:-target}/release}
trap cleanup EXIT
step "Start eight guests, six of them on one host" \
    "$bin/examples/qemu_hosts" begin "$folder"
step "Each counts the ticks of its clock" \
    "$bin/examples/qemu_hosts" table "$folder"
for round in 1 2 3 4 5 2 3 4 5; do
    step "Limits of memory, round $round" \
        "$bin/examples/qemu_hosts" "round$round" "$folder"
    step "Let godwit watch, decide and move guests until nothing is left to be done" \
        timeout --signal INT 120 "$bin/godwit-live" run --until-settled --config "$folder/live.toml"
done
step "Each went on counting, at one place alone" \
    "$bin/examples/qemu_hosts" table "$folder"
step "What was predicted of each move, and what was measured" \
    "$bin/godwit-live" journal --moves --config "$folder/live.toml"
