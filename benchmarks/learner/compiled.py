"""PyTorch as fast as it goes without leaving Python: bare environments, replay in tensors, loss and
target compiled by torch.compile, fused Adam."""

import numpy as np
import torch
import torch.nn.functional as F
from common import CAPACITY, EPSILON, GAMMA, LEARNING_RATE, MAX_NORM, SIZES, TARGET_EVERY, WARM_UP
from common import bare_env, serve, timed
from torch import nn

torch.set_num_threads(1)
ready = {}


class Run:
    def __init__(self, cell):
        torch.manual_seed(0)
        self.cell, self.rng = cell, np.random.default_rng(0)
        inputs, actions = SIZES[cell["env"]]
        hidden = cell["hidden"]

        def network():
            return nn.Sequential(
                nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, actions)
            )

        self.online, self.target = network(), network()
        self.target.load_state_dict(self.online.state_dict())
        self.target.requires_grad_(False)
        self.parameters = list(self.online.parameters())
        self.adam = torch.optim.Adam(self.parameters, lr=LEARNING_RATE, fused=True)

        def loss(states, chosen, rewards, discounts, following):
            best = self.target(following).amax(1)
            q = self.online(states).gather(1, chosen[:, None]).squeeze(1)
            return F.smooth_l1_loss(q, rewards + discounts * best)

        self.loss = torch.compile(loss)
        self.states = torch.zeros(CAPACITY, inputs)
        self.following = torch.zeros(CAPACITY, inputs)
        self.chosen = torch.zeros(CAPACITY, dtype=torch.int64)
        self.rewards = torch.zeros(CAPACITY)
        self.discounts = torch.zeros(CAPACITY)
        self.env, self.actions = bare_env(cell["env"]), actions
        self.state = torch.from_numpy(self.env.reset(self.rng).copy())
        self.steps = self.updates = 0
        while self.updates < 64:
            self.chunk()

    def step(self):
        if self.rng.random() < EPSILON:
            action = int(self.rng.integers(self.actions))
        else:
            with torch.inference_mode():
                action = int(self.online(self.state).argmax())
        after, reward, terminated, truncated = self.env.step(action)
        at = self.steps % CAPACITY
        after = torch.from_numpy(after)
        self.states[at], self.following[at] = self.state, after
        self.chosen[at], self.rewards[at] = action, reward
        self.discounts[at] = 0.0 if terminated else GAMMA
        if terminated or truncated:
            after = torch.from_numpy(self.env.reset(self.rng))
        self.state = after
        self.steps += 1

    def update(self):
        index = torch.randint(min(self.steps, CAPACITY), (self.cell["batch"],))
        loss = self.loss(
            self.states[index], self.chosen[index], self.rewards[index], self.discounts[index], self.following[index]
        )
        self.adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, MAX_NORM)
        self.adam.step()
        self.updates += 1
        if self.updates % TARGET_EVERY == 0:
            self.target.load_state_dict(self.online.state_dict())

    def chunk(self):
        for _ in range(self.cell["every"]):
            self.step()
        if self.steps >= WARM_UP:
            self.update()
        return self.cell["every"]


def measure(cell):
    key = (cell["env"], cell["hidden"], cell["batch"], cell["every"])
    if key not in ready:
        torch.compiler.reset()
        ready.clear()
        ready[key] = Run(cell)
    return timed(ready[key].chunk, cell["seconds"])


serve(measure)
