"""Live decisions: artifacts, what they see in a snapshot, and the plan that the scorer would make."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from godwit import _native
from godwit.errors import PolicyError

__all__ = ["Policy", "PolicyLike", "Snapshot", "observe", "plan"]

Snapshot = str | Mapping[str, Any] | os.PathLike[str]


class Policy:
    """A trained policy: a network in plain native code, without libtorch.

    ``Policy.load("policy.pt")`` reads an artifact, ``Policy.load("generalist")`` one that comes with
    the package.
    """

    __slots__ = ("_native",)

    def __init__(self, native: _native.Policy) -> None:
        self._native = native

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Policy:
        """Reads an artifact and checks it: sums, shapes, golden vectors."""
        return cls(_native.Policy.load(Path(path)))

    def q(self, observation: Mapping[str, np.ndarray]) -> np.ndarray:
        """Value of each candidate, ``[A]``; minus infinity for masked ones.

        What the network alone says, whatever its :attr:`base` would do.
        """
        return self._native.q(_dictionary(observation))

    def act(self, observation: Mapping[str, np.ndarray]) -> int:
        """Index of the candidate of the highest value."""
        return self._native.act(_dictionary(observation))

    def to_onnx(self, path: str | os.PathLike[str] | None = None) -> bytes:
        """The network as ONNX, for other runtimes; also written to ``path``.

        Its inputs are the parts of an observation with a first axis for several states, its outputs
        ``q`` and ``action``.
        """
        data = self._native.to_onnx()
        if path is not None:
            Path(path).write_bytes(data)
        return data

    @property
    def manifest(self) -> dict[str, Any]:
        """What the artifact says of itself: network, features, training, evaluation."""
        return json.loads(self._native.manifest_json())

    @property
    def features(self) -> dict[str, list[str]]:
        """Names of the features that it reads: of nodes, workloads, the cluster and candidates."""
        return self._native.features

    @property
    def base(self) -> tuple[str, float | None] | None:
        """The heuristic that it improves on, and the margin by which the network must be ahead.

        The margin is None where the heuristic plays alone; no base, where the network does.
        """
        return self._native.base

    @property
    def scenario(self) -> str:
        """The scenario that it was trained on."""
        return self._native.scenario

    @property
    def sha256(self) -> str:
        """SHA-256 of the artifact."""
        return self._native.sha256

    def __repr__(self) -> str:
        return repr(self._native)


PolicyLike = Policy | str | os.PathLike[str]


def loaded(policy: PolicyLike) -> Policy:
    """A policy from what may stand for one."""
    if isinstance(policy, Policy):
        return policy
    if isinstance(policy, (str, os.PathLike)):
        return Policy.load(policy)
    kind = type(policy).__name__
    raise PolicyError(f"policy: expected a Policy, a path or a name, got {kind}")


def observe(snapshot: Snapshot, policy: PolicyLike) -> dict[str, np.ndarray]:
    """The arrays that the scorer sees of a snapshot: a JSON text, its tables, or the path of a file."""
    return _native.observe(_text(snapshot), loaded(policy)._native)


def plan(
    snapshot: Snapshot,
    policy: PolicyLike,
    *,
    limits: str | os.PathLike[str] | None = None,
    max_moves: int | None = None,
    think_ms: int = 5,
    best_of: int = 1,
    deadline_ms: int | None = None,
    stays: bool = False,
) -> dict[str, Any]:
    """The decision that ``godwit-scorer decide`` prints for a snapshot, as its tables.

    :param snapshot: a JSON text, its tables, or the path of a file.
    :param policy: a :class:`Policy`, the path of an artifact, or the name of one that comes with the
        package.
    :param limits: an operator's limits: the path of a TOML file, or its text.
    :param max_moves: at most so many migrations.
    :param think_ms: milliseconds in which the policy's plan is compared with those of quick
        heuristics. With 0 the decision depends on the snapshot alone, not on the machine.
    :param best_of: the best of so many plans; in rebalance scenarios only.
    :param deadline_ms: begin no further decision after so many milliseconds.
    :param stays: whether each workload that stays is told of.
    """
    text = None
    if limits is not None:
        is_text = isinstance(limits, str) and ("\n" in limits or "=" in limits)
        text = str(limits) if is_text else Path(limits).read_text(encoding="utf-8")
    return json.loads(
        _native.plan(
            _text(snapshot),
            loaded(policy)._native,
            limits=text,
            max_moves=0xFFFF_FFFF if max_moves is None else max_moves,
            think_ms=think_ms,
            best_of=best_of,
            deadline_ms=deadline_ms,
            stays=stays,
        )
    )


def _text(snapshot: Snapshot) -> str:
    if isinstance(snapshot, Mapping):
        return json.dumps(snapshot)
    if isinstance(snapshot, str) and snapshot.lstrip().startswith("{"):
        return snapshot
    return Path(snapshot).read_text(encoding="utf-8")


def _dictionary(observation: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    if not isinstance(observation, Mapping):
        kind = type(observation).__name__
        raise PolicyError(f"observation: expected a dictionary of arrays, got {kind}")
    return dict(observation)
