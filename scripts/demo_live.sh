#!/usr/bin/env bash
# Eight guests of QEMU on three hosts, all on this machine: godwit moves them while they run.
# Needs qemu-system-x86_64. SECONDS_TO_RUN is how long godwit decides; 90 where it is not set.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${SECONDS_TO_RUN:-90}
bin=${CARGO_TARGET_DIR:-target}/release
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

step "Build the loop, and the program that starts hosts and guests" \
    cargo build --release --package godwit-live --bins --example qemu_hosts
trap cleanup EXIT
step "Start eight guests, six of them on one host" \
    "$bin/examples/qemu_hosts" begin "$folder"
step "Each counts the ticks of its clock" \
    "$bin/examples/qemu_hosts" table "$folder"
step "Let godwit watch, decide and move them for $seconds s" \
    timeout --preserve-status --signal INT "$seconds" "$bin/godwit-live" run --config "$folder/live.toml"
step "Each went on counting, on one host alone" \
    "$bin/examples/qemu_hosts" table "$folder"
