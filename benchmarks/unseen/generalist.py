#!/usr/bin/env python3
"""What `generalist` does in clusters that it never saw, without training.

    generalist.py [--episodes 40] [--think-episodes 8] [--think 10] [--threads N] [WORLD...]

Plays it as it is (beside the best single move and untuned genetic search) and with
`--think` (beside genetic search) in the scenarios of this folder, in the online
scenarios that come with the program, and in `founding-10x50` with demand x 0.8 and
x 1.2, with 7 and 14 nodes and with days of 96 and 200 ticks. Prints the paired mean
differences with their 95 % intervals, and the decision times. GODWIT names another
program than target/release/godwit.
"""

import argparse
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
GODWIT = os.environ.get("GODWIT", str(HERE.parent.parent / "target/release/godwit"))
ONLINE = ["founding-10x50", "diurnal", "bursty", "faults", "churn", "gpu-defrag", "hetero"]


def variants(folder):
    """Files of founding-10x50, changed."""
    text = subprocess.run(
        [GODWIT, "scenarios", "show", "founding-10x50"], check=True, capture_output=True, text=True
    ).stdout

    def times(factor):
        def scaled(match):
            numbers = re.sub(r"\d+\.?\d*", lambda n: f"{float(n.group()) * factor:.6g}", match.group(2))
            return match.group(1) + numbers

        return re.sub(r"(?m)^(demand = )(.*)$", scaled, text)

    changed = {
        "demand-0.8": times(0.8),
        "demand-1.2": times(1.2),
        "7-nodes": nodes(text, 7),
        "14-nodes": nodes(text, 14),
        "day-96": text.replace("period_ticks = 144", "period_ticks = 96"),
        "day-200": text.replace("period_ticks = 144", "period_ticks = 200"),
    }
    for name, toml in changed.items():
        if toml == text:
            raise SystemExit(f"founding-10x50: expected a text that {name} changes, got none")
        path = Path(folder) / f"founding-{name}.toml"
        path.write_text(toml.replace('name = "founding-10x50"', f'name = "founding-{name}"', 1))
        yield str(path)


def nodes(text, count):
    """The same with so many nodes in place of ten: more or fewer of the first kind, of which it has four."""
    head, groups = text.split("[[nodes]]", 1)
    return head + "[[nodes]]" + re.sub(r"(?m)^count = 4$", f"count = {count - 6}", groups, count=1)


def play(world, episodes, *flags):
    command = [GODWIT, "evaluate", world, "--policy", "generalist", "--unruled", "--json"]
    command += ["--episodes", str(episodes), *flags]
    document = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {row["name"]: row for row in document["policies"]}


def against(rows, one, other):
    found = {row["policy"]: row["difference"] for row in rows[one]["ahead_of"]}[other]
    return found["value"], found["low"], found["high"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=40)
    parser.add_argument("--think-episodes", type=int, default=8)
    parser.add_argument("--think", type=int, default=10)
    parser.add_argument("--threads", default="0")
    parser.add_argument("worlds", nargs="*")
    args = parser.parse_args()
    threads = ["--threads", args.threads]
    count = {"behind": 0, "genetic": [], "think": 0}
    with tempfile.TemporaryDirectory() as folder:
        worlds = args.worlds or [
            *sorted(str(path) for path in HERE.glob("*-[0-9].toml")),
            *ONLINE,
            *variants(folder),
        ]
        print(f"{'world':22} {'- best single move':>30} {'- genetic':>30} {'time':>6} {'think - genetic':>30}")
        for world in worlds:
            plain = play(world, args.episodes, "--baselines", "best-single-move,genetic,stay", *threads)
            think = play(
                world, args.think_episodes, "--baselines", "genetic", "--think", str(args.think), *threads
            )
            single = against(plain, "generalist", "best-single-move")
            genetic = against(plain, "generalist", "genetic")
            thought = against(think, "generalist+think", "genetic")
            gain = plain["genetic"]["mean_return"]["value"] - plain["stay"]["mean_return"]["value"]
            count["behind"] += single[2] < 0
            count["think"] += thought[0] > 0
            count["genetic"].append(genetic[0] / abs(gain) if gain else 0.0)
            share = plain["genetic"]["decisions_per_s"] / plain["generalist"]["decisions_per_s"]
            cells = " ".join(f"{v:12.3f} [{a:7.2f},{b:7.2f}]" for v, a, b in (single, genetic))
            last = "{:12.3f} [{:7.2f},{:7.2f}]".format(*thought)
            print(f"{Path(world).stem:22} {cells} {share:6.2f} {last}", flush=True)
    shares = sorted(count["genetic"])
    print(
        f"\n{len(worlds)} worlds: behind the best single move for certain in {count['behind']}; ahead of "
        f"genetic search in the mean in {sum(share > 0 for share in shares)}, median "
        f"{100 * shares[len(shares) // 2]:+.1f} % of what that gains over staying; with --think "
        f"{args.think} ahead of it in {count['think']}"
    )


if __name__ == "__main__":
    main()
