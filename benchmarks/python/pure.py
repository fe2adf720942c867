"""A cluster in Python with NumPy, for a comparison of speed.

The same world in small: nodes and workloads of a scenario's sizes, demand that
changes each tick, capacity, loads, the objective's change for every candidate
move (in whole arrays, 12 features), a mask, migrations that cost. What it leaves out (classes, faults,
arrivals, forecasts, transfers under way) would make it slower.
"""

import numpy as np

import godwit


class PureEnv:
    """Gymnasium's contract on arrays of NumPy."""

    def __init__(self, scenario):
        env = godwit.make(scenario)
        env.reset(seed=0)
        state = env.state()
        self.supply = state.supply.astype(np.float64)
        self.base = state.demand.astype(np.float64)
        self.first = state.placement.copy()
        self.online = scenario["rules.episode.mode"] == "online"
        episode = scenario.to_dict()["rules"]["episode"]
        self.ticks = episode["ticks"] if self.online else episode["move_budget"]
        self.rng = np.random.default_rng(0)

    def reset(self, *, seed=None):
        self.rng = np.random.default_rng(seed)
        self.tick = 0
        self.placement = self.first.copy()
        self.noise = np.zeros(len(self.base))
        self.phase = self.rng.uniform(0, 2 * np.pi, len(self.base))
        self.settle()
        return self.observe()

    def settle(self):
        """Demand of this tick, and what each node holds."""
        if self.online:
            self.noise = 0.75 * self.noise + 0.05 * self.rng.standard_normal(len(self.base))
            factor = 1 + 0.4 * np.sin(2 * np.pi * self.tick / 144 + self.phase) + self.noise
            self.demand = self.base * np.maximum(factor, 0.05)[:, None]
        else:
            self.demand = self.base
        self.held = np.zeros_like(self.supply)
        there = self.placement >= 0
        np.add.at(self.held, self.placement[there], self.demand[there])

    def loads(self):
        return np.divide(self.held, self.supply, out=np.zeros_like(self.held), where=self.supply > 0)

    def observe(self):
        """Features of every (workload, destination) pair, with a mask; in whole arrays."""
        count, workloads = len(self.supply), len(self.demand)
        use = self.loads()
        load = use.sum(axis=1)
        mean = load.mean()
        spread = ((load - mean) ** 2).sum()
        there = self.placement >= 0
        source = np.where(there, self.placement, 0)
        nodes = np.arange(count)
        # [K, N, m]: what each workload would take of each node.
        share = np.divide(
            self.demand[:, None, :],
            self.supply[None],
            out=np.zeros((workloads, *self.supply.shape)),
            where=self.supply[None] > 0,
        )
        added = share.sum(axis=2)
        left = (load[source] - added[np.arange(workloads), source])[:, None]
        arrived = load[None] + added
        after = use[None] + share
        # The highest load of a third node is one of the three highest.
        top = np.argsort(-load)[:3]
        apart = (top[None, None] != source[:, None, None]) & (top[None, None] != nodes[None, :, None])
        third = np.where(apart, load[top][None, None], 0.0).max(axis=2)
        highest = np.maximum(np.maximum(left, arrived), third)
        deviation = (
            (left - mean) ** 2
            + (arrived - mean) ** 2
            - (load[source] - mean)[:, None] ** 2
            - (load - mean)[None] ** 2
        )
        fits = (self.held[None] + self.demand[:, None, :] <= self.supply[None]).all(axis=2)
        fits &= there[:, None] & (nodes[None] != source[:, None])
        wide = np.broadcast_to
        shape = (workloads, count)
        rows = np.stack(
            [
                wide(load[source][:, None], shape),
                wide(left, shape),
                wide(load[None], shape),
                arrived,
                highest - load.max(),
                deviation / max(spread, 1e-9),
                after.max(axis=2),
                after.mean(axis=2),
                wide(self.demand.sum(axis=1)[:, None], shape),
                wide(mean, shape),
                wide((source == load.argmax())[:, None], shape),
                wide(self.tick / self.ticks, shape),
            ],
            axis=2,
        ).astype(np.float32)
        features = rows.reshape(workloads * count, -1)
        observation = {
            "nodes": np.column_stack([use, load]).astype(np.float32),
            "workloads": np.column_stack([self.demand, self.placement]).astype(np.float32),
            "candidates": np.concatenate([np.zeros((1, features.shape[1]), np.float32), features]),
            "mask": np.concatenate([[1], fits.reshape(-1)]).astype(np.int8),
        }
        return observation, {"action_mask": observation["mask"]}

    def step(self, action):
        cost = 0.0
        if action:
            workload, node = divmod(action - 1, len(self.supply))
            source = self.placement[workload]
            self.held[source] -= self.demand[workload]
            self.held[node] += self.demand[workload]
            self.placement[workload] = node
            cost = 0.1
        self.tick += 1
        self.settle()
        load = self.loads().sum(axis=1)
        reward = -(load.max() + load.std() / max(load.mean(), 1e-9)) - cost
        over = self.tick >= self.ticks
        observation, info = self.observe()
        return observation, reward, over and not self.online, over and self.online, info
