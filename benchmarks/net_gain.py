#!/usr/bin/env python3
"""What the net-gain rule costs or gains: each scenario's policy and a baseline, with and without it.

    net_gain.py [GODWIT [SCENARIO,... [EPISODES [BASELINES]]]]

Plays the same held-out episodes twice, with `godwit evaluate` and with `godwit evaluate --unruled`, and
prints mean returns, moves and traffic of both, and the mean paired difference with the half-width of its
95 % interval (normal approximation). 200 episodes of all scenarios take about ten minutes on two cores.
"""
import json
import statistics
import subprocess
import sys

ALL = "quickstart,gpu-defrag,bursty,diurnal,founding-10x50,hetero,churn,faults"


def play(godwit, scenario, episodes, baselines, *flags):
    command = [godwit, "evaluate", scenario, "--policy", scenario, "--tuned", "--json"]
    command += ["--baselines", baselines, "--episodes", str(episodes), *flags]
    document = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {policy["name"]: policy for policy in document["policies"]}


def main(godwit="target/release/godwit", scenarios=ALL, episodes="200", baselines="best-single-move"):
    head = ["scenario", "policy", "without", "with", "difference", "95 %", "moves", "GiB"]
    print("{:15} {:18} {:>10} {:>10} {:>10} {:>7} {:>15} {:>17}".format(*head))
    for scenario in scenarios.split(","):
        free = play(godwit, scenario, episodes, baselines, "--unruled")
        ruled = play(godwit, scenario, episodes, baselines)
        for name in sorted(free, key=lambda name: name != scenario):
            a, b = free[name], ruled[name]
            change = [y - x for x, y in zip(a["returns"], b["returns"])]
            half = 1.96 * statistics.stdev(change) / len(change) ** 0.5 if len(change) > 1 else 0.0
            mean = statistics.mean
            print(
                f"{scenario:15} {name:18} {mean(a['returns']):10.3f} {mean(b['returns']):10.3f} "
                f"{mean(change):10.3f} {half:7.3f} {a['moves']:7.1f} {b['moves']:7.1f} "
                f"{a['moved_gib']:8.1f} {b['moved_gib']:8.1f}",
                flush=True,
            )


if __name__ == "__main__":
    if "--help" in sys.argv:
        sys.exit(__doc__)
    main(*sys.argv[1:])
