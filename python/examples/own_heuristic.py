"""A heuristic of one's own in the table, beside trained policies and the heuristics of the package.

    python own_heuristic.py [EPISODES]
"""

import sys

import numpy as np

import godwit


class Careful:
    """The best move by the objective's change an hour ahead, but only if the last tick had none.

    What it remembers is forgotten at the start of each episode (`reset`); each thread has a copy.
    """

    def __init__(self, features):
        self.gain = features.index("objective_change")
        self.rested = True

    def reset(self, seed):
        self.rested = True

    def __call__(self, state):
        if not self.rested:
            self.rested = True
            return None
        seen = state.observation()
        gains = np.where(seen["mask"] == 1, seen["candidates"][:, self.gain], 0.0)
        best = int(gains.argmin())
        if gains[best] >= 0:
            return None
        self.rested = False
        return best


def main(episodes):
    features = godwit.make("founding-10x50").features["candidates"]
    found = godwit.evaluate(
        "founding-10x50",
        {"careful": Careful(features), "trained": "founding-10x50"},
        baselines=["stay", "best-single-move"],
        episodes=episodes,
    )
    print(found)
    value, low, high = found.ahead_of("trained", "careful")
    print(f"\nthe trained policy is ahead of careful by {value:.2f} [{low:.2f}, {high:.2f}]")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
