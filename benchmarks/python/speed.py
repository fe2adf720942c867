#!/usr/bin/env python3
"""Speed of the Python package's environments on this machine, in one run.

    speed.py [SCENARIO...] [--envs 64] [--threads 1] [--seconds 3]

Env steps per second of `godwit.make_vec`, of single environments, of the native
environment alone (`godwit bench env`, one core), and of a small environment of
the same world in Python with NumPy (pure.py). Needs the package installed;
GODWIT names another program than target/release/godwit.
"""

import argparse
import json
import os
import subprocess
import time
from pathlib import Path

import numpy as np
from pure import PureEnv

import godwit

HERE = Path(__file__).resolve().parent
GODWIT = os.environ.get("GODWIT", str(HERE.parent.parent / "target/release/godwit"))


def random_open(rng, mask):
    """A random allowed action of each row; staying only where nothing else is allowed, as in `godwit
    bench env`."""
    mask = mask.copy()
    mask[:, 0] = mask[:, 1:].sum(axis=1) == 0
    counts = mask.cumsum(axis=1, dtype=np.int32)
    drawn = (rng.random(len(mask)) * counts[:, -1]).astype(np.int32)
    return (counts > drawn[:, None]).argmax(axis=1)


def vector(scenario, envs, threads, seconds):
    """Steps per second of a vector environment, without the time to draw actions."""
    env = godwit.make_vec(scenario, envs, threads=threads)
    _, info = env.reset(seed=0)
    rng, inside, steps = np.random.default_rng(0), 0.0, 0
    while inside < seconds:
        actions = random_open(rng, info["action_mask"])
        begun = time.perf_counter()
        *_, info = env.step(actions)
        inside += time.perf_counter() - begun
        steps += envs
    return steps / inside


def single(env, seconds):
    """Steps per second of one environment, without the time to draw actions."""
    _, info = env.reset(seed=0)
    rng, inside, steps, seed = np.random.default_rng(0), 0.0, 0, 0
    while inside < seconds:
        action = int(random_open(rng, info["action_mask"][None])[0])
        begun = time.perf_counter()
        _, _, terminated, truncated, info = env.step(action)
        if terminated or truncated:
            seed += 1
            _, info = env.reset(seed=seed)
        inside += time.perf_counter() - begun
        steps += 1
    return steps / inside


def native(scenario, seconds):
    command = [GODWIT, "bench", "env", scenario, "--json", "--seconds", str(seconds)]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures = {figure["name"]: figure["value"] for figure in json.loads(found)["figures"]}
    return figures["env steps"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenarios", nargs="*", default=["quickstart", "founding-10x50", "hetero"])
    parser.add_argument("--envs", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    args = parser.parse_args()
    head = ["scenario", "native, 1 core", f"vector of {args.envs}", "ratio", "single", "Python", "ratio"]
    print("{:16} {:>15} {:>13} {:>6} {:>9} {:>12} {:>6}".format(*head))
    for scenario in args.scenarios:
        alone = native(scenario, args.seconds)
        many = vector(scenario, args.envs, args.threads, args.seconds)
        one = single(godwit.make(scenario), args.seconds)
        pure = single(PureEnv(godwit.Scenario(scenario)), args.seconds)
        print(
            f"{scenario:16} {alone:15,.0f} {many:13,.0f} {many / alone / args.threads:6.2f} {one:9,.0f} "
            f"{pure:12,.0f} {many / pure:6.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
