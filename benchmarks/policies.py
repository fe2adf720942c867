"""Compares policies of several training seeds with baselines, paired over episodes.

    python3 benchmarks/policies.py EPISODES.csv

EPISODES.csv is what `godwit evaluate --report` writes; its policies named SCENARIO-SEED are the
trained ones. For each baseline and seed: the mean difference of returns and its 95 % percentile
bootstrap interval (10,000 resamples, seeded). The last column is the seed whose difference is the
median.
"""

import csv
import random
import re
import statistics
import sys


def interval(differences):
    draw = random.Random(0)
    count = len(differences)
    means = sorted(
        statistics.fmean(draw.choices(differences, k=count)) for _ in range(10_000)
    )
    return means[250], means[9_749]


def main(path):
    returns = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            scenario = row["scenario"]
            returns.setdefault(row["policy"], {})[row["seed"]] = float(row["return"])
    trained = sorted(name for name in returns if re.fullmatch(re.escape(scenario) + r"-\d+", name))
    if not trained:
        sys.exit(f"{path}: expected policies named {scenario}-SEED, got {', '.join(returns)}")
    episodes = sorted(returns[trained[0]])
    print(f"{scenario}, mean return in {len(episodes)} held-out episodes\n")
    for name in trained:
        print(f"{name:24} {statistics.fmean(returns[name].values()):12.4f}")
    print("\nahead of the tuned baselines, paired over episodes, with its 95 % interval:\n")
    columns = "".join(f"{name:>32}" for name in trained)
    print(f"{'baseline':24} {'return':>12}{columns}   median")
    baselines = {name: list(values.values()) for name, values in returns.items() if name not in trained}
    for baseline in sorted(baselines, key=lambda name: -statistics.fmean(baselines[name])):
        ahead = {}
        cells = ""
        for name in trained:
            differences = [returns[name][at] - returns[baseline][at] for at in episodes]
            ahead[name] = statistics.fmean(differences)
            low, high = interval(differences)
            cells += f"{f'{ahead[name]:+.3f} [{low:+.3f}, {high:+.3f}]':>32}"
        median = sorted(ahead, key=ahead.get)[len(ahead) // 2]
        print(f"{baseline:24} {statistics.fmean(baselines[baseline]):12.4f}{cells}   {median}")


main(sys.argv[1])
