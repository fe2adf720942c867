#!/usr/bin/env python3
"""Prints the tables of the scripts beside it from what `godwit evaluate --json` wrote.

    show.py return FILE               the mean return of the first row, alone
    show.py policies FILE             every trained policy against every baseline (policies.sh)
    show.py oscillation FREE LIMITED  moves taken back, without limits and within (oscillation.sh)
    show.py transfer FILE             mean returns with their intervals (transfer.sh)
    show.py static FILE LABEL BUDGET  slots and the time of all decisions (static.sh)
    show.py ablation FOLDER STEPS NAME...   medians over seeds (ablation.sh); STEPS are lines of a
                                      scenario and its env steps, FOLDER has what `return` printed

FILE is `-` for standard input. All statistics over episodes are godwit's.
"""

import json
import pathlib
import statistics
import sys


def load(path):
    return json.load(sys.stdin) if path == "-" else json.loads(pathlib.Path(path).read_text())


def interval(estimate):
    return f"{estimate['value']:+.3f} [{estimate['low']:+.3f}, {estimate['high']:+.3f}]"


def mean_return(path):
    print(load(path)["policies"][0]["mean_return"]["value"])


def policies(path):
    evaluation = load(path)
    trained = sorted((row for row in evaluation["policies"] if row["trained"]), key=lambda row: row["name"])
    if not trained:
        sys.exit(f"{path}: expected trained policies, got none")
    print(f"{evaluation['scenario']}, mean return in {evaluation['episodes']} held-out episodes\n")
    for row in trained:
        print(f"{row['name']:24} {row['mean_return']['value']:12.4f}")
    print("\nahead of the tuned baselines, paired over episodes, with its 95 % interval:\n")
    columns = "".join(f"{row['name']:>32}" for row in trained)
    print(f"{'baseline':24} {'return':>12}{columns}   median")
    for baseline in (row for row in evaluation["policies"] if not row["trained"]):
        ahead, cells = {}, ""
        for row in trained:
            against = {other["policy"]: other["difference"] for other in row["ahead_of"]}
            difference = against[baseline["name"]]
            ahead[row["name"]] = difference["value"]
            cells += f" {interval(difference):>31}"
        # The seed whose difference is the median.
        median = sorted(ahead, key=ahead.get)[len(ahead) // 2]
        print(f"{baseline['name']:24} {baseline['mean_return']['value']:12.4f}{cells}   {median}")


def oscillation(free, limited):
    """LIMITED was evaluated with `--before FREE`."""
    free, limited = load(free), load(limited)
    episodes, window = free["episodes"], free["oscillation_window"]
    if window != limited["oscillation_window"]:
        sys.exit(f"expected the window {window} in both, got {limited['oscillation_window']}")
    within = {row["name"]: row for row in limited["policies"]}

    def counts(row):
        moves, returning = round(row["moves"] * episodes), round(row["oscillations"] * episodes)
        share = "-" if moves == 0 else f"{100 * returning / moves:.2f} %"
        return f"{row['mean_return']['value']:10.3f} {moves:>7} {returning:>9} {share:>8}"

    print(f"{free['scenario']}, {episodes} held-out episodes; returning: moves back to a node that")
    print(f"the workload left at most {window} ticks before\n")
    print(f"{'':26}{'without limits':^37}   {'hold-down of ' + str(window + 1) + ' ticks':^37}".rstrip())
    heads = f"{'return':>10} {'moves':>7} {'returning':>9} {'share':>8}"
    print(f"{'policy':26}{heads}   {heads}   {'difference in return':>30}")
    for row in free["policies"]:
        name = f"{row['name']} (trained)" if row["trained"] else row["name"]
        other = within[row["name"]]
        print(f"{name:26}{counts(row)}   {counts(other)}   {interval(other['change']['difference']):>30}")


def transfer(path):
    evaluation = load(path)
    print("evaluated on " + evaluation["scenario"])
    for row in evaluation["policies"]:
        mean = row["mean_return"]
        print(f"  {row['name']:24} {mean['value']:10.4f}   {mean['low']:.4f} to {mean['high']:.4f}")
    print()


def static(path, label, budget):
    row = load(path)["policies"][0]
    milliseconds = 1000 * row["moves"] / row["decisions_per_s"]
    print(f"{label:12} {budget:>6} {row['state']['slots']:6.0f} {milliseconds:8.1f}")


def ablation(folder, steps, *names):
    for scenario, env_steps in map(str.split, steps.splitlines()):
        rows = []
        for name in names:
            files = [pathlib.Path(folder) / f"{scenario}.{name}.{seed}.txt" for seed in range(3)]
            if all(file.exists() for file in files):
                rows.append((name, [float(file.read_text()) for file in files]))
        if not rows:
            continue
        base = dict(rows).get("as-it-is")
        print(f"{scenario}, {env_steps} env steps, return (median of 3 seeds; higher is better)\n")
        print(f"{'variant':20} {'median':>10} {'ahead':>9}   seeds 0 to 2")
        for name, returns in rows:
            median = statistics.median(returns)
            ahead = f"{median - statistics.median(base):+9.4f}" if base else ""
            print(f"{name:20} {median:10.4f} {ahead}   " + ", ".join(f"{value:.4f}" for value in returns))
        print()


TABLES = {
    "return": mean_return,
    "policies": policies,
    "oscillation": oscillation,
    "transfer": transfer,
    "static": static,
    "ablation": ablation,
}

if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in TABLES:
        sys.exit(__doc__)
    TABLES[sys.argv[1]](*sys.argv[2:])
