"""One cluster as a Gymnasium environment."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from godwit import _native
from godwit.errors import ActionError, EpisodeEnded
from godwit.rendering import ansi, rgb_array
from godwit.scenario import Scenario, ScenarioLike
from godwit.spaces import Padding, Sizes, flat_space, flattened, observation_space

__all__ = ["ClusterEnv", "make"]

Observation = dict[str, np.ndarray] | np.ndarray


class ClusterEnv(gymnasium.Env[Any, np.int64]):
    """Episodes of a scenario. Action 0 stays; every other action is a candidate migration.

    :param scenario: a name, a path, a text or a :class:`godwit.Scenario`.
    :param phase: ``"train"``, ``"validate"`` or ``"evaluate"``: the episodes of one are never those
        of another.
    :param flatten: observations as one row of numbers in place of a dictionary: features of nodes,
        workloads, the cluster and candidates, and the mask.
    :param pad_to: (nodes, workloads, actions) of flat observations, where clusters of several sizes
        are to look alike. The action space has that size then; what is beyond the cluster's own is
        masked.
    :param invalid: what a masked action does: ``"raise"`` :class:`godwit.ActionError`, with the state
        as it was, or ``"stay"``, for learners that know no masks.
    :param gamma: discount of one tick. ``info["discount"]`` is ``gamma ** info["elapsed_ticks"]``:
        several moves may be made in the same tick.
    :param render_mode: ``"ansi"`` (a text) or ``"rgb_array"`` (a picture): loads of the nodes as bars,
        the last move drawn.

    ``info`` holds ``action_mask``, ``elapsed_ticks``, ``discount``, ``terms`` (the objective's terms
    now) and ``level`` (their weighted sum).
    """

    metadata = {"render_modes": ["ansi", "rgb_array"], "render_fps": 4}

    def __init__(
        self,
        scenario: ScenarioLike,
        *,
        phase: str = "train",
        flatten: bool = False,
        pad_to: tuple[int, int, int] | None = None,
        invalid: str = "raise",
        gamma: float = 0.99,
        render_mode: str | None = None,
    ) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            modes = self.metadata["render_modes"]
            raise ValueError(f"render_mode: expected one of {modes}, got {render_mode!r}")
        if invalid not in ("raise", "stay"):
            raise ValueError(f'invalid: expected "raise" or "stay", got {invalid!r}')
        if not 0 <= gamma <= 1:
            raise ValueError(f"gamma: expected 0 to 1, got {gamma}")
        if pad_to is not None and not flatten:
            raise ValueError("pad_to: expected flatten=True with it, got flatten=False")
        self.scenario = Scenario(scenario)
        self.render_mode = render_mode
        self.gamma = gamma
        self._stays = invalid == "stay"
        self._world: _native.World | None = _native.World(self.scenario._native, phase)
        self.sizes = Sizes(*self._world.sizes)
        own = Padding(self.sizes.nodes, self.sizes.workloads, self.sizes.actions)
        self._padding = Padding(*pad_to) if pad_to is not None else own
        if any(wide < needed for wide, needed in zip(self._padding, own, strict=True)):
            raise ValueError(f"pad_to: expected at least {tuple(own)}, got {tuple(self._padding)}")
        self._flatten = flatten
        self._started = False
        self._mask: np.ndarray | None = None
        self._last_move: tuple[int, int] | None = None
        self.observation_space = (
            flat_space(self.sizes, self._padding) if flatten else observation_space(self.sizes)
        )
        self.action_space = spaces.Discrete(self._padding.actions)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Starts an episode: that of ``seed``, or the next one of this environment's stream."""
        super().reset(seed=seed)
        world = self._open()
        episode = seed if seed is not None else int(self.np_random.integers(1 << 62))
        world.reset(episode)
        self._started, self._last_move = True, None
        observation, mask = self._observe(world)
        return observation, self._info(world, mask, 0)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Takes an action."""
        world = self._open()
        if not self._started:
            raise EpisodeEnded("step: expected a running episode, got none (call reset first)")
        index = _index(action)
        if self._stays and not world.allows(index):
            index = 0
        move = world.action(index) if 0 <= index < self.sizes.actions else None
        reward, terminated, truncated, ticks = world.step(index)
        self._last_move = move
        observation, mask = self._observe(world)
        return observation, reward, terminated, truncated, self._info(world, mask, ticks)

    def action_masks(self) -> np.ndarray:
        """Which actions may be taken now, as sb3-contrib's MaskablePPO asks for it."""
        if self._mask is None:
            raise EpisodeEnded("action_masks: expected a running episode, got none (call reset first)")
        return self._mask.astype(bool)

    def state(self) -> _native.State:
        """The cluster as heuristics see it; see :func:`godwit.evaluate`."""
        return self._open().state()

    def index_of(self, workload: int, destination: int) -> int | None:
        """Index of the action that moves a workload to a node; None where that is not offered."""
        return self._open().index_of(workload, destination)

    @property
    def features(self) -> dict[str, list[str]]:
        """Names of the features of nodes, workloads, the cluster and candidates, in order."""
        return self._open().features

    def render(self) -> Any:
        """Loads of the nodes and the last move, in the render mode."""
        if self.render_mode is None:
            gymnasium.logger.warn(
                "render: no render_mode was given; use make(..., render_mode='ansi')"
            )
            return None
        world = self._open()
        draw = ansi if self.render_mode == "ansi" else rgb_array
        state = world.state()
        return draw(state.loads, state.node_names, state.tick, state.level, self._last_move)

    def close(self) -> None:
        """Frees the world; nothing can be done with it afterwards."""
        self._world = None

    def _open(self) -> _native.World:
        if self._world is None:
            raise EpisodeEnded("environment: expected an open one, got one that is closed")
        return self._world

    def _observe(self, world: _native.World) -> tuple[Any, np.ndarray]:
        observation = world.observe()
        mask = observation["mask"]
        if self._padding.actions > len(mask):
            mask = np.concatenate([mask, np.zeros(self._padding.actions - len(mask), np.int8)])
        self._mask = mask
        return (flattened(observation, self._padding) if self._flatten else observation), mask

    def _info(self, world: _native.World, mask: np.ndarray, ticks: int) -> dict[str, Any]:
        return {
            "action_mask": mask,
            "elapsed_ticks": ticks,
            "discount": self.gamma**ticks,
            "terms": world.terms(),
            "level": world.level,
        }

    def __repr__(self) -> str:
        n, k, a = self.sizes[:3]
        return f"<ClusterEnv {self.scenario.name}: {n} nodes, {k} workloads, {a} actions>"


def _index(action: Any) -> int:
    """An action as an index: whole numbers of any kind, arrays of one of them."""
    array = np.asarray(action)
    if array.size != 1 or not np.issubdtype(array.dtype, np.integer):
        raise ActionError(f"action: expected one whole number, got {action!r}")
    return int(array.reshape(-1)[0])


def make(scenario: ScenarioLike, **settings: Any) -> ClusterEnv:
    """An environment for a scenario of one's own: a name, a path, a text or a Scenario."""
    return ClusterEnv(scenario, **settings)
