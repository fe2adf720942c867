"""How often policies take back their moves without limits and within them, and what limits cost.

    python3 benchmarks/oscillation.py FREE.json LIMITED.json

Both are what `godwit evaluate --json` prints for the same episodes. Moves and returning ones are
sums over all episodes; the last column is the mean return within limits minus that without, paired
over episodes, with its 95 % percentile bootstrap interval (10,000 resamples, seeded).
"""

import json
import random
import statistics
import sys

from bootstrap import interval


def load(path):
    with open(path) as file:
        return json.load(file)


def counts(policy, episodes):
    moves = round(policy["moves"] * episodes)
    returning = round(policy["oscillations"] * episodes)
    share = "-" if moves == 0 else f"{100 * returning / moves:.2f} %"
    return f"{moves:>7} {returning:>9} {share:>8}"


def main(free, limited):
    free, limited = load(free), load(limited)
    episodes = free["episodes"]
    window = free["oscillation_window"]
    assert window == limited["oscillation_window"] and episodes == limited["episodes"]
    within = {policy["name"]: policy for policy in limited["policies"]}
    print(f"{free['scenario']}, {episodes} held-out episodes; returning: moves back to a node that")
    print(f"the workload left at most {window} ticks before\n")
    print(f"{'':26}{'without limits':^37}   {'hold-down of ' + str(window + 1) + ' ticks':^37}".rstrip())
    heads = f"{'moves':>7} {'returning':>9} {'share':>8}"
    print(f"{'policy':26}{'return':>10} {heads}   {'return':>10} {heads}   {'difference in return':>30}")
    for policy in free["policies"]:
        name = policy["name"] if not policy["trained"] else f"{policy['name']} (trained)"
        other = within[policy["name"]]
        difference = [b - a for a, b in zip(policy["returns"], other["returns"], strict=True)]
        low, high = interval(difference, random.Random(0))
        cell = f"{statistics.fmean(difference):+.3f} [{low:+.3f}, {high:+.3f}]"
        print(
            f"{name:26}{policy['mean_return']['value']:10.3f} {counts(policy, episodes)}"
            f"   {other['mean_return']['value']:10.3f} {counts(other, episodes)}   {cell:>30}"
        )


main(*sys.argv[1:])
