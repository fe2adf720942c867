"""Folders of runs: what ``godwit train`` writes, read while it trains and afterwards.

Nothing here writes to such a folder or holds it, so that a run never notices.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from godwit import _native
from godwit.errors import TrainingError

__all__ = ["export", "follow", "is_training", "settings"]

METRICS = "metrics.jsonl"
#: Between two looks at a run.
POLL_S = 0.5

RunFolder = str | os.PathLike[str]


class Log:
    """The lines of a run's ``metrics.jsonl``, each once, as they come.

    A run that goes on after a kill takes away the lines after its checkpoint and makes those steps
    again: what was read of them before is not given again.
    """

    def __init__(self, run: RunFolder) -> None:
        self._path = Path(run) / METRICS
        self._file: int | None = None
        self._at = 0
        self._read: dict[str, tuple[int, int]] = {}
        self._read_before: dict[str, tuple[int, int]] = {}

    def new(self) -> list[dict[str, Any]]:
        """Whole lines since the last call; none where the file is not there."""
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._file or status.st_size < self._at:
                    self._file, self._at = status.st_ino, 0
                    self._read_before = dict(self._read)
                file.seek(self._at)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._at += len(whole)
        return [line for text in whole.splitlines() if (line := self._line(text)) is not None]

    def _line(self, text: bytes) -> dict[str, Any] | None:
        try:
            line: dict[str, Any] = json.loads(text)
            kind, place = line["kind"], (line["env_steps"], line["updates"])
        except (ValueError, KeyError, TypeError):
            return None  # a line that a kill or a full disk cut short
        if place <= self._read_before.get(kind, (-1, -1)):
            return None
        self._read[kind] = max(place, self._read.get(kind, place))
        return line


def follow(run: RunFolder, *, wait: bool = False) -> Iterator[list[dict[str, Any]]]:
    """New lines of a run's ``metrics.jsonl``, in lists, until no process trains in its folder.

    A run that is over gives one list. Whether a process trains is seen on its own machine only.

    :param wait: whether to wait for a run that has not begun.
    """
    log, begun = Log(run), False
    while True:
        # Asked first: what is written before the run lets go of its folder is read after that.
        training = is_training(run)
        if lines := log.new():
            begun = True
            yield lines
        if not training:
            if begun:
                return
            if not wait:
                raise TrainingError(
                    f"{os.fspath(run)}: expected the folder of a run, got none with lines in "
                    f"{METRICS} (start the run first, or wait for it)"
                )
        time.sleep(POLL_S)


def is_training(run: RunFolder) -> bool:
    """Whether a process of this machine trains in this folder.

    It holds a lock then. Trying the lock could get in the way of a run that is just starting, so the
    kernel's table is read.
    """
    try:
        held = os.stat(Path(run) / ".lock").st_ino
        table = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return False
    locks = (line.split() for line in table.splitlines())
    return any("FLOCK" in lock and f":{held} " in f"{' '.join(lock)} " for lock in locks)


def settings(run: RunFolder) -> dict[str, Any]:
    """The settings of a run by their dotted keys, as ``godwit train --set`` takes them."""
    path = Path(run) / "config.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise TrainingError(f"{path}: expected the settings of a run, got: {error.strerror}") from None
    return dict(dotted(json.loads(_native.toml_to_json(text))))


def dotted(tables: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its dotted key."""
    for name, value in tables.items():
        if isinstance(value, Mapping):
            yield from dotted(value, f"{path}{name}.")
        else:
            yield path + name, value


def export(run: RunFolder, out: str | os.PathLike[str], *, program: str = "godwit") -> Path:
    """Writes the best policy of a run as an artifact: ``godwit export RUN --out OUT``."""
    command = [found(program), "export", os.fspath(run), "--out", os.fspath(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise TrainingError(done.stderr.strip() or f"{program} export: exit code {done.returncode}")
    return Path(out)


def found(program: str) -> str:
    """The path of a program, by its name or its path."""
    path = shutil.which(program)
    if path is None:
        raise TrainingError(
            f"program: expected one that can be run, got {program!r}, which is neither a path nor in "
            "PATH (`make demo` builds godwit into target/release)"
        )
    return path
