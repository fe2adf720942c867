#!/bin/sh
# Learning curves: trains a scenario from nothing, with its settings in benchmarks/settings and five
# seeds, one after the other on all cores (CORES limits them), and draws the validation return over the minutes since the start against the
# tuned baselines in the same 100 validation episodes:
#
#   benchmarks/curves.sh [SCENARIO]
#
# Without a name, founding-10x50 (3 to 5 minutes a run on two idle cores). Keeps the runs in
# target/curves (FOLDER names another place; a finished run is not repeated) and writes
# benchmarks/results/SCENARIO.curves.csv, and docs/src/images/SCENARIO.curves.svg. Needs python3 with the matplotlib that
# benchmarks/requirements.txt names. Does not build: GODWIT names another program than
# target/release/godwit. SEEDS and SETTINGS (of `godwit train`) may be given.
set -eu
cd "$(dirname "$0")/.."
godwit=${GODWIT:-target/release/godwit}
folder=${FOLDER:-target/curves}
seeds=${SEEDS:-0 1 2 3 4}
settings=${SETTINGS:-}
cores=${CORES:-$(nproc)}
scenario=${1:-founding-10x50}
episodes=100
mkdir -p "$folder"

for seed in $seeds; do
    run=$folder/$scenario-$seed
    [ -e "$run/done" ] && continue
    rm -rf "$run"
    # shellcheck disable=SC2086
    "$godwit" train "$scenario" --config "benchmarks/settings/$scenario.toml" \
        --seed "$seed" --threads "$cores" \
        --set evaluate_episodes="$episodes" $settings --out "$run" 2>"$run.log"
    touch "$run/done"
done

"$godwit" evaluate "$scenario" --unruled --validation --episodes "$episodes" --tuned --json \
    --baselines genetic,annealing,receding-horizon,best-move-or-swap,best-single-move \
    >"$folder/$scenario-levels.json"
runs=
for seed in $seeds; do
    runs="$runs $folder/$scenario-$seed"
done
# shellcheck disable=SC2086
python3 benchmarks/curves.py "$folder/$scenario-levels.json" "benchmarks/results/$scenario.curves" \
    "$cores" $runs
# The book shows it.
mv "benchmarks/results/$scenario.curves.svg" docs/src/images/
