#!/bin/sh
# Counts how often policies take back their moves, without limits and within a hold-down of 24 ticks
# (benchmarks/oscillation.toml), for the policy that comes with the program and every baseline, tuned:
#
#   benchmarks/oscillation.sh [SCENARIO...]
#
# Without names, bursty. Writes benchmarks/results/SCENARIO.oscillation.txt from 100 held-out
# episodes (EPISODES), the same with and without limits. Takes a few minutes on two cores; figures
# are the same on every run. Does not build: GODWIT names another program than target/release/godwit.
set -eu
cd "$(dirname "$0")/.."
godwit=${GODWIT:-target/release/godwit}
if [ $# -eq 0 ]; then
    set -- bursty
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# A way back after 23 ticks is the last that a hold-down of 24 forbids.
evaluate() {
    scenario=$1
    shift
    "$godwit" evaluate "$scenario" --policy "$scenario" --tuned --episodes "${EPISODES:-100}" \
        --return-within 23 --json "$@"
}
for scenario; do
    evaluate "$scenario" --unruled >"$folder/free.json"
    evaluate "$scenario" --limits benchmarks/oscillation.toml --before "$folder/free.json" \
        >"$folder/limited.json"
    out=benchmarks/results/$scenario.oscillation.txt
    python3 benchmarks/show.py oscillation "$folder/free.json" "$folder/limited.json" >"$out.tmp"
    mv "$out.tmp" "$out"
done
