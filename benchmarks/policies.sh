#!/bin/sh
# Trains a policy on each scenario with seeds 0, 1 and 2, with settings that are found, and compares
# all three with the tuned baselines in 200 held-out episodes:
#
#   benchmarks/policies.sh [SCENARIO...]
#
# Without names, the online scenarios. Keeps the runs in target/policies (FOLDER names another
# place; a finished run is not repeated) and writes benchmarks/results/SCENARIO.policies.txt. Each
# run takes 20 minutes on one core (MINUTES gives it others); as many go side by side as there are
# cores. Then up to a quarter of an hour per scenario for the baselines' searches. Does not build:
# GODWIT names another program than target/release/godwit. BASELINES restricts the comparison, SEEDS
# the runs.
set -eu
cd "$(dirname "$0")/.."
godwit=${GODWIT:-target/release/godwit}
folder=${FOLDER:-target/policies}
seeds=${SEEDS:-0 1 2}
if [ $# -eq 0 ]; then
    set -- bursty churn diurnal faults founding-10x50 gpu-defrag hetero
fi
mkdir -p "$folder"

for scenario; do
    for seed in $seeds; do
        [ -e "$folder/$scenario-$seed/done" ] || echo "$scenario $seed"
    done
done | xargs -r -P "$(nproc)" -L 1 sh -c '
    run=$1/$3-$4
    rm -rf "$run"
    "$0" train "$3" --minutes "$2" --seed "$4" --threads 1 --keep-replay false --out "$run" \
        2>"$run.log" && touch "$run/done"
' "$godwit" "$folder" "${MINUTES:-20}"

for scenario; do
    policies=
    for seed in $seeds; do
        policies="$policies --policy $folder/$scenario-$seed"
    done
    # shellcheck disable=SC2086
    "$godwit" evaluate "$scenario" --unruled --tuned $policies --baselines "${BASELINES:-all}" \
        --episodes 200 --json >"$folder/$scenario.json"
    out=benchmarks/results/$scenario.policies.txt
    python3 benchmarks/show.py policies "$folder/$scenario.json" >"$out.tmp"
    mv "$out.tmp" "$out"
done
