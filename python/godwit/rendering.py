"""Pictures of a cluster: loads of the nodes as bars."""

from __future__ import annotations

import numpy as np

__all__ = ["ansi", "rgb_array"]

#: Characters of the longest bar, and pixels of a picture.
WIDTH = 40
PICTURE = (240, 640)
#: Most nodes that a text lists one by one.
LISTED = 40

INK = (40, 44, 52)
BAR = (70, 130, 180)
FULLEST = (200, 80, 60)
PAPER = (250, 250, 250)
MOVED = (60, 150, 90)


def ansi(
    loads: np.ndarray,
    names: list[str],
    tick: int,
    level: float,
    move: tuple[int, int] | None,
) -> str:
    """A line for each node: its name, its load as a bar and as a number."""
    most = max(float(loads.max(initial=0.0)), 1e-9)
    width = max((len(name) for name in names), default=0)
    lines = [f"tick {tick}, objective {level:.4f}"]
    order = np.argsort(-loads)[:LISTED] if len(names) > LISTED else range(len(names))
    for node in order:
        load = float(loads[node])
        bar = "#" * round(WIDTH * load / most)
        arrow = "  <- workload {}".format(move[0]) if move and move[1] == node else ""
        lines.append(f"{names[node]:>{width}} {bar:<{WIDTH}} {load:.3f}{arrow}")
    if len(names) > LISTED:
        lines.append(f"and {len(names) - LISTED} nodes that are loaded less")
    return "\n".join(lines)


def rgb_array(
    loads: np.ndarray,
    names: list[str],
    tick: int,
    level: float,
    move: tuple[int, int] | None,
) -> np.ndarray:
    """A bar for each node; the fullest in red, where the last move went in green."""
    height, width = PICTURE
    picture = np.full((height, width, 3), PAPER, np.uint8)
    picture[-2:] = INK
    count = max(len(loads), 1)
    most = max(float(loads.max(initial=0.0)), 1e-9)
    fullest = int(loads.argmax()) if len(loads) else -1
    edges = np.linspace(0, width, count + 1).round().astype(int)
    for node, load in enumerate(loads):
        left, right = edges[node], edges[node + 1]
        gap = 1 if right - left > 3 else 0
        top = height - 2 - round((height - 12) * float(load) / most)
        colour = FULLEST if node == fullest else BAR
        if move is not None and move[1] == node:
            colour = MOVED
        picture[top : height - 2, left + gap : max(right - gap, left + 1)] = colour
    return picture
