#!/bin/sh
# How a policy does on clusters that it never saw: trained on a small cluster, on one three times
# its size, and on a mix of both, each evaluated on both.
# Every policy makes the same number of env steps, with seed 0. Prints mean returns in 100 held-out
# episodes, next to those of the best single move.
#
#   benchmarks/transfer.sh [FOLDER]        # FOLDER keeps the runs; one that is there is not repeated
#
# GODWIT names the program (default target/release/godwit). One core at low priority.
set -eu
cd "$(dirname "$0")/.."
folder=${1:-target/transfer}
godwit=${GODWIT:-target/release/godwit}
large=benchmarks/scenarios/quickstart-x3.toml
mkdir -p "$folder"

train() { # name, env steps, scenarios
    run="$folder/$1" steps=$2
    shift 2
    [ -d "$run/best" ] && [ -e "$run.done" ] && return
    rm -rf "$run"
    nice "$godwit" train "$@" --config benchmarks/settings/quickstart.toml \
        --env-steps "$steps" --seed 0 --threads 1 --out "$run" \
        --set network.architecture=candidate --set checkpoint_every=0 2>"$run.log"
    touch "$run.done"
}

table() { # scenario, runs
    scenario=$1
    shift
    policies=
    for run; do policies="$policies --policy $folder/$run"; done
    # shellcheck disable=SC2086
    nice "$godwit" evaluate "$scenario" --unruled $policies --baselines best-single-move,stay --episodes 100 \
        --threads 1 --json 2>/dev/null | python3 benchmarks/show.py transfer -
}

train small 20000 quickstart
train three-times 20000 "$large"
train small+three-times 20000 quickstart "$large"
table quickstart small three-times small+three-times
table "$large" small three-times small+three-times
