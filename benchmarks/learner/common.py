"""What the compared learners share: the two environments, the settings, and the protocol.

A peer is a program that reads one cell per line from standard input, as JSON, and answers with one
line: env steps per second of CPU time. Peers stay alive between cells, so that nothing is paid
twice and no cell waits for imports.

All rates are per second of the process's CPU time, not of the wall clock: on one thread the two
are the same on an idle machine, and on a busy one only the first means anything.
"""

import json
import math
import os
import sys
import time

import numpy as np

GAMMA = 0.99
LEARNING_RATE = 5e-4
EPSILON = 0.05
CAPACITY = 10_000
WARM_UP = 1_000
TARGET_EVERY = 500  # updates
MAX_NORM = 10.0

FLAT_INPUTS, FLAT_ACTIONS, FLAT_STRIDE, FLAT_STEPS = 200, 50, 7, 100
TABLE = np.random.default_rng(0).uniform(
    -1, 1, FLAT_INPUTS + FLAT_STRIDE * (FLAT_STEPS + FLAT_ACTIONS)
).astype(np.float32)

SIZES = {"cartpole": (4, 2), "flat-200x50": (FLAT_INPUTS, FLAT_ACTIONS)}


def serve(measure):
    """Answers cells until standard input ends. `measure(cell)` returns env steps and seconds."""
    # What libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        steps, seconds = measure(json.loads(line))
        answers.write(json.dumps({"steps_per_s": steps / seconds}) + "\n")


def timed(chunk, seconds):
    """Calls `chunk`, which returns env steps, for `seconds` of CPU time."""
    steps, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        steps += chunk()
    return steps, time.process_time() - start


class CartPole:
    """CartPole-v1 without Gymnasium's wrappers, in plain floats."""

    def reset(self, rng):
        self.state = rng.uniform(-0.05, 0.05, 4).tolist()
        self.steps = 0
        return np.array(self.state, np.float32)

    def step(self, action):
        x, x_dot, theta, theta_dot = self.state
        cos, sin = math.cos(theta), math.sin(theta)
        temp = ((10.0 if action == 1 else -10.0) + 0.05 * theta_dot * theta_dot * sin) / 1.1
        theta_acc = (9.8 * sin - cos * temp) / (0.5 * (4.0 / 3.0 - 0.1 * cos * cos / 1.1))
        x_acc = temp - 0.05 * theta_acc * cos / 1.1
        self.state = [
            x + 0.02 * x_dot,
            x_dot + 0.02 * x_acc,
            theta + 0.02 * theta_dot,
            theta_dot + 0.02 * theta_acc,
        ]
        self.steps += 1
        fell = abs(self.state[0]) > 2.4 or abs(self.state[2]) > 12 * math.pi / 180
        return np.array(self.state, np.float32), 1.0, fell, self.steps >= 500


class Flat:
    """A window on a fixed table; one action pays."""

    def reset(self, rng):
        self.start = int(rng.integers(FLAT_ACTIONS))
        self.steps = 0
        return self.window()

    def window(self):
        at = (self.start + self.steps) * FLAT_STRIDE
        return TABLE[at : at + FLAT_INPUTS]

    def step(self, action):
        reward = 1.0 if action == self.steps % FLAT_ACTIONS else 0.0
        self.steps += 1
        return self.window(), reward, self.steps >= FLAT_STEPS, False


def bare_env(name):
    return CartPole() if name == "cartpole" else Flat()


def gym_env(name):
    """The same as Gymnasium environments, which Stable-Baselines3 and CleanRL ask for."""
    import gymnasium

    if name == "cartpole":
        return gymnasium.make("CartPole-v1")

    class FlatEnv(gymnasium.Env):
        observation_space = gymnasium.spaces.Box(-1.0, 1.0, (FLAT_INPUTS,), np.float32)
        action_space = gymnasium.spaces.Discrete(FLAT_ACTIONS)

        def __init__(self):
            self.flat = Flat()

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return self.flat.reset(self.np_random), {}

        def step(self, action):
            observation, reward, terminated, truncated = self.flat.step(int(action))
            return observation, reward, terminated, truncated, {}

    return FlatEnv()
