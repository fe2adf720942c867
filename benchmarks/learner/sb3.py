"""Stable-Baselines3 DQN."""

import time

import torch
from common import CAPACITY, EPSILON, GAMMA, LEARNING_RATE, MAX_NORM, TARGET_EVERY, WARM_UP
from common import gym_env, serve
from stable_baselines3 import DQN
from stable_baselines3.common.callbacks import BaseCallback

torch.set_num_threads(1)


class Clock(BaseCallback):
    """Starts after the warm-up and stops learning when the time is over."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.first = seconds, None

    def _on_step(self):
        if self.num_timesteps < WARM_UP + 64:
            return True
        now = time.process_time()
        if self.first is None:
            self.first, self.start = self.num_timesteps, now
        self.steps, self.elapsed = self.num_timesteps - self.first, now - self.start
        return self.elapsed < self.seconds


def measure(cell):
    model = DQN(
        "MlpPolicy",
        gym_env(cell["env"]),
        learning_rate=LEARNING_RATE,
        buffer_size=CAPACITY,
        learning_starts=WARM_UP,
        batch_size=cell["batch"],
        gamma=GAMMA,
        train_freq=cell["every"],
        gradient_steps=1,
        target_update_interval=TARGET_EVERY * cell["every"],
        exploration_initial_eps=EPSILON,
        exploration_final_eps=EPSILON,
        max_grad_norm=MAX_NORM,
        policy_kwargs={"net_arch": [cell["hidden"]] * 2},
        device="cpu",
        seed=0,
    )
    clock = Clock(cell["seconds"])
    model.learn(total_timesteps=10**9, callback=clock)
    return clock.steps, clock.elapsed


serve(measure)
