#!/bin/sh
# What each switch of the learner is worth on short runs: every variant changes one setting of the
# plain ones, three seeds each, one core at low priority. Prints the median over the seeds of
# the mean return in 100 held-out episodes, and all three returns.
#
#   benchmarks/ablation.sh [FOLDER]        # FOLDER keeps the runs; one that is there is not repeated
#
# GODWIT names the program (default target/release/godwit), VARIANTS and SCENARIOS restrict the
# table. About 20 to 60 seconds a run.
set -eu
cd "$(dirname "$0")/.."
folder=${1:-target/ablation}
godwit=${GODWIT:-target/release/godwit}
seeds="0 1 2"
mkdir -p "$folder"

# What the variants of a scenario start from: none of the switches on quickstart and bursty, fewer
# rollouts than they have on the others; on large observations the candidate network.
plain() {
    case $1 in
        quickstart) echo "normalise_observations=false" ;;
        bursty)
            echo "network.architecture=candidate paired_baseline=best-single-move" \
                "learner.reward_scale=0.1 learner.huber_delta=1 demonstrations.baseline=''" \
                "demonstrations.steps=10000 demonstrations.pretrain_updates=1000"
            ;;
        founding-10x50)
            echo "network.architecture=candidate comparisons.states=4000" \
                "comparisons.pretrain_updates=2000"
            ;;
        faults)
            echo "network.architecture=candidate comparisons.states=6000" \
                "comparisons.pretrain_updates=3000"
            ;;
    esac
}

steps() { case $1 in quickstart) echo 20000 ;; *) echo 10000 ;; esac; }
# name, scenarios, settings
variants() {
    cat <<'END'
as-it-is|quickstart bursty founding-10x50 faults|
prioritised|quickstart bursty|learner.priority_exponent=0.6
demonstrations|quickstart bursty|demonstrations.baseline=best-single-move
noisy-heads|quickstart bursty|exploration.noisy_sigma=0.5 exploration.epsilon.from=0 exploration.epsilon.to=0
quantiles|quickstart bursty|learner.quantiles=16
normalised|quickstart bursty|normalise_observations=true
no-paired-baseline|bursty|paired_baseline=''
no-double|quickstart bursty|learner.double=false
no-dueling|quickstart bursty|network.dueling=false
one-step|quickstart bursty|learner.n_step=1
hard-target|quickstart bursty|learner.target_every=200
no-comparisons|founding-10x50 faults|comparisons.baseline=''
no-expected-failures|faults|expected_failures=false
END
}

run() { # scenario, variant, seed, settings
    result="$folder/$1.$2.$3.txt"
    [ -s "$result" ] && return
    rm -rf "$folder/run"
    set -- "$1" "$2" "$3" $(printf '%s' "$(plain "$1") $4" | sed 's/[^ ][^ ]*/--set &/g')
    scenario=$1 seed=$3
    shift 3
    nice "$godwit" train "$scenario" --config "benchmarks/settings/$scenario.toml" \
        --env-steps "$(steps "$scenario")" --seed "$seed" --threads 1 \
        --set evaluate_every=5000 --set checkpoint_every=0 "$@" --out "$folder/run" 2>"$folder/log"
    nice "$godwit" evaluate "$scenario" --unruled --policy "$folder/run" --baselines none --episodes 100 \
        --threads 1 --json 2>/dev/null | python3 benchmarks/show.py return - >"$result.part"
    mv "$result.part" "$result"
}

variants | while IFS='|' read -r name scenarios settings; do
    case " ${VARIANTS:-$name} " in *" $name "*) ;; *) continue ;; esac
    for scenario in $scenarios; do
        case " ${SCENARIOS:-$scenario} " in *" $scenario "*) ;; *) continue ;; esac
        for seed in $seeds; do
            run "$scenario" "$name" "$seed" "$settings"
        done
    done
done

lengths=$(for scenario in quickstart bursty founding-10x50 faults; do echo "$scenario $(steps $scenario)"; done)
# shellcheck disable=SC2046
python3 benchmarks/show.py ablation "$folder" "$lengths" $(variants | cut -d'|' -f1)
