#!/bin/sh
# Tunes every baseline on training episodes and evaluates all of them on 100 held-out ones:
#
#   benchmarks/tables.sh [SCENARIO...]
#
# Without names, all embedded scenarios. Writes baselines/SCENARIO.toml, and both tables to
# benchmarks/results/. Takes about 20 minutes per online scenario on two cores. Everything but the
# decision times is the same on every run; so are the exact solver's row and the gaps of static
# scenarios where it finishes in time. Does not build: GODWIT names another program than
# target/release/godwit; it must have the cargo feature milp.
set -eu
cd "$(dirname "$0")/.."
godwit=${GODWIT:-target/release/godwit}
if [ ! -x "$godwit" ]; then
    echo "$godwit: expected the program, got nothing; build it with cargo build --release --features milp" >&2
    exit 1
fi
if [ $# -eq 0 ]; then
    set -- founding-3x3 quickstart founding-10x50 bursty churn diurnal faults gpu-defrag hetero
fi
mkdir -p benchmarks/results
# First under a temporary name: half a table is worse than the one before.
keep() {
    out=benchmarks/results/$1
    shift
    "$@" > "$out.tmp"
    mv "$out.tmp" "$out"
}
for scenario; do
    keep "$scenario.tuning.txt" "$godwit" tune-baselines "$scenario" --trials 48 --episodes 24
    case $scenario in
        founding-3x3 | quickstart) bound="--bound 10" ;;
        *) bound= ;;
    esac
    # shellcheck disable=SC2086
    keep "$scenario.txt" "$godwit" evaluate "$scenario" --unruled --tuned --episodes 100 --wide \
        $bound
done
