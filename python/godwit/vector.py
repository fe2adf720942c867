"""Many environments at once: the native vector environment."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.vector import VectorEnv as GymnasiumVectorEnv
from gymnasium.vector.utils import batch_space

from godwit import _native
from godwit.errors import ActionError, EpisodeEnded
from godwit.scenario import Scenario, ScenarioLike
from godwit.spaces import Sizes, batched, empty, observation_space

__all__ = ["VectorEnv", "make_vec"]


class VectorEnv(GymnasiumVectorEnv[Any, Any, Any]):
    """Copies of one scenario, stepped by native threads without the interpreter's lock.

    An episode that ends starts its next one in the same step: the observation is that of the new
    start, ``info["final_obs"]`` holds the last one of the old episode, and ``info["_final_obs"]`` says
    of which copies.

    Observations are views of memory that the threads write to. There are two sets, used in turn: what
    ``step`` returns stays as it is until the step after the next one, so that an observation and its
    successor are both there. Copy what you keep longer (``copy=True`` does so each time).

    :param num_envs: how many copies.
    :param threads: threads that step them; 0 for one per core.
    :param phase: ``"train"``, ``"validate"`` or ``"evaluate"``.
    :param gamma: discount of one tick, for ``info["discount"]``.
    :param copy: whether ``reset`` and ``step`` return copies.
    """

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(
        self,
        scenario: ScenarioLike,
        *,
        num_envs: int = 1,
        threads: int = 0,
        phase: str = "train",
        gamma: float = 0.99,
        copy: bool = False,
        render_mode: str | None = None,
    ) -> None:
        if render_mode is not None:
            raise ValueError(f"render_mode: expected None for many environments, got {render_mode!r}")
        for name, number, least in (("num_envs", num_envs, 1), ("threads", threads, 0)):
            if number < least:
                raise ValueError(f"{name}: expected at least {least}, got {number}")
        if not 0 <= gamma <= 1:
            raise ValueError(f"gamma: expected 0 to 1, got {gamma}")
        self.scenario = Scenario(scenario)
        self.num_envs = num_envs
        self.gamma = gamma
        self.render_mode = None
        self._native: _native.Vector | None = _native.Vector(
            self.scenario._native, phase, num_envs, threads
        )
        self.sizes = Sizes(*self._native.sizes)
        self._copy = copy
        self._started = False
        self._sets = [self._arrays() for _ in range(2)]
        self._finals = [empty(self.sizes, num_envs) for _ in range(2)]
        self._at = 0
        self.single_observation_space = observation_space(self.sizes)
        self.single_action_space = spaces.Discrete(self.sizes.actions)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Starts an episode in every copy."""
        native = self._open()
        single = seed if isinstance(seed, int) else None
        super().reset(seed=single)
        stream = single if single is not None else int(self.np_random.integers(1 << 62))
        seeds = None
        if isinstance(seed, (list, tuple, np.ndarray)):
            if len(seed) != self.num_envs:
                raise ValueError(f"seed: expected {self.num_envs} seeds, got {len(seed)}")
            draw = self.np_random.integers(1 << 62, size=self.num_envs)
            seeds = [int(d) if s is None else int(s) for s, d in zip(seed, draw, strict=True)]
        arrays = self._sets[1 - self._at]
        native.reset(stream, seeds, arrays)
        self._started, self._at = True, 1 - self._at
        arrays["elapsed_ticks"][:] = 0
        return self._observation(arrays), self._info(arrays)

    def step(
        self, actions: Any
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Takes an action in every copy."""
        native = self._open()
        if not self._started:
            raise EpisodeEnded("step: expected running episodes, got none (call reset first)")
        actions = np.asarray(actions)
        if actions.shape != (self.num_envs,) or not np.issubdtype(actions.dtype, np.integer):
            raise ActionError(
                f"actions: expected {self.num_envs} whole numbers, got {actions.dtype} of shape "
                f"{actions.shape}"
            )
        arrays, finals = self._sets[1 - self._at], self._finals[1 - self._at]
        native.step(np.ascontiguousarray(actions, np.int64), arrays, finals)
        # Not before: a step that was refused leaves what was returned as it is.
        self._at = 1 - self._at
        info = self._info(arrays)
        ends = arrays["end"]
        ended = ends.nonzero()[0]
        if len(ended):
            seen = batched(finals)
            final = np.full(self.num_envs, None, object)
            for copy in ended:
                rows = {name: array[copy] for name, array in seen.items()}
                final[copy] = {n: r.copy() for n, r in rows.items()} if self._copy else rows
            info["final_obs"], info["_final_obs"] = final, ends != 0
        return (
            self._observation(arrays),
            arrays["reward"].astype(np.float64),
            (ends & 1).astype(bool),
            (ends & 2).astype(bool),
            info,
        )

    def action_masks(self) -> np.ndarray:
        """Which actions may be taken now, ``[num_envs, A]``."""
        return self._sets[self._at]["mask"].astype(bool)

    @property
    def features(self) -> dict[str, list[str]]:
        """Names of the features of nodes, workloads, the cluster and candidates, in order."""
        return self._open().features

    def close_extras(self, **_: Any) -> None:
        """Frees the copies; nothing can be done with them afterwards."""
        self._native = None

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = empty(self.sizes, self.num_envs)
        arrays["reward"] = np.zeros(self.num_envs, np.float32)
        arrays["end"] = np.zeros(self.num_envs, np.int8)
        arrays["elapsed_ticks"] = np.zeros(self.num_envs, np.int32)
        return arrays

    def _observation(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        seen = batched({name: arrays[name] for name in self.sizes.shapes()})
        return {name: array.copy() for name, array in seen.items()} if self._copy else seen

    def _info(self, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
        ticks = arrays["elapsed_ticks"].copy()
        return {
            "action_mask": arrays["mask"].copy() if self._copy else arrays["mask"],
            "elapsed_ticks": ticks,
            "discount": self.gamma**ticks,
        }

    def _open(self) -> _native.Vector:
        if self._native is None:
            raise EpisodeEnded("environment: expected an open one, got one that is closed")
        return self._native

    def __repr__(self) -> str:
        n, k, a = self.sizes[:3]
        return (
            f"<VectorEnv {self.scenario.name} x {self.num_envs}: {n} nodes, {k} workloads, "
            f"{a} actions>"
        )


def make_vec(scenario: ScenarioLike, num_envs: int, **settings: Any) -> VectorEnv:
    """Copies of a scenario of one's own: a name, a path, a text or a Scenario."""
    return VectorEnv(scenario, num_envs=num_envs, **settings)
