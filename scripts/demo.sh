#!/usr/bin/env bash
# The whole way from nothing to a migration plan, on one small scenario.
# `make demo` calls it, after libtorch is in place.
set -euo pipefail
cd "$(dirname "$0")/.."

out=checkpoints/demo
bin=${CARGO_TARGET_DIR:-target}/release
begin=$(date +%s%N)

seconds_since() {
    awk -v from="$1" -v to="$(date +%s%N)" 'BEGIN { printf "%.1f s", (to - from) / 1e9 }'
}

# step HEADING COMMAND...: says what comes, shows the command, runs and times it
step() {
    local heading=$1 start
    shift
    printf '\n== %s\n$ %s\n' "$heading" "$*"
    start=$(date +%s%N)
    "$@"
    printf -- '-- took %s\n' "$(seconds_since "$start")"
}

step "Build the trainer and the scorer" \
    cargo build --release --package godwit --package godwit-scorer

# Only what an earlier demo left.
rm -rf "$out"

step "Train a policy on the scenario quickstart" \
    "$bin/godwit" train quickstart --minutes 1 --out "$out"
step "Export the best checkpoint as a TorchScript artifact" \
    "$bin/godwit" export "$out/best" --out "$out/policy.pt"
step "Verify it: libtorch against the native forward pass, golden vectors, checksums" \
    "$bin/godwit" verify "$out/policy.pt"
step "Compare it with the baselines on the same 200 episodes" \
    "$bin/godwit" evaluate quickstart --policy "$out/policy.pt" --episodes 200
step "Show what the artifact says about itself (no libtorch from here on)" \
    "$bin/godwit-scorer" inspect "$out/policy.pt"
step "Write one cluster state as a snapshot" \
    "$bin/godwit" snapshot quickstart --seed 7 --out "$out/snapshot.json"
step "Decide which workloads to migrate in it" \
    "$bin/godwit-scorer" decide --model "$out/policy.pt" --snapshot "$out/snapshot.json" --pretty

printf '\nDone in %s. Results are in %s.\n' "$(seconds_since "$begin")" "$out"
