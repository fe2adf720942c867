#!/usr/bin/env python3
"""Compares the learner with others on the same work, on one core, and prints one table.

    benchmarks/learner/run.py [--core 1] [--seconds 1] [--repeat 3] [--quick] [--part a|b] > table.txt

The others are installed at pinned versions into a virtual environment under target/ first (about
7 GB with CUDA's libraries, which the torch wheel asks for). Needs target/release/godwit, or the
program that GODWIT names. All programs run pinned to one core and take turns, so that whatever
else the machine does meets all of them; rates are per second of CPU time. Medians are printed.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PEERS = {"Stable-Baselines3": "sb3.py", "CleanRL": "cleanrl.py", "torch.compile": "compiled.py", "JAX": "fused_jax.py"}


def python():
    """The interpreter of the virtual environment, which is made where it is missing."""
    given = os.environ.get("PEERS_PYTHON")
    if given:
        return given
    folder = ROOT / "target" / "learner-peers"
    interpreter = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [interpreter, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"]
        subprocess.run(pip, check=True)
        (folder / "ready").touch()
    return str(interpreter)


class Peer:
    def __init__(self, command):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=HERE, stdin=pipe, stdout=pipe, text=True)

    def ask(self, cell):
        self.process.stdin.write(json.dumps(cell) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"a peer ended while it was asked for {cell}")
        return json.loads(line)


def figures(godwit, pin, arguments):
    answer = subprocess.run(
        [*pin, godwit, "bench", "learn", *arguments, "--threads", "1", "--device", "cpu", "--json"],
        check=True,
        capture_output=True,
        text=True,
    )
    return {figure["name"]: figure["value"] for figure in json.loads(answer.stdout)["figures"]}


def ask_godwit(godwit, pin, cell):
    settings = {
        "network.hidden": cell["hidden"],
        "learner.batch_size": cell["batch"],
        "round_steps": cell["every"],
        "steps_per_update": cell["every"],
    }
    arguments = [cell["env"], "--seconds", str(cell["seconds"])]
    for key, value in settings.items():
        arguments += ["--set", f"{key}={value}"]
    got = figures(godwit, pin, arguments)
    return got["env steps of CPU time"], got["share of the arithmetic floor"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--core", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="the smallest and the largest cells only")
    environments = ["cartpole", "flat-200x50"]
    parser.add_argument("--environments", nargs="*", choices=environments, default=environments)
    parser.add_argument("--part", choices=["a", "b"], help="both unless told")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS), help="all unless told")
    args = parser.parse_args()
    pin = ["taskset", "-c", str(args.core)]
    interpreter = python()
    godwit = os.environ.get("GODWIT", str(ROOT / "target/release/godwit"))
    if args.part != "b":
        compare_runs(args, godwit, pin, interpreter)
    if args.part != "a":
        compare_updates(args, godwit, pin, interpreter)


def compare_runs(args, godwit, pin, interpreter):
    peers = {name: Peer([*pin, interpreter, file]) for name, file in PEERS.items() if name in args.peers}

    print("(a) env steps per second of CPU time on one core; in brackets: godwit's as a multiple")
    header = f"{'environment':12} {'net':8} {'batch':>5} {'every':>5} {'godwit':>9} {'floor':>6}"
    print(header + "".join(f"{name:>24}" for name in peers), flush=True)
    cells = itertools.product(args.environments, [64, 256], [64, 256], [4, 1])
    for env, hidden, batch, every in cells:
        if args.quick and (hidden == 64) != (batch == 64):
            continue
        cell = {"env": env, "hidden": hidden, "batch": batch, "every": every, "seconds": args.seconds}
        own, floors, others = [], [], {name: [] for name in peers}
        for _ in range(args.repeat):
            rate, floor = ask_godwit(godwit, pin, cell)
            own.append(rate)
            floors.append(floor)
            for name, peer in peers.items():
                others[name].append(peer.ask(cell)["steps_per_s"])
        own = statistics.median(own)
        row = f"{env:12} {f'{hidden}-{hidden}':8} {batch:5} {every:5} {own:9.0f} {statistics.median(floors):5.0f}%"
        for rates in others.values():
            rate = statistics.median(rates)
            row += f"{rate:14.0f} ({own / rate:6.2f})"
        print(row, flush=True)
    for peer in peers.values():
        peer.process.stdin.close()
        peer.process.wait()


def compare_updates(args, godwit, pin, interpreter):
    print("(b) updates per second of CPU time on one core: relational net, founding-10x50, batch 64,")
    print("    forward pass, loss, backward pass, clipping and Adam on tensors that lie ready")
    compiled = Peer([*pin, interpreter, "relational.py"])
    own, others, eager = [], [], []
    for _ in range(args.repeat):
        # Transitions only: a comparison has two candidate rows, and the others read one for each state.
        arguments = ["founding-10x50", "--seconds", str(max(2.0, args.seconds)), "--set", "learner.batch_size=64"]
        arguments += ["--set", 'comparisons.baseline=""']
        got = figures(godwit, pin, arguments)
        updates = got["env steps of CPU time"] * got["updates"] / got["env steps"]
        own.append(100 * updates / (got["forward and backward"] + got["optimiser and target"]))
        answer = compiled.ask({"batch": 64, "seconds": args.seconds})
        others.append(answer["compiled"])
        eager.append(answer["eager"])
    own, other, eager = (statistics.median(rates) for rates in (own, others, eager))
    print(f"godwit {own:.0f}   torch.compile {other:.0f} ({own / other:.2f})   eager {eager:.0f} ({own / eager:.2f})")


if __name__ == "__main__":
    main()
