"""Migration policies for clusters: environments, trained policies, heuristics, comparison.

>>> import gymnasium, godwit
>>> env = gymnasium.make("godwit/quickstart-v0")
>>> observation, info = env.reset(seed=0)
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import gymnasium

from godwit._native import State, embedded_scenarios
from godwit.decisions import Policy, observe, plan
from godwit.environment import ClusterEnv, make
from godwit.errors import (
    ActionError,
    EpisodeEnded,
    EvaluationError,
    GodwitError,
    PolicyError,
    ScenarioError,
    SnapshotError,
    StartError,
    TrainingDiverged,
    TrainingError,
)
from godwit.evaluation import Evaluation, baselines, evaluate
from godwit.scenario import Scenario
from godwit.vector import VectorEnv, make_vec

try:
    __version__ = version("godwit")
except PackageNotFoundError:  # imported from a source tree
    __version__ = "0"

__all__ = [
    "ActionError",
    "ClusterEnv",
    "EpisodeEnded",
    "Evaluation",
    "EvaluationError",
    "GodwitError",
    "Policy",
    "PolicyError",
    "Scenario",
    "ScenarioError",
    "SnapshotError",
    "StartError",
    "State",
    "TrainingDiverged",
    "TrainingError",
    "VectorEnv",
    "baselines",
    "embedded_scenarios",
    "evaluate",
    "make",
    "make_vec",
    "observe",
    "plan",
]


def _register() -> None:
    for name in embedded_scenarios():
        gymnasium.register(
            id=f"godwit/{name}-v0",
            entry_point="godwit.environment:ClusterEnv",
            vector_entry_point="godwit.vector:VectorEnv",
            kwargs={"scenario": name},
            # Masked actions are refused; what checks that an environment takes any action would fail.
            disable_env_checker=False,
        )


_register()
