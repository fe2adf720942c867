"""Deep Q-learning in one file, in the manner of CleanRL: masks in acting and in the target.

    python dqn.py [--scenario quickstart] [--steps 20000]

Needs PyTorch. What `godwit train` does is this, native, with more of everything.
"""

import argparse
import random

import numpy as np
import torch
from torch import nn

import godwit


class Q(nn.Module):
    """Value of each candidate from its own features and the cluster's; index 0 stays."""

    def __init__(self, features, globals_):
        super().__init__()
        self.candidate = nn.Sequential(
            nn.Linear(features + globals_, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)
        )
        self.stay = nn.Sequential(nn.Linear(globals_, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, candidates, globals_):
        wide = globals_[:, None].expand(-1, candidates.shape[1], -1)
        values = self.candidate(torch.cat([candidates, wide], dim=-1)).squeeze(-1)
        # Each move by what it is ahead of staying.
        stay = self.stay(globals_)
        return torch.cat([stay, values[:, 1:] + stay], dim=1)


PARTS = ("candidates", "globals", "mask")


def tensors(observation):
    return [torch.from_numpy(np.ascontiguousarray(observation[name])) for name in PARTS]


def copied(observation):
    """What the replay keeps: the environment writes to the arrays that it gave."""
    return {name: np.array(observation[name]) for name in PARTS}


def each(observation, copies):
    """The observation of each copy by itself."""
    return [copied({name: observation[name][copy] for name in PARTS}) for copy in range(copies)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenario", default="quickstart")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--envs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    random.seed(args.seed)
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(args.seed)

    env = godwit.make_vec(args.scenario, args.envs, threads=1, gamma=0.99)
    features, globals_ = env.sizes.candidate_features, env.sizes.global_features
    online, target = Q(features, globals_), Q(features, globals_)
    target.load_state_dict(online.state_dict())
    optimizer = torch.optim.Adam(online.parameters(), lr=1e-3)
    replay, batch = [], 64

    seen, info = env.reset(seed=args.seed)
    now = each(seen, args.envs)
    for step in range(0, args.steps, args.envs):
        epsilon = max(0.05, 1.0 - 4.0 * step / args.steps)
        mask = info["action_mask"].astype(bool)
        with torch.no_grad():
            candidates, clusters, _ = tensors(seen)
            values = online(candidates, clusters).numpy()
        greedy = np.where(mask, values, -np.inf).argmax(axis=1)
        drawn = (rng.random(mask.shape) * mask).argmax(axis=1)
        actions = np.where(rng.random(args.envs) < epsilon, drawn, greedy)
        seen, rewards, terminated, truncated, info = env.step(actions)
        then = each(seen, args.envs)
        for copy in range(args.envs):
            ended = terminated[copy] or truncated[copy]
            last = copied(info["final_obs"][copy]) if ended else then[copy]
            # A truncated episode has a future; a terminated one has none.
            discount = 0.0 if terminated[copy] else info["discount"][copy]
            replay.append((now[copy], last, actions[copy], rewards[copy], discount))
        del replay[:-20_000]
        now = then
        if len(replay) < 1_000:
            continue
        for _ in range(2):
            drawn = random.sample(replay, batch)
            before, after, taken, rewards, discounts = zip(*drawn, strict=True)
            stacked = [{n: np.stack([o[n] for o in part]) for n in PARTS} for part in (before, after)]
            candidates, clusters, _ = tensors(stacked[0])
            next_candidates, next_clusters, next_mask = tensors(stacked[1])
            with torch.no_grad():
                # Double Q-learning: the online network picks, among what is allowed.
                picked = online(next_candidates, next_clusters)
                picked = picked.masked_fill(next_mask == 0, -torch.inf).argmax(dim=1, keepdim=True)
                future = target(next_candidates, next_clusters).gather(1, picked).squeeze(1)
                goal = torch.tensor(rewards, dtype=torch.float32)
                goal += torch.tensor(discounts, dtype=torch.float32) * future
            q = online(candidates, clusters).gather(1, torch.tensor(np.array(taken))[:, None]).squeeze(1)
            loss = nn.functional.smooth_l1_loss(q, goal)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(online.parameters(), 10.0)
            optimizer.step()
            with torch.no_grad():
                for slow, fast in zip(target.parameters(), online.parameters(), strict=True):
                    slow.lerp_(fast, 0.01)

    @torch.no_grad()
    def trained(state):
        seen = state.observation()
        candidates, clusters, mask = (part[None] for part in tensors(seen))
        values = online(candidates, clusters).masked_fill(mask == 0, -torch.inf)
        return int(values.argmax())

    print(godwit.evaluate(args.scenario, {"dqn.py": trained}, episodes=50, threads=1))


if __name__ == "__main__":
    main()
