"""Optuna searches settings of `godwit train`; runs that fall behind the median end early.

    python optuna_search.py [SCENARIO] [--trials 20] [--env-steps 40000]

Needs optuna, and the program godwit.
"""

import argparse
import json

import optuna

import godwit
from godwit import tune


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenario", nargs="?", default="quickstart")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--env-steps", type=int, default=40_000)
    parser.add_argument("--out", default="tuning")
    parser.add_argument("--program", default="godwit")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    def objective(trial):
        settings = {
            "evaluate_every": args.env_steps // 8,
            "learner.learning_rate.from": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
            "learner.gamma": trial.suggest_float("gamma", 0.9, 0.999),
            "network.hidden": trial.suggest_int("hidden", 16, 128, log=True),
        }
        out = f"{args.out}/{trial.number}"
        with tune.Training(
            args.scenario, settings, out=out, env_steps=args.env_steps, program=args.program
        ) as run:
            for env_steps, value in run:
                trial.report(value, env_steps)
                if trial.should_prune():
                    raise optuna.TrialPruned
        return run.best_return

    sampler = optuna.samplers.TPESampler(seed=args.seed)
    study = optuna.create_study(
        direction="maximize", sampler=sampler, pruner=optuna.pruners.MedianPruner()
    )
    # A run whose loss is no longer finite is a failed trial, not the end of the search.
    study.optimize(objective, n_trials=args.trials, catch=(godwit.TrainingDiverged,))
    print(f"best: {study.best_value:.4f} in {args.out}/{study.best_trial.number}")
    print(json.dumps(study.best_params))


if __name__ == "__main__":
    main()
