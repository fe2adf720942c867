#!/bin/sh
# Learning curves: trains founding-10x50 from nothing with five seeds, in short runs (100,000 env
# steps) of one thread each, as many side by side as there are cores, and draws the validation
# return over the minutes since the start against the tuned baselines in the same 100 validation
# episodes:
#
#   benchmarks/curves.sh [SCENARIO]
#
# Keeps the runs in target/curves (FOLDER names another place; a finished run is not repeated) and
# writes benchmarks/results/SCENARIO.curves.svg and .csv. Needs python3 with the matplotlib that
# benchmarks/requirements.txt names. Does not build: GODWIT names another program than
# target/release/godwit. SEEDS and SETTINGS (of `godwit train`) may be given.
set -eu
cd "$(dirname "$0")/.."
godwit=${GODWIT:-target/release/godwit}
folder=${FOLDER:-target/curves}
seeds=${SEEDS:-0 1 2 3 4}
settings=${SETTINGS:---env-steps 100000 --set comparisons.states=15000}
scenario=${1:-founding-10x50}
episodes=100
mkdir -p "$folder"

for seed in $seeds; do
    [ -e "$folder/$scenario-$seed/done" ] || echo "$seed"
done | xargs -r -P "$(nproc)" -I SEED sh -c '
    run=$1/$2-SEED
    rm -rf "$run"
    # shellcheck disable=SC2086
    "$0" train "$2" --seed SEED --threads 1 --set evaluate_every=10000 \
        --set evaluate_episodes=$3 $4 --out "$run" 2>"$run.log" && touch "$run/done"
' "$godwit" "$folder" "$scenario" "$episodes" "$settings"

"$godwit" evaluate "$scenario" --validation --episodes "$episodes" --tuned --json \
    --baselines genetic,receding-horizon,best-move-or-swap,best-single-move \
    >"$folder/$scenario-levels.json"
runs=
for seed in $seeds; do
    runs="$runs $folder/$scenario-$seed"
done
# shellcheck disable=SC2086
python3 benchmarks/curves.py "$folder/$scenario-levels.json" "benchmarks/results/$scenario.curves" \
    $runs
