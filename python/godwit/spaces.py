"""Spaces of observations, and observations as one row of numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

__all__ = ["Sizes", "batched", "empty", "flat_space", "flattened", "observation_space"]


class Sizes(NamedTuple):
    """Numbers of nodes, workload slots and candidates, and of the features of each."""

    nodes: int
    workloads: int
    actions: int
    node_features: int
    workload_features: int
    global_features: int
    candidate_features: int

    def shapes(self) -> dict[str, tuple[tuple[int, ...], type]]:
        """Shape and type of each part of an observation."""
        n, k, a, fn, fw, fg, fc = self
        return {
            "nodes": ((n, fn), np.float32),
            "workloads": ((k, fw), np.float32),
            "globals": ((fg,), np.float32),
            "candidates": ((a, fc), np.float32),
            "candidate_workload": ((a,), np.int32),
            "candidate_source": ((a,), np.int32),
            "candidate_destination": ((a,), np.int32),
            "placement": ((k,), np.int32),
            "mask": ((a,), np.int8),
        }


def observation_space(sizes: Sizes) -> spaces.Dict:
    """The space of observations of these sizes."""
    most = {
        "candidate_workload": max(sizes.workloads - 1, 0),
        "candidate_source": max(sizes.nodes - 1, 0),
        "candidate_destination": max(sizes.nodes - 1, 0),
        "placement": max(sizes.nodes - 1, 0),
    }
    parts: dict[str, spaces.Space[Any]] = {}
    for name, (shape, kind) in sizes.shapes().items():
        if name == "mask":
            parts[name] = spaces.MultiBinary(shape[0])
        elif name in most:
            parts[name] = spaces.Box(-1, most[name], shape, np.int32)
        else:
            parts[name] = spaces.Box(-np.inf, np.inf, shape, kind)  # type: ignore[arg-type]
    return spaces.Dict(parts)


class Padding(NamedTuple):
    """Numbers of nodes, workload slots and candidates to which flat observations are padded."""

    nodes: int
    workloads: int
    actions: int


def flat_space(sizes: Sizes, padding: Padding) -> spaces.Box:
    """The space of :func:`flattened`."""
    return spaces.Box(-np.inf, np.inf, (flat_length(sizes, padding),), np.float32)


def flat_length(sizes: Sizes, padding: Padding) -> int:
    """Numbers in a flat observation."""
    n, k, a = padding
    return (
        n * sizes.node_features
        + k * sizes.workload_features
        + sizes.global_features
        + a * (sizes.candidate_features + 1)
    )


def flattened(observation: dict[str, np.ndarray], padding: Padding) -> np.ndarray:
    """Features of nodes, workloads, the cluster and candidates, and the mask, in one row.

    Rows beyond a cluster's own are 0.
    """
    n, k, a = padding
    parts = []
    for name, rows in (("nodes", n), ("workloads", k), ("globals", 0), ("candidates", a), ("mask", a)):
        part = observation[name]
        if name != "globals" and len(part) < rows:
            fill = np.zeros((rows - len(part), *part.shape[1:]), part.dtype)
            part = np.concatenate([part, fill])
        parts.append(part.astype(np.float32, copy=False).reshape(-1))
    return np.concatenate(parts)


def empty(sizes: Sizes, copies: int) -> dict[str, np.ndarray]:
    """Arrays for the observations of so many copies, as the native code writes them."""
    arrays = {}
    for name, (shape, kind) in sizes.shapes().items():
        if name == "candidates":
            # Feature by feature, as the simulator keeps them: they are copied in whole rows.
            shape = (shape[1], shape[0])
        arrays[name] = np.zeros((copies, *shape), kind)
    return arrays


def batched(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The observation that such arrays hold: views, nothing is copied."""
    return {
        name: array.transpose(0, 2, 1) if name == "candidates" else array
        for name, array in arrays.items()
    }
