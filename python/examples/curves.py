"""Learning curves and loads as pictures, from the log of a run. Needs matplotlib.

    python curves.py RUN_FOLDER [OUT.png]
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import godwit


def main(run, out="curves.png"):
    lines = (Path(run) / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    for kind, name in (("round", "training"), ("evaluation", "validation")):
        kept = [row for row in rows if row["kind"] == kind and row.get("return") is not None]
        if kept:
            left.plot([r["env_steps"] for r in kept], [r["return"] for r in kept], label=name)
    left.set(xlabel="env steps", ylabel="return", title="learning")
    left.legend()

    scenario = godwit.Scenario(Path(run) / "scenario.toml")
    env = godwit.make(scenario, phase="evaluate", render_mode="rgb_array")
    env.reset(seed=0)
    before = env.state().loads
    heuristic = godwit.baselines()["best-single-move"]
    done = False
    while not done:
        move = heuristic(env.state())
        index = 0 if move is None else env.index_of(*move) or 0
        _, _, terminated, truncated, _ = env.step(index)
        done = terminated or truncated
    nodes = range(len(before))
    right.bar([n - 0.2 for n in nodes], before, 0.4, label="at the start")
    right.bar([n + 0.2 for n in nodes], env.state().loads, 0.4, label="at the end")
    right.set(xlabel="node", ylabel="load", title=f"{scenario.name}, best single move")
    right.legend()
    figure.tight_layout()
    figure.savefig(out)
    print(f"wrote {out}")


if __name__ == "__main__":
    main(*sys.argv[1:])
