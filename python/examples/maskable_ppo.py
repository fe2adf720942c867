"""Stable-Baselines3's MaskablePPO, then its policy in the table.

    pip install sb3-contrib
    python maskable_ppo.py [--scenario quickstart] [--steps 100000]
"""

import argparse

from sb3_contrib import MaskablePPO

import godwit
from godwit.spaces import Padding, flattened


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenario", default="quickstart")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    env = godwit.make(args.scenario, flatten=True)
    model = MaskablePPO("MlpPolicy", env, n_steps=1024, batch_size=256, gamma=0.99, seed=args.seed)
    model.learn(args.steps)
    own = Padding(env.sizes.nodes, env.sizes.workloads, env.sizes.actions)

    def trained(state):
        seen = state.observation()
        action, _ = model.predict(
            flattened(seen, own), action_masks=seen["mask"].astype(bool), deterministic=True
        )
        return int(action)

    print(godwit.evaluate(args.scenario, {"MaskablePPO": trained}, episodes=args.episodes, threads=1))


if __name__ == "__main__":
    main()
