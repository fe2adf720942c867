"""Scenarios: to read, to change, to validate."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from godwit import _native
from godwit.errors import ScenarioError

__all__ = ["Scenario", "ScenarioLike"]


class Scenario:
    """A scenario that has passed every check. It never changes; ``replace`` makes another.

    ``source`` is the name of a scenario that comes with the package (``godwit.embedded_scenarios()``),
    the path of a file, or the text of one (a string of several lines).
    """

    __slots__ = ("_native",)

    def __init__(self, source: ScenarioLike) -> None:
        if isinstance(source, Scenario):
            self._native: _native.Scenario = source._native
        elif isinstance(source, os.PathLike):
            self._native = _native.Scenario.load(Path(source))
        elif isinstance(source, str):
            text = "\n" in source
            self._native = (
                _native.Scenario.parse(source) if text else _native.Scenario.resolve(source)
            )
        else:
            kind = type(source).__name__
            raise TypeError(f"scenario: expected a name, a path, a text or a Scenario, got {kind}")

    @classmethod
    def parse(cls, text: str, label: str = "scenario") -> Scenario:
        """The scenario of a text; ``label`` is what errors call it, and where it lies."""
        return cls._of(_native.Scenario.parse(text, label))

    @classmethod
    def _of(cls, native: _native.Scenario) -> Scenario:
        made = cls.__new__(cls)
        made._native = native
        return made

    def replace(self, changes: Mapping[str, Any] | None = None, /, **fields: Any) -> Scenario:
        """The same with other values, validated anew.

        Keys are dotted paths, a number picks an element of a list, and ``None`` takes a field away:
        ``scenario.replace({"rules.episode.ticks": 300, "workloads.0.count": 60})``. Keywords set
        fields at the top, as in ``scenario.replace(name="mine")``.
        """
        pairs = [*(changes or {}).items(), *fields.items()]
        return self._of(self._native.replaced(json.dumps(pairs)))

    def to_toml(self) -> str:
        """The text of a file that reads back to an equal scenario."""
        return self._native.to_toml()

    def to_dict(self) -> dict[str, Any]:
        """The tables of that file."""
        return json.loads(self._native.to_json())

    def __getitem__(self, path: str) -> Any:
        """The value at a dotted path: ``scenario["rules.episode.ticks"]``."""
        value: Any = self.to_dict()
        for part in path.split("."):
            try:
                value = value[int(part)] if isinstance(value, list) else value[part]
            except (KeyError, IndexError, ValueError, TypeError):
                known = list(value) if isinstance(value, dict) else f"{len(value)} elements" if (
                    isinstance(value, list)
                ) else repr(value)
                raise KeyError(f"{path}: expected one of {known}, got {part!r}") from None
        return value

    @property
    def name(self) -> str:
        """Its name."""
        return self._native.name

    @property
    def description(self) -> str:
        """What it stands for."""
        return self._native.description

    @property
    def sha256(self) -> str:
        """SHA-256 of the world that it describes, as artifacts and tuned files state it."""
        return self._native.sha256

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scenario) and self._native == other._native

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        mode = self["rules.episode.mode"]
        return f"Scenario({self.name!r}, {mode})"

    def __reduce__(self) -> tuple[Any, ...]:
        if "snapshot" in self.to_dict():
            raise ScenarioError(
                f"scenario {self.name}: expected one without a snapshot file to be pickled, got one "
                "with; hand its path on instead"
            )
        return (Scenario.parse, (self.to_toml(), self.name))


ScenarioLike = str | os.PathLike[str] | Scenario
