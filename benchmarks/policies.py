"""Compares policies of several training seeds with baselines, paired over episodes.

    python3 benchmarks/policies.py EVALUATION.json

EVALUATION.json is what `godwit evaluate --json` prints. For each baseline and seed: the mean
difference of returns and its 95 % percentile bootstrap interval (10,000 resamples, seeded). The
last column is the seed whose difference is the median.
"""

import json
import random
import statistics
import sys

from bootstrap import interval


def main(path):
    with open(path) as file:
        evaluation = json.load(file)
    returns = {policy["name"]: policy["returns"] for policy in evaluation["policies"]}
    trained = sorted(policy["name"] for policy in evaluation["policies"] if policy["trained"])
    if not trained:
        sys.exit(f"{path}: expected trained policies, got {', '.join(returns)}")
    print(f"{evaluation['scenario']}, mean return in {evaluation['episodes']} held-out episodes\n")
    for name in trained:
        print(f"{name:24} {statistics.fmean(returns[name]):12.4f}")
    print("\nahead of the tuned baselines, paired over episodes, with its 95 % interval:\n")
    columns = "".join(f"{name:>32}" for name in trained)
    print(f"{'baseline':24} {'return':>12}{columns}   median")
    baselines = {name: values for name, values in returns.items() if name not in trained}
    for baseline in sorted(baselines, key=lambda name: -statistics.fmean(baselines[name])):
        ahead = {}
        cells = ""
        for name in trained:
            pairs = zip(returns[name], returns[baseline], strict=True)
            differences = [ours - theirs for ours, theirs in pairs]
            ahead[name] = statistics.fmean(differences)
            low, high = interval(differences, random.Random(0))
            cells += f" {f'{ahead[name]:+.3f} [{low:+.3f}, {high:+.3f}]':>31}"
        median = sorted(ahead, key=ahead.get)[len(ahead) // 2]
        print(f"{baseline:24} {statistics.fmean(baselines[baseline]):12.4f}{cells}   {median}")


main(sys.argv[1])
