"""DQN in the style of CleanRL's dqn.py: one file, a vector environment of one copy, the replay
buffer of Stable-Baselines3, mean squared error, no clipping."""

import random
import time

import gymnasium
import numpy as np
import torch
import torch.nn.functional as F
from common import CAPACITY, EPSILON, GAMMA, LEARNING_RATE, SIZES, TARGET_EVERY, WARM_UP
from common import gym_env, serve
from stable_baselines3.common.buffers import ReplayBuffer
from torch import nn, optim

torch.set_num_threads(1)


def network(inputs, hidden, actions):
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, actions)
    )


def measure(cell):
    torch.manual_seed(0)
    envs = gymnasium.vector.SyncVectorEnv([lambda: gym_env(cell["env"])])
    inputs, actions = SIZES[cell["env"]]
    q_network = network(inputs, cell["hidden"], actions)
    optimizer = optim.Adam(q_network.parameters(), lr=LEARNING_RATE)
    target_network = network(inputs, cell["hidden"], actions)
    target_network.load_state_dict(q_network.state_dict())
    rb = ReplayBuffer(
        CAPACITY,
        envs.single_observation_space,
        envs.single_action_space,
        "cpu",
        handle_timeout_termination=False,
    )
    obs, _ = envs.reset(seed=0)
    global_step, first = 0, WARM_UP + 64
    while True:
        if global_step == first:
            start = time.process_time()
        if global_step > first and time.process_time() - start >= cell["seconds"]:
            return global_step - first, time.process_time() - start
        if random.random() < EPSILON:
            action = np.array([envs.single_action_space.sample()])
        else:
            q_values = q_network(torch.Tensor(obs))
            action = torch.argmax(q_values, dim=1).cpu().numpy()
        next_obs, rewards, terminations, _truncations, infos = envs.step(action)
        rb.add(obs, next_obs, action, rewards, terminations, [infos])
        obs = next_obs
        if global_step > WARM_UP and global_step % cell["every"] == 0:
            data = rb.sample(cell["batch"])
            with torch.no_grad():
                target_max, _ = target_network(data.next_observations).max(dim=1)
                td_target = data.rewards.flatten() + GAMMA * target_max * (1 - data.dones.flatten())
            old_val = q_network(data.observations).gather(1, data.actions).squeeze()
            loss = F.mse_loss(td_target, old_val)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if global_step % (TARGET_EVERY * cell["every"]) == 0:
                target_network.load_state_dict(q_network.state_dict())
        global_step += 1


serve(measure)
