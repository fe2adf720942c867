"""Stable-Baselines3's MaskablePPO, then its policy in the table beside the one that comes with godwit.

    pip install -r requirements.txt
    python maskable_ppo.py [--scenario quickstart] [--steps 100000]
"""

import argparse

import torch
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import nn

import godwit
from godwit.spaces import Padding, flattened


class EachCandidate(nn.Module):
    """One network for every candidate, on its own features and the cluster's.

    Candidates come in no fixed order. A layer over the whole observation would have to learn the same
    again for each place in it.
    """

    def __init__(self, sizes):
        super().__init__()
        self.sizes = sizes
        self.latent_dim_pi, self.latent_dim_vf = sizes.actions, 64
        both = sizes.candidate_features + sizes.global_features
        self.value_of = nn.Sequential(
            nn.Linear(both, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1)
        )
        best = 2 * sizes.candidate_features + sizes.global_features
        self.critic = nn.Sequential(nn.Linear(best, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())

    def parts(self, flat):
        """Features of the cluster and of the candidates, as `godwit.spaces.flattened` lays them."""
        n, k, a, fn, fw, fg, fc = self.sizes
        _, cluster, candidates, _ = flat.split([n * fn + k * fw, fg, a * fc, a], dim=1)
        return cluster, candidates.reshape(-1, a, fc)

    def forward(self, flat):
        return self.forward_actor(flat), self.forward_critic(flat)

    def forward_actor(self, flat):
        cluster, candidates = self.parts(flat)
        wide = cluster[:, None].expand(-1, candidates.shape[1], -1)
        return self.value_of(torch.cat([candidates, wide], dim=-1)).squeeze(-1)

    def forward_critic(self, flat):
        cluster, candidates = self.parts(flat)
        seen = [cluster, candidates.amin(dim=1), candidates.amax(dim=1)]
        return self.critic(torch.cat(seen, dim=1))


class CandidatePolicy(MaskableActorCriticPolicy):
    """MaskablePPO's policy with that network."""

    def __init__(self, *args, sizes, **kwargs):
        self.sizes = sizes
        super().__init__(*args, **kwargs)

    def _build_mlp_extractor(self):
        self.mlp_extractor = EachCandidate(self.sizes).to(self.device)

    def _build(self, lr_schedule):
        super()._build(lr_schedule)
        # What the network says of the candidates are the logits.
        self.action_net = nn.Identity()
        rate = lr_schedule(1)
        self.optimizer = self.optimizer_class(self.parameters(), lr=rate, **self.optimizer_kwargs)


def train(scenario, steps, seed):
    """A model of MaskablePPO after so many steps, and the sizes of what it sees."""
    sizes = godwit.make(scenario).sizes
    env = DummyVecEnv([lambda: godwit.make(scenario, flatten=True)] * 8)
    model = MaskablePPO(
        CandidatePolicy,
        env,
        policy_kwargs={"sizes": sizes},
        n_steps=128,
        batch_size=256,
        n_epochs=4,
        learning_rate=lambda left: 1e-3 * left,
        # An episode of `quickstart` is ten moves at most, and what each gains is paid at once.
        gamma=1.0,
        seed=seed,
        device="cpu",
    )
    return model.learn(steps), sizes


def policy(model, sizes):
    """The model as a policy for `godwit.evaluate`."""
    own = Padding(sizes.nodes, sizes.workloads, sizes.actions)

    def trained(state):
        seen = state.observation()
        action, _ = model.predict(
            flattened(seen, own), action_masks=seen["mask"].astype(bool), deterministic=True
        )
        return int(action)

    return trained


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenario", default="quickstart")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--phase", default="evaluate", help="validate, to choose settings by")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)

    policies = {
        "MaskablePPO": policy(*train(args.scenario, args.steps, args.seed)),
        "godwit": args.scenario,
    }
    # Any move may be made here; the scorer's rule that each be worth its cost is left out.
    print(
        godwit.evaluate(
            args.scenario,
            policies,
            episodes=args.episodes,
            phase=args.phase,
            threads=1,
            unruled=True,
        )
    )


if __name__ == "__main__":
    main()
