#!/bin/sh
# A policy for the true cluster of the vm-snapshot data set, and what it makes of budgets of 10, 25
# and 50 moves:
#
#   benchmarks/static.sh CLUSTER.json [FOLDER]     # FOLDER keeps the runs; one that is there is not repeated
#
# Training sees disturbed placements only. After a first run, each round improves on the policy of
# the one before it by rollouts of that policy (`comparisons`), from its weights. GODWIT names the
# program (default target/release/godwit), SEEDS the seeds, ROUNDS the number of rounds (default 2).
# About half an hour a seed on two cores.
set -eu
cluster=$(realpath "$1")
cd "$(dirname "$0")/.."
folder=${2:-target/static}
godwit=${GODWIT:-target/release/godwit}
rounds=${ROUNDS:-2}
mkdir -p "$folder"
[ -e "$folder/50.toml" ] || for budget in 10 25 50; do
    "$godwit" import vm-snapshot "$cluster" --objective fragmentation --slot cpu=16 \
        --budget "$budget" --out "$folder/$budget.toml" 2>/dev/null
done

train() { # run, settings
    run="$folder/$1"
    shift
    [ -e "$run.done" ] && return
    rm -rf "$run"
    "$godwit" train "$folder/50.toml" --config benchmarks/settings/static.toml \
        --seed "$seed" --out "$run" "$@" 2>"$run.log" >/dev/null
    touch "$run.done"
}

table() { # run
    for budget in 10 25 50; do
        "$godwit" evaluate "$folder/$budget.toml" --unruled --policy "$folder/$1" --baselines none \
            --threads 1 --json 2>/dev/null | python3 benchmarks/show.py static - "$1" "$budget"
    done
}

printf '%-12s %6s %6s %8s\n' policy budget slots ms
for seed in ${SEEDS:-0}; do
    train "$seed-0" --set evaluate_every=20000
    table "$seed-0"
    for round in $(seq "$rounds"); do
        before="$folder/$seed-$((round - 1))"
        train "$seed-$round" --set initial_policy="$before" --set comparisons.baseline="$before" \
            --set comparisons.states=8000 --set comparisons.ticks=50 \
            --set comparisons.pretrain_updates=10000 \
            --set 'comparisons.share={ from = 0.5, to = 0.9, share = 1.0 }' \
            --set 'learner.learning_rate={ from = 3e-4, to = 1e-5, share = 1.0 }' \
            --set 'exploration.epsilon={ from = 0.1, to = 0.02, share = 0.2 }' \
            --env-steps 100000
        table "$seed-$round"
    done
done
